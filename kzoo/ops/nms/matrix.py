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
        scores: (B, K) score of each box.
        labels: (B, K) int for per-class suppression, or None (default) for class-agnostic.
        score_threshold: score that boxes must be above afterwards, 0.001 by default.
        max_detections: number of detections an image, M, 100 by default.
        sigma: width of the Gaussian kernel exp(-IoU^2 / sigma), above 0, 0.5 by default; None for the linear kernel,
            1 - IoU.

    Returns:
        indices (B, M) int32 into K, what they score (B, M), best first, and valid (B, M) bool.

    Source: Wang et al. 2020 (SOLOv2), arXiv:2003.10152, section 3.3, equations 4 and 5. Its code's sigma of 2 is
    0.5 in its equation. A box that coincides with a better one has no say: what it would take, that one takes.
    """
    order, boxes, scores, labels = best_first(boxes, scores, labels)
    count = scores.shape[1]
    position = ops.arange(count, dtype="int32")
    earlier = ops.expand_dims(position, 1) < ops.expand_dims(position, 0)
    overlaps = ops.where(
        earlier, class_overlaps(boxes, labels), 0.0
    )  # (B, K, K), of box i with the later box j
    # How much of a box's own score the better ones may have taken: (B, K, 1).
    lost = ops.expand_dims(ops.max(overlaps, axis=1), -1)
    if sigma is not None:
        # The least of quotients of exponentials is that of the greatest difference of exponents.
        share = ops.exp(-ops.maximum(ops.max(overlaps**2 - lost**2, axis=1), 0.0) / sigma)
    else:
        quotient = (1 - overlaps) / ops.where(lost < 1, 1 - lost, 1.0)
        share = ops.min(ops.where(lost < 1, quotient, 1.0), axis=1)
    scores = scores * share  # (B, K)
    best, valid = best_scores(scores, score_threshold, max_detections)
    return take_rows(order, best), ops.where(valid, take_rows(scores, best), 0.0), valid
