"""How well roads are told: pixels of the drivable area and of the lanes' lines, over all images."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from kzoo.metrics.figures import known_mean
from kzoo.metrics.segmentation import iou_of
from kzoo.structures.roads import DRIVABLE, IGNORED, LANE


@dataclass(frozen=True)
class MapMetrics:
    """Figures of one map; NaN where it is nowhere.

    Attributes:
        pixels: how many there are in truth.
        iou: intersection over union of what is there and what is found.
        mean_iou: the mean of this and of the IoU of all other pixels, as it is published of drivable areas.
        recall: the share of the pixels that are found, which is published as the lanes' accuracy.
        precision: the share of what is found that is right.
    """

    pixels: int
    iou: float
    mean_iou: float
    recall: float
    precision: float


@dataclass(frozen=True)
class RoadMetrics:
    """What a model of roads is worth on a dataset, besides its boxes.

    Attributes:
        drivable: the figures of the drivable area.
        lanes: the figures of the lanes' lines.
    """

    drivable: MapMetrics
    lanes: MapMetrics

    def to_dict(self) -> dict:
        """Plain data."""
        return asdict(self)


class RoadEvaluator:
    """Gathers masks of roads image by image.

    Example:
        >>> evaluator = RoadEvaluator()
        >>> evaluator.update(np.array([[0, 3]]), np.array([[0, 1]]), np.array([[0, 1]]))
        >>> evaluator.result().lanes.iou
        1.0
    """

    def __init__(self):
        # (2, 2) pixels each, whether it is there by row, whether it is found by column.
        self._confusions = {bit: np.zeros((2, 2), np.int64) for bit in (DRIVABLE, LANE)}

    def update(self, truth: np.ndarray, drivable: np.ndarray, lanes: np.ndarray) -> None:
        """Adds an image.

        Args:
            truth: (H, W) bits, 255 = ignored.
            drivable: (H, W), 0 or 1, what is found.
            lanes: (H, W), 0 or 1, likewise.

        Raises:
            ValueError: they differ in size.
        """
        for bit, found in ((DRIVABLE, drivable), (LANE, lanes)):
            if np.shape(found) != truth.shape:
                raise ValueError(
                    f"a mask of roads of {truth.shape} pixels and a map of {np.shape(found)}; predict at the image's "
                    "own size"
                )
            counted = truth != IGNORED
            pairs = 2 * (truth[counted] // bit % 2).astype(np.int64) + (np.asarray(found)[counted] > 0)
            self._confusions[bit] += np.bincount(pairs, minlength=4).reshape(2, 2)

    def result(self) -> RoadMetrics:
        """The figures of all images so far."""
        return RoadMetrics(_figures(self._confusions[DRIVABLE]), _figures(self._confusions[LANE]))


def _figures(confusion: np.ndarray) -> MapMetrics:
    """The figures of pixels (2, 2) by truth and by what is found."""
    ious, right = iou_of(confusion), confusion[1, 1]
    there, found = confusion[1].sum(), confusion[:, 1].sum()
    return MapMetrics(
        pixels=int(there),
        iou=float(ious[1]),
        mean_iou=known_mean(ious),
        recall=float(right / there) if there else math.nan,
        precision=float(right / found) if found else math.nan,
    )
