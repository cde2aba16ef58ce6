"""ATSS: an object's threshold of overlap follows from how the cells near it overlap it."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from kzoo.ops.assign.common import PointAssignment, of_owner, one_owner
from kzoo.ops.assign.task_aligned import points_inside
from kzoo.ops.boxes import pairwise_iou
from kzoo.ops.gather import stable_top_k


def atss(
    predicted, points, boxes, labels, strides, counts: Sequence, best: int = 9, side: float = 5.0
) -> PointAssignment:
    """Gives every object the points near it whose cells overlap it more than is usual there.

    Args:
        predicted: (B, N, 4) boxes as they are predicted by now, xyxy pixels.
        points: (N, 2) x and y in pixels of where the predictions stand, level by level.
        boxes: (B, M, 4) the objects' boxes, xyxy pixels, as `sound_boxes` leaves them.
        labels: (B, M) int, -1 for none.
        strides: (N,) pixels from each point to the next of its level.
        counts: number of points of each level.
        best: how many points of each level are candidates, the nearest, 1 or more, 9 by default.
        side: strides that the cell of a point is wide and high, above 0, 5 by default.

    Returns:
        Of each point its object, and as its quality its prediction's overlap with it. A point that several objects
        would have goes to the one that its cell overlaps most.

    Source: Zhang et al. 2020, arXiv:1912.02424, algorithm 1; cells and quality as PP-YOLOE, arXiv:2203.16250.
    """
    # 1. Overlaps of cells, and squared distances of their centres from the objects', (B, M, N).
    valid = ops.logical_and(labels >= 0, boxes[..., 2] > boxes[..., 0])  # (B, M)
    half = ops.expand_dims(side / 2 * ops.cast(strides, "float32"), -1)  # (N, 1)
    cells = ops.concatenate([points - half, points + half], axis=-1)  # (N, 4)
    overlaps = pairwise_iou(boxes, cells)
    center = ops.expand_dims((boxes[..., :2] + boxes[..., 2:]) / 2, 2)  # (B, M, 1, 2)
    distance = (center[..., 0] - points[:, 0]) ** 2 + (center[..., 1] - points[:, 1]) ** 2

    # 2. The candidates, K nearest of each level, (B, M, K of all levels), and their overlaps.
    candidates, start = [], 0
    for count in counts:
        _, index = stable_top_k(-distance[:, :, start : start + count], min(best, count))
        candidates.append(index + start)
        start = start + count
    candidates = ops.concatenate(candidates, axis=-1)
    near = ops.take_along_axis(overlaps, candidates, axis=-1)

    # 3. Those that overlap more than the mean and a deviation, and whose points are inside.
    number = near.shape[-1]
    mean = ops.mean(near, axis=-1, keepdims=True)  # (B, M, 1)
    deviation = ops.sqrt(ops.sum((near - mean) ** 2, axis=-1, keepdims=True) / max(number - 1, 1))
    inside = ops.cast(points_inside(points, boxes), "int32")  # (B, M, N)
    takes = ops.logical_and(near > mean + deviation, ops.take_along_axis(inside, candidates, axis=-1) > 0)
    takes = ops.logical_and(takes, ops.expand_dims(valid, -1))

    # 4. Each point's one object, and how well it finds it.
    owner, positive = one_owner(candidates, takes, overlaps)
    quality = ops.where(positive, of_owner(pairwise_iou(boxes, predicted), owner), 0.0)
    return PointAssignment(owner, positive, quality)
