"""Hourglass networks: down to a few cells and up again, one after another, with what was fine joined on the way up."""

from __future__ import annotations

from collections.abc import Sequence

from keras import layers

from kzoo.layers.conv import repeats, scaled
from kzoo.layers.residual import basic_block, conv_bn

CHANNELS = (256, 256, 384, 384, 384, 512)  # of each order, from the whole map to the smallest
RESIDUALS = (2, 2, 2, 2, 2, 4)  # of each order


def hourglasses(
    images,
    stacks: int = 2,
    width: float = 1.0,
    depth: float = 1.0,
    channels: Sequence[int] = CHANNELS,
    residuals: Sequence[int] = RESIDUALS,
) -> list:
    """Hourglass-104 with two stacks, and its like.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of 4 x 2^(number of orders - 1).
        stacks: number of hourglasses, 1 or more, 2 by default.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the residual blocks of an order, above 0, 1 by default.
        channels: channels of each order, from the whole map to the smallest.
        residuals: number of residual blocks of each order.

    Returns:
        A feature map of stride 4 for each stack, of the first order's channels.

    Source: Newell et al. 2016, arXiv:1603.06937; Law & Deng 2018, CornerNet, arXiv:1808.01244, section 3.5.
    """
    channels = [scaled(count, width) for count in channels]
    residuals = [repeats(count, depth) for count in residuals]
    x = conv_bn(images, channels[0] // 2, 7, "backbone_stem_{}", 2)
    x = basic_block(x, channels[0], "backbone_stem_block", 2)
    features = []
    for stack in range(stacks):
        name = f"backbone_stack{stack}"
        features.append(conv_bn(_hourglass(x, channels, residuals, name), channels[0], 3, f"{name}_out_{{}}"))
        if stack < stacks - 1:
            before = conv_bn(x, channels[0], 1, f"{name}_before_{{}}", activation=False)
            after = conv_bn(features[-1], channels[0], 1, f"{name}_after_{{}}", activation=False)
            x = layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([before, after]))
            x = basic_block(x, channels[0], f"{name}_between")
    return features


def _hourglass(x, channels: Sequence[int], residuals: Sequence[int], name: str):
    """One order: what stays on this size, and what goes through the next, added up: (B, H, W, channels[0])."""
    count = residuals[0]
    stays = _row(x, channels[0], count, f"{name}_stay")
    low = _row(x, channels[1], count, f"{name}_down", 2)
    if len(channels) > 2:
        low = _hourglass(low, channels[1:], residuals[1:], f"{name}_low")
    else:
        low = _row(low, channels[1], residuals[1], f"{name}_low")
    low = _row(low, channels[1], count - 1, f"{name}_up")
    low = basic_block(low, channels[0], f"{name}_up{count - 1}")
    low = layers.UpSampling2D(2, name=f"{name}_enlarge")(low)
    return layers.Add(name=f"{name}_join")([stays, low])


def _row(x, filters: int, count: int, name: str, stride: int = 1):
    """Residual blocks in a row, of which the first may have a stride: (B, H, W, C) to (B, H / stride, ..., filters)."""
    for i in range(count):
        x = basic_block(x, filters, f"{name}{i}", stride if i == 0 else 1)
    return x
