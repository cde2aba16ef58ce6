"""SPP-net's pooling: the cells whose middles a box holds, in a pyramid of ever finer grids."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from kzoo.ops.roi.maximum import roi_pool


def pyramid_pool(features, boxes, levels: Sequence[int], stride: float):
    """The maxima of each box in grids of several sizes, one grid after the other.

    Args:
        features: one map (B, H, W, C), whose height and width are known.
        boxes: (B, N, 4) xyxy pixels of the input, float32. They get no gradient.
        levels: bins along each side of every grid, such as (6, 3, 2, 1).
        stride: pixels of the input a cell, above 0.

    Returns:
        (B, N, bins, C), 50 bins of the levels 6, 3, 2 and 1, each grid row by row.

    Raises:
        ValueError: the map's size is not known, a level is below 1, or `stride` is not above 0.

    Source: He et al. 2014, arXiv:1406.4729, section 2.2 and appendix A.
    """
    # `roi_pool` rounds to the very cells that it is given whole.
    windows = box_windows(boxes, features.shape[1:3], stride) * stride
    grids = [roi_pool(features, windows, level, stride) for level in levels]  # (B, N, n, n, C) each
    flat = [
        ops.reshape(grid, (-1, boxes.shape[1], level**2, grid.shape[-1]))
        for grid, level in zip(grids, levels, strict=True)
    ]
    return ops.concatenate(flat, axis=2)


def box_windows(boxes, size: Sequence[int], stride: float):
    """The first and the last cells whose middles lie in boxes; where there are none the nearest one.

    Args:
        boxes: (..., 4) xyxy pixels of the input.
        size: height and width of the map in cells.
        stride: pixels of the input a cell.

    Returns:
        (..., 4) float32 whole numbers: left, top, right and bottom cell, both included.
    """
    cells = ops.cast(ops.stop_gradient(boxes), "float32") / stride - 0.5  # in cells' middles
    first, last = ops.floor(cells[..., :2]) + 1, ops.ceil(cells[..., 2:]) - 1
    middle = ops.floor((first + last) / 2 + 0.5)
    inverted = last < first
    first, last = ops.where(inverted, middle, first), ops.where(inverted, middle, last)
    limit = ops.convert_to_tensor([size[1] - 1.0, size[0] - 1.0])
    return ops.concatenate([ops.clip(ops.minimum(edge, limit), 0.0, 1e9) for edge in (first, last)], axis=-1)
