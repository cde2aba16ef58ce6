"""What a detector finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from kzoo.structures.arrays import as_array
from kzoo.structures.contours import outlines
from kzoo.structures.draw import draw_boxes
from kzoo.structures.result import Result
from kzoo.structures.runs import compress_mask


def _checked_masks(masks, count: int, image: np.ndarray | None) -> np.ndarray:
    """Masks (N, H, W) bool of `count` objects; of the image's height and width where there is one."""
    masks = np.asarray(masks)
    size = masks.shape[1:3] if image is None else image.shape[:2]
    if masks.ndim == 3 and masks.shape == (count, *size) and masks.dtype == bool:
        return masks
    sides = "H, W" if image is None else f"{size[0]}, {size[1]}"
    raise ValueError(
        f"Detections: masks of shape {masks.shape} and type {masks.dtype}; give ({count}, {sides}) bool: for each box "
        "one of the image's height and width"
    )


@dataclass(repr=False)
class Detections(Result):
    """What a detector found in one image, in that image's own pixels.

    Attributes:
        boxes: (N, 4) float32 xyxy in pixels, best score first.
        scores: (N,) float32 in 0..1.
        labels: (N,) int64 indices into `names`.
        masks: (N, H, W) bool, the pixels of each object, or None: a byte for each pixel of the image an object.
        names: class names; a label beyond them shows as "class 7".
        image: (H, W, 3) uint8 RGB, or None where only figures are wanted.
        path: the file it came from, if any.
        ids: (N,) int64, which of a video's objects each is, from 1, -1 where it is not known yet; None where nothing
            was tracked.

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
    ids: np.ndarray | None = None

    def __post_init__(self):
        self.boxes = as_array(self.boxes, (0, 4), np.float32)
        self.scores = as_array(self.scores, (0,), np.float32)
        self.labels = as_array(self.labels, (0,), np.int64)
        if self.masks is not None:
            self.masks = _checked_masks(self.masks, len(self.scores), self.image)
        if self.ids is not None:
            self.ids = as_array(self.ids, (0,), np.int64)
            if self.ids.shape != self.scores.shape:
                raise ValueError(
                    f"Detections: ids of shape {self.ids.shape}; give ({len(self.scores)},): one for each box"
                )

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
            None if self.ids is None else self.ids[index],
        )

    def summary(self) -> str:
        """Counts by class, most frequent first: "3 dog, 1 cat"."""
        labels, counts = np.unique(self.labels, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return ", ".join(f"{counts[i]} {self.name(labels[i])}" for i in order)

    def to_dict(self) -> dict:
        """Plain data for JSON: `{"path", "objects": [{"box": xyxy pixels, "score", "label", "name"}]}`.

        Objects with masks have "mask", too: COCO's compressed run lengths, `{"size": [height, width], "counts"}`; those
        that were tracked "id", which is None where it is not known yet.
        """
        objects = [
            {
                "box": [round(float(v), 3) for v in box],
                "score": round(float(score), 6),
                "label": int(label),
                "name": self.name(label),
            }
            for box, score, label in zip(self.boxes, self.scores, self.labels, strict=True)
        ]
        for row, mask in zip(objects, () if self.masks is None else self.masks, strict=False):
            row["mask"] = compress_mask(mask)
        for row, number in zip(objects, () if self.ids is None else self.ids.tolist(), strict=False):
            row["id"] = number if number > 0 else None
        return {"path": None if self.path is None else str(self.path), "objects": objects}

    def to_coco(
        self,
        image_id: int | str = 0,
        category_ids: Sequence[int] | None = None,
        polygons: bool = False,
    ) -> list[dict]:
        """COCO's result format: one dict an object, `bbox` as x, y, width, height.

        Args:
            image_id: the COCO id of the image.
            category_ids: COCO's category id of every label; the label itself where None.
            polygons: whether masks are polygons, one along the pixels' edges of each connected region (holes are
                reached by cuts of no width, so that COCO's tools fill exactly the mask's pixels), and not run lengths.

        Returns:
            Rows with `image_id`, `category_id`, `bbox` and `score`, in the order of the detections; those with masks
            have `segmentation` and `area`, its pixels; those whose identity is known `track_id`. COCO's tools sort rows
            that have a `bbox` into small, medium and large by that box.
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
        for row, mask in zip(rows, () if self.masks is None else self.masks, strict=False):
            row["segmentation"] = outlines(mask) if polygons else compress_mask(mask)
            row["area"] = int(np.count_nonzero(mask))
        for row, number in zip(rows, () if self.ids is None else self.ids.tolist(), strict=False):
            if number > 0:
                row["track_id"] = number
        return rows

    def numbered_mask(self) -> np.ndarray:
        """Which object each pixel is of, (H, W) uint8, or uint16 for more than 255 objects.

        0 is none, 1 the first object; where several cover a pixel, it is the first one's, hence the best score's.

        Raises:
            ValueError: there are no masks.
        """
        masks = self._masks("numbered_mask")
        numbers = np.zeros(masks.shape[1:], np.uint8 if len(masks) < 256 else np.uint16)
        for position in reversed(range(len(masks))):
            numbers[masks[position]] = position + 1
        return numbers

    def cutouts(self) -> list[np.ndarray]:
        """Each object on transparent ground, cut out by the box around its mask: (h, w, 4) uint8 RGBA.

        An object whose mask has no pixel is one transparent pixel.

        Raises:
            ValueError: there are no masks, or no image.
        """
        masks = self._masks("cutouts")
        if self.image is None:
            raise ValueError("cutouts: these detections carry no image; detect with a picture")
        pieces = []
        for mask in masks:
            x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
            rows, columns = slice(y, y + max(height, 1)), slice(x, x + max(width, 1))
            alpha = np.where(mask[rows, columns], np.uint8(255), np.uint8(0))
            pieces.append(np.dstack([self.image[rows, columns], alpha]))
        return pieces

    def _masks(self, what: str) -> np.ndarray:
        if self.masks is None:
            raise ValueError(
                f"{what}: these detections have no masks; take a model that finds them, such as Mask R-CNN"
            )
        return self.masks

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
            tracker_id=self.ids,
            data={"class_name": np.array([self.name(label) for label in self.labels], dtype=object)},
        )

    def draw(self, image: np.ndarray | None = None, scale: float | None = None) -> np.ndarray:
        """The picture with boxes, names and scores, and masks where there are: (h, w, 3) uint8 RGB, a copy.

        Args:
            image: (H, W, 3) uint8 RGB, what to draw on; the detections' own image where None.
            scale: how many times as large as the image the picture is, above 0. Where None it has the image's size;
                an image of less than 400 pixels at its longer side is enlarged by a whole number to 640 or more, for
                names would hide what is on it.

        Raises:
            ValueError: there is no image, the masks are of another size, or the scale is not above 0.
        """
        image = self.image if image is None else image
        if image is None:
            raise ValueError("draw: these detections carry no image; pass one: detections.draw(image)")
        if self.masks is not None and self.masks.shape[1:] != image.shape[:2]:
            raise ValueError(
                f"draw: masks of {self.masks.shape[1:]} pixels on an image of {image.shape[:2]}; give the image that "
                "they are of"
            )
        return draw_boxes(
            image, self.boxes, self.labels, self.scores, self.names, scale, self.masks, self.ids
        )
