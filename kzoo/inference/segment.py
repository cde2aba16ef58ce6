"""From photographs of any size to `Segmentation`s of the same size: a model or an exported file, whole or in tiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from kzoo.augment.letterbox import Placement, fit
from kzoo.inference.decoded import takes_fractions
from kzoo.inference.detect import read_source, resize_of
from kzoo.inference.tiles import Tiling
from kzoo.options import check_values, refuse_idle
from kzoo.options.commands import INFERENCE
from kzoo.sources import chunks
from kzoo.structures import Segmentation

FLIPS = {"horizontal": 2, "vertical": 1}  # and the axis of (B, H, W, C)


class Segmenter(Protocol):
    """What can be segmented with: a `ZooModel`, or an exported file that `kzoo.load` opened.

    Attributes:
        image_size: height and width in pixels of the input.
        names: class names.
        resize: how photographs become its input: one of `kzoo.augment.RESIZES`.
        multiple: what the input's sides are multiples of.
    """

    image_size: tuple[int, int]
    names: Sequence[str]
    resize: str
    multiple: int

    def predict_on_batch(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Images (B, H, W, 3) in 0..255 -> `mask` (B, H, W), `probabilities` (B, H, W, C)."""


@dataclass(frozen=True)
class Inference:
    """How images of any size go through a network of one.

    Attributes:
        method: "resize" brings the image to the input's size and the result back; "window" lays tiles of the
            input's size over the image at its own resolution.
        overlap: pixels by which neighbouring tiles of "window" overlap, beyond those in which they are blended; the
            half of it next to a tile's border is not used, so that a network that sees no further gives what it would
            give for the whole image. A quarter of the tile where None.
        flips: mirror images to average over as well: "horizontal", "vertical" or both; none by default.
        resize: how "resize" brings images to the input's size: one of `kzoo.augment.RESIZES`; the model's own way
            where None.
        batch_size: number of images or tiles that the network gets at once, 4 by default; an export of a fixed batch
            gets that many.

    Raises:
        ValueError: an argument is unknown, out of range, or has no effect with the method.
    """

    method: str = "resize"
    overlap: int | None = None
    flips: Sequence[str] = ()
    resize: str | None = None
    batch_size: int = 4

    def __post_init__(self):
        options = {one.name: getattr(self, one.name) for one in fields(self)}
        for name, value in check_values(options, INFERENCE).items():
            object.__setattr__(self, name, value)  # the class is frozen, also for itself
        refuse_idle({"overlap": self.overlap, "resize": self.resize}, INFERENCE, options.get)

    def __call__(
        self, segmenter: Segmenter, images: Sequence[np.ndarray], probabilities: bool = False
    ) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """The mask (H, W) uint8 of each image (H, W, 3), and its probabilities (H, W, C) where they are asked for."""
        if self.method == "window":
            return [self._tiled(segmenter, image, probabilities) for image in images]
        resize = resize_of(segmenter, self.resize)
        exact = takes_fractions(segmenter)
        placed = (fit(image, segmenter.image_size, resize, exact) for image in images)
        inputs, placements = zip(*placed, strict=True)
        results = self.predict(segmenter, np.stack(inputs))
        return [
            carried_back(result, placement, probabilities)
            for result, placement in zip(results, placements, strict=True)
        ]

    def predict(self, segmenter: Segmenter, images: np.ndarray) -> np.ndarray:
        """Probabilities (B, H, W, C) of inputs (B, H, W, 3) of the network's size, averaged over the mirror images."""
        fixed = getattr(segmenter, "batch_size", None)
        parts = []
        for start in range(0, len(images), fixed or self.batch_size):
            part = images[start : start + (fixed or self.batch_size)]
            # Filled up to a power of two, so that the network is compiled for a few shapes only.
            size = fixed or 1 << (len(part) - 1).bit_length()
            filled = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
            parts.append(self._averaged(segmenter, filled)[: len(part)])
        return np.concatenate(parts)

    def _averaged(self, segmenter: Segmenter, images: np.ndarray) -> np.ndarray:
        """Probabilities (B, H, W, C), the mean over the images (B, H, W, 3) and their mirror images, turned back."""
        # The axes that each view is mirrored along: two flips make four views, one of them along both.
        views: list[tuple[int, ...]] = [()]
        for flip in self.flips:
            views += [(*view, FLIPS[flip]) for view in views]
        total = 0.0
        for axes in views:
            mirrored = np.ascontiguousarray(np.flip(images, axes))
            probabilities = segmenter.predict_on_batch(mirrored)["probabilities"]
            total = total + np.flip(np.asarray(probabilities), axes)
        return total / len(views)

    def _tiled(self, segmenter: Segmenter, image: np.ndarray, probabilities: bool):
        tiling = Tiling(image.shape[:2], segmenter.image_size, self.overlap, segmenter.multiple)
        return tiling.run(image, lambda tiles: self.predict(segmenter, tiles), probabilities)


