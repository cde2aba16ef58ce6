"""Looking at a photograph more than once: in tiles at its own resolution, mirrored, and at several sizes."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from kzoo.augment.letterbox import fit
from kzoo.inference.decoded import kept, takes_fractions
from kzoo.inference.fusing import Found, averaged, joined
from kzoo.inference.masks import in_photograph, laid, masks_of, patches_of
from kzoo.inference.saccade import second_looks
from kzoo.inference.tiles import Tiling
from kzoo.options import check_values, refuse_idle
from kzoo.options.commands import PREDICT
from kzoo.sources import chunks

Steps = Generator[np.ndarray, dict[str, np.ndarray], Found]

_AXES = {"horizontal": 2, "vertical": 1}  # of (B, H, W, C), and of masks (N, S, S)
_INSIDE = 0.25  # share of a box's side that lies in the photograph, above which it is of something there
_TASKS = ("detect", "instance")  # whose results are joined and averaged


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
        if not self.single and task not in _TASKS:
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
        self,
        detector,
        image: np.ndarray,
        score_threshold: float,
        batch_size: int,
        resize: str,
        aligned: bool = False,
    ) -> Found:
        """What is on a photograph: `boxes` (N, 4) xyxy in its pixels, `scores` and `labels` (N,), best score first.

        Where the detector finds masks there are `masks` (N, H, W) bool, too.

        Args:
            detector: a model or an exported file.
            image: (H, W, 3) uint8 RGB.
            score_threshold: score below which detections are left out, 0 to 1.
            batch_size: number of images or tiles that the detector gets at once.
            resize: how photographs become inputs, for "resize".
            aligned: how masks are pasted: see `kzoo.structures.cells.pasted`.
        """
        if self.method == "saccade":
            return second_looks(detector, image, score_threshold, batch_size)
        steps = self.steps(detector, image, score_threshold, batch_size, resize, aligned)
        # The last batch of tiles is filled up, so that the network is compiled for one shape only.
        size = batch_size if self.method == "window" else 1
        try:
            images = next(steps)
            while True:
                filled = np.concatenate([images, np.repeat(images[-1:], size - len(images), axis=0)])
                results = detector.predict_on_batch(filled)
                images = steps.send({name: np.asarray(value) for name, value in results.items()})
        except StopIteration as end:
            return end.value

    def steps(
        self,
        detector,
        image: np.ndarray,
        score_threshold: float,
        batch_size: int,
        resize: str,
        aligned: bool = False,
    ) -> Steps:
        """As `find`, of "resize" and "window", for somebody who runs the network himself.

        Yields inputs (B, h, w, 3), is sent their decoded results by name, each (B, ...) or longer, and returns what was
        found.
        """
        if self.method == "window":
            return (yield from self._in_tiles(detector, image, score_threshold, batch_size, aligned))
        views, exact = [], takes_fractions(detector)
        for size in self.sizes or [detector.image_size]:
            inputs, placement = fit(image, tuple(size), resize, exact)
            for (found,) in (yield from self._views(inputs[None])):
                views.append(in_photograph(found, placement))
        found = _above(averaged(views) if len(views) > 1 else views[0], score_threshold)
        return _with_masks(found, masks_of(found, image.shape[:2], aligned))

    def _in_tiles(
        self, detector, image: np.ndarray, score_threshold: float, batch_size: int, aligned: bool
    ) -> Steps:
        size = image.shape[:2]
        tiling = Tiling(size, detector.image_size, self.overlap, getattr(detector, "multiple", 1))
        height, width = detector.image_size
        corners = [(column, row) for row in tiling.rows for column in tiling.columns]
        image, tiles = tiling.continued(image), []
        for some in chunks(corners, batch_size):
            batch = np.stack([image[y : y + height, x : x + width] for x, y in some])  # (B, h, w, 3)
            for (x, y), *views in zip(some, *(yield from self._views(batch)), strict=True):
                found = averaged(views) if len(views) > 1 else views[0]
                places = {"boxes": found["boxes"] + np.array([x, y, x, y]), "in_tile": found["boxes"]}
                found = _above(_within({**found, **places}, size), score_threshold)
                patches = patches_of(
                    {**found, "boxes": found["in_tile"]}, (height, width), (x, y), size, aligned
                )
                tiles.append(found if patches is None else {**found, "patches": patches})
        areas = np.array(
            [[x, y, min(x + width, size[1]), min(y + height, size[0])] for x, y in corners], float
        )
        found = joined(tiles, areas, size)
        return _with_masks(found, laid(found["patches"], size) if "patches" in found else None)

    def _views(self, images: np.ndarray) -> Generator[np.ndarray, dict, list[list[Found]]]:
        """What is found in each view of inputs (B, h, w, 3): for each view, for each image, in the input's pixels."""
        height, width = images.shape[1:3]
        views: list[tuple[str, ...]] = [()]
        for flip in self.flips or ():
            views += [(*view, flip) for view in views]
        found = []
        for view in views:
            results = yield np.ascontiguousarray(np.flip(images, [_AXES[flip] for flip in view]))
            rows = [
                kept({name: value[i] for name, value in results.items()}, 0.0) for i in range(len(images))
            ]
            found.append([_turned_back(row, view, height, width) for row in rows])
        return found


