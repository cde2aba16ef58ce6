"""SimOTA: an object goes to as many points as its overlaps suggest, those where it costs least."""

from __future__ import annotations

from keras import ops

from kzoo.ops.assign.common import PointAssignment, of_owner, one_owner
from kzoo.ops.assign.task_aligned import scores_of
from kzoo.ops.boxes import pairwise_iou
from kzoo.ops.gather import stable_top_k

FAR = 1e6  # what a point costs that is not near the object
NEVER = 1e9  # what a point costs that is near no object at all
LEAST_LOG = -100.0  # logarithms of 0 count as this, as torch has them


def sim_ota(
    scores,
    predicted,
    points,
    boxes,
    labels,
    strides,
    best: int = 10,
    radius: float = 1.5,
    overlap_weight: float = 3.0,
    candidates=None,
) -> PointAssignment:
    """Gives every object the cheapest points near its centre, as many as the sum of its best overlaps.

    A point costs the cross-entropy of its classes, and 3 times the logarithm of the overlap.

    Args:
        scores: (B, N, C) scores of the classes, 0 to 1: of heads with an objectness sqrt(objectness x class).
        predicted: (B, N, 4) boxes as they are predicted by now, xyxy pixels.
        points: (N, 2) x and y in pixels of where the predictions stand.
        boxes: (B, M, 4) the objects' boxes, xyxy pixels, as `sound_boxes` leaves them.
        labels: (B, M) int, -1 for none.
        strides: (N,) pixels from each point to the next of its level.
        best: number of points whose overlaps are summed up, and that an object gets at most, 1 or more, 10 by default.
        radius: strides that a point may be away from an object's centre, above 0, 1.5 by default.
        overlap_weight: factor of the overlap's cost, 0 or more, 3 by default.
        candidates: (B, N) bool, the points that any object may get, however far away; `points`, `strides` and `radius`
            then have no effect. None (default) for those near the centre of some object.

    Returns:
        Of each point its object, and as its quality its overlap with it. A point that several objects would have goes
        to the one where it costs least.

    Source: Ge et al. 2021, YOLOX, arXiv:2107.08430, section 2.1, "SimOTA"; with `candidates` YOLOv7, arXiv:2207.02696.
    """
    # 1. The points that are near each object, and those that are near any, (B, M, N) and (B, 1, N).
    valid = ops.logical_and(labels >= 0, boxes[..., 2] > boxes[..., 0])  # (B, M)
    if candidates is None:
        near = _near(points, boxes, radius * ops.cast(strides, "float32"))
        near = ops.logical_and(near, ops.expand_dims(valid, -1))
        candidate = ops.any(near, axis=1, keepdims=True)
    else:
        near = candidate = ops.expand_dims(candidates, 1)

    # 2. What each point costs each object, (B, M, N).
    overlaps = ops.where(candidate, pairwise_iou(boxes, predicted), 0.0)
    cost = _cross_entropy(scores, labels) - overlap_weight * ops.log(overlaps + 1e-8)
    cost = ops.where(near, cost, cost + FAR)
    cost = ops.where(ops.logical_and(candidate, ops.expand_dims(valid, -1)), cost, NEVER)

    # 3. As many points as the best overlaps sum up to, one at least, (B, M, K) of them.
    count = min(best, cost.shape[2])
    widest, _ = stable_top_k(overlaps, count)
    wanted = ops.maximum(ops.cast(ops.sum(widest, axis=-1, keepdims=True), "int32"), 1)  # (B, M, 1)
    cheapest, index = stable_top_k(-cost, count)
    takes = ops.logical_and(ops.arange(count, dtype="int32") < wanted, -cheapest < NEVER)

    # 4. Each point's one object.
    owner, positive = one_owner(index, takes, -cost)
    quality = ops.where(positive, of_owner(overlaps, owner), 0.0)
    return PointAssignment(owner, positive, quality)


def _near(points, boxes, reach):
    """Whether points (N, 2) are less than their reach (N,) away from centres of boxes (B, M, 4), a side: (B, M, N)."""
    center = ops.expand_dims((boxes[..., :2] + boxes[..., 2:]) / 2, 2)  # (B, M, 1, 2)
    away = ops.maximum(ops.abs(center[..., 0] - points[:, 0]), ops.abs(center[..., 1] - points[:, 1]))
    return away < reach


def _cross_entropy(scores, labels):
    """Cross-entropy of all classes where the object's own is true: (B, N, C) and (B, M) to (B, M, N)."""
    false = -ops.maximum(
        ops.log(1.0 - scores), LEAST_LOG
    )  # (B, N, C), what each class costs if it is not true
    true = -ops.maximum(ops.log(scores), LEAST_LOG)  # (B, N, C)
    # All classes as if none were true; the object's own is put right.
    return ops.expand_dims(ops.sum(false, axis=-1), 1) + scores_of(true - false, labels)
