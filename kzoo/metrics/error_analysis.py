"""What a detector gets wrong on a dataset: how often each kind of error, what it costs, and on which images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from kzoo.metrics.detection import CONFUSION_SCORE, DetectionEvaluator, DetectionMetrics
from kzoo.metrics.errors import KINDS, LEFT_OUT, MISSED, Verdict, judge, reported
from kzoo.metrics.figures import without_nan
from kzoo.metrics.matching import EvaluatedImage
from kzoo.metrics.oracles import Outcomes

NAMES = tuple(KINDS)


@dataclass(frozen=True)
class Mistake:
    """One wrong detection or missed object.

    Attributes:
        kind: one of `KINDS`.
        label: class of the detection; of a missed object, the object's.
        box: xyxy pixels of the detection; of a missed object, the object's.
        score: score of the detection; None for a missed object.
        object: position of the object concerned in the image's truth; None where there is none.
        true_label: class of that object, or None.
        cost: about what mAP50 would gain if this alone were put right.
    """

    kind: str
    label: int
    box: tuple[float, float, float, float]
    score: float | None
    object: int | None
    true_label: int | None
    cost: float


@dataclass(frozen=True)
class ImageErrors:
    """What is wrong on one image from a score on.

    Attributes:
        id: what names the image in its dataset.
        index: position of the image in its dataset, from 0.
        mistakes: the wrong detections and missed objects, the most costly first.
        image: the image's truth and the detections from that score on.
        verdict: what became of these detections and objects.
    """

    id: str | int
    index: int
    mistakes: tuple[Mistake, ...]
    image: EvaluatedImage = field(repr=False)
    verdict: Verdict = field(repr=False)

    @property
    def cost(self) -> float:
        """The sum of what the mistakes cost."""
        return sum(mistake.cost for mistake in self.mistakes)

    def counts(self) -> dict[str, int]:
        """How many mistakes of each kind there are, of those that there are."""
        counted = Counter(mistake.kind for mistake in self.mistakes)
        return {kind: counted[kind] for kind in KINDS if counted[kind]}


@dataclass(frozen=True)
class ErrorKind:
    """One kind of error on a dataset.

    Attributes:
        kind: one of `KINDS`.
        count: wrong detections or missed objects, with all detections.
        count_at_score: wrong detections or missed objects, with the detections from a score on only.
        cost: what mAP50 would gain if all errors of this kind, and no others, were put right; TIDE's dAP.
    """

    kind: str
    count: int
    count_at_score: int
    cost: float


@dataclass(frozen=True)
class ErrorAnalysis:
    """What a detector gets wrong; costs are NaN where no object is to be found.

    They do not add up to what is missing from 1: an error may hide another. As mAP50 does, all this looks at the best
    100 detections of a class on an image.

    Attributes:
        names: the classes.
        map50: COCO's mean average precision at IoU .5.
        kinds: a row a kind, in the order of `KINDS`.
        false_positives: what mAP50 would gain without any wrong detection.
        false_negatives: what it would gain if no object were left unfound.
        score: score from which on `count_at_score` and `images` take detections.
        images: the images with mistakes, the most costly first.
    """

    names: tuple[str, ...]
    map50: float
    kinds: tuple[ErrorKind, ...]
    false_positives: float
    false_negatives: float
    score: float
    images: tuple[ImageErrors, ...] = field(repr=False)

    def to_dict(self) -> dict:
        """Plain data for JSON, None in the place of NaN."""
        rows = {
            row.kind: {"count": row.count, "count_at_score": row.count_at_score, "map50_cost": row.cost}
            for row in self.kinds
        }
        return without_nan(
            {
                "map50": self.map50,
                "score": self.score,
                "kinds": rows,
                "false_positives": {"map50_cost": self.false_positives},
                "false_negatives": {"map50_cost": self.false_negatives},
                "images": [self._image_dict(image) for image in self.images],
            }
        )

    def _image_dict(self, image: ImageErrors) -> dict:
        mistakes = [
            {
                "kind": one.kind,
                "class": self.names[one.label],
                "true_class": None if one.true_label is None else self.names[one.true_label],
                "score": one.score,
                "box": [round(side, 2) for side in one.box],
                "map50_cost": one.cost,
            }
            for one in image.mistakes
        ]
        return {"id": image.id, "map50_cost": image.cost, "mistakes": mistakes}


@dataclass(frozen=True)
class AnalysedMetrics(DetectionMetrics):
    """A detector's figures with its errors.

    Attributes:
        errors: what it gets wrong.
    """

    errors: ErrorAnalysis

    def to_dict(self, curves: bool = False) -> dict:
        """As of `DetectionMetrics`, and `errors`."""
        return {**super().to_dict(curves), "errors": self.errors.to_dict()}


class ErrorEvaluator(DetectionEvaluator):
    """A `DetectionEvaluator` that says what is wrong, too.

    Args:
        names: the class names, in the order of the labels.
        score: score from which on detections count in the judgement of single images, 0 to 1; what a kind of error
            costs is measured with all of them.

    Example:
        >>> evaluator = ErrorEvaluator(["cat"])
        >>> truth = Sample(image, boxes=[[10, 20, 50, 60]], labels=[0], id="tom")
        >>> evaluator.update(truth, Detections(boxes=[[10, 20, 50, 30]], scores=[.9], labels=[0]))
        >>> evaluator.result().errors.images[0].counts()
        {'localisation': 1}
    """

    def __init__(self, names: Sequence[str], score: float = CONFUSION_SCORE):
        super().__init__(names)
        self.score = score
        self._places: list[tuple[str | int, int]] = []

    def update(self, truth, detections, areas: np.ndarray | None = None) -> None:
        """Adds an image, as `DetectionEvaluator.update`; its `index`, where it has none, is the count so far."""
        super().update(truth, detections, areas)
        self._places.append((truth.id, getattr(truth, "index", len(self._places))))

    def result(self) -> AnalysedMetrics:
        """The figures and the errors of all images so far."""
        classes, order = len(self.names), self._order()
        images = [self._images[position] for position in order]
        every, verdicts = _judged(images, 0.0)
        outcomes = Outcomes.of(every, verdicts, classes)
        shown, at_score = _judged(images, self.score)
        places = [self._places[position] for position in order]
        images = _by_cost(places, shown, at_score, classes)
        counts_at_score = Counter(mistake.kind for image in images for mistake in image.mistakes)
        reached = outcomes.map50()
        rows = []
        for position, kind in enumerate(KINDS):
            wrong = (
                outcomes.missed.sum() if position == MISSED else np.count_nonzero(outcomes.kinds == position)
            )
            rows.append(
                ErrorKind(kind, int(wrong), counts_at_score[kind], outcomes.map50([position]) - reached)
            )
        errors = ErrorAnalysis(
            names=self.names,
            map50=reached,
            kinds=tuple(rows),
            false_positives=outcomes.without_false_positives() - reached,
            false_negatives=outcomes.without_false_negatives() - reached,
            score=self.score,
            images=images,
        )
        return AnalysedMetrics(**vars(super().result()), errors=errors)


def _judged(images: Sequence[EvaluatedImage], score: float) -> tuple[list[EvaluatedImage], list[Verdict]]:
    """Images with their detections from a score on, and what became of these."""
    shown = [reported(image, score) for image in images]
    return shown, [judge(image) for image in shown]


def _by_cost(
    places: Sequence[tuple], images: Sequence[EvaluatedImage], verdicts: Sequence[Verdict], classes: int
) -> tuple[ImageErrors, ...]:
    """The images with mistakes, the most costly first."""
    outcomes = Outcomes.of(images, verdicts, classes)
    removed, unfound = outcomes.costs(), outcomes.object_costs()  # (D of all images,), (C,)
    start, with_mistakes = 0, []
    for (name, index), image, verdict in zip(places, images, verdicts, strict=True):
        # The outcomes lie in the order of the images, without what is left out: this image's are the next.
        counted = verdict.kinds != LEFT_OUT  # (D,)
        costs = np.zeros(len(counted))
        end = start + np.count_nonzero(counted)
        costs[counted] = removed[start:end]
        start = end
        mistakes = [*_wrong(image, verdict, costs, unfound), *_missed(image, verdict, unfound)]
        if mistakes:
            mistakes.sort(key=lambda mistake: -mistake.cost)
            with_mistakes.append(ImageErrors(name, index, tuple(mistakes), image, verdict))
    return tuple(sorted(with_mistakes, key=lambda image: -image.cost))


def _wrong(
    image: EvaluatedImage, verdict: Verdict, costs: np.ndarray, unfound: np.ndarray
) -> Iterator[Mistake]:
    """An image's wrong detections; putting one right may also find an object."""
    for position in np.flatnonzero(verdict.kinds >= 0):
        target = int(verdict.objects[position])
        true_label = None if target < 0 else int(image.labels[target])
        yield Mistake(
            kind=NAMES[verdict.kinds[position]],
            label=int(image.found_labels[position]),
            box=tuple(image.found[position].tolist()),
            score=float(image.scores[position]),
            object=None if target < 0 else target,
            true_label=true_label,
            cost=float(costs[position] + (unfound[true_label] if verdict.corrected[position] else 0.0)),
        )


def _missed(image: EvaluatedImage, verdict: Verdict, unfound: np.ndarray) -> Iterator[Mistake]:
    """An image's missed objects."""
    for position in np.flatnonzero(verdict.missed):
        label, box = int(image.labels[position]), tuple(image.boxes[position].tolist())
        yield Mistake(NAMES[MISSED], label, box, None, int(position), label, float(unfound[label]))
