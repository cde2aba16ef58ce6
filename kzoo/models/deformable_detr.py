"""Deformable DETR: cells and queries look at a few places of four maps, rather than at all cells of one."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import keras
from keras import layers

from kzoo.backbones.convnext import CONVNEXTS
from kzoo.backbones.named import backbone_features
from kzoo.heads.deformable_detr import DeformableDETRHead
from kzoo.layers.conv import repeats, scaled
from kzoo.layers.deformable_encoder import DeformableEncoder
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture, assembled
from kzoo.weights.reading import reading

STRIDES = (8, 16, 32, 64)
MULTIPLE = 32  # of the image's sides
DEPTH, HEADS, CHANNELS = 6, 8, 256


@architecture(
    DeformableDETRHead,
    own=("query_width", "heads", "feedforward", "decoder_depth", "dropout", "refine", "two_stage"),
    backbones=(),
)
def deformable_detr(
    num_classes: int = 80,
    image_size: Sequence[int] = (800, 800),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "resnet50",
    batch_norm: str | None = None,
    refine: bool = False,
    two_stage: bool = False,
    dropout: float = 0.1,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "deformable-detr-r50",
    **head,
) -> ZooModel:
    """Deformable DETR on ResNet-50: six layers of an encoder on four maps, and six of a decoder with 300 queries.

    Args:
        num_classes: number of classes, 1 or more, 80 by default; the published weights have COCO's ids as numbers, 91
            classes.
        image_size: height and width in pixels, (800, 800) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default; of 256 channels and 1024 of the dense layers.
        depth: factor of the backbone's blocks of a stage and of the layers of encoder and decoder, above 0 and up to
            16, 1 by default.
        backbone: one of `kzoo.backbones.named.BACKBONES`, "resnet50" by default.
        batch_norm: kind of the backbone's batch normalisation, "trained", "frozen" or "synchronized": see
            `kzoo.layers.residual.batch_normalization`. Where None "frozen" with weights or backbone's weights, and
            "trained" without. A ConvNeXt has none.
        refine: whether each layer of the decoder begins with the boxes of the one before; False by default.
        two_stage: whether queries begin as boxes of the encoder's cells; False by default, and with `refine` alone.
        dropout: share of weights and channels that is dropped in training, 0 to below 1, 0.1 by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; or the authors' state dict or transformers'
            (`.pth`, `.safetensors`). Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, or what `kzoo.weights.loading` takes for
            it. Untrained where None.
        name: name of the model, which messages and files go by, "deformable-detr-r50" by default.
        **head: further arguments of `kzoo.heads.deformable_detr.DeformableDETRHead`, such as `queries`.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Zhu et al. 2020, arXiv:2010.04159; in numbers as the authors' code.
    """
    check_arguments(num_classes, image_size, names, MULTIPLE)
    load = (backbone_weights, weights)
    encoder = DeformableEncoder(
        repeats(DEPTH, depth), HEADS, scaled(1024, width), dropout, name="neck_encoder"
    )
    network = encoded_levels(width, depth, backbone, batch_norm, load, encoder)
    arguments = {
        **decoder_settings(width, depth, 1024),
        "dropout": dropout,
        "refine": refine,
        "two_stage": two_stage,
        **head,
    }
    head = DeformableDETRHead(num_classes, STRIDES, **arguments)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


deformable_detr_refined = functools.partial(deformable_detr, refine=True, name="deformable-detr-r50-refined")
deformable_detr_two_stage = functools.partial(
    deformable_detr, refine=True, two_stage=True, name="deformable-detr-r50-two-stage"
)


def encoded_levels(
    width: float,
    depth: float,
    backbone: str,
    batch_norm: str | None,
    load: tuple[str | Path | None, str | Path | None],
    encoder: keras.layers.Layer,
    levels: int = 4,
) -> keras.Model:
    """Images to maps of the same channels, the coarsest at stride 64, whose cells have looked at each other.

    Args:
        width: factor of the channels, above 0; of 256 channels of the maps.
        depth: factor of the backbone's blocks of a stage, above 0.
        backbone: one of `kzoo.backbones.named.BACKBONES`.
        batch_norm: kind of the backbone's batch normalisation; where None "frozen" with weights and "trained" without.
        load: the backbone's weights and the weights that are going to be loaded, or None.
        encoder: a list of maps to a list of maps.
        levels: number of maps: 4 (default), the finest at stride 8, or 5, at stride 4.
    """
    if batch_norm is None and backbone not in CONVNEXTS:
        batch_norm = "trained" if load == (None, None) else "frozen"
    read = reading(*load, backbone=backbone)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, read.normalize)
    stages = backbone_features(x, backbone, 32, width, depth, batch_norm=batch_norm, **read.strides)
    channels = scaled(CHANNELS, width)
    maps = [
        _grouped(layers.Conv2D(channels, 1, name=f"neck_input{i}")(x), f"neck_input{i}_norm")
        for i, x in enumerate(stages[1 - levels :])
    ]
    last = f"neck_input{levels - 1}"
    x = layers.ZeroPadding2D(1, name=f"{last}_pad")(stages[-1])
    maps.append(_grouped(layers.Conv2D(channels, 3, 2, name=last)(x), f"{last}_norm"))
    return keras.Model(inputs, encoder(maps), name="network")


def _grouped(x, name: str):
    """Group normalisation, of 32 groups where the channels allow it."""
    groups = 32 if x.shape[-1] % 32 == 0 else 8
    return layers.GroupNormalization(groups, epsilon=1e-5, name=name)(x)


def decoder_settings(width: float, depth: float, feedforward: int) -> dict:
    """What a head with queries is given that goes with such a network.

    Args:
        width: factor of the channels, above 0.
        depth: factor of the decoder's layers, above 0.
        feedforward: channels between a layer's dense layers at width 1.
    """
    return {
        "decoder_depth": repeats(DEPTH, depth),
        "query_width": scaled(CHANNELS, width),
        "heads": HEADS,
        "feedforward": scaled(feedforward, width),
        "name": "head",
    }
