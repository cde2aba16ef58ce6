"""One annotated image, as readers give it and transforms change it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kzoo.structures.arrays import as_array


@dataclass
class Sample:
    """One annotated image, anywhere on the data side.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (N, 4) float32 xyxy in pixels, 0-based, right and bottom edges exclusive: the box of the
            single pixel (x, y) is (x, y, x + 1, y + 1).
        labels: (N,) int64 indices into the dataset's `classes`.
        masks: (N, H, W) bool instance masks, or None.
        mask: (H, W) uint8 or int32 semantic mask, 255 = ignored, or None.
        difficult: (N,) bool, Pascal VOC's flag: not trained on, neither hit nor miss in evaluation.
        crowd: (N,) bool, COCO's `iscrowd`: the same, and one crowd box absorbs many detections.
        weights: (N,) float32, how much each object counts in the loss, or None where all count alike.
        pixel_weights: (H, W) float32, how much each pixel of `mask` counts in the loss, or None where all count alike.
        id: what names the image in its dataset: a file stem or a COCO image id.
        shares: (C,) float32, how much of each class the picture as a whole shows, for classification, or None.
        proposals: (P, 4) float32 xyxy pixels, boxes in which objects may be, best ranked first, or None.
    """

    image: np.ndarray
    boxes: np.ndarray = None
    labels: np.ndarray = None
    masks: np.ndarray | None = None
    mask: np.ndarray | None = None
    difficult: np.ndarray = None
    crowd: np.ndarray = None
    id: str | int = ""
    weights: np.ndarray | None = None
    pixel_weights: np.ndarray | None = None
    shares: np.ndarray | None = None
    proposals: np.ndarray | None = None

    def __post_init__(self):
        self.boxes = as_array(self.boxes, (0, 4), np.float32)
        self.labels = as_array(self.labels, (0,), np.int64)
        count = len(self.boxes)
        if self.weights is not None:
            self.weights = as_array(self.weights, (0,), np.float32)
        if self.shares is not None:
            self.shares = np.asarray(self.shares, np.float32)
        if self.proposals is not None:
            self.proposals = as_array(self.proposals, (0, 4), np.float32)
        for name in ("difficult", "crowd"):
            value = getattr(self, name)
            setattr(self, name, np.zeros(count, bool) if value is None else as_array(value, (0,), bool))
        for name in ("labels", "difficult", "crowd", "weights"):
            if getattr(self, name) is not None and len(getattr(self, name)) != count:
                raise ValueError(
                    f"Sample {self.id!r}: {count} boxes but {len(getattr(self, name))} {name}; give one a box"
                )
        for name, lead in (("masks", (count,)), ("mask", ()), ("pixel_weights", ())):
            value = getattr(self, name)
            if value is not None and value.shape != (*lead, *self.size):
                raise ValueError(
                    f"Sample {self.id!r}: {name} of shape {value.shape}; give {(*lead, *self.size)}: one of the "
                    "image's height and width" + (" for each box" if lead else "")
                )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]
