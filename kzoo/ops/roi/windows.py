"""Precise RoI pooling from the cells under each box alone, and how it changes where the box does.

`kzoo.ops.roi.precise_roi_pool` multiplies every box with every row of every map. Here a window of fixed size is cut out
around each box, and only that is multiplied. It is exact since a box is taken from a map on which it covers few cells.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from kzoo.ops.gather import take_rows
from kzoo.ops.roi.maps import all_cells, cell_layout, checked_maps, checked_size, pyramid_levels
from kzoo.ops.roi.precise import border_distances, hat_integrals, hat_slopes

# A box of the pyramid's rule is smaller than 28 cells on every map but the coarsest, and touches two more at most.
_WINDOW = 30


def longer_side_levels(boxes, strides: Sequence[int]):
    """Which map of a pyramid each box is pooled from, by its longer side alone.

    The rule of `kzoo.ops.roi.pyramid_levels` for the square around the box, so the same for squares; long and flat
    boxes are taken from coarser maps. On every map but the coarsest a box has less than 28 cells along either side.

    Args:
        boxes: (B, N, 4) xyxy pixels.
        strides: pixels a cell of each map, powers of two, finest first.

    Returns:
        (B, N) int32 index into the maps.
    """
    side = ops.max(boxes[..., 2:] - boxes[..., :2], axis=-1, keepdims=True)  # (B, N, 1)
    corner = ops.zeros_like(side)
    return pyramid_levels(ops.concatenate([corner, corner, side, side], axis=-1), strides)


def precise_roi_windows(features: Sequence, boxes, size: int | Sequence[int], strides: Sequence[int]):
    """What `kzoo.ops.roi.precise_roi_pool` gives at `longer_side_levels`, in a fraction of its products.

    Args:
        features: maps (B, H, W, C) of a pyramid, finest first, whose heights and widths are known.
        boxes: (B, N, 4) xyxy pixels of the input, float32. They get gradients.
        size: number of bins along each side, or along height and width.
        strides: pixels of the input a cell, powers of two, one number a map.

    Returns:
        (B, N, h, w, C). Outside of the map the surface falls to 0 within a cell; a box without area, or with NaN, is 0.

    Raises:
        ValueError: a stride is missing, a map's size is not known, or `size` is no size.

    Source: Jiang et al. 2018, arXiv:1807.11590, section 3.3 and equation 7.
    """
    values, y, x, _ = _under("precise_roi_windows", features, boxes, size, strides)
    share = _inverse(y[1] * x[1])  # (B, N)
    weights = hat_integrals(y[0]) * share[..., None, None], hat_integrals(x[0])
    pooled = _columns(weights[1], _rows(weights[0], values))
    return ops.reshape(pooled, (-1, boxes.shape[1], *pooled.shape[1:]))


def precise_roi_slopes(features: Sequence, boxes, size: int | Sequence[int], strides: Sequence[int]):
    """`precise_roi_windows`, and how each of its numbers changes with the box's corners.

    In closed form, for backends and exports without automatic gradients.

    Args:
        features: maps (B, H, W, C) of a pyramid, finest first, whose heights and widths are known.
        boxes: (B, N, 4) xyxy pixels of the input, float32.
        size: number of bins along each side, or along height and width.
        strides: pixels of the input a cell, powers of two, one number a map.

    Returns:
        pooled (B, N, h, w, C) float32, and four arrays like it: by how much it grows a pixel that x1, y1, x2 or y2
        moves, 0 for a box without area, or with NaN.

    Raises:
        ValueError: a stride is missing, a map's size is not known, or `size` is no size.

    Source: Jiang et al. 2018, arXiv:1807.11590, section 3.3 and equation 8.
    """
    values, y, x, scale = _under("precise_roi_slopes", features, boxes, size, strides)
    values, bins = ops.cast(values, "float32"), (y[0].shape[2] - 1, x[0].shape[2] - 1)
    share = _inverse(y[1] * x[1])[..., None, None]  # (B, N, 1, 1)
    across, *x_slopes = (hat_integrals(x[0]), *hat_slopes(x[0]))  # (B, N, w, K) each
    down = [share * each for each in (hat_integrals(y[0]), *hat_slopes(y[0]))]  # (B, N, h, K) each
    rows = _rows(ops.concatenate(down, axis=2), values)  # (B*N, 3h, K, C)
    by_y = _columns(across, rows)  # (B*N, 3h, w, C)
    by_x = _columns(ops.concatenate(x_slopes, axis=2), rows[:, : bins[0]])  # (B*N, h, 2w, C)
    pooled, top, bottom = (by_y[:, i * bins[0] : (i + 1) * bins[0]] for i in range(3))
    left, right = by_x[:, :, : bins[1]], by_x[:, :, bins[1] :]
    # The mean over a bin that grows falls by its share of the growth.
    high, wide = (
        pooled * ops.reshape(_inverse(step * count), (-1, 1, 1, 1))
        for step, count in ((y[1], bins[0]), (x[1], bins[1]))
    )
    scale = ops.reshape(scale, (-1, 1, 1, 1))  # cells a pixel
    shape = (-1, boxes.shape[1], *pooled.shape[1:])
    slopes = (left + wide, top + high, right - wide, bottom - high)  # (B*N, h, w, C) each
    return ops.reshape(pooled, shape), [ops.reshape(scale * slope, shape) for slope in slopes]


def _under(name: str, features: Sequence, boxes, size, strides: Sequence[int]):
    """The cells around each box, and where the box's bins lie among them.

    Args:
        name: name of the function, for messages.
        features: maps (B, H, W, C), finest first.
        boxes: (B, N, 4) xyxy pixels.
        size: number of bins along each side, or along height and width.
        strides: pixels of the input a cell, one number a map.

    Returns:
        values (B * N, K, L, C) of K rows and L columns; for y and for x `border_distances` of the bins; and the cells a
        pixel (B, N).
    """
    features, bins = checked_maps(name, features, strides), checked_size(name, size)
    if any(side is None for feature in features for side in feature.shape[1:3]):
        raise ValueError(f"{name}: a map's height or width is not known; give the model a fixed image_size")
    boxes = ops.cast(boxes, "float32")
    # What has no area, or NaN for a corner, which no cell can be told by, is the empty box at the map's corner.
    there = ops.all(boxes[..., 2:] > boxes[..., :2], axis=-1, keepdims=True)
    boxes = ops.where(there, boxes, 0.0)
    levels = longer_side_levels(ops.stop_gradient(boxes), strides)  # (B, N)
    heights, widths, first = (ops.take(each, levels) for each in cell_layout(features))  # (B, N) each
    scale = ops.take(ops.convert_to_tensor([1 / stride for stride in strides], "float32"), levels)
    edges = boxes * ops.expand_dims(scale, -1)  # (B, N, 4)
    window = [
        max(min(_WINDOW, max(sides)), sides[-1])
        for sides in zip(*(feature.shape[1:3] for feature in features), strict=True)
    ]
    rows, in_rows = _window(edges[..., 1], heights, window[0])  # (B, N, K)
    columns, in_columns = _window(edges[..., 0], widths, window[1])  # (B, N, L)
    rows = rows * ops.expand_dims(widths, -1) + ops.expand_dims(first, -1)
    cells = ops.expand_dims(rows, -1) + ops.expand_dims(columns, -2)  # (B, N, K, L)
    cells = ops.reshape(cells, (-1, boxes.shape[1] * window[0] * window[1]))
    values = ops.reshape(take_rows(all_cells(features), cells), (-1, *window, features[0].shape[-1]))
    y = border_distances(edges[..., 1::2], bins[0], ops.expand_dims(in_rows, 2))
    x = border_distances(edges[..., 0::2], bins[1], ops.expand_dims(in_columns, 2))
    return values, y, x, scale


def _window(start, length, count: int):
    """The cells from a box's start on, along one axis, moved so that they end with the map.

    Args:
        start: (B, N) where boxes begin, in cells.
        length: (B, N) int32 cells of the map.
        count: number of cells of the window, K.

    Returns:
        cells (B, N, K) int32 within the map, and the places (B, N, K) float32 that they stand for: where a map has
        fewer cells than the window, far beyond it, where no bin is.
    """
    longest = ops.cast(ops.maximum(length - count, 0), "float32")
    first = ops.clip(ops.floor(ops.stop_gradient(start)), 0.0, longest)
    cells = ops.expand_dims(first, -1) + ops.arange(count, dtype="float32")  # (B, N, K)
    last = ops.expand_dims(ops.cast(length, "float32"), -1) - 1
    return ops.cast(ops.minimum(cells, last), "int32"), ops.where(cells > last, 1e6, cells)


def _rows(y, values):
    """Rows summed by weights: (B, N, h, K), (B*N, K, L, C) -> (B*N, h, L, C)."""
    count, across, channels = values.shape[1:]
    y = ops.reshape(ops.cast(y, values.dtype), (-1, y.shape[2], count))
    rows = ops.matmul(y, ops.reshape(values, (-1, count, across * channels)))
    return ops.reshape(rows, (-1, y.shape[1], across, channels))


def _columns(x, rows):
    """Columns summed by weights: (B, N, w, L), (B*N, h, L, C) -> (B*N, h, w, C)."""
    x = ops.reshape(ops.cast(x, rows.dtype), (-1, 1, x.shape[2], x.shape[3]))
    return ops.matmul(x, rows)


def _inverse(values):
    """One by each number, 0 for 0."""
    return ops.where(values > 0, 1 / ops.where(values > 0, values, 1.0), 0.0)
