"""What mean average precision would be if errors of some kinds were put right, and what each single one costs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from kzoo.metrics.errors import LEFT_OUT, MISSED, RIGHT, Verdict
from kzoo.metrics.matching import EvaluatedImage
from kzoo.metrics.voc import envelope

RECALLS = np.linspace(0, 1, 101)


def average_precision_101point(hits: np.ndarray, objects: int) -> float:
    """COCO's average precision at one IoU: the mean of the best precision at a recall of at least 0, .01, ..., 1.

    Args:
        hits: (D,) bool of each detection, best score first.
        objects: how many there are to be found. Where none are left, 1 without detections and 0 with any.

    Source: COCOeval.accumulate of pycocotools, Lin et al. 2014.
    """
    if not objects:
        return float(not len(hits))
    true = np.cumsum(hits)
    precision = envelope(true / np.arange(1, len(hits) + 1))
    # The appended 0 is what a recall beyond the last detection yields.
    return float(np.append(precision, 0.0)[np.searchsorted(true / objects, RECALLS, side="left")].mean())


@dataclass(frozen=True)
class Outcomes:
    """The detections of all images in a row, and how many objects each class has.

    Attributes:
        scores: (D,) float64 scores of the detections that count.
        labels: (D,) int64 classes of these detections.
        kinds: (D,) int8 `RIGHT`, or the position in `KINDS` of what is wrong with the detection.
        corrected: (D,) bool, whether the detection would be right if its error were put right (see `Verdict`).
        true_labels: (D,) int64 class of the object concerned, -1 where there is none.
        objects: (C,) int64 objects to be found of each class.
        missed: (C,) int64 objects of each class that are missed.
    """

    scores: np.ndarray
    labels: np.ndarray
    kinds: np.ndarray
    corrected: np.ndarray
    true_labels: np.ndarray
    objects: np.ndarray
    missed: np.ndarray

    @classmethod
    def of(cls, images: Sequence[EvaluatedImage], verdicts: Sequence[Verdict], classes: int) -> Outcomes:
        """Gathers what was judged image by image.

        Args:
            images: truth and detections of each image.
            verdicts: what became of them, one an image.
            classes: the number of classes, C.
        """
        pairs = list(zip(images, verdicts, strict=True))
        counts = [verdict.kinds != LEFT_OUT for verdict in verdicts]

        def row(columns: Sequence[np.ndarray], dtype: type) -> np.ndarray:
            kept = (column[count] for column, count in zip(columns, counts, strict=True))
            return np.concatenate([np.zeros(0, dtype), *kept])

        def by_class(labels: Sequence[np.ndarray]) -> np.ndarray:
            return np.bincount(np.concatenate([np.zeros(0, np.int64), *labels]), minlength=classes)

        # The appended -1 is the class of no object.
        true = [np.append(image.labels, -1)[verdict.objects] for image, verdict in pairs]
        return cls(
            scores=row([image.scores for image in images], float),
            labels=row([image.found_labels for image in images], np.int64),
            kinds=row([verdict.kinds for verdict in verdicts], np.int8),
            corrected=row([verdict.corrected for verdict in verdicts], bool),
            true_labels=row(true, np.int64),
            objects=by_class([image.labels[image.counted] for image in images]),
            missed=by_class([image.labels[verdict.missed] for image, verdict in pairs]),
        )

    @property
    def classes(self) -> int:
        """How many classes the mean is taken over: those with objects."""
        return int(np.count_nonzero(self.objects))

    def map50(self, fixed: Collection[int] = ()) -> float:
        """Mean average precision at IoU .5 once errors are put right; NaN without objects.

        A misplaced or mistaken detection becomes right, if it is the one to be corrected of its object; other wrong
        detections are taken away; missed objects need not be found.

        Args:
            fixed: positions in `KINDS`.

        Source: Bolya et al. 2020, section 2.3.
        """
        chosen = np.isin(self.kinds, tuple(fixed))
        corrected = chosen & self.corrected
        hits, kept = (self.kinds == RIGHT) | corrected, ~chosen | corrected
        objects = self.objects - self.missed if MISSED in fixed else self.objects
        return self._mean(hits, np.where(corrected, self.true_labels, self.labels), kept, objects)

    def without_false_positives(self) -> float:
        """Mean average precision at IoU .5 of the right detections alone."""
        right = self.kinds == RIGHT
        return self._mean(right, self.labels, right, self.objects)

    def without_false_negatives(self) -> float:
        """Mean average precision at IoU .5 if only the objects that are found were to be found."""
        right = self.kinds == RIGHT
        found = np.bincount(self.labels[right], minlength=len(self.objects))
        return self._mean(right, self.labels, np.ones(len(right), bool), found)

    def _mean(self, hits: np.ndarray, labels: np.ndarray, kept: np.ndarray, objects: np.ndarray) -> float:
        order, bounds = self._by_class(labels, kept)
        values = [
            average_precision_101point(hits[order[bounds[label] : bounds[label + 1]]], int(objects[label]))
            for label in np.flatnonzero(self.objects)
        ]
        return float(np.mean(values)) if values else np.nan

    def _by_class(self, labels: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(K,) those kept by class and falling score, and (C + 1,) where each class begins and ends there."""
        order = np.flatnonzero(kept)
        order = order[np.lexsort((-self.scores[order], labels[order]))]
        return order, np.searchsorted(labels[order], np.arange(len(self.objects) + 1))

    def costs(self) -> np.ndarray:
        """(D,) what mean average precision would gain if this one detection, being wrong, were taken away.

        Precision counts as it is here, without COCO's monotone envelope, that hides small gains.
        """
        gains = np.zeros(len(self.scores))
        order, bounds = self._by_class(self.labels, np.ones(len(self.scores), bool))
        for label in np.flatnonzero(self.objects):
            rows = order[bounds[label] : bounds[label + 1]]
            right = self.kinds[rows] == RIGHT
            rank = np.arange(1, len(rows) + 1)
            # A hit at rank r with t hits so far has a precision of t / r; with one detection less, t / (r - 1).
            gain = np.where(right, np.cumsum(right) / (rank * np.maximum(rank - 1, 1)), 0.0)
            after = np.cumsum(gain[::-1])[::-1] - gain
            gains[rows] = np.where(right, 0.0, after) / (self.objects[label] * self.classes)
        return gains

    def object_costs(self) -> np.ndarray:
        """(C,) what mean average precision loses at most by one object of a class that is not found."""
        return np.divide(
            1.0, self.objects * self.classes, out=np.zeros(len(self.objects)), where=self.objects > 0
        )
