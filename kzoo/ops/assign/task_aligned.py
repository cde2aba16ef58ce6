"""Task-aligned assignment: an object goes to the points that name it and outline it best by now."""

from __future__ import annotations

from keras import ops

from kzoo.ops.assign.common import PointAssignment, most_by_row, of_owner, one_owner
from kzoo.ops.boxes import pairwise_ciou, pairwise_iou
from kzoo.ops.fused import in_one_loop
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.powers import power

TINY = 1e-9
NOWHERE = -1e9  # coordinate of a box that no point is inside of, however wide it is made


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
    anywhere: bool = False,
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
        anywhere: whether a point that several objects would have may go to one that it is not inside of, as in YOLOv6
            and PP-YOLOE; False by default, as in YOLOv8.

    Returns:
        Of each point its object, and as its quality score^a x overlap^b, scaled so that an object's best point has the
        object's best overlap. A point that several objects would have goes to the one that it overlaps most.

    Source: Feng et al. 2021, TOOD, arXiv:2108.07755, section 3.2; in numbers as YOLOv8.
    """

    # 1. Of every object and every point whether the point is inside, their overlap, and how well it does, (B, M, N).
    def compared(scores, predicted, points, boxes, labels):
        valid = ops.logical_and(labels >= 0, boxes[..., 2] > boxes[..., 0])  # (B, M)
        inside = points_inside(points, ops.where(ops.expand_dims(valid, -1), boxes, NOWHERE), least_side)
        pairwise = pairwise_ciou if overlap == "ciou" else pairwise_iou
        overlaps = ops.maximum(pairwise(boxes, predicted), 0.0)
        if not anywhere:
            overlaps = ops.where(inside, overlaps, 0.0)
        metric = power(scores_of(scores, labels), score_power) * power(overlaps, overlap_power)
        return inside, overlaps, metric, ops.where(inside, metric, 0.0)

    given = (scores, predicted, points, boxes, labels)
    pairs = boxes.shape[1] * (points.shape[0] or 0)
    inside, overlaps, metric, choice = in_one_loop(compared, given, pairs)

    # 2. An object's best points, (B, M, K), and of each point the one object it goes to, (B, N).
    _, index = stable_top_k(choice, min(best, choice.shape[2]))
    takes = ops.take_along_axis(ops.cast(inside, "int32"), index, axis=-1) > 0
    owner, positive = one_owner(index, takes, overlaps)

    # 3. The quality: each object's metrics, scaled to its best overlap.
    metric, overlaps = (ops.where(positive, of_owner(values, owner), 0.0) for values in (metric, overlaps))
    objects = boxes.shape[1]
    highest = most_by_row(metric, owner, positive, objects)  # (B, M)
    widest = most_by_row(overlaps, owner, positive, objects)  # (B, M)
    quality = metric * take_rows(widest, owner) / (take_rows(highest, owner) + TINY)  # (B, N)
    return PointAssignment(owner, positive, quality)


def points_inside(points, boxes, least_side: float = 0.0):
    """Whether points (N, 2) are inside of boxes (B, M, 4), of which sides are at least so wide: (B, M, N)."""
    if least_side:
        center = (boxes[..., :2] + boxes[..., 2:]) / 2
        half = ops.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
        half = ops.where(half < least_side, least_side, half) / 2
        boxes = ops.concatenate([center - half, center + half], axis=-1)
    x, y = points[:, 0], points[:, 1]  # (N,)
    left, top, right, bottom = (ops.expand_dims(boxes[..., i], -1) for i in range(4))  # (B, M, 1)
    across, down = ops.logical_and(x > left, x < right), ops.logical_and(y > top, y < bottom)
    return ops.logical_and(across, down)  # (B, M, N)


def points_unknown(points, boxes, labels):
    """The points (N, 2) in regions that are neither object nor background: (B, N), 1 for those, 0 for all others.

    Such regions are boxes (B, M, 4) with an area and a label (B, M) below 0.
    """
    regions = ops.where(ops.expand_dims(labels < 0, -1), boxes, 0.0)  # (B, M, 4)
    return ops.cast(ops.any(points_inside(points, regions), axis=1), "float32")


def scores_of(scores, labels):
    """Each object's own class at every point: (B, N, C) and (B, M) to (B, M, N)."""
    by_class = ops.transpose(scores, (0, 2, 1))  # (B, C, N)
    return take_rows(by_class, ops.maximum(ops.cast(labels, "int32"), 0))
