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

    Returns:
        Of each point its object, and as its quality its overlap with it. A point that several objects would have goes
        to the one where it costs least.

    Source: Ge et al. 2021, YOLOX, arXiv:2107.08430, section 2.1, "SimOTA".
    """
    # The points that are near each object, and those that are near any, (B, M, N) and (B, 1, N).
    center = ops.expand_dims((boxes[..., :2] + boxes[..., 2:]) / 2, 2)  # (B, M, 1, 2)
    reach = radius * ops.cast(strides, "float32")  # (N,)
    away = ops.maximum(
        ops.abs(center[..., 0] - points[:, 0]), ops.abs(center[..., 1] - points[:, 1])
    )  # (B, M, N)
    near = ops.logical_and(away < reach, _valid(boxes, labels))
    candidate = ops.any(near, axis=1, keepdims=True)
    return _cheapest(near, candidate, scores, predicted, boxes, labels, best, overlap_weight)


def sim_ota_among(
    candidates, scores, predicted, boxes, labels, best: int = 10, overlap_weight: float = 3.0
) -> PointAssignment:
    """Gives every object the cheapest of all objects' candidates, as many as the sum of its best overlaps.

    As `sim_ota`, but for the choice of the candidates, of which none is too far away from an object.

    Args:
        candidates: (B, Q) bool, the predictions that objects may get; one that is there several times counts as often.
        scores: (B, Q, C) sqrt(objectness x class) of the classes, 0 to 1.
        predicted: (B, Q, 4) boxes as they are predicted by now, xyxy pixels.
        boxes: (B, M, 4) the objects' boxes, xyxy pixels, as `sound_boxes` leaves them.
        labels: (B, M) int, -1 for none.
        best: number of predictions whose overlaps are summed up, and that an object gets at most, 10 by default.
        overlap_weight: factor of the overlap's cost, 0 or more, 3 by default.

    Source: Wang et al. 2022, YOLOv7, arXiv:2207.02696, by its behaviour.
    """
    candidate = ops.expand_dims(candidates, 1)  # (B, 1, Q)
    return _cheapest(candidate, candidate, scores, predicted, boxes, labels, best, overlap_weight)


def _valid(boxes, labels):
    """Which rows (B, M) of the targets are objects: (B, M, 1) bool."""
    return ops.expand_dims(ops.logical_and(labels >= 0, boxes[..., 2] > boxes[..., 0]), -1)


def _cheapest(near, candidate, scores, predicted, boxes, labels, best: int, overlap_weight: float):
    """The assignment by costs.

    Args:
        near: (B, M, N) or (B, 1, N) bool, points that objects had better have.
        candidate: (B, 1, N) bool, points that some object may have.
        scores: (B, N, C) scores of the classes, 0 to 1.
        predicted: (B, N, 4) boxes as they are predicted by now, xyxy pixels.
        boxes: (B, M, 4) the objects' boxes, xyxy pixels.
        labels: (B, M) int, -1 for none.
        best: number of points whose overlaps are summed up, and that an object gets at most.
        overlap_weight: factor of the overlap's cost, 0 or more.
    """
    # 1. What each point costs each object, (B, M, N).
    overlaps = ops.where(candidate, pairwise_iou(boxes, predicted), 0.0)
    cost = _cross_entropy(scores, labels) - overlap_weight * ops.log(overlaps + 1e-8)
    cost = ops.where(near, cost, cost + FAR)
    cost = ops.where(ops.logical_and(candidate, _valid(boxes, labels)), cost, NEVER)

    # 2. As many points as the best overlaps sum up to, one at least, (B, M, K) of them.
    count = min(best, cost.shape[2])
    widest, _ = stable_top_k(overlaps, count)
    wanted = ops.maximum(ops.cast(ops.sum(widest, axis=-1, keepdims=True), "int32"), 1)  # (B, M, 1)
    cheapest, index = stable_top_k(-cost, count)
    takes = ops.logical_and(ops.arange(count, dtype="int32") < wanted, -cheapest < NEVER)

    # 3. Each point's one object.
    owner, positive = one_owner(index, takes, -cost)
    quality = ops.where(positive, of_owner(overlaps, owner), 0.0)
    return PointAssignment(owner, positive, quality)


def _cross_entropy(scores, labels):
    """Cross-entropy of all classes where the object's own is true: (B, N, C) and (B, M) to (B, M, N)."""
    false = -ops.maximum(
        ops.log(1.0 - scores), LEAST_LOG
    )  # (B, N, C), what each class costs if it is not true
    true = -ops.maximum(ops.log(scores), LEAST_LOG)  # (B, N, C)
    # All classes as if none were true; the object's own is put right.
    return ops.expand_dims(ops.sum(false, axis=-1), 1) + scores_of(true - false, labels)
