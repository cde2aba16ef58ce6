"""RoI max pooling of Fast R-CNN: boxes in whole cells, the largest value of each bin.

The largest of a bin's cells is the larger of two windows that overlap: one at its start and one at its end, each of the
largest power of two that fits. So maxima of all windows of 1, 2, 4, ... cells along each axis, each made of the one
before, answer any bin with four look-ups; which cell each maximum is in is kept beside it, and the values are taken
from there, so that the gradient goes to one cell on every backend.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from keras import ops

from kzoo.ops.gather import take_rows
from kzoo.ops.roi.maps import checked_size

_LONGEST = 1024  # cells of a box from which on no rounding of the original code is repeated


def roi_pool(features, boxes, size: int | Sequence[int], stride: float, disjoint: bool = False):
    """Each box rounded to whole cells and divided into bins, and each bin the largest of its cells.

    Args:
        features: one map (B, H, W, C), whose height and width are known.
        boxes: (B, N, 4) xyxy pixels of the input, float32. They get no gradient.
        size: number of bins along each side, or along height and width.
        stride: pixels of the input a cell, above 0.
        disjoint: whether each cell belongs to one bin alone, as textbooks draw it: of 7 cells the first of two bins has
            3 and the second 4, and a box of fewer cells than bins leaves some empty. False (default): bins are widened
            to whole cells, here 4 each, as the paper's code and torchvision have it.

    Returns:
        (B, N, h, w, C): unless `disjoint` equal to Caffe's and torchvision's to the last bit. A box covers the cells
        from its rounded start to its rounded end, both included. A bin without a cell of the map is 0. The gradient
        goes to the first of equal maxima, row by row.

    Raises:
        ValueError: the map's size is not known, `size` is no size, or `stride` is not above 0.

    Source: Girshick 2015, arXiv:1504.08083, section 2.1.
    """
    bins = checked_size("roi_pool", size)
    if stride <= 0:
        raise ValueError(f"roi_pool: stride={stride!r}; give the pixels a cell, above 0")
    height, width, channels = features.shape[1:]
    if height is None or width is None:
        raise ValueError(
            "roi_pool: the map's height and width are not known; give the model a fixed image_size, or use roi_align"
        )
    boxes = ops.cast(ops.stop_gradient(boxes), "float32")
    scale = 1 / stride
    row_table, rows, tall = _windows(boxes[..., 1::2] * scale, bins[0], height, disjoint)
    column_table, columns, wide = _windows(boxes[..., 0::2] * scale, bins[1], width, disjoint)
    tables = _tables(ops.stop_gradient(features))
    rows = (row_table * height + rows) * width  # (2, B, N, h)
    columns = column_table * (_doublings(height) * height * width) + columns  # (2, B, N, w)
    best = None
    for row in (rows[0], rows[1]):
        for column in (columns[0], columns[1]):
            windows = ops.expand_dims(row, -1) + ops.expand_dims(column, -2)  # (B, N, h, w)
            windows = ops.reshape(windows, (-1, boxes.shape[1] * bins[0] * bins[1]))
            found = [take_rows(table, windows) for table in tables]  # (B, N*h*w, C) each
            best = found if best is None else _larger(best, found)
    # One element for each channel, of which only one cell's gets the gradient.
    image = ops.reshape(ops.arange(ops.shape(features)[0], dtype="int32"), (-1, 1, 1)) * (height * width)
    element = (best[1] + image) * channels + ops.arange(channels, dtype="int32")  # (B, N*h*w, C)
    values = ops.take(ops.reshape(features, (-1,)), element)
    full = ops.expand_dims(tall, -1) * ops.expand_dims(wide, -2)  # (B, N, h, w)
    full = ops.cast(ops.reshape(full, (-1, boxes.shape[1] * bins[0] * bins[1], 1)), values.dtype)
    return ops.reshape(values * full, (-1, boxes.shape[1], *bins, channels))


def _doublings(length: int) -> int:
    """How many powers of two, 1 among them, fit into a number of cells."""
    return length.bit_length()


def _moved(bins: int) -> tuple[np.ndarray, np.ndarray]:
    """By how many cells float32 puts the first cell of a bin, and the one after it, beside the exact quotient.

    The original code multiplies by a rounded quotient: of 57 cells the last of 7 bins ends at the 58th. Looked up,
    since compilers put a product for the division, with another rounding.

    Returns:
        (cells of the box, bins) float32 each; nothing for 0 cells, nor for the most, which stands for all larger boxes.
    """
    cells = np.arange(_LONGEST + 1)[:, None]
    step, place = np.float32(cells) / np.float32(bins), np.arange(bins)
    first = np.floor(np.float32(place) * step) - place * cells // bins
    after = np.ceil(np.float32(place + 1) * step) + -(place + 1) * cells // bins
    return tuple(np.where(cells < _LONGEST, moved, 0).astype("float32") for moved in (first, after))


def _round(x):
    """To the nearest whole number, and halves away from zero, as C rounds."""
    whole = ops.floor(ops.absolute(x))
    return ops.sign(x) * (whole + ops.cast(ops.absolute(x) - whole >= 0.5, x.dtype))


def _windows(edges, bins: int, length: int, disjoint: bool):
    """The two windows that cover each bin along one axis.

    Args:
        edges: (B, N, 2) where boxes begin and end, in cells.
        bins: number of bins.
        length: cells of the map along the axis.
        disjoint: whether bins share no cells.

    Returns:
        table (B, N, bins) int32, the windows' size as a power of two; their first cells (2, B, N, bins) int32; and
        whether the bin has any cell, (B, N, bins) of 0 and 1.
    """
    edges = _round(edges)
    start = edges[..., :1]  # (B, N, 1)
    cells = ops.maximum(edges[..., 1:] - start + 1, 1.0)
    # Whole quotients, by which bins begin and end; the halves keep them from being rounded to a neighbour.
    first, after = (
        ops.floor((ops.arange(p, p + bins, dtype="float32") * cells + 0.5) / bins) for p in (0, 1)
    )
    if not disjoint:
        after = ops.floor((ops.arange(1, bins + 1, dtype="float32") * cells + (bins - 0.5)) / bins)
        row = ops.cast(ops.minimum(cells[..., 0], _LONGEST), "int32")  # (B, N)
        moved_first, moved_after = (
            ops.take(ops.convert_to_tensor(moved), row, axis=0) for moved in _moved(bins)
        )
        first, after = first + moved_first, after + moved_after
    first, after = (ops.clip(border + start, 0.0, float(length)) for border in (first, after))  # (B, N, bins)
    table = sum(ops.cast(after - first >= 2.0**k, "float32") for k in range(1, _doublings(length)))
    table = table + ops.zeros_like(first)
    ends = ops.stack([first, after - 2.0**table], axis=0)
    # An empty bin looks at some cell, and is made 0 afterwards.
    ends = ops.cast(ops.clip(ends, 0.0, length - 1.0), "int32")
    return ops.cast(table, "int32"), ends, ops.cast(after > first, "float32")


def _tables(features):
    """The largest values of all windows, and the cells they are in.

    Args:
        features: (B, H, W, C).

    Returns:
        values and int32 cells, each (B, powers of two in W * powers of two in H * H * W, C): by the window's width,
        its height, its upper row and its left column.
    """
    height, width, channels = features.shape[1:]
    cells = ops.reshape(ops.arange(height * width, dtype="int32"), (1, height, width, 1))
    table = [features, cells + ops.zeros_like(features, dtype="int32")]
    tables = [table]
    for doubling in range(_doublings(height) - 1):
        table = _larger(table, [_shifted(part, 2**doubling, axis=1) for part in table])
        tables.append(table)
    table = [ops.concatenate(parts, axis=1) for parts in zip(*tables, strict=True)]  # (B, heights * H, W, C)
    tables = [table]
    for doubling in range(_doublings(width) - 1):
        table = _larger(table, [_shifted(part, 2**doubling, axis=2) for part in table])
        tables.append(table)
    shape = (-1, _doublings(width) * _doublings(height) * height * width, channels)
    return [ops.reshape(ops.stack(parts, axis=1), shape) for parts in zip(*tables, strict=True)]


def _shifted(x, count: int, axis: int):
    """What lies `count` cells further along an axis; what would lie beyond the map nobody looks up."""
    if axis == 1:
        return ops.concatenate([x[:, count:], x[:, :count]], axis=1)
    return ops.concatenate([x[:, :, count:], x[:, :, :count]], axis=2)


def _larger(a, b):
    """Of two (values, cells) the larger values with their cells; of equal ones the cell that comes first."""
    ahead = ops.logical_and(ops.equal(b[0], a[0]), b[1] < a[1])
    takes = ops.logical_or(b[0] > a[0], ahead)
    return [ops.where(takes, of_b, of_a) for of_a, of_b in zip(a, b, strict=True)]
