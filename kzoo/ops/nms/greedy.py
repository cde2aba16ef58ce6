"""Greedy non-maximum suppression, exact, in a handful of passes instead of one a box.

A box is kept if no kept box of a higher score overlaps it. Read as an equation, kept = not any(kept & overlaps),
this has exactly one solution, for each box depends on earlier ones only; and starting from "all kept" a pass of
the equation settles at least one further box of every chain of overlaps. So passing until nothing changes gives
what the greedy loop gives, after as many passes as the longest chain is long (a handful) instead of as many as
there are boxes. A pass is one matrix product, and the loop is the `while` that LiteRT and ONNX have natively.
"""

from __future__ import annotations

from keras import ops

from kzoo.ops.boxes import pairwise_diou, pairwise_iou
from kzoo.ops.gather import stable_top_k, take_rows

# More boxes than the first number go through in blocks of the second; fewer are as soon done in one.
_ONE_BLOCK, _BLOCK = 1024, 512


def greedy_keep(overlaps):
    """Which of the boxes, sorted best first, greedy suppression keeps.

    Args:
        overlaps: (B, K, K) bool, whether box i suppresses box j, which is only read for i < j.

    Returns:
        (B, K) bool.
    """
    count = overlaps.shape[-1]
    position = ops.arange(count, dtype="int32")
    # Exports hold this as a constant: of bytes it is a quarter of what it would be of floats.
    earlier = ops.expand_dims(position, 1) < ops.expand_dims(position, 0)
    suppresses = ops.cast(ops.logical_and(overlaps, earlier), "float32")

    def changed(keep, before):
        return ops.any(ops.not_equal(keep, before))

    def settle(keep, before):
        hits = ops.matmul(ops.expand_dims(keep, 1), suppresses)
        return ops.cast(ops.squeeze(hits, 1) < 0.5, keep.dtype), keep

    everything = ops.ones_like(suppresses[:, 0])
    keep, _ = ops.while_loop(changed, settle, (everything, ops.zeros_like(everything)))
    return keep > 0.5


def greedy_nms(
    boxes,
    scores,
    labels=None,
    iou_threshold: float = 0.45,
    score_threshold: float = 0.0,
    max_detections: int = 100,
    candidates: int | None = None,
    distance_power: float | None = None,
):
    """Greedy non-maximum suppression, per class or across classes.

    A box goes if its IoU with a kept box of a higher score (the lower index on ties) is strictly above the
    threshold. Per class, where `labels` are given, boxes of different classes do not touch each other.

    Args:
        boxes: (B, N, 4) xyxy.
        scores: (B, N) score of each box.
        labels: (B, N) int for per-class suppression, or None (default) for class-agnostic.
        iou_threshold: overlap above which the weaker box goes, 0 to 1, 0.45 by default.
        score_threshold: score that boxes must be above, 0 by default.
        max_detections: number of detections an image, M, 100 by default.
        candidates: number of boxes, the best, that take part, K; all where None.
        distance_power: exponent of the centres' distance, which is then taken off the IoU, as
            `kzoo.ops.boxes.pairwise_diou` has it: boxes side by side stay more easily. None (default) for the IoU.

    Returns:
        indices (B, M) int32 into N, best score first, and valid (B, M) bool; where not valid the index is
        meaningless.
    """
    total = boxes.shape[1]
    count = min(candidates or total, total)
    top_scores, order = stable_top_k(scores, count)  # (B, K) each
    top_boxes = take_rows(boxes, order)  # (B, K, 4)
    top_labels = None if labels is None else take_rows(labels, order)
    # A box under the score threshold cannot suppress one above it, so it need not be told apart before.
    kept = _kept(top_boxes, top_labels, iou_threshold, distance_power)
    keep = ops.logical_and(kept, top_scores > score_threshold)
    # Kept boxes by their place, the first highest: one more selection brings them to the front.
    rank = ops.where(keep, ops.arange(count, 0, -1, dtype="float32"), 0.0)
    best, position = stable_top_k(rank, min(max_detections, count))
    indices, valid = take_rows(order, position), best > 0.5
    missing = max_detections - count
    if missing > 0:
        indices = ops.pad(indices, [[0, 0], [0, missing]])
        valid = ops.pad(valid, [[0, 0], [0, missing]])
    return indices, valid


def _kept(boxes, labels, iou_threshold: float, distance_power: float | None):
    """Which of the boxes, best first, stay: (B, K, 4), (B, K) or None -> (B, K) bool.

    Many boxes go through block by block: one that a box of an earlier block suppresses takes no further part. That is
    half the pairs, and never all of them in memory at once.
    """
    total = boxes.shape[1]
    block = total if total <= _ONE_BLOCK else _BLOCK
    keep = None
    for start in range(0, total, block):
        now = slice(start, min(start + block, total))
        own = _suppresses(boxes, labels, now, now, iou_threshold, distance_power)  # (B, n, n)
        if keep is None:
            keep = greedy_keep(own)  # (B, n)
            continue
        before = slice(0, start)
        hits = _suppresses(boxes, labels, before, now, iou_threshold, distance_power)  # (B, start, n)
        free = ops.logical_not(ops.any(ops.logical_and(hits, ops.expand_dims(keep, -1)), axis=1))  # (B, n)
        left = greedy_keep(ops.logical_and(own, ops.expand_dims(free, -1)))
        keep = ops.concatenate([keep, ops.logical_and(left, free)], axis=1)
    return keep


def _suppresses(boxes, labels, one: slice, other: slice, iou_threshold: float, distance_power: float | None):
    """Whether boxes `one` overlap boxes `other` of their class too much: (B, n, m) bool."""
    a, b = boxes[:, one], boxes[:, other]
    overlaps = pairwise_iou(a, b) if distance_power is None else pairwise_diou(a, b, distance_power)
    overlaps = overlaps > iou_threshold
    if labels is None:
        return overlaps
    same = ops.equal(ops.expand_dims(labels[:, one], 2), ops.expand_dims(labels[:, other], 1))
    return ops.logical_and(overlaps, same)
