"""Looking at a photograph more than once: in tiles at its own resolution, mirrored, and at several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from kzoo.augment.letterbox import fit
from kzoo.inference.decoded import kept, takes_fractions
from kzoo.inference.fusing import Found, averaged, joined
from kzoo.inference.saccade import second_looks
from kzoo.inference.tiles import Tiling
from kzoo.options import check_values, refuse_idle
from kzoo.options.commands import PREDICT

_AXES = {"horizontal": 2, "vertical": 1}  # of (B, H, W, C)


@dataclass(frozen=True)
class Looks:
    """How a detector looks at a photograph.

    Attributes:
        method: "resize" brings the photograph to the input's size; "window" lays tiles of that size over it at its own
            resolution, and joins objects that their borders cut; "saccade" looks again, enlarged, where a detector with
            attention says that there is something: see `kzoo.inference.saccade`.
        overlap: pixels by which neighbouring tiles of "window" overlap, and a quarter of that besides; a quarter of
            the tile where None. An object is found whole somewhere if it is no larger.
        flips: mirror images to average over as well: "horizontal", "vertical" or both; none by default.
        sizes: heights and widths in pixels of the inputs to average over, in the place of the detector's own; none by
            default. Exported files have one size.

    Raises:
        ValueError: an argument is unknown, out of range, or has no effect with the method.
    """

    method: str = "resize"
    overlap: int | None = None
    flips: Sequence[str] = ()
    sizes: Sequence | None = None

    def __post_init__(self):
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        for name, value in check_values(given, PREDICT).items():
            object.__setattr__(self, name, value)  # the class is frozen, also for itself
        asked = {"overlap": self.overlap, "sizes": self.sizes, "flips": self.flips or None}
        refuse_idle(asked, PREDICT, {"method": self.method}.get)

    @property
    def single(self) -> bool:
        """Whether the photograph is looked at once, as a whole."""
        return self.method == "resize" and not self.flips and not self.sizes

    def check(self, detector) -> None:
        """Refuses detectors that cannot be looked through so, with a ValueError.

        Args:
            detector: a model or an exported file.
        """
        task = getattr(detector, "task", "detect")
        name = getattr(detector, "name", type(detector).__name__)
        if not self.single and task != "detect":
            raise ValueError(
                f"{name}: a model for the task {task!r}, whose results are not joined; leave method, flips, sizes out"
            )
        if self.method == "saccade" and not _attentive(detector):
            raise ValueError(
                f"method='saccade': {name} does not say where to look again; take a cornernet-saccade, or leave it out"
            )
        for size in self.sizes or ():
            if hasattr(detector, "check_size"):
                detector.check_size(size)
            elif tuple(size) != tuple(detector.image_size):
                own = tuple(detector.image_size)
                raise ValueError(
                    f"sizes={tuple(size)}: {name} takes {own} alone; take the model it was made of"
                )

    def find(
        self, detector, image: np.ndarray, score_threshold: float, batch_size: int, resize: str
    ) -> Found:
        """What is on a photograph: `boxes` (N, 4) xyxy in its pixels, `scores` and `labels` (N,), best score first.

        Args:
            detector: a model or an exported file.
            image: (H, W, 3) uint8 RGB.
            score_threshold: score below which detections are left out, 0 to 1.
            batch_size: number of images or tiles that the detector gets at once.
            resize: how photographs become inputs, for "resize".
        """
        if self.method == "window":
            return self._in_tiles(detector, image, score_threshold, batch_size)
        if self.method == "saccade":
            return second_looks(detector, image, score_threshold, batch_size)
        views, exact = [], takes_fractions(detector)
        for size in self.sizes or [detector.image_size]:
            inputs, placement = fit(image, tuple(size), resize, exact)
            for (found,) in self._views(detector, inputs[None]):
                views.append({**found, "boxes": placement.to_original(found["boxes"])})
        return _above(averaged(views) if len(views) > 1 else views[0], score_threshold)

    def _in_tiles(self, detector, image: np.ndarray, score_threshold: float, batch_size: int) -> Found:
        size = image.shape[:2]
        tiling = Tiling(size, detector.image_size, self.overlap, getattr(detector, "multiple", 1))
        height, width = detector.image_size
        corners = [(column, row) for row in tiling.rows for column in tiling.columns]
        image, tiles = tiling.continued(image), []
        for start in range(0, len(corners), batch_size):
            some = corners[start : start + batch_size]
            # The last batch is filled up, so that the network is compiled for one shape only.
            filled = some + some[-1:] * (batch_size - len(some))
            batch = np.stack([image[y : y + height, x : x + width] for x, y in filled])  # (B, h, w, 3)
            for (x, y), *views in zip(some, *self._views(detector, batch), strict=False):
                found = averaged(views) if len(views) > 1 else views[0]
                boxes = found["boxes"] + np.array([x, y, x, y])
                tiles.append(_above(_within({**found, "boxes": boxes}, size), score_threshold))
        areas = np.array(
            [[x, y, min(x + width, size[1]), min(y + height, size[0])] for x, y in corners], float
        )
        return joined(tiles, areas, size)

    def _views(self, detector, images: np.ndarray) -> list[list[Found]]:
        """What is found in each view of inputs (B, h, w, 3): for each view, for each image, in the input's pixels."""
        height, width = images.shape[1:3]
        views: list[tuple[str, ...]] = [()]
        for flip in self.flips or ():
            views += [(*view, flip) for view in views]
        found = []
        for view in views:
            mirrored = np.ascontiguousarray(np.flip(images, [_AXES[flip] for flip in view]))
            results = {name: np.asarray(value) for name, value in detector.predict_on_batch(mirrored).items()}
            rows = [
                kept({name: value[i] for name, value in results.items()}, 0.0) for i in range(len(images))
            ]
            found.append([{**row, "boxes": _turned_back(row["boxes"], view, height, width)} for row in rows])
        return found


def _attentive(detector) -> bool:
    """Whether a detector says where to look again: its head, or what the description of an export says."""
    if hasattr(detector, "metadata"):
        return "looks" in detector.metadata.decoding
    return hasattr(getattr(detector, "head", None), "looks")


def _turned_back(boxes: np.ndarray, view: Sequence[str], height: int, width: int) -> np.ndarray:
    """Boxes (N, 4) of a mirror image in the image itself."""
    x1, y1, x2, y2 = np.asarray(boxes, np.float64).T
    if "horizontal" in view:
        x1, x2 = width - x2, width - x1
    if "vertical" in view:
        y1, y2 = height - y2, height - y1
    return np.stack([x1, y1, x2, y2], 1)


def _within(found: Found, size: tuple[int, int]) -> Found:
    """What has its middle in the photograph of (height, width) and not in what continues it, clipped to it."""
    middle = (found["boxes"][:, :2] + found["boxes"][:, 2:]) / 2
    inside = (middle < size[::-1]).all(1)
    boxes = np.clip(found["boxes"], 0, (*size[::-1], *size[::-1]))
    return {name: value[inside] for name, value in {**found, "boxes": boxes}.items()}


def _above(found: Found, score_threshold: float) -> Found:
    """What has a score of the threshold or more."""
    keep = found["scores"] >= score_threshold
    return {name: value[keep] for name, value in found.items()}
