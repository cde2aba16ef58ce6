"""Average precision of a detector: images go in one by one, COCO's and Pascal VOC's figures come out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from kzoo.metrics.coco import coco_figures, order_by_id
from kzoo.metrics.confusion import confusion_matrix
from kzoo.metrics.curves import Curve
from kzoo.metrics.figures import known_mean, without_nan
from kzoo.metrics.masks import MaskMetrics, mask_fields, mask_metrics
from kzoo.metrics.matching import EvaluatedImage, corners, match, sides
from kzoo.metrics.roads import RoadMetrics
from kzoo.metrics.voc import average_precision_11point, average_precision_all

IOU_THRESHOLD = 0.5  # of the curves, of the best F1 and of the confusion matrix
CONFUSION_SCORE = 0.25  # from which score on detections count in the confusion matrix
CURVE_POINTS = 101  # recalls at which curves are written


@dataclass(frozen=True)
class ClassMetrics:
    """One class's figures; NaN where the class has no objects.

    Attributes:
        name: the class.
        objects: how many there are to be found, difficult ones and crowds left out.
        ap: COCO's average precision over IoU .50:.95.
        ap50: COCO's at IoU .50.
        voc_ap_11point: Pascal VOC 2007's at IoU .5.
        voc_ap_all: Pascal VOC 2010's at IoU .5.
        precision: precision at IoU .5 and at the score threshold of the best F1, 0 to 1.
        recall: recall at IoU .5 and at that threshold, 0 to 1.
        f1: harmonic mean of this precision and recall, the best over all thresholds, 0 to 1.
        score: the score threshold of the best F1.
    """

    name: str
    objects: int
    ap: float
    ap50: float
    voc_ap_11point: float
    voc_ap_all: float
    precision: float
    recall: float
    f1: float
    score: float


@dataclass(frozen=True)
class DetectionMetrics:
    """What a detector is worth on a dataset; NaN where there is nothing to measure.

    Attributes:
        names: the classes.
        images: how many were evaluated.
        objects: how many there are to be found, difficult ones and crowds left out.
        detections: how many were made.
        discarded: detections left out since their box or score was not a finite number.
        coco: the twelve figures: map, map50, map75, map_small, map_medium, map_large (up to 32x32, 96x96 pixels
            and above), ar_1, ar_10, ar_100 (that many detections an image), ar_small, ar_medium, ar_large.
        voc_ap_11point: Pascal VOC 2007's mean average precision at IoU .5.
        voc_ap_all: Pascal VOC 2010's.
        per_class: one row a class.
        curves: precision and recall as the score threshold falls, one curve a class, at IoU .5.
        confusion: (C + 1, C + 1) int64 objects, true class by row, predicted by column, background last; of the
            detections from score .25 on.
        masks: what the masks are worth; None where boxes alone were compared.
        roads: what the drivable area and the lanes' lines are worth; None where there are none.
    """

    names: tuple[str, ...]
    images: int
    objects: int
    detections: int
    discarded: int
    coco: dict[str, float]
    voc_ap_11point: float
    voc_ap_all: float
    per_class: tuple[ClassMetrics, ...]
    curves: tuple[Curve, ...] = field(repr=False)
    confusion: np.ndarray = field(repr=False)
    masks: MaskMetrics | None = field(default=None, kw_only=True)
    roads: RoadMetrics | None = field(default=None, kw_only=True)

    @property
    def map(self) -> float:
        """COCO's mean average precision over IoU .50:.95."""
        return self.coco["map"]

    @property
    def map50(self) -> float:
        """COCO's mean average precision at IoU .50."""
        return self.coco["map50"]

    @property
    def mask_map(self) -> float:
        """COCO's mean average precision over IoU .50:.95 of the masks; NaN without masks."""
        return math.nan if self.masks is None else self.masks.map

    @property
    def mask_map50(self) -> float:
        """COCO's mean average precision at IoU .50 of the masks; NaN without masks."""
        return math.nan if self.masks is None else self.masks.map50

    @property
    def drivable_iou(self) -> float:
        """IoU of the drivable area; NaN without roads."""
        return math.nan if self.roads is None else self.roads.drivable.iou

    @property
    def lane_iou(self) -> float:
        """IoU of the lanes' lines; NaN without roads."""
        return math.nan if self.roads is None else self.roads.lanes.iou

    def __str__(self) -> str:
        roads = (
            ""
            if self.roads is None
            else f", IoU of drivable {self.drivable_iou:.3f}, of lanes {self.lane_iou:.3f}"
        )
        masks = "" if self.masks is None else f", of masks {self.mask_map:.3f} and {self.mask_map50:.3f}"
        return (
            f"mAP {self.map:.3f}, mAP50 {self.map50:.3f}, VOC AP {self.voc_ap_all:.3f}{masks}{roads} "
            f"on {self.images} images with {self.objects} objects"
        )

    def to_dict(self, curves: bool = False) -> dict:
        """Plain data for JSON, None in the place of NaN.

        Args:
            curves: also the precision of each class at 101 recalls, and their mean.
        """
        table = {
            "images": self.images,
            "objects": self.objects,
            "detections": self.detections,
            "discarded": self.discarded,
            "coco": self.coco,
            "voc": {"ap_11point": self.voc_ap_11point, "ap_all": self.voc_ap_all},
            "classes": [asdict(row) for row in self.per_class],
            "confusion": {
                "labels": [*self.names, "background"],
                "true_by_predicted": self.confusion.tolist(),
            },
        }
        if self.masks is not None:
            table["masks"] = self.masks.to_dict()
        if self.roads is not None:
            table["roads"] = self.roads.to_dict()
        if curves:
            table["curves"] = {
                "recall": np.linspace(0, 1, CURVE_POINTS).tolist(),
                "precision": {curve.name: curve.sampled(CURVE_POINTS).tolist() for curve in self.curves},
            }
        return without_nan(table)


