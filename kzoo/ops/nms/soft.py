"""Soft-NMS, which takes score from boxes that overlap a better one, and the voting of Softer-NMS.

Each choice hangs on the scores that the one before left, so it is a loop; but only of as many steps as there are
detections to give out, for scores only fall and what is chosen later scores lower.
"""

from __future__ import annotations

from keras import ops

from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.nms.selection import best_first, class_overlaps, padded


def soft_nms(
    boxes,
    scores,
    labels=None,
    iou_threshold: float = 0.3,
    score_threshold: float = 0.001,
    max_detections: int = 100,
    sigma: float | None = None,
):
    """Soft-NMS: the best box is chosen, those that overlap it lose score, and so on.

    Args:
        boxes: (B, K, 4) xyxy.
        scores: (B, K) score of each box.
        labels: (B, K) int for per-class suppression, or None (default) for class-agnostic.
        iou_threshold: IoU, 0 to 1, 0.3 by default, above which the linear kernel takes that share of a box's score.
        score_threshold: score that boxes must be above when chosen, 0 or more, 0.001 by default.
        max_detections: number of detections an image, M, 100 by default.
        sigma: width of the Gaussian kernel, above 0: scores are multiplied by exp(-IoU^2 / sigma). None (default) for
            the linear kernel.

    Returns:
        indices (B, M) int32 into K, what they score (B, M), best first, and valid (B, M) bool.

    Source: Bodla et al. 2017, arXiv:1704.04503, section 3, equations 2 and 3.
    """
    order, boxes, scores, labels = best_first(boxes, scores, labels)
    overlaps = class_overlaps(boxes, labels)
    limits = (iou_threshold, score_threshold, max_detections)
    chosen, scores, valid = _choose(overlaps, scores, *limits, sigma)
    return take_rows(order, chosen), scores, valid


def softer_nms(
    boxes,
    scores,
    labels=None,
    iou_threshold: float = 0.3,
    score_threshold: float = 0.001,
    max_detections: int = 100,
    sigma: float = 0.02,
    variance=None,
    soft: bool = True,
):
    """Softer-NMS: boxes are chosen as by linear Soft-NMS, and each is moved to where its neighbours vote it.

    The paper's network predicts a variance for every coordinate. Where there is none, all count the same, and what
    is left is a vote by overlap.

    Args:
        boxes: (B, K, 4) xyxy.
        scores: (B, K) score of each box.
        labels: (B, K) int for per-class suppression, or None (default) for class-agnostic.
        iou_threshold: IoU, 0 to 1, 0.3 by default, above which boxes lose that share of their score, or all of it.
        score_threshold: score that boxes must be above when chosen, 0 or more, 0.001 by default.
        max_detections: number of detections an image, M, 100 by default.
        sigma: the paper's sigma_t, above 0, 0.02 by default: a box of the same class votes with
            exp(-(1 - IoU)^2 / sigma).
        variance: (B, K, 4) variances of the coordinates, or None (default) for 1.
        soft: whether boxes lose score (default); if not they go as by greedy suppression.

    Returns:
        indices (B, M) int32 into K, what they score (B, M), best first, valid (B, M) bool, and the boxes (B, M, 4),
        moved.

    Source: He et al. 2019, arXiv:1809.08545, section 4 (variance voting), algorithm 1.
    """
    order, boxes, scores, labels = best_first(boxes, scores, labels)
    overlaps = class_overlaps(boxes, labels)
    limits = (iou_threshold, score_threshold, max_detections)
    chosen, scores, valid = _choose(overlaps, scores, *limits, drop=not soft)
    variance = None if variance is None else take_rows(variance, order)
    moved = variance_vote(boxes, overlaps, chosen, sigma, variance)
    return take_rows(order, chosen), scores, valid, moved


def variance_vote(boxes, overlaps, chosen, sigma: float, variance=None):
    """Chosen boxes, moved to the mean of all that overlap them.

    Args:
        boxes: (B, K, 4) xyxy.
        overlaps: (B, K, K), the IoU of each with each.
        chosen: (B, M) int into K, the boxes that are moved.
        sigma: width of the votes' kernel, above 0, as `softer_nms` has it.
        variance: (B, K, 4) variances of the coordinates, or None (default) for 1.

    Returns:
        (B, M, 4). A box that overlaps nothing, not even itself, for want of area, stays.
    """
    near = take_rows(overlaps, chosen)  # (B, M, K)
    votes = ops.where(near > 0, ops.exp(-((1 - near) ** 2) / sigma), 0.0)
    votes = ops.expand_dims(votes, -1)  # (B, M, K, 1)
    if variance is not None:
        votes = votes / ops.expand_dims(variance, 1)
    total = ops.sum(votes, axis=2)  # (B, M, 1 or 4)
    # Not a matrix product: of coordinates, accelerators' short floats would leave whole pixels.
    voters = ops.where(votes > 0, ops.expand_dims(boxes, 1), 0.0)
    mean = ops.sum(votes * voters, axis=2) / ops.maximum(total, 1e-30)
    return ops.where(total > 0, mean, take_rows(boxes, chosen))


def _choose(overlaps, scores, iou_threshold, score_threshold, max_detections, sigma=None, drop=False):
    """The loop of Soft-NMS.

    Args:
        overlaps: (B, K, K) IoU of each box with each, 0 of different classes.
        scores: (B, K) scores, best first.
        iou_threshold: IoU above which the linear kernel takes score.
        score_threshold: score that boxes must be above when chosen.
        max_detections: number of detections an image, M.
        sigma: width of the Gaussian kernel, or None (default) for the linear one.
        drop: whether the linear kernel takes all of the score; False by default.

    Returns:
        Positions in the sorted boxes, what they score, and which count: each (B, M).
    """
    position = ops.arange(scores.shape[1], dtype="int32")
    slot = ops.arange(min(max_detections, scores.shape[1]), dtype="int32")
    empty = ops.zeros_like(scores[:, : slot.shape[0]])

    # `left` (B, K) is what the boxes score after so many steps, `chosen` and `won` (B, M) the positions and scores of
    # those that were chosen.

    def unfinished(step, left, chosen, won):
        return ops.logical_and(step < slot.shape[0], ops.any(left > score_threshold))

    def choose(step, left, chosen, won):
        score, best = stable_top_k(left, 1)  # `ops.argmax` becomes operators that LiteRT and ONNX lack
        overlap = take_rows(overlaps, best)[:, 0]  # (B, K)
        if sigma is not None:
            share = ops.exp(-(overlap**2) / sigma)
        else:
            share = ops.where(overlap > iou_threshold, 0.0 if drop else 1 - overlap, 1.0)
        now = ops.equal(slot, step)
        chosen = ops.where(now, best, chosen)
        won = ops.where(now, score, won)
        # What is chosen falls below any threshold, and stays there.
        return step + 1, ops.where(ops.equal(position, best), -1.0, left * share), chosen, won

    start = (ops.convert_to_tensor(0, "int32"), scores, ops.cast(empty, "int32"), empty)
    _, _, chosen, won = ops.while_loop(unfinished, choose, start)
    chosen, won = padded(chosen, max_detections), padded(won, max_detections)
    valid = won > score_threshold
    return chosen, ops.where(valid, won, 0.0), valid
