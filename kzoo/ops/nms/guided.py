"""Suppression guided by predicted overlap: the box that fits best stays, whatever its class score."""

from __future__ import annotations

from keras import ops

from kzoo.ops.gather import take_rows
from kzoo.ops.nms.greedy import greedy_keep
from kzoo.ops.nms.selection import best_first, best_scores, class_overlaps


def guided_nms(
    boxes,
    scores,
    quality,
    labels=None,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.0,
    max_detections: int = 100,
):
    """IoU-guided suppression: boxes are taken by how well they are said to fit, and get the best score of their rivals.

    Of the boxes that are left the one of the highest quality is kept; those that overlap it go, and if one of them
    scores higher, the kept box takes that score. So on.

    Args:
        boxes: (B, K, 4) xyxy.
        scores: (B, K) score of each box.
        quality: (B, K) how well each box is said to fit its object, such as a predicted IoU; any finite numbers.
        labels: (B, K) int for per-class suppression, or None (default) for class-agnostic.
        iou_threshold: overlap above which the worse box goes, 0 to 1, 0.5 by default.
        score_threshold: score that a box must be above to take part, 0 or more, 0 by default.
        max_detections: number of detections an image, M, 100 by default.

    Returns:
        indices (B, M) int32 into K, what they score (B, M), best first, and valid (B, M) bool.

    Source: Jiang et al. 2018, arXiv:1807.11590, section 3.2, algorithm 1.
    """
    taking_part = scores > score_threshold
    # Below all others, so that it suppresses only what takes no part either.
    lowest = ops.min(quality, axis=1, keepdims=True) - 1.0
    order, boxes, _, labels = best_first(boxes, ops.where(taking_part, quality, lowest), labels)
    scores = take_rows(ops.where(taking_part, scores, 0.0), order)  # (B, K)
    overlaps = class_overlaps(boxes, labels) > iou_threshold  # (B, K, K)
    kept = greedy_keep(overlaps)  # (B, K)

    count = scores.shape[1]
    place = ops.arange(count, dtype="int32")
    earlier = ops.expand_dims(place, 1) < ops.expand_dims(place, 0)
    suppresses = ops.logical_and(ops.logical_and(overlaps, earlier), ops.expand_dims(kept, 2))
    # A box belongs to the first of the kept ones that overlap it, which ranks highest, and a kept one to itself.
    rank = ops.expand_dims(ops.arange(count, 0, -1, dtype="float32"), -1)  # (K, 1)
    ranks = ops.where(suppresses, rank, 0.0)
    first = ops.max(ranks, axis=1, keepdims=True)  # (B, 1, K)
    member = ops.logical_and(suppresses, ops.equal(ranks, first))  # (B, K, K)
    rivals = ops.max(ops.where(member, ops.expand_dims(scores, 1), 0.0), axis=2)  # (B, K)
    scores = ops.where(kept, ops.maximum(scores, rivals), 0.0)
    best, valid = best_scores(scores, score_threshold, max_detections)
    return take_rows(order, best), ops.where(valid, take_rows(scores, best), 0.0), valid
