"""Points of a grid, and boxes as distances from them."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops


def lay_points(sizes: Sequence, strides: Sequence[int]):
    """The middles of all cells, level by level and row by row.

    Args:
        sizes: height and width of each feature map in cells: ints, or scalars where not known before running.
        strides: pixels a cell, one number a level.

    Returns:
        (N, 2) float32 x and y in pixels, and (N,) float32 the stride of each.
    """
    points, steps = [], []
    for (height, width), stride in zip(sizes, strides, strict=True):
        y, x = ((ops.arange(cells, dtype="float32") + 0.5) * stride for cells in (height, width))
        blank = ops.zeros((height, width), "float32")  # what has fewer axes is spread over it by addition
        both = ops.stack([blank + x, blank + ops.expand_dims(y, -1)], axis=-1)  # (H, W, 2)
        points.append(ops.reshape(both, (-1, 2)))
        steps.append(ops.reshape(blank + float(stride), (-1,)))
    return ops.concatenate(points, axis=0), ops.concatenate(steps, axis=0)


def boxes_around(points, distances):
    """Boxes (..., 4) xyxy from points (..., 2) and their distances (..., 4) to the left, top, right and bottom edge."""
    return ops.concatenate([points - distances[..., :2], points + distances[..., 2:]], axis=-1)


def edge_distances(points, boxes):
    """Distances of points (..., 2) to the left, top, right and bottom edge of boxes (..., 4) xyxy: (..., 4).

    Below 0 where the point is outside.
    """
    return ops.concatenate([points - boxes[..., :2], boxes[..., 2:] - points], axis=-1)


def expected_distances(logits, bins: int):
    """What distributions over whole distances come to on average.

    Args:
        logits: (..., 4 * bins) logits of the distances 0 to bins - 1, side by side.
        bins: number of distances, 2 or more.

    Returns:
        (..., 4) from 0 to bins - 1.

    Source: Li et al. 2020, Generalized Focal Loss, arXiv:2006.04388, equation 5.
    """
    probabilities = ops.softmax(ops.reshape(logits, (*ops.shape(logits)[:-1], 4, bins)))
    return ops.matmul(probabilities, ops.arange(bins, dtype="float32"))
