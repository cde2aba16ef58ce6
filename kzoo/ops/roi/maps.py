"""What all poolings of boxes share: the maps and the size they are given, and which map each box is taken from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from keras import ops

from kzoo.ops.boxes import area


def pyramid_levels(boxes, strides: Sequence[int], canonical_level: int = 4, canonical_size: float = 224.0):
    """Which map of a pyramid each box is pooled from: the larger the box, the coarser the map.

    A box of the canonical size belongs to the canonical level, one of twice its side to the next coarser. Level k is
    the map with strides of 2 ** k pixels; boxes beyond the coarsest or the finest map are taken from it.

    Args:
        boxes: (B, N, 4) xyxy pixels.
        strides: pixels a cell of each map, powers of two, finest first.
        canonical_level: level of a box of the canonical size, 4 by default.
        canonical_size: square root of an area in pixels, 224 by default.

    Returns:
        (B, N) int32 index into the maps: floor(4 + log2(sqrt(area) / 224) + 1e-6), clipped to their levels. Where
        two maps have the same stride, all boxes of its level are taken from the first.

    Raises:
        ValueError: the strides are no powers of two, or skip a level.

    Source: Lin et al. 2017, arXiv:1612.03144, equation 1; the 1e-6 is torchvision's.
    """
    finest, coarsest = _levels_of(strides)
    sizes = area(ops.cast(ops.stop_gradient(boxes), "float32")) * 2 ** (2 * 1e-6)  # (B, N)
    # Compared with each border, and not by a logarithm: the same on every backend, and an area of 0 is no matter.
    # Counted in floats, which LiteRT's converter can look through.
    index = ops.zeros_like(sizes)
    for level in range(finest + 1, coarsest + 1):
        border = (canonical_size * 2.0 ** (level - canonical_level)) ** 2
        index = index + ops.cast(sizes >= border, "float32")
    return ops.cast(index, "int32")


def _levels_of(strides: Sequence[int]) -> tuple[int, int]:
    """Levels of the finest and of the coarsest map."""
    levels = [math.log2(stride) if stride > 0 else 0.5 for stride in strides]
    whole = all(level.is_integer() for level in levels)
    if not whole or any(after - before not in (0, 1) for before, after in itertools.pairwise(levels)):
        raise ValueError(
            f"pyramid_levels: strides {tuple(strides)} are not those of a pyramid; give powers of two, each the one "
            "before or its double, or give roi_align the levels of the boxes"
        )
    return int(levels[0]), int(levels[-1])


def checked_maps(name: str, features: Sequence, strides: Sequence[float]) -> list:
    """The maps as a list, or a ValueError that names the function, where the strides are not theirs."""
    features, strides = list(features), list(strides)
    if not features or len(features) != len(strides) or any(stride <= 0 for stride in strides):
        raise ValueError(
            f"{name}: {len(features)} maps and strides {tuple(strides)}; give one stride above 0 for each map"
        )
    return features


def checked_size(name: str, size: int | Sequence[int]) -> tuple[int, int]:
    """Bins along height and width, or a ValueError that names the function."""
    pair = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(pair) != 2 or any(not isinstance(bins, int) or bins < 1 for bins in pair):
        raise ValueError(f"{name}: size {size!r} is no number of bins; give one of 1 or more, or two")
    return pair


def checked_levels(features: Sequence, boxes, strides: Sequence[int], levels):
    """The index of each box's map, (B, N) int32: as given, or by the pyramid's rule where None."""
    if levels is not None:
        return ops.cast(levels, "int32")
    if len(features) == 1:
        return ops.zeros_like(boxes[..., 0], dtype="int32")
    return pyramid_levels(boxes, strides)


def cell_layout(features: Sequence):
    """Heights and widths of the maps, and where the cells of each begin among all: (maps,) int32 each."""
    sizes = [ops.shape(feature)[1:3] for feature in features]
    heights, widths = (ops.stack([ops.cast(size[axis], "int32") for size in sizes]) for axis in (0, 1))
    counts = heights * widths
    return heights, widths, ops.cumsum(counts) - counts


def all_cells(features: Sequence):
    """The cells of maps (B, H, W, C), row by row and map by map: (B, cells of all maps, C)."""
    channels = features[0].shape[-1]
    rows = [ops.reshape(feature, (ops.shape(feature)[0], -1, channels)) for feature in features]
    return ops.concatenate(rows, axis=1)
