"""What a detector finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kzoo.structures.arrays import as_array
from kzoo.structures.draw import draw_boxes
from kzoo.structures.result import Result


@dataclass(repr=False)
class Detections(Result):
    """What a detector found in one image, in that image's own pixels.

    Attributes:
        boxes: (N, 4) float32 xyxy in pixels, best score first.
        scores: (N,) float32 in 0..1.
        labels: (N,) int64 indices into `names`.
        masks: (N, H, W) bool, or None.
        names: class names; a label beyond them shows as "class 7".
        image: (H, W, 3) uint8 RGB, or None where only figures are wanted.
        path: the file it came from, if any.

    Example:
        >>> detections = Detections(boxes=[[10, 20, 50, 60]], scores=[.9], labels=[0], names=["cat"])
        >>> detections.to_dict()["objects"][0]["name"]
        'cat'
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None = None
    names: Sequence[str] = field(default_factory=tuple)
    image: np.ndarray | None = None
    path: str | Path | None = None

    def __post_init__(self):
        self.boxes = as_array(self.boxes, (0, 4), np.float32)
        self.scores = as_array(self.scores, (0,), np.float32)
        self.labels = as_array(self.labels, (0,), np.int64)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index) -> Detections:
        """The detections that an index selects: a position, a slice, a list of positions or a boolean mask (N,)."""
        index = [index] if isinstance(index, (int, np.integer)) else index
        return Detections(
            self.boxes[index],
            self.scores[index],
            self.labels[index],
            None if self.masks is None else self.masks[index],
            self.names,
            self.image,
            self.path,
        )

    def summary(self) -> str:
        """Counts by class, most frequent first: "3 dog, 1 cat"."""
        labels, counts = np.unique(self.labels, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return ", ".join(f"{counts[i]} {self.name(labels[i])}" for i in order)

    def to_dict(self) -> dict:
        """Plain data for JSON: `{"path", "objects": [{"box": xyxy pixels, "score", "label", "name"}]}`."""
        return {
            "path": None if self.path is None else str(self.path),
            "objects": [
                {
                    "box": [round(float(v), 3) for v in box],
                    "score": round(float(score), 6),
                    "label": int(label),
                    "name": self.name(label),
                }
                for box, score, label in zip(self.boxes, self.scores, self.labels, strict=True)
            ],
        }

    def to_coco(self, image_id: int | str = 0, category_ids: Sequence[int] | None = None) -> list[dict]:
        """COCO's result format: one dict an object, `bbox` as x, y, width, height.

        Args:
            image_id: the COCO id of the image.
            category_ids: COCO's category id of every label; the label itself where None.

        Returns:
            Rows with `image_id`, `category_id`, `bbox` and `score`, in the order of the detections.
        """
        rows = []
        for box, score, label in zip(self.boxes, self.scores, self.labels, strict=True):
            x1, y1, x2, y2 = (float(v) for v in box)
            rows.append(
                {
                    "image_id": image_id,
                    "category_id": int(label) if category_ids is None else int(category_ids[label]),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": float(score),
                }
            )
        return rows

    def to_supervision(self):
        """As `supervision.Detections`, for Roboflow's trackers and annotators (`pip install supervision`)."""
        try:
            import supervision
        except ImportError as error:
            raise ImportError("to_supervision needs the package: pip install supervision") from error
        return supervision.Detections(
            xyxy=self.boxes,
            confidence=self.scores,
            class_id=self.labels,
            mask=self.masks,
            data={"class_name": np.array([self.name(label) for label in self.labels], dtype=object)},
        )

    def draw(self, image: np.ndarray | None = None, scale: float | None = None) -> np.ndarray:
        """The picture with boxes, names and scores: (h, w, 3) uint8 RGB, a copy.

        Args:
            image: (H, W, 3) uint8 RGB, what to draw on; the detections' own image where None.
            scale: how many times as large as the image the picture is, above 0. Where None it has the image's size;
                an image of less than 400 pixels at its longer side is enlarged by a whole number to 640 or more, for
                names would hide what is on it.

        Raises:
            ValueError: there is no image, or the scale is not above 0.
        """
        image = self.image if image is None else image
        if image is None:
            raise ValueError("draw: these detections carry no image; pass one: detections.draw(image)")
        return draw_boxes(image, self.boxes, self.labels, self.scores, self.names, scale)
