"""Hourglass networks: down to a few cells and up again, one after another, with what was fine joined on the way up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from keras import layers

from kzoo.layers.conv import repeats, scaled
from kzoo.layers.fire import fire_block
from kzoo.layers.residual import basic_block, conv_bn

CHANNELS = (256, 256, 384, 384, 384, 512)  # of each order, from the whole map to the smallest
RESIDUALS = (2, 2, 2, 2, 2, 4)  # of each order


class Stack(NamedTuple):
    """What an hourglass gives.

    Attributes:
        features: the feature map that it ends with, of the first order's channels.
        joined: for each of its orders what came up, joined with what stayed there, the coarsest first.
    """

    features: object
    joined: list


def hourglasses(
    images,
    stacks: int = 2,
    width: float = 1.0,
    depth: float = 1.0,
    channels: Sequence[int] = CHANNELS,
    residuals: Sequence[int] = RESIDUALS,
    halvings: int = 1,
    fire: bool = False,
) -> list[Stack]:
    """Hourglass-104 with two stacks, and its like.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of the first map's stride times 2^(number of
            orders - 1).
        stacks: number of hourglasses, 1 or more, 2 by default.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the residual blocks of an order, above 0, 1 by default.
        channels: channels of each order, from the whole map to the smallest.
        residuals: number of residual blocks of each order.
        halvings: number of residual blocks, 1 (default) or more, each of which halves the maps before the first
            hourglass: that has a stride of 2 x 2^halvings.
        fire: whether an hourglass is of fire modules, and goes up by transposed convolutions; False by default.

    Returns:
        For each stack its maps.

    Source: Newell et al. 2016, arXiv:1603.06937; Law & Deng 2018, CornerNet, arXiv:1808.01244, section 3.5; Law et al.
        2019, CornerNet-Lite, arXiv:1904.08900, sections 4 and 5.
    """
    channels = [scaled(count, width) for count in channels]
    residuals = [repeats(count, depth) for count in residuals]
    x = conv_bn(images, channels[0] // 2, 7, "backbone_stem_{}", 2)
    for i in range(halvings):
        x = basic_block(x, channels[0], f"backbone_stem_block{i or ''}", 2)
    block, enlarge = (fire_block, _transposed) if fire else (basic_block, _repeated)
    found = []
    for stack in range(stacks):
        name = f"backbone_stack{stack}"
        joined = _hourglass(x, channels, residuals, name, block, enlarge)
        features = conv_bn(joined[-1], channels[0], 3, f"{name}_out_{{}}")
        found.append(Stack(features, joined))
        if stack < stacks - 1:
            before = conv_bn(x, channels[0], 1, f"{name}_before_{{}}", activation=False)
            after = conv_bn(features, channels[0], 1, f"{name}_after_{{}}", activation=False)
            x = layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([before, after]))
            x = basic_block(x, channels[0], f"{name}_between")
    return found


def _hourglass(
    x, channels: Sequence[int], residuals: Sequence[int], name: str, block: Callable, enlarge: Callable
) -> list:
    """One order: what stays on this size, and what goes through the next, added up.

    Returns:
        Such sums of all orders from this one on, the coarsest first: the last is (B, H, W, channels[0]).
    """
    count, joined = residuals[0], []
    stays = _row(x, channels[0], count, f"{name}_stay", block)
    low = _row(x, channels[1], count, f"{name}_down", block, 2)
    if len(channels) > 2:
        joined = _hourglass(low, channels[1:], residuals[1:], f"{name}_low", block, enlarge)
        low = joined[-1]
    else:
        low = _row(low, channels[1], residuals[1], f"{name}_low", block)
    low = _row(low, channels[1], count - 1, f"{name}_up", block)
    low = block(low, channels[0], f"{name}_up{count - 1}")
    low = enlarge(low, f"{name}_enlarge")
    return [*joined, layers.Add(name=f"{name}_join")([stays, low])]


def _row(x, filters: int, count: int, name: str, block: Callable, stride: int = 1):
    """Blocks in a row, of which the first may have a stride: (B, H, W, C) to (B, H / stride, ..., filters)."""
    for i in range(count):
        x = block(x, filters, f"{name}{i}", stride if i == 0 else 1)
    return x


def _repeated(x, name: str):
    """Each cell four times: (B, H, W, C) to (B, 2 H, 2 W, C)."""
    return layers.UpSampling2D(2, name=name)(x)


def _transposed(x, name: str):
    """A transposed convolution: (B, H, W, C) to (B, 2 H, 2 W, C)."""
    return layers.Conv2DTranspose(x.shape[-1], 4, 2, padding="same", name=name)(x)
