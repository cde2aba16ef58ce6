"""How good masks are: images go in one by one at their own resolution, IoU, Dice and boundary F1 come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from kzoo.metrics.boundary import TOLERANCE, boundary_f1
from kzoo.metrics.figures import known_mean, without_nan
from kzoo.structures import IGNORED


@dataclass(frozen=True)
class SegmentationClassMetrics:
    """One class's figures over all images' pixels; NaN where the class is absent.

    Attributes:
        name: the class.
        pixels: how many are of it in truth, ignored ones left out.
        share: share of the class's true pixels in all counted pixels, 0 to 1.
        iou: intersection over union; NaN where the class is neither in truth nor in the predictions.
        dice: Dice coefficient, which is the F1 of the pixels; NaN where the class is in neither.
        recall: the share of its pixels that are found, its accuracy; NaN where truth has none.
        precision: the share of what is found that is right; NaN where nothing is predicted as it.
        boundary_f1: the mean over the images where truth or prediction has a boundary of it.
    """

    name: str
    pixels: int
    share: float
    iou: float
    dice: float
    recall: float
    precision: float
    boundary_f1: float


@dataclass(frozen=True)
class SegmentationMetrics:
    """What a segmenter is worth on a dataset; NaN where there is nothing to measure.

    Attributes:
        names: the classes.
        images: how many were evaluated.
        pixels: how many were, ignored ones left out.
        mean_iou: the mean IoU over the classes that are in truth or in the predictions.
        dice: the mean Dice coefficient over the classes that are in truth or in the predictions.
        pixel_accuracy: the share of the pixels that are right.
        mean_accuracy: the mean of the recalls of the classes that are in truth.
        frequency_weighted_iou: the mean of the IoU, weighted by the classes' shares of the pixels.
        boundary_f1: the mean over the classes that have boundaries.
        image_dice: the mean over images of the image's own Dice, that of its classes but the first: with two
            classes, the foreground's. Classes that are neither in truth nor predicted are left out, and an image
            without any counts 1; one that is ignored as a whole does not count.
        image_iou: the mean over images of the image's own IoU, of the same classes and images as `image_dice`.
        per_class: one row a class.
        confusion: (C, C) int64 pixels, true class by row, predicted by column.
    """

    names: tuple[str, ...]
    images: int
    pixels: int
    mean_iou: float
    dice: float
    pixel_accuracy: float
    mean_accuracy: float
    frequency_weighted_iou: float
    boundary_f1: float
    image_dice: float
    image_iou: float
    per_class: tuple[SegmentationClassMetrics, ...]
    confusion: np.ndarray = field(repr=False)

    def __str__(self) -> str:
        return (
            f"mean IoU {self.mean_iou:.3f}, Dice {self.dice:.3f} (by image {self.image_dice:.3f}), "
            f"pixel accuracy {self.pixel_accuracy:.3f}, boundary F1 {self.boundary_f1:.3f} on {self.images} images"
        )

    def to_dict(self) -> dict:
        """Plain data for JSON, None in the place of NaN."""
        table = asdict(self)
        del table["names"], table["per_class"], table["confusion"]
        table["classes"] = [asdict(row) for row in self.per_class]
        table["confusion"] = {"labels": list(self.names), "true_by_predicted": self.confusion.tolist()}
        return without_nan(table)


class SegmentationEvaluator:
    """Gathers masks image by image.

    Args:
        names: the classes, in the order of the masks' values.
        ignored: the value in true masks of pixels that do not count.
        boundary_tolerance: how far off a boundary may be, as a share of the image's diagonal (at least 1 pixel).

    Example:
        >>> evaluator = SegmentationEvaluator(["ground", "nucleus"])
        >>> evaluator.update([[0, 1], [0, 255]], [[0, 1], [0, 0]])
        >>> evaluator.result().mean_iou
        1.0
    """

    def __init__(self, names: Sequence[str], ignored: int = IGNORED, boundary_tolerance: float = TOLERANCE):
        self.names = tuple(str(name) for name in names)
        self.ignored = ignored
        self.boundary_tolerance = boundary_tolerance
        count = len(self.names)
        self._images = 0
        self._confusion = np.zeros((count, count), np.int64)
        self._boundaries: list[np.ndarray] = []
        self._image_dice: list[float] = []
        self._image_iou: list[float] = []

    def update(self, truth, predicted, image_id=None) -> None:
        """Adds an image.

        Args:
            truth: (H, W) integers, one class or `ignored` a pixel, at the image's own resolution.
            predicted: (H, W) integers, one class a pixel; what is predicted where truth is ignored has no part.
            image_id: what errors call the image; its number where None.

        Raises:
            ValueError: the masks differ in size, are not (H, W) integers, or a value is no class.
        """
        where = f"image {self._images if image_id is None else image_id!r}"
        truth, predicted = (
            _integers(truth, f"{where}: true mask"),
            _integers(predicted, f"{where}: predicted mask"),
        )
        if truth.shape != predicted.shape:
            raise ValueError(
                f"{where}: predicted mask is {predicted.shape}, true mask {truth.shape} (height, width); "
                "predict at the image's own size"
            )
        counted = truth != self.ignored
        true_classes, predicted_classes = truth[counted], predicted[counted]  # (P,) the pixels that count
        self._check_values(true_classes, f"{where}: true mask", f", nor {self.ignored} for ignored")
        self._check_values(predicted_classes, f"{where}: predicted mask", "")
        confusion = _confusion(true_classes, predicted_classes, len(self.names))  # (C, C)
        self._confusion += confusion
        self._images += 1
        # -1 is no class: what is ignored has no boundary of its own.
        shown = (np.where(counted, mask, np.int32(-1)) for mask in (truth, predicted))
        self._boundaries.append(boundary_f1(*shown, len(self.names), self.boundary_tolerance))
        if len(true_classes):
            self._image_dice.append(_foreground(dice_of(confusion)))
            self._image_iou.append(_foreground(iou_of(confusion)))

    def _check_values(self, values: np.ndarray, where: str, other: str) -> None:
        count = len(self.names)
        if len(values) and not 0 <= values.min() <= values.max() < count:
            wrong = values[(values < 0) | (values >= count)][0]
            raise ValueError(
                f"{where} has the value {wrong}, none of the {count} classes 0 .. {count - 1}{other}"
            )

    def result(self) -> SegmentationMetrics:
        """The figures of all images so far."""
        confusion = self._confusion.copy()
        total, truth, right = int(confusion.sum()), confusion.sum(1), confusion.diagonal()
        iou, share = iou_of(confusion), _ratio(truth, np.full_like(truth, total))
        columns = {
            "pixels": truth,
            "share": share,
            "iou": iou,
            "dice": dice_of(confusion),
            "recall": _ratio(right, truth),
            "precision": _ratio(right, confusion.sum(0)),
            "boundary_f1": [known_mean(scores) for scores in zip(*self._boundaries, strict=True)]
            or [np.nan] * len(self.names),
        }
        rows = tuple(
            SegmentationClassMetrics(name, *(np.asarray(column)[label].item() for column in columns.values()))
            for label, name in enumerate(self.names)
        )
        return SegmentationMetrics(
            names=self.names,
            images=self._images,
            pixels=total,
            mean_iou=known_mean(iou),
            dice=known_mean(columns["dice"]),
            pixel_accuracy=float(_ratio(right.sum(), np.int64(total))),
            mean_accuracy=known_mean(columns["recall"]),
            frequency_weighted_iou=float(np.nansum(share * iou)) if total else np.nan,
            boundary_f1=known_mean(columns["boundary_f1"]),
            image_dice=known_mean(self._image_dice),
            image_iou=known_mean(self._image_iou),
            per_class=rows,
            confusion=confusion,
        )


def iou_of(confusion: np.ndarray) -> np.ndarray:
    """Each class's intersection over union, NaN where it is absent: (C, C) -> (C,)."""
    right = confusion.diagonal()
    return _ratio(right, confusion.sum(0) + confusion.sum(1) - right)


def dice_of(confusion: np.ndarray) -> np.ndarray:
    """Each class's Dice, NaN where it is absent: (C, C) -> (C,)."""
    return _ratio(2 * confusion.diagonal(), confusion.sum(0) + confusion.sum(1))


def _foreground(values: np.ndarray) -> float:
    """The mean over the classes but the first that are there; 1 where none is."""
    mean = known_mean(values[1:])
    return 1.0 if np.isnan(mean) else mean


def _confusion(true: np.ndarray, predicted: np.ndarray, count: int) -> np.ndarray:
    """(C, C) int64 pixels, from the pixels' true and predicted classes."""
    pairs = true.astype(np.int32) * count + predicted  # (P,) each pair of classes as one number
    return np.bincount(pairs, minlength=count * count).reshape(count, count)


def _ratio(part, whole):
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)


def _integers(mask, where: str) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.dtype.kind not in "biu":
        raise ValueError(
            f"{where} is {mask.dtype} of shape {mask.shape}; give (height, width) integers, one a pixel"
        )
    return mask.astype(np.uint8) if mask.dtype == bool else mask
