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
    if distance_power is None:
        overlaps = pairwise_iou(top_boxes, top_boxes)
    else:
        overlaps = pairwise_diou(top_boxes, top_boxes, distance_power)
    overlaps = overlaps > iou_threshold  # (B, K, K) bool
    if labels is not None:
        top_labels = take_rows(labels, order)
        same = ops.equal(ops.expand_dims(top_labels, 1), ops.expand_dims(top_labels, 2))
        overlaps = ops.logical_and(overlaps, same)
    # A box under the score threshold cannot suppress one above it, so it need not be told apart before.
    keep = ops.logical_and(greedy_keep(overlaps), top_scores > score_threshold)
    # Kept boxes by their place, the first highest: one more selection brings them to the front.
    rank = ops.where(keep, ops.arange(count, 0, -1, dtype="float32"), 0.0)
    best, position = stable_top_k(rank, min(max_detections, count))
    indices, valid = take_rows(order, position), best > 0.5
    missing = max_detections - count
    if missing > 0:
        indices = ops.pad(indices, [[0, 0], [0, missing]])
        valid = ops.pad(valid, [[0, 0], [0, missing]])
    return indices, valid
