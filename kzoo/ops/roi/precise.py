"""Precise RoI pooling: the mean of the bilinear surface over each bin, in closed form, with gradients to the boxes."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from kzoo.ops.roi.maps import checked_levels, checked_maps, checked_size


def precise_roi_pool(
    features: Sequence, boxes, size: int | Sequence[int], strides: Sequence[int], levels=None
):
    """Each box divided into bins, and each bin the integral of the map's bilinear surface over it, by its area.

    The surface is a sum of hats, one a cell, whose integral over a bin is that over its height times that over its
    width: so a box is two matrix products, over all rows of the map and over all columns. That costs more than
    `roi_align`, and most on fine maps, where every box is multiplied with every row, whichever map it is taken from.

    Args:
        features: maps (B, H, W, C), one or several, whose heights and widths are known.
        boxes: (B, N, 4) xyxy pixels of the input, float32. They get gradients.
        size: number of bins along each side, or along height and width.
        strides: pixels of the input a cell, one number a map.
        levels: (B, N) int, the index of the map that each box is taken from, or None (default) for the rule of
            `pyramid_levels`.

    Returns:
        (B, N, h, w, C). Outside of the map the surface falls to 0 within a cell; a box without area is 0.

    Raises:
        ValueError: a stride is missing, a map's size is not known, or `size` is no size.

    Source: Jiang et al. 2018, arXiv:1807.11590, section 3.3 and equation 7.
    """
    features = checked_maps("precise_roi_pool", features, strides)
    bins = checked_size("precise_roi_pool", size)
    if any(side is None for feature in features for side in feature.shape[1:3]):
        raise ValueError(
            "precise_roi_pool: a map's height or width is not known; give the model a fixed image_size, or use "
            "roi_align"
        )
    boxes = ops.cast(boxes, "float32")
    levels = checked_levels(features, boxes, strides, levels)  # (B, N)
    pooled = 0.0
    for index, (feature, stride) in enumerate(zip(features, strides, strict=True)):
        edges = boxes * (1 / stride)
        own = ops.cast(ops.equal(levels, index), "float32")  # (B, N)
        y, height = _weights(edges[..., 1::2], bins[0], feature.shape[1])
        x, width = _weights(edges[..., 0::2], bins[1], feature.shape[2])
        area = height * width  # (B, N)
        share = ops.where(area > 0, own / ops.where(area > 0, area, 1.0), 0.0)
        pooled = pooled + _products(feature, y * share[..., None, None], x)
    return pooled


def _weights(edges, bins: int, length: int):
    """How much of each cell's hat lies in each bin, along one axis.

    Args:
        edges: (B, N, 2) where boxes begin and end, in cells.
        bins: number of bins.
        length: cells of the map along the axis, L.

    Returns:
        integrals (B, N, bins, L) and the bins' sizes (B, N), in cells, 0 or more.
    """
    distance, step = border_distances(edges, bins, ops.arange(length, dtype="float32"))
    return hat_integrals(distance), step


def border_distances(edges, bins: int, cells):
    """How far the borders of bins are from the middles of cells, along one axis, up to a cell.

    Args:
        edges: (B, N, 2) where boxes begin and end, in cells.
        bins: number of bins.
        cells: (L,) the cells' numbers, or (B, N, 1, L) those of each box.

    Returns:
        distances (B, N, bins + 1, L) of -1 to 1, and the bins' sizes (B, N), in cells, 0 or more.
    """
    start = edges[..., :1]
    step = ops.maximum(edges[..., 1:] - start, 0.0) / bins  # (B, N, 1)
    borders = start + step * ops.arange(bins + 1, dtype="float32")  # (B, N, bins + 1)
    return ops.clip(ops.expand_dims(borders, -1) - cells, -1.0, 1.0), step[..., 0]


def hat_integrals(distance):
    """The integral of each cell's hat, 1 - |t|, over each bin: (B, N, bins + 1, L) -> (B, N, bins, L)."""
    # From -1 on: (t + 1)^2 / 2 below 0, 1 - (1 - t)^2 / 2 above.
    integral = 0.5 + distance - 0.5 * distance * ops.absolute(distance)
    return integral[..., 1:, :] - integral[..., :-1, :]


def hat_slopes(distance):
    """How fast `hat_integrals` grow where a box's start moves, and where its end does, along one axis.

    A bin's integral grows by the hat at its end, and loses that at its start; of these borders each moves by its share
    of the way from the one edge of the box to the other.

    Args:
        distance: (B, N, bins + 1, L) distances, as `border_distances` gives them.

    Returns:
        Two arrays (B, N, bins, L), for each cell that an edge moves.
    """
    bins = distance.shape[2] - 1
    hat = 1 - ops.absolute(distance)
    share = ops.expand_dims(ops.arange(bins + 1, dtype="float32") / bins, -1)  # (bins + 1, 1)
    moved = (hat * (1 - share), hat * share)
    return tuple(each[..., 1:, :] - each[..., :-1, :] for each in moved)


def _products(feature, y, x):
    """A map's rows and columns summed by weights: (B, H, W, C), (B, N, h, H), (B, N, w, W) -> (B, N, h, w, C)."""
    height, width, channels = feature.shape[1:]
    count, tall = y.shape[1:3]
    y, x = ops.cast(y, feature.dtype), ops.cast(x, feature.dtype)
    rows = ops.matmul(
        ops.reshape(y, (-1, count * tall, height)), ops.reshape(feature, (-1, height, width * channels))
    )
    rows = ops.reshape(rows, (-1, tall, width, channels))  # (B*N, h, W, C)
    columns = ops.matmul(ops.reshape(x, (-1, 1, x.shape[2], width)), rows)  # (B*N, h, w, C)
    return ops.reshape(columns, (-1, count, tall, x.shape[2], channels))
