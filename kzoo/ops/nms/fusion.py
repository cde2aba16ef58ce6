"""Weighted boxes fusion: boxes of one object are averaged, not dropped.

The paper's loop takes boxes one by one, best first, for each may move a cluster that the next is compared with.
Here a pass takes a block of them, finds each one's cluster as if it were the first, and goes as far as that is
true: up to the first box that would join a cluster which one before it in the block has made or moved.
"""

from __future__ import annotations

from keras import ops

from kzoo.ops.boxes import pairwise_iou
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.nms.selection import best_first, best_scores

BLOCK = 16
_TINY = 1e-30


def weighted_boxes_fusion(
    boxes,
    scores,
    labels=None,
    iou_threshold: float = 0.55,
    score_threshold: float = 0.001,
    max_detections: int = 100,
):
    """Weighted boxes fusion of one model's boxes.

    A box joins the cluster whose mean it overlaps most, by more than the threshold, or begins one. Of a cluster
    the mean box, weighted by score, is given, with the mean score: with one model the paper's factor for clusters
    that few models found is 1.

    Args:
        boxes: (B, K, 4) xyxy.
        scores: (B, K) score of each box.
        labels: (B, K) int for per-class fusion, or None (default) for class-agnostic, where the best box's label
            counts.
        iou_threshold: overlap above which a box joins, 0 to 1, 0.55 by default.
        score_threshold: score that boxes must be above to take part, 0 or more, 0.001 by default.
        max_detections: number of detections an image, M, 100 by default.

    Returns:
        indices (B, M) int32 of each cluster's best box into K, scores (B, M), best first, valid (B, M) bool, and
        the boxes (B, M, 4).

    Source: Solovyev et al. 2021, arXiv:1910.13302, section 3, equations 1 to 5.
    """
    order, boxes, scores, labels = best_first(boxes, scores, labels)
    sums = _clusters(boxes, scores, labels, iou_threshold, score_threshold)  # (B, K, 6)
    scores = sums[..., 4] / ops.maximum(sums[..., 5], 1.0)  # (B, K)
    best, valid = best_scores(scores, score_threshold, max_detections)  # (B, M) each
    mean_scores = ops.where(valid, take_rows(scores, best), 0.0)
    return take_rows(order, best), mean_scores, valid, take_rows(_mean(sums), best)


def _mean(sums):
    """The mean boxes (..., 4) of clusters (..., 6)."""
    return sums[..., :4] / ops.maximum(sums[..., 4:5], _TINY)


def _clusters(boxes, scores, labels, iou_threshold: float, score_threshold: float):
    """Clusters, each in its best box's place: sums of score * box, of scores and of ones, (B, K, 6), else 0."""
    count = scores.shape[1]
    size = min(BLOCK, count)
    # Of a block's T boxes (T,) and of all K (K,); (T, T) whether one stands before another, or is it.
    steps, places = ops.arange(size, dtype="int32"), ops.arange(count, dtype="int32")
    before = ops.expand_dims(steps, 0) < ops.expand_dims(steps, 1)
    until = ops.expand_dims(steps, 0) <= ops.expand_dims(steps, 1)
    weight = ops.expand_dims(scores, -1)
    rows = ops.concatenate([boxes * weight, weight, ops.ones_like(weight)], axis=-1)  # (B, K, 6)
    total = ops.sum(ops.cast(scores > score_threshold, "int32"), axis=-1, keepdims=True)

    def matches(one, one_labels, other, other_labels):
        """IoU above the threshold within a class, else 0: (B, T, S)."""
        overlap = pairwise_iou(one, other)
        same = ops.equal(ops.expand_dims(one_labels, 2), ops.expand_dims(other_labels, 1))
        return ops.where(ops.logical_and(same, overlap > iou_threshold), overlap, 0.0)

    def unfinished(start, sums, means):
        return ops.any(start < total)

    def join(start, sums, means):
        # 1. The block, (B, T), and the cluster that each of its boxes would join if it were the first: its own place
        # where it meets none.
        at = start + steps
        safe = ops.minimum(at, count - 1)
        block, block_rows, block_labels = (take_rows(values, safe) for values in (boxes, rows, labels))
        fit = matches(block, block_labels, means, labels)  # (B, T, K)
        most, cluster = stable_top_k(fit, 1)
        target = ops.where(most[..., 0] > 0, cluster[..., 0], safe)
        # 2. That cluster with those of the block up to this box that would join it, too: (B, T, 6).
        same = ops.equal(ops.expand_dims(target, 2), ops.expand_dims(target, 1))  # (B, T, T)
        joined = ops.expand_dims(ops.logical_and(same, until), -1)
        added = ops.sum(ops.where(joined, ops.expand_dims(block_rows, 1), 0.0), axis=2)
        grown = take_rows(sums, target) + added
        # 3. How far that is true, box by box.
        meets = matches(block, block_labels, _mean(grown), block_labels) > 0
        # A cluster that one before has made or moved must still be a box's own, or still not be.
        rivals = ops.sum(ops.cast(fit > 0, "int32"), axis=-1, keepdims=True) > 1
        changes = ops.logical_or(ops.not_equal(same, meets), ops.logical_and(same, rivals))
        doubtful = ops.any(ops.logical_and(changes, before), axis=-1)
        first = ops.min(ops.where(doubtful, steps, size), axis=-1, keepdims=True)
        sure = ops.logical_and(steps < first, at < total)
        # 4. Clusters with their new members: each one's last in the block, counted from 1, has its sums.
        target = ops.expand_dims(ops.where(sure, target, count), -1)
        member = ops.max(ops.where(ops.equal(target, places), ops.expand_dims(steps + 1, -1), 0), axis=1)
        changed = take_rows(grown, ops.maximum(member - 1, 0))
        sums = ops.where(ops.expand_dims(member > 0, -1), changed, sums)
        start = start + ops.sum(ops.cast(sure, "int32"), axis=-1, keepdims=True)
        return start, sums, _mean(sums)

    begin = (ops.zeros_like(total), ops.zeros_like(rows), ops.zeros_like(boxes))
    return ops.while_loop(unfinished, join, begin)[1]
