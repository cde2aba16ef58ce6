"""RoIAlign: boxes cut out of feature maps by bilinear samples, without rounding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from keras import ops

from kzoo.ops.gather import take_rows
from kzoo.ops.roi.maps import all_cells, cell_layout, checked_levels, checked_maps, checked_size


def roi_align(
    features: Sequence,
    boxes,
    size: int | Sequence[int],
    strides: Sequence[int],
    sampling: int = 2,
    aligned: bool = False,
    levels=None,
):
    """Each box divided into bins, and each bin the mean of bilinear samples of one feature map.

    All boxes are sampled at once, from one array of all maps' cells: a bin is a weighted sum of (2 * sampling) ** 2
    of them. These are held while it is summed, (B * N * h * w * (2 * sampling) ** 2, C) numbers, and again while the
    gradient is.

    Args:
        features: maps (B, H, W, C), one or several.
        boxes: (B, N, 4) xyxy pixels of the input, float32. They get no gradient.
        size: number of bins along each side, or along height and width.
        strides: pixels of the input a cell, one number a map.
        sampling: samples a bin along each axis, 1 or more; 2 by default, as torchvision's detectors have it.
        aligned: whether the middle of a cell is half a cell from its edge, as detectron2 has it; boxes then keep their
            sizes, however small. False (default): cells lie at whole numbers, and boxes are at least a cell wide and
            high, as torchvision's detectors have it.
        levels: (B, N) int, the index of the map that each box is taken from, or None (default) for the rule of
            `pyramid_levels`.

    Returns:
        (B, N, h, w, C). A sample more than a cell outside of the map counts as 0.

    Raises:
        ValueError: `sampling` is below 1, a stride is missing, or `size` is no size.

    Source: He et al. 2017, arXiv:1703.06870, section 3, "RoIAlign".
    """
    features = checked_maps("roi_align", features, strides)
    bins = checked_size("roi_align", size)
    if not isinstance(sampling, int) or sampling < 1:
        raise ValueError(
            f"roi_align: sampling={sampling!r}; give a whole number of samples from 1: as many as each box has "
            "cells is no fixed shape"
        )
    boxes = ops.cast(ops.stop_gradient(boxes), "float32")
    levels = checked_levels(features, boxes, strides, levels)  # (B, N)
    heights, widths, first = cell_layout(features)
    scales = ops.take(ops.convert_to_tensor([1 / stride for stride in strides], "float32"), levels)
    corners = boxes * ops.expand_dims(scales, -1) - 0.5 * aligned  # (B, N, 4)
    width = ops.take(widths, levels)  # (B, N)
    ys, y_weights = _taps(corners[..., 1::2], bins[0], sampling, aligned, ops.take(heights, levels))
    xs, x_weights = _taps(corners[..., 0::2], bins[1], sampling, aligned, width)
    ys = ys * width[..., None, None] + ops.take(first, levels)[..., None, None]  # (B, N, h, 2s)
    cells = ops.add(*_spread(ys, xs))  # (B*N*h*w, 2s, 2s)
    weights = ops.multiply(*_spread(y_weights, x_weights))

    channels, taps = features[0].shape[-1], (2 * sampling) ** 2
    count = boxes.shape[1] * bins[0] * bins[1] * taps
    values = ops.reshape(
        take_rows(all_cells(features), ops.reshape(cells, (-1, count))), (-1, taps, channels)
    )
    weights = ops.cast(ops.reshape(weights, (-1, 1, taps)), values.dtype)
    return ops.reshape(ops.matmul(weights, values), (-1, boxes.shape[1], *bins, channels))


def _taps(edges, bins: int, sampling: int, aligned: bool, length):
    """The cells that the samples along one axis lie between, and their weights.

    Args:
        edges: (B, N, 2) where each box begins and ends, in cells.
        bins: number of bins along the axis.
        sampling: number of samples a bin, s.
        aligned: whether boxes may be smaller than a cell.
        length: (B, N) int32 cells of the map along the axis.

    Returns:
        cells (B, N, bins, 2s) int32 and weights (B, N, bins, 2s), 0 for what lies outside.
    """
    start, extent = edges[..., :1], edges[..., 1:] - edges[..., :1]  # (B, N, 1) each
    extent = extent if aligned else ops.maximum(extent, 1.0)
    step = extent / bins
    bin_of_sample, within = (
        ops.convert_to_tensor(np.float32(part)) for part in np.divmod(np.arange(bins * sampling), sampling)
    )
    points = start + bin_of_sample * step + (within + 0.5) * step / sampling  # (B, N, bins * s)
    length = ops.cast(ops.expand_dims(length, -1), "float32")
    inside = ops.cast(ops.logical_and(points >= -1.0, points <= length), "float32") / sampling
    points = ops.clip(points, 0.0, length - 1)
    lower = ops.floor(points)
    upper_weight = points - lower
    cells = ops.stack([lower, ops.minimum(lower + 1, length - 1)], axis=-1)  # (B, N, bins * s, 2)
    weights = ops.stack([(1 - upper_weight) * inside, upper_weight * inside], axis=-1)
    shape = (-1, points.shape[1], bins, 2 * sampling)
    return ops.cast(ops.reshape(cells, shape), "int32"), ops.reshape(weights, shape)


def _spread(y, x):
    """What rows and columns have, for every bin: (B, N, h, k), (B, N, w, k) -> (B*N*h*w, k, 1), (B*N*h*w, 1, k).

    No array has more than four axes, which is as many as LiteRT broadcasts everywhere.
    """
    height, width, taps = y.shape[2], x.shape[2], y.shape[3]
    y, x = ops.reshape(y, (-1, height, 1, taps)), ops.reshape(x, (-1, 1, width, taps))
    y, x = ops.tile(y, (1, 1, width, 1)), ops.tile(x, (1, height, 1, 1))  # (B*N, h, w, k) each
    return ops.reshape(y, (-1, taps, 1)), ops.reshape(x, (-1, 1, taps))
