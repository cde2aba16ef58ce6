"""The convolutions between feature maps and the numbers of anchors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import layers


def level_convs(kind: str, levels: Sequence[str], channels: Sequence[int]) -> list:
    """SSD's: one 3x3 convolution a level.

    Args:
        kind: prefix of their names.
        levels: names of the levels.
        channels: of each.
    """
    return [
        layers.Conv2D(count, 3, padding="same", name=f"{kind}_{name}")
        for name, count in zip(levels, channels, strict=True)
    ]


def shared_convs(
    kind: str, last: str, channels: int, tower: int, width: int, norm: str | None, prior: float | None
) -> list:
    """RetinaNet's: layers in a row, for all levels.

    Args:
        kind: prefix of the tower's names.
        last: name of the last convolution.
        channels: of the last convolution.
        tower: how many 3x3 convolutions there are before it.
        width: their channels.
        norm: None, or "group": group normalisation after each.
        prior: the bias that the last one begins with; zeros where None.

    Source: Lin et al. 2017, arXiv:1708.02002, section 4; with group normalisation: torchvision's second version.
    """
    found = []
    for i in range(tower):
        name = f"{kind}_tower{i}"
        found.append(_conv(width, width, name, use_bias=norm is None))
        if norm:
            groups = min(32, max(1, width // 8))
            found.append(layers.GroupNormalization(groups, epsilon=1e-5, name=f"{name}_norm"))
        found.append(layers.ReLU(name=f"{name}_relu"))
    bias = "zeros" if prior is None else keras.initializers.Constant(prior)
    return [*found, _conv(channels, width, last, bias_initializer=bias)]


def _conv(filters: int, width: int, name: str, **arguments):
    """Initialised as in RetinaNet, section 4.1; of narrower maps with more, which keeps the variance."""
    normal = keras.initializers.RandomNormal(stddev=0.01 * math.sqrt(256 / width))
    return layers.Conv2D(filters, 3, padding="same", kernel_initializer=normal, name=name, **arguments)
