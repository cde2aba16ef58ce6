"""Spatial pyramid pooling as detectors use it: poolings of several sizes side by side, at stride 1."""

from __future__ import annotations

from collections.abc import Sequence

from keras import layers


def spatial_pyramid_pooling(
    x, sizes: Sequence[int] = (5, 9, 13), name: str = "spp", smallest_first: bool = False
):
    """Concatenates max-poolings of `x` with `x` itself.

    Args:
        x: (B, H, W, C) maps.
        sizes: sides of the pooling windows in cells, odd, ascending; 5, 9 and 13 by default.
        name: prefix of the layers' names; "spp" by default.
        smallest_first: whether x comes first, then the smallest windows; if not (default) the largest come first and x
            last, as in Darknet.

    Returns:
        (B, H, W, C * (len(sizes) + 1)).

    Source: He et al. 2014, arXiv:1406.4729, in the form of Darknet's yolov3-spp.cfg.
    """
    pools = [layers.MaxPooling2D(size, 1, padding="same", name=f"{name}_pool{size}")(x) for size in sizes]
    parts = [x, *pools]
    return layers.Concatenate(name=f"{name}_concat")(parts if smallest_first else parts[::-1])