def carried_back(result: np.ndarray, placement: Placement, probabilities: bool = False):
    """One image's probabilities at its own size.

    Args:
        result: (h, w, C) probabilities at the size of the network's input.
        placement: how the image lay in that input.
        probabilities: whether they are wanted besides the mask.

    Returns:
        The mask (H, W) uint8, and the probabilities (H, W, C) float32 or None.
    """
    height, width = placement.original
    (left, top), (rows, columns) = placement.corner, placement.inner
    inner = result[top : top + rows, left : left + columns]
    whole = np.empty((height, width, result.shape[-1]), np.float32) if probabilities else None
    mask, best = np.zeros((height, width), np.uint8), None
    # Class by class: an image of 12 megapixels with 150 classes would take 7 GB at once.
    for label in range(result.shape[-1]):
        plane = np.ascontiguousarray(inner[..., label], np.float32)
        plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
        if whole is not None:
            whole[..., label] = plane
        if best is None:
            best = plane
            continue
        better = plane > best
        mask[better] = label
        np.maximum(best, plane, out=best)
    return mask, whole


def segment(
    segmenter: Segmenter,
    source: str | Path | np.ndarray | Sequence,
    method: str = "resize",
    overlap: int | None = None,
    flips: Sequence[str] = (),
    batch_size: int = 4,
    resize: str | None = None,
    probabilities: bool = True,
) -> Segmentation | list[Segmentation]:
    """Segments photographs of any size.

    Args:
        segmenter: a model or an exported file.
        source: a path, an (H, W, 3) uint8 RGB image, or a list of these.
        method, overlap, flips, batch_size, resize: how images go through the network: see `Inference`.
        probabilities: whether the results carry the probabilities of all classes, 4 bytes a pixel and class.

    Returns:
        A `Segmentation` at the photograph's own size; a list of them for a list.

    Raises:
        ValueError: a file is no readable image, an array is no image, or an argument is unknown.
        FileNotFoundError: there is no such file.

    Example:
        >>> kzoo.load("runs/segment/cells").segment("slide.png", method="window").draw()
    """
    inference = Inference(method, overlap, flips, resize, batch_size)
    if isinstance(source, (list, tuple)):
        return list(segment_stream(segmenter, source, inference, probabilities))
    return next(segment_stream(segmenter, [source], inference, probabilities))


def segment_stream(
    segmenter: Segmenter,
    sources: Iterable[str | Path | np.ndarray],
    inference: Inference | None = None,
    probabilities: bool = True,
) -> Iterator[Segmentation]:
    """As `segment`, one result after the other; no more than a batch of images is held."""
    if getattr(segmenter, "task", "segment") != "segment":
        raise ValueError(
            f"{segmenter.name}: a model for the task {segmenter.task!r} finds no masks; use predict or detect"
        )
    inference = inference or Inference()
    size = getattr(segmenter, "batch_size", None) or inference.batch_size
    if inference.method == "window":
        size = 1  # of images; it is the tiles of one that fill the batches
    for batch in chunks(map(read_source, sources), size):
        results = inference(segmenter, [image for image, _ in batch], probabilities)
        for (image, path), (mask, shares) in zip(batch, results, strict=True):
            yield Segmentation(mask, shares, segmenter.names, image, path)
