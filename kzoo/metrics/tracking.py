"""How well identities are kept: MOTA, IDF1 and HOTA of one video.

Sources: Bernardin & Stiefelhagen 2008, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics";
Ristani et al. 2016, arXiv:1609.01775 (IDF1); Luiten et al. 2020, arXiv:2009.07736 (HOTA).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from kzoo.metrics.matching import iou

THRESHOLDS = np.arange(0.05, 0.99, 0.05)  # of overlap, over which HOTA is a mean
_PREFERENCE = 1000.0  # what it is worth to keep an association of the frame before, against any overlap


@dataclass(frozen=True)
class TrackingMetrics:
    """What tracks are worth against the truth, 0 to 1; 1 is best, and MOTA may be below 0.

    Attributes:
        hota: geometric mean of detection and association, over thresholds of overlap from .05 to .95.
        detection: the part of HOTA that says how well objects are found.
        association: the part of HOTA that says how well they keep their identities.
        mota: 1 less misses, false tracks and switches, over the objects; overlap of .5.
        idf1: how many of the boxes have the identity that suits the whole video best; overlap of .5.
        switches: how often an object gets another identity.
    """

    hota: float
    detection: float
    association: float
    mota: float
    idf1: float
    switches: int

    def __str__(self) -> str:
        return (
            f"HOTA {self.hota:.3f} (detection {self.detection:.3f}, association {self.association:.3f}), "
            f"MOTA {self.mota:.3f}, IDF1 {self.idf1:.3f}, {self.switches} switches"
        )


class TrackingEvaluator:
    """Takes truth and tracks of a video, frame by frame.

    Example:
        >>> evaluator = TrackingEvaluator()
        >>> for (boxes, ids), found in zip(truth, kzoo.track(model, "street.mp4")):
        ...     evaluator.update(boxes, ids, found.boxes[found.ids > 0], found.ids[found.ids > 0])
        >>> print(evaluator.result())
    """

    def __init__(self):
        self._frames: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._numbers: tuple[dict, dict] = ({}, {})  # of the truth and of the tracks: their ids from 0

    def update(self, boxes, ids: Sequence[int], found, found_ids: Sequence[int]) -> None:
        """Adds a frame.

        Args:
            boxes: (G, 4) xyxy in pixels, the truth.
            ids: (G,) numbers of the objects, each once.
            found: (D, 4) xyxy in pixels, the tracks.
            found_ids: (D,) their numbers, each once.

        Raises:
            ValueError: a number is there twice, or boxes and numbers differ in count.
        """
        sides = []
        for own, numbers, known in zip((boxes, found), (ids, found_ids), self._numbers, strict=True):
            own = np.asarray(own, np.float64).reshape(-1, 4)
            numbers = [int(one) for one in numbers]
            if len(numbers) != len(own) or len(set(numbers)) != len(numbers):
                raise ValueError(
                    f"frame {len(self._frames)}: {len(own)} boxes with the numbers {numbers}; give each box one of "
                    "its own"
                )
            rows = np.array([known.setdefault(one, len(known)) for one in numbers], np.int64)
            sides.append((own, rows))
        (own, rows), (others, columns) = sides
        self._frames.append((rows, columns, iou(own, others)))

    def result(self) -> TrackingMetrics:
        """The figures of all frames so far.

        Raises:
            ValueError: there was no object.
        """
        if not self._numbers[0]:
            raise ValueError("no frame has an object; give the truth of a video that has some")
        hota, detection, association = _hota(self._frames, *map(len, self._numbers))
        mota, switches = _clear(self._frames)
        idf1 = _idf1(self._frames, *map(len, self._numbers))
        return TrackingMetrics(hota, detection, association, mota, idf1, switches)


def _totals(frames, objects: int, tracks: int) -> tuple[np.ndarray, np.ndarray]:
    """In how many frames each object (objects,) and each track (tracks,) is."""
    own = np.concatenate([rows for rows, _, _ in frames])
    other = np.concatenate([columns for _, columns, _ in frames])
    return np.bincount(own, minlength=objects), np.bincount(other, minlength=tracks)


def _hota(frames, objects: int, tracks: int) -> tuple[float, float, float]:
    """HOTA, its part of detection and its part of association, each the mean over all thresholds."""
    own, other = _totals(frames, objects, tracks)
    together = np.zeros((objects, tracks))  # how much of its overlaps in all frames each pair has
    for rows, columns, overlaps in frames:
        rivals = overlaps.sum(0, keepdims=True) + overlaps.sum(1, keepdims=True) - overlaps
        share = np.divide(overlaps, rivals, out=np.zeros_like(overlaps), where=rivals > 1e-12)
        together[np.ix_(rows, columns)] += share
    alignment = together / np.maximum(own[:, None] + other[None] - together, 1e-12)  # (objects, tracks)
    hits = np.zeros((len(THRESHOLDS), objects, tracks))
    for rows, columns, overlaps in frames:
        scores = alignment[np.ix_(rows, columns)] * overlaps
        a, b = linear_sum_assignment(scores, maximize=True)
        good = overlaps[a, b][None] >= THRESHOLDS[:, None] - np.finfo(float).eps  # (thresholds, pairs)
        hits[:, rows[a], columns[b]] += good
    found = hits.sum((1, 2))  # (thresholds,)
    detection = found / np.maximum(own.sum() + other.sum() - found, 1)
    overlap = hits / np.maximum(own[:, None] + other[None] - hits, 1)
    association = (hits * overlap).sum((1, 2)) / np.maximum(found, 1)
    return float(np.sqrt(detection * association).mean()), float(detection.mean()), float(association.mean())


def _clear(frames, threshold: float = 0.5) -> tuple[float, int]:
    """MOTA and the number of switches: a pair of the frame before stays together as long as it overlaps enough."""
    hits = switches = false = total = 0
    last: dict[int, int] = {}  # the track that each object had last
    before: dict[int, int] = {}  # and that it had in the frame before
    for rows, columns, overlaps in frames:
        kept = np.array([[before.get(row) == column for column in columns] for row in rows.tolist()], bool)
        scores = overlaps + _PREFERENCE * kept.reshape(overlaps.shape)
        scores[overlaps < threshold - np.finfo(float).eps] = 0
        a, b = linear_sum_assignment(scores, maximize=True)
        good = scores[a, b] > np.finfo(float).eps
        before = dict(zip(rows[a[good]].tolist(), columns[b[good]].tolist(), strict=True))
        switches += sum(last.get(row, column) != column for row, column in before.items())
        last |= before
        hits, total, false = hits + len(before), total + len(rows), false + len(columns) - len(before)
    return (hits - false - switches) / total, switches


def _idf1(frames, objects: int, tracks: int, threshold: float = 0.5) -> float:
    """The F1 of boxes with the right identity, where each object is one track at most, those that suit best."""
    own, other = _totals(frames, objects, tracks)
    hits = np.zeros((objects, tracks))
    for rows, columns, overlaps in frames:
        hits[np.ix_(rows, columns)] += overlaps >= threshold
    right = hits[linear_sum_assignment(hits, maximize=True)].sum()
    return float(2 * right / (own.sum() + other.sum()))
