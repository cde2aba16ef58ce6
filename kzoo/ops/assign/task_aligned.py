"""Task-aligned assignment: an object goes to the points that name it and outline it best by now."""

from __future__ import annotations

from keras import ops

from kzoo.ops.assign.common import PointAssignment, most_by_row, sum_by_row
from kzoo.ops.boxes import pairwise_ciou, pairwise_iou
from kzoo.ops.gather import stable_top_k, take_rows

TINY = 1e-9


def task_aligned(
    scores,
    predicted,
    points,
    boxes,
    labels,
    best: int = 10,
    score_power: float = 0.5,
    overlap_power: float = 6.0,
    overlap: str = "ciou",
    least_side: float = 0.0,
) -> PointAssignment:
    """Gives every object the points inside it where score^a x overlap^b is highest.

    Args:
        scores: (B, N, C) probabilities of the classes.
        predicted: (B, N, 4) boxes as they are predicted by now, xyxy pixels.
        points: (N, 2) x and y in pixels of where the predictions stand.
        boxes: (B, M, 4) the objects' boxes, xyxy pixels, as `sound_boxes` leaves them.
        labels: (B, M) int, -1 for none.
        best: how many points an object gets, 1 or more, 10 by default.
        score_power: a, 0 or more, 0.5 by default.
        overlap_power: b, 0 or more, 6 by default.
        overlap: "ciou" (default), of which what is below 0 counts as 0, or "iou".
        least_side: pixels that an object's sides are widened to where a point has to be inside it, 0 (default) or
            more, so that an object between the points gets some.

    Returns:
        Of each point its object, and as its quality score^a x overlap^b, scaled so that an object's best point has the
        object's best overlap. A point that several objects would have goes to the one that it overlaps most.

    Source: Feng et al. 2021, TOOD, arXiv:2108.07755, section 3.2; in numbers as YOLOv8.
    """
    # 1. Of every object and every point whether the point is inside, and how well it does, (B, M, N).
    valid = ops.logical_and(labels >= 0, boxes[..., 2] > boxes[..., 0])  # (B, M)
    inside = ops.logical_and(points_inside(points, boxes, least_side), ops.expand_dims(valid, -1))
    pairwise = pairwise_ciou if overlap == "ciou" else pairwise_iou
    overlaps = ops.where(inside, ops.maximum(pairwise(boxes, predicted), 0.0), 0.0)
    metric = scores_of(scores, labels) ** score_power * overlaps**overlap_power * ops.cast(inside, "float32")

    # 2. An object's best points, (B, M, K), as pairs in one row, (B, M * K).
    count = min(best, metric.shape[2]) if metric.shape[2] is not None else best
    _, index = stable_top_k(metric, count)
    takes = ops.take_along_axis(ops.cast(inside, "int32"), index, axis=-1) > 0
    return resolved(metric, overlaps, index, takes)


def resolved(metric, overlaps, index, takes) -> PointAssignment:
    """One object a point, and the quality of the points, from pairs of an object and one of its best points.

    Args:
        metric: (B, M, N) how well each point does for each object.
        overlaps: (B, M, N) overlap of its box with the object.
        index: (B, M, K) int32, points of each object.
        takes: (B, M, K) bool, which of them it gets.
    """
    batch, objects, count = ops.shape(index)[0], index.shape[1], index.shape[2]
    total = ops.shape(metric)[2]
    flat = (batch, objects * count)
    index, takes = ops.reshape(index, flat), ops.reshape(takes, flat)  # (B, M * K)
    numbers = ops.repeat(ops.arange(1, objects + 1, dtype="int32"), count)  # (M * K,)
    owner = most_by_row(ops.broadcast_to(numbers, ops.shape(index)), index, takes, total)  # (B, N), from 1
    rivals = sum_by_row(ops.cast(takes, "int32"), index, takes, total)  # (B, N)
    # Of all objects, not of the rivals alone, as the authors have it.
    nearest = ops.cast(ops.argmax(overlaps, axis=1), "int32")  # (B, N)
    owner = ops.where(rivals > 1, nearest, ops.maximum(owner - 1, 0))
    positive = rivals > 0

    # The quality: each object's metrics, scaled to its best overlap.
    metric, overlaps = (ops.where(positive, of_owner(values, owner), 0.0) for values in (metric, overlaps))
    highest = most_by_row(metric, owner, positive, objects)  # (B, M)
    widest = most_by_row(overlaps, owner, positive, objects)  # (B, M)
    quality = metric * take_rows(widest, owner) / (take_rows(highest, owner) + TINY)  # (B, N)
    return PointAssignment(ops.where(positive, owner, 0), positive, quality)


def of_owner(values, owner):
    """What (B, M, N) values say of each of the N points and its object (B, N): (B, N)."""
    objects, points = values.shape[1], ops.shape(values)[2]
    flat = ops.reshape(values, (-1, objects * points, 1))  # (B, M * N, 1)
    place = owner * points + ops.arange(points, dtype="int32")  # (B, N)
    return take_rows(flat, place)[..., 0]


def points_inside(points, boxes, least_side: float = 0.0):
    """Whether points (N, 2) are inside of boxes (B, M, 4), of which sides are at least so wide: (B, M, N)."""
    if least_side:
        center = (boxes[..., :2] + boxes[..., 2:]) / 2
        half = ops.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
        half = ops.where(half < least_side, least_side, half) / 2
        boxes = ops.concatenate([center - half, center + half], axis=-1)
    x, y = points[:, 0], points[:, 1]  # (N,)
    left, top, right, bottom = (ops.expand_dims(boxes[..., i], -1) for i in range(4))  # (B, M, 1)
    margin = ops.minimum(ops.minimum(x - left, right - x), ops.minimum(y - top, bottom - y))  # (B, M, N)
    return margin > TINY


def scores_of(scores, labels):
    """Each object's own class at every point: (B, N, C) and (B, M) to (B, M, N)."""
    by_class = ops.transpose(scores, (0, 2, 1))  # (B, C, N)
    return take_rows(by_class, ops.maximum(ops.cast(labels, "int32"), 0))
