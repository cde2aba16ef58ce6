"""RT-DETR's encoder: attention on the coarsest map alone, and convolutions that join it with the finer ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras import layers

from kzoo.layers.conv import repeats
from kzoo.layers.darknet_maps import ChannelGroup
from kzoo.layers.repvgg import rep_conv
from kzoo.layers.transformer import Encoder
from kzoo.layers.yolo_conv import conv

EPSILON, MOMENTUM = 1e-5, 0.9  # of the batch normalisation, as torch has it
NORM = {"epsilon": EPSILON, "momentum": MOMENTUM}
BLOCKS = 3  # of a joining block at depth 1
# What joins two maps: one cross-stage partial block, or two in a row whose outputs are all kept (D-FINE).
JOINTS = ("partial", "aggregated")


@dataclass(frozen=True)
class Hybrid:
    """The settings of the encoder.

    Attributes:
        channels: number of channels of all maps.
        feedforward: number of channels between the dense layers of the attention's layer.
        heads: number of heads of attention, which divides the channels.
        expansion: channels inside of joining blocks as a share of all, above 0.
        depth: factor of the convolutions of a joining block, above 0.
        joint: one of `JOINTS`.
    """

    channels: int
    feedforward: int
    heads: int = 8
    expansion: float = 1.0
    depth: float = 1.0
    joint: str = "partial"


def hybrid_encoder(features: Sequence, settings: Hybrid, name: str = "neck") -> list:
    """Cells of the coarsest map look at each other; then maps are joined from coarse to fine and back.

    Args:
        features: maps (B, H, W, C) of two or more levels, finest first, each of half the sides of the one before.
        settings: channels, depth and blocks.
        name: prefix of the layers' names, "neck" by default.

    Returns:
        As many maps, of the same sides and `channels` channels each.

    Source: Zhao et al. 2023, RT-DETR, arXiv:2304.08069, section 4.2: AIFI and CCFF; "aggregated": Peng et al. 2024,
        D-FINE, arXiv:2410.13842, as its code has it.
    """
    plain, aggregated = {"activation": "linear", **NORM}, settings.joint == "aggregated"
    maps = [conv(x, settings.channels, f"{name}_input{level}", **plain) for level, x in enumerate(features)]
    maps[-1] = Encoder(
        1,
        settings.heads,
        settings.feedforward,
        activation="gelu",
        position="sine-blocks",
        name=f"{name}_encoder",
    )(maps[-1])
    join = _aggregated if aggregated else _partial
    down = [maps[-1]]  # coarsest first
    for step, finer in enumerate(reversed(maps[:-1])):
        activation = "linear" if aggregated else "swish"
        down[-1] = conv(down[-1], settings.channels, f"{name}_lateral{step}", activation=activation, **NORM)
        enlarged = layers.UpSampling2D(2, name=f"{name}_enlarge{step}")(down[-1])
        joined = layers.Concatenate(name=f"{name}_down{step}_join")([enlarged, finer])
        down.append(join(joined, settings, f"{name}_down{step}"))
    up = [down[-1]]  # finest first
    for step, coarser in enumerate(reversed(down[:-1])):
        shrunk = _shrunk(up[-1], settings, f"{name}_shrink{step}", aggregated)
        joined = layers.Concatenate(name=f"{name}_up{step}_join")([shrunk, coarser])
        up.append(join(joined, settings, f"{name}_up{step}"))
    return up


def _shrunk(x, settings: Hybrid, name: str, split: bool):
    """Half of the sides: by one 3x3 convolution, or by a 1x1 and a depthwise one without activations.

    (B, H, W, C) to (B, H / 2, W / 2, channels).
    """
    if not split:
        return conv(x, settings.channels, name, 3, 2, **NORM)
    x = conv(x, settings.channels, f"{name}_point", activation="linear", **NORM)
    return conv(x, settings.channels, f"{name}_depth", 3, 2, depthwise=True, activation="linear", **NORM)


def _partial(x, settings: Hybrid, name: str):
    """RT-DETR's block: (B, H, W, C) to (B, H, W, channels)."""
    count = repeats(BLOCKS, settings.depth)
    return csp_rep(x, settings.channels, int(settings.channels * settings.expansion), count, name)


def csp_rep(x, filters: int, hidden: int, count: int, name: str):
    """Some convolutions in a row that are two side by side in training, and what goes past them, added up.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        hidden: number of channels inside; where it is `filters`, there is no convolution at the end.
        count: number of convolutions in a row, 1 or more.
        name: prefix of the layers' names.

    Returns:
        (B, H, W, filters).
    """
    through, past = conv(x, hidden, f"{name}_through", **NORM), conv(x, hidden, f"{name}_past", **NORM)
    for i in range(count):
        through = rep_conv(through, hidden, f"{name}_block{i}", activation="swish", **NORM)
    x = layers.Add(name=f"{name}_add")([through, past])
    return x if hidden == filters else conv(x, filters, f"{name}_out", **NORM)


def _aggregated(x, settings: Hybrid, name: str):
    """D-FINE's block: (B, H, W, C) to (B, H, W, channels)."""
    channels, count = settings.channels, repeats(BLOCKS, settings.depth)
    hidden = round(settings.expansion * channels // 2)
    x = conv(x, 2 * channels, f"{name}_split", **NORM)
    made = [ChannelGroup(2, i, name=f"{name}_half{i}")(x) for i in (0, 1)]
    for i in range(2):
        inner = csp_rep(made[-1], hidden, hidden, count, f"{name}_part{i}")
        made.append(conv(inner, hidden, f"{name}_part{i}_last", 3, **NORM))
    x = layers.Concatenate(name=f"{name}_concat")(made)
    return conv(x, channels, f"{name}_merge", **NORM)
