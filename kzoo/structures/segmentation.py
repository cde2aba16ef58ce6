"""What a segmenter finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kzoo.structures.contours import polygon, regions
from kzoo.structures.draw import draw_mask
from kzoo.structures.result import Result

_BACKGROUND = ("background", "bg", "ground", "unlabeled", "unlabelled", "void")


@dataclass(repr=False)
class Segmentation(Result):
    """The class of every pixel of one image.

    Attributes:
        mask: (H, W) uint8 indices into `names`.
        probabilities: (H, W, C) float32 that sum to 1, or None where they were not asked for.
        names: class names, the background among them.
        image: (H, W, 3) uint8 RGB, or None where only figures are wanted.
        path: the file it came from, if any.

    Example:
        >>> segmentation = Segmentation(np.eye(2, dtype=np.uint8), names=["background", "cell"])
        >>> segmentation.summary()
        'cell 50.0 %'
    """

    mask: np.ndarray
    probabilities: np.ndarray | None = None
    names: Sequence[str] = field(default_factory=tuple)
    image: np.ndarray | None = None
    path: str | Path | None = None

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
        largest_first = sorted(((share, label) for label, share in shares.items()), reverse=True)
        return ", ".join(f"{self.name(label)} {100 * share:.1f} %" for share, label in largest_first)

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
        rows = []
        for label in np.setdiff1d(self.mask, [] if self.background is None else [self.background]):
            for region, (x1, y1, x2, y2) in regions(self.mask == label):
                score = 1.0
                if self.probabilities is not None:
                    score = float(self.probabilities[y1:y2, x1:x2, label][region].mean())
                rows.append(
                    {
                        "image_id": image_id,
                        "category_id": int(label) if category_ids is None else int(category_ids[label]),
                        "segmentation": [polygon(region, (x1, y1)).astype(float).ravel().tolist()],
                        "area": int(region.sum()),
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

    def draw(
        self,
        image: np.ndarray | None = None,
        opacity: float = 0.5,
        legend: bool = True,
        scale: float | None = None,
    ) -> np.ndarray:
        """The picture with every class but the background in its colour: (h, w, 3) uint8 RGB, wider with a legend.

        Args:
            image: (H, W, 3) uint8 RGB, what to draw on; the segmentation's own image where None.
            opacity: how much of its class's colour a pixel takes, 0 to 1.
            legend: whether a panel at the right says which colour is which class.
            scale: how many times as large as the image the picture is, above 0. Where None it has the image's size;
                an image of less than 400 pixels at its longer side is enlarged by a whole number to 640 or more.

        Raises:
            ValueError: there is no image, it is of another size than the mask, or the scale is not above 0.
        """
        image = self.image if image is None else image
        if image is None:
            raise ValueError("draw: this segmentation carries no image; pass one: segmentation.draw(image)")
        return draw_mask(image, self.mask, self.names, opacity, self.background, legend, scale)

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
