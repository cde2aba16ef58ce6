"""Precision and recall of one class as the score threshold falls, and the threshold of the best F1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kzoo.metrics.matching import HIT, IGNORED
from kzoo.metrics.voc import envelope


@dataclass(frozen=True)
class BestF1:
    """The score threshold where the harmonic mean of precision and recall is highest, and what holds there.

    Attributes:
        f1: the harmonic mean, 0 to 1.
        precision: the precision at this threshold.
        recall: the recall at this threshold.
        score: the threshold: detections of this score and above are reported.
    """

    f1: float
    precision: float
    recall: float
    score: float


@dataclass(frozen=True)
class Curve:
    """What a class's detections reach, from the best score to the worst, at one IoU threshold.

    Attributes:
        name: the class.
        objects: how many there are to be found.
        scores: (D,) scores of the detections, falling.
        precision: (D,) if everything down to this detection is reported.
        recall: (D,) if everything down to this detection is reported; NaN where there is nothing to be found.
    """

    name: str
    objects: int
    scores: np.ndarray
    precision: np.ndarray
    recall: np.ndarray

    @classmethod
    def of(cls, name: str, objects: int, scores: np.ndarray, outcomes: np.ndarray) -> Curve:
        """Builds the curve from judged detections.

        Args:
            name: the class.
            objects: how many there are to be found.
            scores: (D,) of the class's detections over all images, in any order; ties keep theirs.
            outcomes: (D,) `HIT`, `MISS` or `IGNORED`; what is ignored takes no part.
        """
        order = np.argsort(-scores, kind="stable")
        order = order[outcomes[order] != IGNORED]
        hits = np.cumsum(outcomes[order] == HIT)
        precision = hits / np.arange(1, len(order) + 1)
        recall = hits / objects if objects else np.full(len(order), np.nan)
        return cls(name, int(objects), scores[order], precision, recall)

    def sampled(self, points: int = 101) -> np.ndarray:
        """(points,) best precision at a recall of at least 0 .. 1; 0 beyond what is reached, NaN without objects."""
        if not self.objects:
            return np.full(points, np.nan)
        # The appended 0 is what a recall beyond the last detection yields.
        position = np.searchsorted(self.recall, np.linspace(0, 1, points) - 1e-9, side="left")
        return np.append(envelope(self.precision), 0.0)[position]

    def best_f1(self) -> BestF1:
        """The best threshold; NaN without objects, zeros without detections."""
        if not self.objects:
            return BestF1(np.nan, np.nan, np.nan, np.nan)
        if not len(self.scores):
            return BestF1(0.0, 0.0, 0.0, np.nan)
        # A threshold admits all detections of an equal score or none: only the last of each tie can be the end.
        ends = np.flatnonzero(np.diff(self.scores, append=-np.inf))
        precision, recall = self.precision[ends], self.recall[ends]
        f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
        best = int(f1.argmax())
        return BestF1(*(float(v[best]) for v in (f1, precision, recall, self.scores[ends])))