class DetectionEvaluator:
    """Gathers truth and detections image by image.

    Args:
        names: the classes, in the order of the labels.

    Example:
        >>> evaluator = DetectionEvaluator(["cat"])
        >>> truth = Sample(image, boxes=[[10, 20, 50, 60]], labels=[0])
        >>> evaluator.update(truth, Detections(boxes=[[10, 20, 50, 60]], scores=[.9], labels=[0]))
        >>> evaluator.result().map
        1.0
    """

    def __init__(self, names: Sequence[str]):
        self.names = tuple(str(name) for name in names)
        self._images: list[EvaluatedImage] = []
        self._ids: list[str | int] = []
        self._discarded = 0

    def update(self, truth, detections, areas: np.ndarray | None = None) -> None:
        """Adds an image.

        Args:
            truth: a `Sample`, a `Record` or whatever has their `boxes`, `labels`, `difficult`, `crowd` and `id`. Where
                it has `xywh`, as a `Record` of COCO's has, the figures are those of these numbers, to the last bit.
            detections: `Detections` of the same image, or whatever has `boxes`, `scores` and `labels`, or `xywh` in
                the place of `boxes`. Where they have `masks`, (N, H, W) bool or a list of COCO's compressed run
                lengths, these are compared with the truth's, too.
            areas: (N,) square pixels by which COCO calls the objects small, medium or large. Where None, those
                of a `Record` that has them (COCO's files give the mask's), else the boxes'.

        Raises:
            ValueError: a label has no class, a box of the truth is not finite or is inverted, or masks have none to be
                compared with, or such of another size.
        """
        boxes, xywh = _both_forms(truth)  # (G, 4)
        labels = np.asarray(truth.labels, np.int64)
        self._check_truth(boxes, labels, truth.id)
        found, found_xywh = _both_forms(detections)  # (D, 4)
        scores, found_labels = np.asarray(detections.scores, float), np.asarray(detections.labels, np.int64)
        self._check_labels(found_labels, f"detections of image {truth.id!r}")
        areas = getattr(truth, "areas", None) if areas is None else areas
        masks = mask_fields(truth, detections, areas)
        areas = xywh[:, 2] * xywh[:, 3] if areas is None else np.asarray(areas, float)
        finite = np.isfinite(found).all(1) & np.isfinite(scores)  # (D,)
        self._discarded += int(np.count_nonzero(~finite))
        # Best score first; a stable sort, so that detections of one score keep the order in which they were given.
        order = np.flatnonzero(finite)
        order = order[np.argsort(-scores[order], kind="stable")]
        if masks:
            masks["found_masks"] = [masks["found_masks"][position] for position in order]
        self._ids.append(truth.id)
        self._images.append(
            EvaluatedImage(
                boxes=boxes,
                labels=labels,
                difficult=np.asarray(truth.difficult, bool),
                crowd=np.asarray(truth.crowd, bool),
                areas=np.where(np.isfinite(areas), areas, xywh[:, 2] * xywh[:, 3]),
                found=found[order],
                scores=scores[order],
                found_labels=found_labels[order],
                xywh=xywh,
                found_xywh=found_xywh[order],
                **masks,
            )
        )

    def _check_truth(self, boxes: np.ndarray, labels: np.ndarray, image_id) -> None:
        self._check_labels(labels, f"image {image_id!r}")
        faulty = ~np.isfinite(boxes).all(1) | (boxes[:, 2:] < boxes[:, :2]).any(1)
        if faulty.any():
            number = int(faulty.argmax())
            raise ValueError(
                f"image {image_id!r}: box {number} is {boxes[number].tolist()}, not finite xyxy with "
                "left <= right and top <= bottom; see 'kzoo data check'"
            )

    def _check_labels(self, labels: np.ndarray, where: str) -> None:
        outside = (labels < 0) | (labels >= len(self.names))
        if outside.any():
            raise ValueError(
                f"{where}: label {int(labels[outside][0])} is not one of the {len(self.names)} classes "
                f"0 .. {len(self.names) - 1}"
            )

    def result(self) -> DetectionMetrics:
        """The figures of all images so far, in whatever order they came."""
        images = [self._images[position] for position in self._order()]
        coco = coco_figures(images, len(self.names))
        curves = self._curves(images)
        rows = []
        for label, curve in enumerate(curves):
            best, known = curve.best_f1(), curve.objects > 0
            rows.append(
                ClassMetrics(
                    name=curve.name,
                    objects=curve.objects,
                    ap=float(coco.ap[label]),
                    ap50=float(coco.ap50[label]),
                    voc_ap_11point=average_precision_11point(curve.recall, curve.precision)
                    if known
                    else math.nan,
                    voc_ap_all=average_precision_all(curve.recall, curve.precision) if known else math.nan,
                    precision=best.precision,
                    recall=best.recall,
                    f1=best.f1,
                    score=best.score,
                )
            )
        return DetectionMetrics(
            names=self.names,
            images=len(images),
            objects=sum(row.objects for row in rows),
            detections=sum(len(image.scores) for image in images),
            discarded=self._discarded,
            coco=coco.figures,
            voc_ap_11point=known_mean([row.voc_ap_11point for row in rows]),
            voc_ap_all=known_mean([row.voc_ap_all for row in rows]),
            per_class=tuple(rows),
            curves=curves,
            confusion=confusion_matrix(images, len(self.names), IOU_THRESHOLD, CONFUSION_SCORE),
            masks=mask_metrics(images, self.names),
        )

    def _order(self) -> list[int]:
        """The positions of the images by id, which ties between them are broken by."""
        return order_by_id(self._ids)

    def _curves(self, images: Sequence[EvaluatedImage]) -> tuple[Curve, ...]:
        """One a class, from the detections of all images."""
        labels = np.concatenate([np.zeros(0, np.int64), *(image.found_labels for image in images)])
        scores = np.concatenate([np.zeros(0), *(image.scores for image in images)])
        outcomes = np.concatenate([np.zeros(0, np.int8), *(match(image, IOU_THRESHOLD) for image in images)])
        counted = np.concatenate([np.zeros(0, np.int64), *(image.labels[image.counted] for image in images)])
        objects = np.bincount(counted, minlength=len(self.names))
        return tuple(
            Curve.of(name, int(objects[label]), scores[labels == label], outcomes[labels == label])
            for label, name in enumerate(self.names)
        )


def _both_forms(annotated) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) float64 xyxy, and x, y, width, height: the latter as they are given, where they are."""
    xywh = getattr(annotated, "xywh", None)
    if xywh is None:
        boxes = np.asarray(annotated.boxes, float).reshape(-1, 4)
        return boxes, sides(boxes)
    xywh = np.asarray(xywh, float).reshape(-1, 4)
    return corners(xywh), xywh
