"""What goes into suppression and what comes out: pairs of a box and a class, and detections of fixed number."""

from __future__ import annotations

from keras import ops

from kzoo.ops.boxes import pairwise_iou
from kzoo.ops.gather import stable_top_k, take_rows


def best_first(boxes, scores, labels=None):
    """Boxes by falling score, the lower index first on ties.

    Args:
        boxes: (B, K, 4) xyxy.
        scores: (B, K) score of each box.
        labels: (B, K) int, or None (default) for all of one class.

    Returns:
        order (B, K) int32, and boxes, scores and labels in it.
    """
    scores, order = stable_top_k(scores, scores.shape[1])
    labels = ops.zeros_like(order) if labels is None else take_rows(labels, order)
    return order, take_rows(boxes, order), scores, labels


def class_overlaps(boxes, labels):
    """IoU of boxes of one class; 0 for those of different ones, and for boxes with NaN.

    Args:
        boxes: (B, K, 4) xyxy.
        labels: (B, K) int, the class of each box.

    Returns:
        (B, K, K) in 0..1.
    """
    overlaps = pairwise_iou(boxes, boxes)
    same = ops.equal(ops.expand_dims(labels, 1), ops.expand_dims(labels, 2))
    return ops.where(ops.logical_and(same, overlaps > 0), overlaps, 0.0)


def best_scores(scores, score_threshold: float, max_detections: int):
    """The best scores that are above a threshold.

    Args:
        scores: (B, K) scores in any order.
        score_threshold: score that counts only above it.
        max_detections: number of scores that are taken, M, which may be more than there are.

    Returns:
        indices (B, M) int32 into K, and valid (B, M) bool; where not valid the index is meaningless.
    """
    top, indices = stable_top_k(scores, min(max_detections, scores.shape[1]))
    return padded(indices, max_detections), padded(top > score_threshold, max_detections)


def padded(values, length: int):
    """(B, K, ...) with zeros behind, up to (B, length, ...)."""
    missing = length - values.shape[1]
    if missing <= 0:
        return values
    return ops.pad(values, [[0, 0], [0, missing], *[[0, 0]] * (len(values.shape) - 2)])


def multiclass_candidates(scores, count: int):
    """The best (box, class) pairs, exactly, without sorting all of them.

    The `count` best pairs lie in the `count` boxes whose best class scores highest, so two small selections
    replace one over boxes x classes.

    Args:
        scores: (B, N, C) score of every class.
        count: number of pairs, K, 1 to N * C.

    Returns:
        scores (B, K) best first, box indices (B, K) int32 into N, labels (B, K) int32.
    """
    classes = scores.shape[-1]
    if classes == 1:
        top, rows = stable_top_k(scores[..., 0], count)
        return top, rows, ops.zeros_like(rows)
    boxes = min(count, scores.shape[1])
    _, rows = stable_top_k(ops.max(scores, axis=-1), boxes)  # (B, K or N)
    pairs = ops.reshape(take_rows(scores, rows), (-1, boxes * classes))
    top, position = stable_top_k(pairs, count)
    return top, take_rows(rows, position // classes), position % classes


def collect(indices, valid, boxes, scores, labels) -> dict:
    """What was chosen of some boxes, as the fixed-size result of a detector.

    Args:
        indices: (B, M) int into K, the chosen ones.
        valid: (B, M) bool, whether an index means a box.
        boxes: (B, K, 4) xyxy.
        scores: (B, K) score of each box.
        labels: (B, K) int, the class of each box.

    Returns:
        `boxes` (B, M, 4), `scores` (B, M) and `labels` (B, M) int32, with 0, 0 and -1 where not valid.
    """
    keep = ops.cast(valid, boxes.dtype)
    return {
        "boxes": take_rows(boxes, indices) * ops.expand_dims(keep, -1),
        "scores": take_rows(scores, indices) * keep,
        "labels": ops.where(valid, ops.cast(take_rows(labels, indices), "int32"), -1),
    }


def with_scores(chosen, boxes, labels) -> dict:
    """What a suppression that gives new scores chose, as the fixed-size result of a detector.

    Args:
        chosen: indices (B, M) int into K, what they score (B, M), valid (B, M) bool; of kinds that move boxes those
            (B, M, 4), as well.
        boxes: (B, K, 4) xyxy.
        labels: (B, K) int, the class of each box.

    Returns:
        `boxes` (B, M, 4), `scores` (B, M) and `labels` (B, M) int32, with 0, 0 and -1 where not valid.
    """
    indices, scores, valid, *moved = chosen
    keep = ops.cast(valid, boxes.dtype)
    return {
        "boxes": (moved[0] if moved else take_rows(boxes, indices)) * ops.expand_dims(keep, -1),
        "scores": scores,
        "labels": ops.where(valid, ops.cast(take_rows(labels, indices), "int32"), -1),
    }
