"""What travels through kzoo outside the network: `Sample` going in, `Detections` coming out. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_BACKGROUND = ("background", "bg", "ground", "unlabeled", "unlabelled", "void")
IGNORED = 255  # In semantic masks: a pixel that neither trains nor counts.


def _array(value, shape: tuple[int, ...], dtype) -> np.ndarray:
    """`value` as an array of `dtype`; an empty one takes `shape`, so that no boxes are still (0, 4)."""
    array = np.asarray(value if value is not None else (), dtype=dtype)
    return array.reshape(shape) if array.size == 0 else array


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

    def __post_init__(self):
        self.boxes = _array(self.boxes, (0, 4), np.float32)
        self.labels = _array(self.labels, (0,), np.int64)
        count = len(self.boxes)
        if self.weights is not None:
            self.weights = _array(self.weights, (0,), np.float32)
        if self.shares is not None:
            self.shares = np.asarray(self.shares, np.float32)
        for name in ("difficult", "crowd"):
            value = getattr(self, name)
            setattr(self, name, np.zeros(count, bool) if value is None else _array(value, (0,), bool))
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


@dataclass
class Detections:
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
        >>> found = Detections(boxes=[[10, 20, 50, 60]], scores=[.9], labels=[0], names=["cat"])
        >>> found.to_dict()["objects"][0]["name"]
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
        self.boxes = _array(self.boxes, (0, 4), np.float32)
        self.scores = _array(self.scores, (0,), np.float32)
        self.labels = _array(self.labels, (0,), np.int64)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index) -> Detections:
        """Those of `index`: a slice, a list of positions or a boolean mask."""
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

    def __repr__(self) -> str:
        where = f" in {self.path}" if self.path else ""
        return f"Detections({self.summary() or 'nothing'}{where})"

    def name(self, label: int) -> str:
        """The class name of `label`."""
        from kzoo.draw import class_name

        return class_name(self.names, int(label))

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

    def draw(self, image: np.ndarray | None = None) -> np.ndarray:
        """The picture with boxes, names and scores: (H, W, 3) uint8 RGB, a copy.

        Args:
            image: what to draw on; the detections' own image where None.
        """
        from kzoo.draw import draw_boxes

        image = self.image if image is None else image
        if image is None:
            raise ValueError("draw: these detections carry no image; pass one: detections.draw(image)")
        return draw_boxes(image, self.boxes, self.labels, self.scores, self.names)

    def _repr_png_(self) -> bytes | None:
        """Shows the drawn picture in a notebook."""
        if self.image is None:
            return None
        from kzoo.draw import encode_png

        return encode_png(self.draw())


@dataclass
class Segmentation:
    """The class of every pixel of one image.

    Attributes:
        mask: (H, W) uint8 indices into `names`.
        probabilities: (H, W, C) float32 that sum to 1, or None where they were not asked for.
        names: class names, the background among them.
        image: (H, W, 3) uint8 RGB, or None where only figures are wanted.
        path: the file it came from, if any.

    Example:
        >>> found = Segmentation(np.eye(2, dtype=np.uint8), names=["background", "cell"])
        >>> found.summary()
        'cell 50.0 %'
    """

    mask: np.ndarray
    probabilities: np.ndarray | None = None
    names: Sequence[str] = field(default_factory=tuple)
    image: np.ndarray | None = None
    path: str | Path | None = None

    def __repr__(self) -> str:
        where = f" in {self.path}" if self.path else ""
        return f"Segmentation({self.summary() or 'nothing'}{where})"

    def name(self, label: int) -> str:
        """The class name of `label`."""
        from kzoo.draw import class_name

        return class_name(self.names, int(label))

    @property
    def background(self) -> int | None:
        """The label that is no class of things: the first, unless it has another name."""
        named = str(self.names[0]).strip("_").lower() if len(self.names) else "background"
        return 0 if named in _BACKGROUND else None

    def shares(self) -> dict[int, float]:
        """The share of the pixels that each class has; classes without a pixel are left out."""
        labels, counts = np.unique(self.mask, return_counts=True)
        return {
            int(label): float(count / self.mask.size) for label, count in zip(labels, counts, strict=True)
        }

    def summary(self) -> str:
        """The classes but the background, largest first: "cell 12.3 %, platelet 0.4 %"."""
        shares = self.shares()
        shares.pop(self.background, None)
        found = sorted(((share, label) for label, share in shares.items()), reverse=True)
        return ", ".join(f"{self.name(label)} {100 * share:.1f} %" for share, label in found)

    def to_coco(self, image_id: int | str = 0, category_ids: Sequence[int] | None = None) -> list[dict]:
        """COCO's result format: one dict a connected region of every class but the background.

        Args:
            image_id: the COCO id of the image.
            category_ids: COCO's category id of every label; the label itself where None.

        Returns:
            Rows with `segmentation`, one polygon along the pixels' edges (holes are reached by cuts of no width, so
            that COCO's tools fill exactly the region's pixels), `area`, `bbox` (x, y, width, height), and `score`,
            the region's mean probability, 1 where there are none.
        """
        from kzoo.contours import polygon, regions

        rows = []
        for label in np.setdiff1d(self.mask, [] if self.background is None else [self.background]):
            for part, (x1, y1, x2, y2) in regions(self.mask == label):
                score = 1.0
                if self.probabilities is not None:
                    score = float(self.probabilities[y1:y2, x1:x2, label][part].mean())
                rows.append(
                    {
                        "image_id": image_id,
                        "category_id": int(label) if category_ids is None else int(category_ids[label]),
                        "segmentation": [polygon(part, (x1, y1)).astype(float).ravel().tolist()],
                        "area": int(part.sum()),
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "score": score,
                    }
                )
        return rows

    def to_dict(self) -> dict:
        """Plain data for JSON: `{"path", "classes": [{"label", "name", "share"}], "regions": as to_coco}`."""
        return {
            "path": None if self.path is None else str(self.path),
            "classes": [
                {"label": label, "name": self.name(label), "share": round(share, 6)}
                for label, share in self.shares().items()
            ],
            "regions": [
                {key: value for key, value in row.items() if key != "image_id"} for row in self.to_coco()
            ],
        }

    def draw(self, image: np.ndarray | None = None, opacity: float = 0.5, legend: bool = True) -> np.ndarray:
        """The picture with every class but the background in its colour: (H, W, 3) uint8 RGB, wider with a legend.

        Args:
            image: what to draw on; the segmentation's own image where None.
            opacity: of the colours, 0 to 1.
            legend: whether a panel at the right says which colour is which class.
        """
        from kzoo.draw import draw_mask

        image = self.image if image is None else image
        if image is None:
            raise ValueError("draw: this segmentation carries no image; pass one: segmentation.draw(image)")
        return draw_mask(image, self.mask, self.names, opacity, self.background, legend)

    def cutout(self, labels: Sequence[int] | None = None) -> np.ndarray:
        """The subject on transparent ground: (H, W, 4) uint8 RGBA, as soft at its edges as the probabilities are.

        Args:
            labels: the classes of the subject; all but the background where None.
        """
        if self.image is None:
            raise ValueError("cutout: this segmentation carries no image; segment one with its picture")
        count = 256 if self.probabilities is None else self.probabilities.shape[-1]
        chosen = (
            [label for label in range(count) if label != self.background] if labels is None else list(labels)
        )
        if self.probabilities is None:
            alpha = np.isin(self.mask, chosen).astype(np.float32)
        else:
            alpha = self.probabilities[..., chosen].sum(-1)
        return np.dstack([self.image, np.rint(255 * alpha.clip(0, 1)).astype(np.uint8)])

    def _repr_png_(self) -> bytes | None:
        """Shows the drawn picture in a notebook."""
        if self.image is None:
            return None
        from kzoo.draw import encode_png

        return encode_png(self.draw())
