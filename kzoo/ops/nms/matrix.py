"""Matrix NMS: all scores at once, without a loop."""

from __future__ import annotations

from keras import ops

from kzoo.ops.gather import take_rows
from kzoo.ops.nms.selection import best_first, best_scores, class_overlaps


def matrix_nms(
    boxes,
    scores,
    labels=None,
    score_threshold: float = 0.001,
    max_detections: int = 100,
    sigma: float | None = 0.5,
):
    """Matrix NMS: a box loses score by the better ones it overlaps, and those count the less the more they lose.

    Args:
        boxes: (B, K, 4) xyxy.
        scores: (B, K).
        labels: (B, K) int for per-class suppression, or None for class-agnostic.
        score_threshold: boxes must score above it, afterwards.
        max_detections: M, the fixed size of the output.
        sigma: of the Gaussian kernel exp(-IoU^2 / sigma); None for the linear kernel, 1 - IoU.

    Returns:
        indices (B, M) int32 into K, what they score (B, M), best first, and valid (B, M) bool.

    Source: Wang et al. 2020 (SOLOv2), arXiv:2003.10152, section 3.3, equations 4 and 5. Its code's sigma of 2 is
    0.5 in its equation. A box that coincides with a better one has no say: what it would take, that one takes.
    """
    order, boxes, scores, labels = best_first(boxes, scores, labels)
    count = scores.shape[1]
    position = ops.arange(count, dtype="int32")
    earlier = ops.expand_dims(position, 1) < ops.expand_dims(position, 0)
    overlaps = ops.where(earlier, class_overlaps(boxes, labels), 0.0)
    # How much of a box's own score the better ones may have taken.
    lost = ops.expand_dims(ops.max(overlaps, axis=1), -1)
    if sigma is not None:
        # The least of quotients of exponentials is that of the greatest difference of exponents.
        share = ops.exp(-ops.maximum(ops.max(overlaps**2 - lost**2, axis=1), 0.0) / sigma)
    else:
        quotient = (1 - overlaps) / ops.where(lost < 1, 1 - lost, 1.0)
        share = ops.min(ops.where(lost < 1, quotient, 1.0), axis=1)
    scores = scores * share
    best, valid = best_scores(scores, score_threshold, max_detections)
    return take_rows(order, best), ops.where(valid, take_rows(scores, best), 0.0), valid
