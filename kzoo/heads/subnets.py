"""The convolutions between feature maps and the numbers of anchors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import layers


def level_convs(kind: str, levels: Sequence[str], channels: Sequence[int]) -> list:
    """SSD's: one 3x3 convolution a level.

    Args:
        kind: prefix of the layers' names.
        levels: names of the levels.
        channels: output channels of each level's convolution.
    """
    return [
        layers.Conv2D(count, 3, padding="same", name=f"{kind}_{name}")
        for name, count in zip(levels, channels, strict=True)
    ]


def shared_convs(
    kind: str,
    last: str,
    channels: int,
    tower: int,
    width: int,
    norm: str | None,
    prior: float | None,
    bias: bool = False,
) -> list:
    """RetinaNet's: layers in a row, for all levels.

    Args:
        kind: prefix of the names of the tower's layers.
        last: name of the last convolution.
        channels: output channels of the last convolution.
        tower: number of 3x3 convolutions before it, 0 or more.
        width: channels of the tower's convolutions.
        norm: None, or "group": group normalisation after each convolution of the tower.
        prior: number that the last convolution's biases begin with; 0 where None.
        bias: whether convolutions before a normalisation have biases, too; False by default.

    Source: Lin et al. 2017, arXiv:1708.02002, section 4; with group normalisation: torchvision's second version.
    """
    in_a_row = []
    for i in range(tower):
        name = f"{kind}_tower{i}"
        in_a_row.append(_conv(width, width, name, use_bias=bias or norm is None))
        if norm:
            groups = min(32, max(1, width // 8))  # 32 at the published width
            in_a_row.append(layers.GroupNormalization(groups, epsilon=1e-5, name=f"{name}_norm"))
        in_a_row.append(layers.ReLU(name=f"{name}_relu"))
    start = "zeros" if prior is None else keras.initializers.Constant(prior)
    return [*in_a_row, _conv(channels, width, last, bias_initializer=start)]


def one_more(name: str, channels: int, width: int):
    """A further last convolution behind a tower of `width` channels."""
    return _conv(channels, width, name)


def _conv(filters: int, width: int, name: str, **arguments):
    """A 3x3 convolution of maps of `width` channels, initialised as in RetinaNet, section 4.1.

    Weights of narrower maps are larger than the paper's, so that what is summed up over fewer channels varies as much.
    """
    normal = keras.initializers.RandomNormal(stddev=0.01 * math.sqrt(256 / width))
    return layers.Conv2D(filters, 3, padding="same", kernel_initializer=normal, name=name, **arguments)
