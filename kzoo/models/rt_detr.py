"""RT-DETR: one layer of attention on the coarsest map, and queries that begin on the best cells of three maps."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from kzoo.backbones.convnext import CONVNEXTS
from kzoo.backbones.hgnet import HGNETS
from kzoo.backbones.named import backbone_features
from kzoo.backbones.resnet import DEEP_STEMMED
from kzoo.heads.base import check_choice
from kzoo.heads.rt_detr import RTDETRHead
from kzoo.layers.conv import repeats, scaled
from kzoo.layers.hybrid_encoder import NORM, Hybrid, hybrid_encoder
from kzoo.layers.normalize import normalized
from kzoo.layers.yolo_conv import conv
from kzoo.model import ZooModel, check_arguments, images_input
from kzoo.models.architecture import architecture, assembled
from kzoo.weights.reading import reading

STRIDES = (8, 16, 32)
HEADS = 8
CHANNELS = 256  # of queries, and of the maps that they look at


@dataclass(frozen=True)
class Variant:
    """What a variant's name says.

    Attributes:
        hidden: channels of the encoder.
        feedforward: channels between the dense layers of the encoder.
        expansion: channels inside of joining blocks, as a share.
        layers: number of the decoder's layers.
        used: how many of them run in inference; all where None.
        frozen: whether the backbone's batch normalisation stays as it was trained before.
    """

    hidden: int = 256
    feedforward: int = 1024
    expansion: float = 1.0
    layers: int = 6
    used: int | None = None
    frozen: bool = True


VARIANTS = {
    "r18": Variant(expansion=0.5, layers=3, frozen=False),
    "r34": Variant(expansion=0.5, layers=4, frozen=False),
    "r50m": Variant(expansion=0.5, used=3),
    "r50": Variant(),
    "r101": Variant(384, 2048),
    "l": Variant(),
    "x": Variant(384, 2048),
}


@architecture(RTDETRHead, own=("query_width", "heads", "feedforward", "decoder_depth"), backbones=())
def rt_detr(
    num_classes: int = 80,
    image_size: Sequence[int] = (640, 640),
    width: float = 1.0,
    depth: float = 1.0,
    variant: str = "r50",
    backbone: str = "resnet50d",
    batch_norm: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "rt-detr-r50",
    **head,
) -> ZooModel:
    """RT-DETR: a backbone, the hybrid encoder of its three coarser maps, and a decoder of 300 queries.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (640, 640) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the blocks of the backbone's stages and the encoder's, and of the decoder's layers, above 0
            and up to 16, 1 by default.
        variant: "r18", "r34", "r50m", "r50" (default), "r101", "l" or "x": channels and number of layers.
        backbone: "resnet50d" (default), or the one of the variant's name; or another of
            `kzoo.backbones.named.BACKBONES`.
        batch_norm: kind of the backbone's batch normalisation, "trained", "frozen" or "synchronized": see
            `kzoo.layers.residual.batch_normalization`. Where None "frozen" with weights or backbone's weights, of
            "r18" and "r34", and without weights, "trained". A ConvNeXt has none.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; or the authors' state dict or transformers'
            (`.pth`, `.safetensors`). Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, or what `kzoo.weights.loading` takes for
            it. Untrained where None.
        name: name of the model, which messages and files go by, "rt-detr-r50" by default.
        **head: further arguments of `kzoo.heads.rt_detr.RTDETRHead`, such as `queries` and `denoising`.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Zhao et al. 2023, RT-DETR, arXiv:2304.08069, tables 2 and 3; in numbers as the authors' code.
    """
    check_arguments(num_classes, image_size, names, STRIDES[-1])
    check_choice("variant", variant, tuple(VARIANTS))
    known = VARIANTS[variant]
    load = (backbone_weights, weights)
    if batch_norm is None and backbone not in CONVNEXTS:
        batch_norm = "frozen" if known.frozen and load != (None, None) else "trained"
    inputs, stages = backbone_maps(backbone, width, depth, batch_norm, load)
    settings = Hybrid(
        scaled(known.hidden, width), scaled(known.feedforward, width), HEADS, known.expansion, depth
    )
    maps = hybrid_encoder(stages, settings)
    channels = scaled(CHANNELS, width)
    # No activation: what queries look at is as the encoder leaves it, but for its scale.
    maps = [conv(x, channels, f"neck_output{i}", activation="linear", **NORM) for i, x in enumerate(maps)]
    network = keras.Model(inputs, maps, name="network")
    count = repeats(known.layers, depth)
    arguments = {
        "query_width": channels,
        "heads": HEADS,
        "feedforward": scaled(1024, width),
        "decoder_depth": count,
        "decoder_layers": None if known.used is None else min(known.used, count),
        **head,
    }
    head = RTDETRHead(num_classes, STRIDES, name="head", **arguments)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


def backbone_maps(
    backbone: str,
    width: float,
    depth: float,
    batch_norm: str | None,
    load: tuple[str | Path | None, str | Path | None],
) -> tuple:
    """Images (B, H, W, 3) as a network's input, and a backbone's maps at strides 8, 16 and 32.

    Args:
        backbone: one of `kzoo.backbones.named.BACKBONES`; images of ResNet-Ds and HGNetV2s are over 255 and no more.
        width: factor of the channels, above 0.
        depth: factor of the blocks of a stage, above 0.
        batch_norm: kind of the backbone's batch normalisation, or None.
        load: the backbone's weights and the weights that are going to be loaded, or None.
    """
    read = reading(*load, backbone=backbone)
    if backbone in DEEP_STEMMED or backbone in HGNETS:
        inputs, x = images_input()
    else:
        inputs = keras.Input((None, None, 3), name="images")
        x = normalized(inputs, read.normalize)
    stages = backbone_features(x, backbone, 32, width, depth, batch_norm=batch_norm, **read.strides)
    return inputs, stages[1:]


rt_detr_r18 = functools.partial(rt_detr, variant="r18", backbone="resnet18d", name="rt-detr-r18")
rt_detr_r34 = functools.partial(rt_detr, variant="r34", backbone="resnet34d", name="rt-detr-r34")
rt_detr_r50m = functools.partial(rt_detr, variant="r50m", name="rt-detr-r50m")
rt_detr_r101 = functools.partial(rt_detr, variant="r101", backbone="resnet101d", name="rt-detr-r101")
rt_detr_l = functools.partial(rt_detr, variant="l", backbone="hgnetv2-l", name="rt-detr-l")
rt_detr_x = functools.partial(rt_detr, variant="x", backbone="hgnetv2-x", name="rt-detr-x")
# The second version has the same network; it was trained otherwise, and takes `points` by level and `method`.
rt_detr_v2_r18 = functools.partial(rt_detr_r18, name="rt-detr-v2-r18")
rt_detr_v2_r34 = functools.partial(rt_detr_r34, name="rt-detr-v2-r34")
rt_detr_v2_r50m = functools.partial(rt_detr_r50m, name="rt-detr-v2-r50m")
rt_detr_v2_r50 = functools.partial(rt_detr, name="rt-detr-v2-r50")
rt_detr_v2_r101 = functools.partial(rt_detr_r101, name="rt-detr-v2-r101")
rt_detr_v2_l = functools.partial(rt_detr_l, name="rt-detr-v2-l")
rt_detr_v2_x = functools.partial(rt_detr_x, name="rt-detr-v2-x")
