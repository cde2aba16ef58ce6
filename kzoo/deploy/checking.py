"""Whether an export finds what its model finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kzoo.augment.letterbox import fit
from kzoo.deploy.opening import open_export
from kzoo.inference.decoded import kept
from kzoo.inference.roads import ROAD_MAPS
from kzoo.metrics.matching import iou

SHARED, SAME = 0.5, 0.99  # IoU from which two boxes are of one object, and from which they are the same box
CLOSE = 0.01  # pixels: boxes whose corners are less apart are the same, too


@dataclass(frozen=True)
class Agreement:
    """How the results of an export compare with its model's, on some images.

    Attributes:
        total: number of detections that either has; for a classifier, images; for a segmenter, pixels.
        found: number of detections that both have, with the same label and an IoU above 0.5; for a classifier, images
            of the same best class; for a segmenter, pixels of the same class.
        same: number of the detections that both have with an IoU above 0.99, or corners less than 0.01 pixels
            apart; all of them where there are no boxes.
        scores: largest difference of the scores of those that both have; for a segmenter, of all probabilities.
        boxes: largest difference of the coordinates of those that both have, in pixels; 0 where there are none.
        unit: what is counted, "results" or "pixels".
        masks: largest difference of the probabilities in the masks of those that both have; None where there are none.
        maps: share of the pixels of drivable areas and lanes that are the same, 0 to 1; None where there are none.
    """

    total: int
    found: int
    same: int
    scores: float
    boxes: float = 0.0
    unit: str = "results"
    masks: float | None = None
    maps: float | None = None

    def __str__(self) -> str:
        if self.unit == "pixels":
            share = 100 * self.found / self.total
            return f"{share:.3f} % of Keras's pixels; largest difference {self.scores:.1g} in probabilities"
        masks = "" if self.masks is None else f", {self.masks:.1g} in masks"
        maps = "" if self.maps is None else f"; {100 * self.maps:.3f} % of the pixels of roads"
        return (
            f"{self.found} of Keras's {self.total} results, {self.same} at IoU > {SAME}; "
            f"largest difference {self.scores:.1g} in scores, {self.boxes:.1g} pixels in boxes{masks}{maps}"
        )


def compare(model, path: str | Path, images: np.ndarray, score_threshold: float = 0.01) -> Agreement:
    """Runs an export and the model it was made of on the same images.

    Args:
        model: the `ZooModel` that the export was made of.
        path: the exported file or folder.
        images: (B, H, W, 3) uint8 of the export's size.
        score_threshold: detections that score lower are not looked at.
    """
    expected, exported = model.predict_on_batch(images), open_export(path).predict_on_batch(images)
    if "mask" in expected:
        same = int((expected["mask"] == exported["mask"]).sum())  # of B * H * W pixels
        difference = np.abs(expected["probabilities"] - exported["probabilities"]).max()
        return Agreement(expected["mask"].size, same, same, float(difference), unit="pixels")
    if "boxes" not in expected:
        same = expected["label"] == exported["label"]  # (B,)
        difference = np.abs(expected["scores"] - exported["scores"]).max()
        return Agreement(len(same), int(same.sum()), int(same.sum()), float(difference))
    parts = [
        agreement_on(
            {key: value[i] for key, value in expected.items()},
            {key: value[i] for key, value in exported.items()},
            score_threshold,
        )
        for i in range(len(images))
    ]
    return Agreement(
        sum(part.total for part in parts),
        sum(part.found for part in parts),
        sum(part.same for part in parts),
        max(part.scores for part in parts),
        max(part.boxes for part in parts),
        masks=max((part.masks or 0.0 for part in parts), default=0.0) if "masks" in expected else None,
        maps=_alike([expected[name] == exported[name] for name in ROAD_MAPS if name in expected]),
    )


def _alike(same: list[np.ndarray]) -> float | None:
    """The share of what is the same in maps (B, H, W) bool; None where there are none."""
    return float(np.mean(same)) if same else None


def agreement_on(expected: dict, exported: dict, score_threshold: float) -> Agreement:
    """The agreement on one image: every detection of the model takes the most alike of the export, once."""
    expected, exported = (kept(result, score_threshold) for result in (expected, exported))
    total = max(len(expected["scores"]), len(exported["scores"]))
    if not min(len(expected["scores"]), len(exported["scores"])):
        return Agreement(total, 0, 0, 0.0)
    # (N, M) overlaps, 0 between different labels. Boxes without area overlap nothing: their corners are compared.
    away = np.abs(expected["boxes"][:, None] - exported["boxes"]).max(axis=-1)
    alike = np.maximum(iou(expected["boxes"], exported["boxes"]), away < CLOSE)
    alike = alike * (expected["labels"][:, None] == exported["labels"])
    rows, columns, overlaps = [], [], []
    for row in range(len(alike)):
        column = int(alike[row].argmax())
        if alike[row, column] > SHARED:
            rows.append(row)
            columns.append(column)
            overlaps.append(alike[row, column])
            alike[:, column] = 0  # taken
    if not rows:
        return Agreement(total, 0, 0, 0.0)
    scores = np.abs(expected["scores"][rows] - exported["scores"][columns]).max()
    boxes = np.abs(expected["boxes"][rows] - exported["boxes"][columns]).max()
    masks = None
    if "masks" in expected:
        masks = float(np.abs(expected["masks"][rows] - exported["masks"][columns]).max())
    same = int((np.array(overlaps) > SAME).sum())
    return Agreement(total, len(rows), same, float(scores), float(boxes), masks=masks)


def picture(data, image_size, resize: str = "letterbox") -> np.ndarray:
    """An image to compare on: a dataset's first, or a drawn one; (1, H, W, 3) uint8.

    Args:
        data: a dataset of `Sample`, or None for a drawn image.
        image_size: height and width in pixels.
        resize: how the image is brought to that size: one of `kzoo.augment.RESIZES`.
    """
    if data is None:
        from kzoo.data.formats.shapes import LEAST_SIDE, Shapes

        data = Shapes(1, image_size=tuple(max(LEAST_SIDE, side) for side in image_size))
    return fit(data[0].image, image_size, resize)[0][None]