def _attentive(detector) -> bool:
    """Whether a detector says where to look again: its head, or what the description of an export says."""
    if hasattr(detector, "metadata"):
        return "looks" in detector.metadata.decoding
    return hasattr(getattr(detector, "head", None), "looks")


def _turned_back(found: Found, view: Sequence[str], height: int, width: int) -> Found:
    """What was found in a mirror image, in the image itself."""
    x1, y1, x2, y2 = np.asarray(found["boxes"], np.float64).T
    back = dict(found)
    for flip in view:
        if "masks" in back:
            back["masks"] = np.flip(back["masks"], _AXES[flip])
        if "extremes" in back:
            back["extremes"] = _mirrored_points(back["extremes"], flip, height, width)
    if "horizontal" in view:
        x1, x2 = width - x2, width - x1
    if "vertical" in view:
        y1, y2 = height - y2, height - y1
    return {**back, "boxes": np.stack([x1, y1, x2, y2], 1)}


def _mirrored_points(points: np.ndarray, flip: str, height: int, width: int) -> np.ndarray:
    """Top, left, bottom and right points (N, 4, 2) of objects in a mirror image, in the image itself."""
    axis, side, order = (0, width, [0, 3, 2, 1]) if flip == "horizontal" else (1, height, [2, 1, 0, 3])
    points = points[:, order].astype(np.float64)
    points[..., axis] = side - points[..., axis]
    return points


def _with_masks(found: Found, masks: np.ndarray | None) -> Found:
    """Boxes, scores and labels, and masks where there are."""
    plain = {name: found[name] for name in ("boxes", "scores", "labels")}
    return plain if masks is None else {**plain, "masks": masks}


def _within(found: Found, size: tuple[int, int]) -> Found:
    """What lies in the photograph of (height, width) and not in the mirror image that continues it, clipped to it.

    An object that the photograph's border cuts is seen as one with its mirror image, hence half of it lies inside.
    """
    boxes = np.clip(found["boxes"], 0, (*size[::-1], *size[::-1]))
    sides, whole = (one[:, 2:] - one[:, :2] for one in (boxes, found["boxes"]))  # (N, 2)
    inside = (sides > _INSIDE * whole).all(1)
    return {name: value[inside] for name, value in {**found, "boxes": boxes}.items()}


def _above(found: Found, score_threshold: float) -> Found:
    """What has a score of the threshold or more."""
    keep = found["scores"] >= score_threshold
    return {name: value[keep] for name, value in found.items()}
