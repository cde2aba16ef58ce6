"""D-FINE: RT-DETR whose boxes' sides are distributions, sharpened layer by layer."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from kzoo.backbones.convnext import CONVNEXTS
from kzoo.heads.base import check_choice
from kzoo.heads.d_fine import DFineHead
from kzoo.layers.conv import repeats, scaled
from kzoo.layers.hybrid_encoder import NORM, Hybrid, hybrid_encoder
from kzoo.layers.yolo_conv import conv
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture, assembled
from kzoo.models.rt_detr import HEADS, STRIDES, backbone_maps

FEEDFORWARD = 512  # channels between the dense layers of the decoder's layers


@dataclass(frozen=True)
class Variant:
    """What a variant's letter says.

    Attributes:
        hidden: channels of the encoder.
        feedforward: channels between the dense layers of the encoder.
        expansion: channels inside of joining blocks, as a share.
        depth: factor of the convolutions of a joining block.
        layers: number of the decoder's layers.
        points: number of points of a head on each map.
        channels: channels of queries, and of the maps that they look at.
        scale: what sides' distances are counted by.
        frozen: whether the backbone's batch normalisation stays as it was trained before.
    """

    hidden: int = 256
    feedforward: int = 1024
    expansion: float = 1.0
    depth: float = 1.0
    layers: int = 6
    points: tuple[int, ...] = (3, 6, 3)
    channels: int = 256
    scale: float = 4.0
    frozen: bool = False


VARIANTS = {
    "n": Variant(128, 512, 0.34, 0.5, 3, points=(6, 6), channels=128),
    "s": Variant(expansion=0.5, depth=0.34, layers=3),
    "m": Variant(depth=0.67, layers=4),
    "l": Variant(frozen=True),
    "x": Variant(384, 2048, scale=8.0, frozen=True),
}


@architecture(
    DFineHead,
    own=("query_width", "heads", "feedforward", "decoder_depth"),
    backbones=(),
)
def d_fine(
    num_classes: int = 80,
    image_size: Sequence[int] = (640, 640),
    width: float = 1.0,
    depth: float = 1.0,
    variant: str = "l",
    backbone: str = "hgnetv2-b4",
    batch_norm: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "d-fine-l",
    **head,
) -> ZooModel:
    """D-FINE: an HGNetV2, the hybrid encoder with aggregated blocks, and a decoder of 300 queries.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (640, 640) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the blocks of the backbone's stages and the encoder's, and of the decoder's layers, above 0
            and up to 16, 1 by default.
        variant: "n", "s", "m", "l" (default) or "x": channels, and numbers of maps, layers and points.
        backbone: "hgnetv2-b4" (default), or the one of the variant's name; or another of
            `kzoo.backbones.named.BACKBONES`.
        batch_norm: kind of the backbone's batch normalisation, "trained", "frozen" or "synchronized": see
            `kzoo.layers.residual.batch_normalization`. Where None "frozen" of "l" and "x" with weights or backbone's
            weights, and otherwise "trained". A ConvNeXt has none.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; or the authors' state dict or transformers'
            (`.pth`, `.safetensors`). Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, or what `kzoo.weights.loading` takes for
            it. Untrained where None.
        name: name of the model, which messages and files go by, "d-fine-l" by default.
        **head: further arguments of `kzoo.heads.d_fine.DFineHead`, such as `queries` and `denoising`.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Peng et al. 2024, D-FINE, arXiv:2410.13842; in numbers as the authors' code.
    """
    check_arguments(num_classes, image_size, names, STRIDES[-1])
    check_choice("variant", variant, tuple(VARIANTS))
    known = VARIANTS[variant]
    load = (backbone_weights, weights)
    if batch_norm is None and backbone not in CONVNEXTS:
        batch_norm = "frozen" if known.frozen and load != (None, None) else "trained"
    inputs, stages = backbone_maps(backbone, width, depth, batch_norm, load)
    settings = Hybrid(
        scaled(known.hidden, width),
        scaled(known.feedforward, width),
        HEADS,
        known.expansion,
        known.depth * depth,
        "aggregated",
    )
    strides = STRIDES[-len(known.points) :]
    maps = hybrid_encoder(stages[-len(strides) :], settings)
    channels = scaled(known.channels, width)
    if channels != settings.channels:
        maps = [conv(x, channels, f"neck_output{i}", activation="linear", **NORM) for i, x in enumerate(maps)]
    network = keras.Model(inputs, maps, name="network")
    arguments = {
        "query_width": channels,
        "heads": HEADS,
        "feedforward": scaled(FEEDFORWARD, width),
        "decoder_depth": repeats(known.layers, depth),
        "points": known.points,
        "scale": known.scale,
        **head,
    }
    head = DFineHead(num_classes, strides, name="head", **arguments)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


d_fine_n = functools.partial(d_fine, variant="n", backbone="hgnetv2-b0", name="d-fine-n")
d_fine_s = functools.partial(d_fine, variant="s", backbone="hgnetv2-b0", name="d-fine-s")
d_fine_m = functools.partial(d_fine, variant="m", backbone="hgnetv2-b2", name="d-fine-m")
d_fine_x = functools.partial(d_fine, variant="x", backbone="hgnetv2-b5", name="d-fine-x")
