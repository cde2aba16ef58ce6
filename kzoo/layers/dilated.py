"""Dilated convolutions: wide views at full resolution."""

from __future__ import annotations

from collections.abc import Sequence

from keras import layers

from kzoo.layers.residual import conv_bn, relu_initializer


def dilated_block(x, filters: int, rates: Sequence[int], name: str, batch_norm: bool = False):
    """3x3 convolutions with ReLUs, one a rate, that keep the resolution.

    Args:
        x: (B, H, W, C) maps.
        filters: output channels of each convolution.
        rates: dilations, one convolution each; 1 is an ordinary one. Rates that leave no gaps: see `check_rates`.
        name: prefix of the layers' names, which end in their number.
        batch_norm: whether convolutions are batch-normalised, and have no bias; False by default.

    Returns:
        (B, H, W, filters).

    Source: Yu & Koltun 2016, arXiv:1511.07122.
    """
    for number, rate in enumerate(rates, 1):
        if batch_norm:
            x = conv_bn(x, filters, 3, f"{name}_{{}}{number}", dilation=rate)
            continue
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            dilation_rate=rate,
            activation="relu",
            kernel_initializer=relu_initializer(),
            name=f"{name}_conv{number}",
        )(x)
    return x


def check_rates(rates: Sequence[int]) -> None:
    """Refuses dilations of successive 3x3 convolutions that see the image through a grid.

    With one rate throughout, or rates with a common divisor, a pixel of the result depends on few pixels of its
    field of view, and its neighbours on others.

    Args:
        rates: dilations that are taken by turns, 1 or more.

    Raises:
        ValueError: some pixels within the field of view are not seen; or a rate is below 1.

    Source: Wang et al. 2018, hybrid dilated convolution, arXiv:1702.08502, section 3.2.

    Example:
        >>> check_rates((1, 2, 5))   # sees 17 pixels in a row
    """
    rates = tuple(rates)
    if not rates or min(rates) < 1:
        raise ValueError(f"rates={rates}: give dilations of 1 or more, such as (1, 2, 5)")
    seen = {0}  # pixels, from the middle, that the result depends on
    for rate in rates:
        seen = {place + step for place in seen for step in (-rate, 0, rate)}
    reach = 2 * sum(rates) + 1
    if len(seen) < reach:
        raise ValueError(
            f"rates={rates}: see {len(seen)} of {reach} pixels in a row, the rest falls through the grid; "
            "give rates such as (1, 2, 5)"
        )
