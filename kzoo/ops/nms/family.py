"""Every kind of suppression by its name, from boxes and scores to detections."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kzoo.ops.gather import take_rows
from kzoo.ops.nms.fusion import weighted_boxes_fusion
from kzoo.ops.nms.greedy import greedy_nms
from kzoo.ops.nms.matrix import matrix_nms
from kzoo.ops.nms.selection import collect, multiclass_candidates, with_scores
from kzoo.ops.nms.soft import soft_nms, softer_nms

# The papers' own width of each kernel.
SIGMA = {"soft-gaussian": 0.5, "softer": 0.02, "matrix": 0.5}
KINDS = ("greedy", "diou", "soft-linear", "soft-gaussian", "softer", "matrix", "matrix-linear", "weighted")
GUIDED = "guided"  # by predicted overlaps, `kzoo.ops.nms.guided_nms`: of heads that predict them


def check_kind(kind: str, kinds: Sequence[str] = KINDS) -> str:
    """The kind, if there is such a one.

    Args:
        kind: kind of suppression.
        kinds: the kinds that there are; those of every detector by default.

    Raises:
        ValueError: there is not.
    """
    if kind not in kinds:
        raise ValueError(f"nms_kind={kind!r} is unknown; use {', '.join(kinds[:-1])} or {kinds[-1]}")
    return kind


def check_suppression(
    kind: str,
    iou_threshold: float,
    score_threshold: float,
    max_detections: int,
    candidates: int,
    beta: float,
    sigma: float | None,
    kinds: Sequence[str] = KINDS,
) -> None:
    """Refuses what no suppression takes.

    Args:
        kind: kind of suppression.
        iou_threshold: overlap, 0 to 1.
        score_threshold: score that is a detection, a finite number of 0 or more.
        max_detections: number of detections an image, 1 or more.
        candidates: number of (box, class) pairs that take part, 1 or more.
        beta: power of the centres' distance, a finite number of 0 or more.
        sigma: width of a kernel, a finite number above 0, or None for the paper's.
        kinds: the kinds of suppression that there are; those of every detector by default.

    Raises:
        ValueError: a value is out of its range, or there is no such kind; by the names that heads have for them.
    """
    check_kind(kind, kinds)
    for name, value, high in (
        ("nms_threshold", iou_threshold, 1.0),
        ("score_threshold", score_threshold, math.inf),
        ("nms_beta", beta, math.inf),
    ):
        if not 0 <= value <= high or math.isinf(value):
            limit = f"from 0 to {high:g}" if high == 1 else "a finite number of at least 0"
            raise ValueError(f"{name}={value!r}: give {limit}")
    for name, count in (("max_detections", max_detections), ("candidates", candidates)):
        if count < 1 or count != int(count):
            raise ValueError(f"{name}={count!r}: give a whole number of at least 1")
    if sigma is not None and not 0 < sigma < math.inf:
        raise ValueError(f"nms_sigma={sigma!r}: give a finite number above 0, or None for the paper's")


def pair_nms(
    boxes,
    scores,
    labels,
    iou_threshold: float,
    score_threshold: float,
    max_detections: int,
    class_agnostic: bool = False,
    kind: str = "greedy",
    beta: float = 0.6,
    sigma: float | None = None,
    variance=None,
) -> dict:
    """Detections from pairs of a box and a class, by any kind of suppression.

    Args:
        boxes: (B, K, 4) xyxy.
        scores: (B, K) score of each pair.
        labels: (B, K) int32, class of each pair.
        iou_threshold: overlap, 0 to 1, from which boxes of a class suppress, weaken or join each other; of no effect
            with "soft-gaussian", "matrix" and "matrix-linear".
        score_threshold: score that detections must be above, 0 or more.
        max_detections: number of detections an image, M.
        class_agnostic: whether boxes of different classes suppress each other; False by default.
        kind: kind of suppression, one of `KINDS`, "greedy" by default.
        beta: power of the centres' distance that "diou" takes off the IoU, 0 or more, 0.6 by default.
        sigma: width of the kernel of "soft-gaussian", "softer" and "matrix", above 0; the paper's where None.
        variance: (B, K, 4) variances of the coordinates, by which "softer" weighs its votes; None (default) for 1.

    Returns:
        `boxes` (B, M, 4), `scores` (B, M) best first and `labels` (B, M) int32, with 0, 0 and -1 where there is no
        detection.
    """
    of_class = None if class_agnostic else labels
    limits = (iou_threshold, score_threshold, max_detections)
    width = SIGMA.get(kind) if sigma is None else sigma
    if kind in ("greedy", "diou"):
        power = beta if kind == "diou" else None
        chosen = greedy_nms(boxes, scores, of_class, *limits, distance_power=power)
        return collect(*chosen, boxes, scores, labels)
    if kind in ("soft-linear", "soft-gaussian"):
        chosen = soft_nms(boxes, scores, of_class, *limits, None if kind == "soft-linear" else width)
    elif kind == "softer":
        chosen = softer_nms(boxes, scores, of_class, *limits, width, variance=variance)
    elif kind == "weighted":
        chosen = weighted_boxes_fusion(boxes, scores, of_class, *limits)
    else:
        chosen = matrix_nms(boxes, scores, of_class, *limits[1:], None if kind == "matrix-linear" else width)
    return with_scores(chosen, boxes, labels)


def multiclass_nms(
    boxes,
    scores,
    candidates: int,
    iou_threshold: float,
    score_threshold: float,
    max_detections: int,
    class_agnostic: bool = False,
    kind: str = "greedy",
    beta: float = 0.6,
    sigma: float | None = None,
) -> dict:
    """Detections from boxes with a score for every class.

    Args:
        boxes: (B, N, 4) xyxy.
        scores: (B, N, C) score of every class.
        candidates: number of (box, class) pairs, the best ones, that take part; all where there are fewer.
        iou_threshold: overlap, 0 to 1, from which boxes suppress, weaken or join each other, as `pair_nms` has it.
        score_threshold: score that detections must be above, 0 or more.
        max_detections: number of detections an image, M.
        class_agnostic: whether boxes of different classes suppress each other; False by default.
        kind: kind of suppression, one of `KINDS`, "greedy" by default.
        beta: power of the centres' distance that "diou" takes off the IoU, 0 or more, 0.6 by default.
        sigma: width of the kernel of "soft-gaussian", "softer" and "matrix", above 0; the paper's where None.

    Returns:
        `boxes` (B, M, 4), `scores` (B, M) best first and `labels` (B, M) int32, with 0, 0 and -1 where there is no
        detection.
    """
    limits = (iou_threshold, score_threshold, max_detections, class_agnostic)
    return pair_nms(*multiclass_pairs(boxes, scores, candidates), *limits, kind, beta, sigma)


def multiclass_pairs(boxes, scores, candidates: int):
    """The pairs of a box and a class that take part in a suppression.

    Args:
        boxes: (B, N, 4) xyxy.
        scores: (B, N, C) score of every class.
        candidates: number of pairs, the best ones, K; all where there are fewer.

    Returns:
        boxes (B, K, 4), scores (B, K) best first, and labels (B, K) int32.
    """
    count = min(candidates, scores.shape[1] * scores.shape[2])
    scores, index, labels = multiclass_candidates(scores, count)  # (B, K) each
    return take_rows(boxes, index), scores, labels
