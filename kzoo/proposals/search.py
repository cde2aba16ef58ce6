"""Selective search: regions of an image, merged in many ways, as boxes in which objects may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from kzoo.proposals.grouping import group
from kzoo.proposals.segments import COLOUR_SPACES, derivatives, describe, segment

MEASURES = ("colour", "texture", "size", "fill")
_ALL, _NO_COLOUR = MEASURES, ("texture", "size", "fill")


@dataclass(frozen=True)
class Search:
    """How an image is searched: every colour space with every scale, and each of these merged by every strategy.

    Attributes:
        spaces: names of colour spaces, of `COLOUR_SPACES`.
        scales: how large the first regions tend to be, k of their paper, above 0.
        strategies: for each way of merging the measures of `MEASURES` that tell how alike two regions are.
        smallest: pixels that a first region has at least; as many as the scale where None.
        sigma: deviation in pixels of the Gaussian that smooths the image first; 0.8 by default.
    """

    spaces: Sequence[str]
    scales: Sequence[float]
    strategies: Sequence[Sequence[str]]
    smallest: int | None = 100
    sigma: float = 0.8

    def __post_init__(self):
        known = {
            "spaces": (self.spaces, COLOUR_SPACES),
            "strategies": ([measure for strategy in self.strategies for measure in strategy], MEASURES),
        }
        for field, (given, names) in known.items():
            wrong = [name for name in given if name not in names]
            if wrong or not given:
                raise ValueError(f"Search: {field} {wrong or 'are none'}; choose from {', '.join(names)}")
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f"Search: scales {tuple(self.scales)}; give numbers above 0")


# The first two are those of OpenCV's contributed modules, the third is R-CNN's.
MODES = {
    "fast": Search(("hsv", "lab"), (150, 300, 450), (_ALL, _NO_COLOUR)),
    "quality": Search(
        ("hsv", "lab", "rgi", "grey", "hue"),
        (150, 300, 450, 600, 750),
        (_ALL, _NO_COLOUR, ("fill",), ("size",)),
    ),
    "rcnn": Search(("hsv", "lab"), (50, 100), (_ALL, _NO_COLOUR), smallest=None),
}


def selective_search(
    image: np.ndarray,
    mode: str | Search = "fast",
    seed: int = 0,
    min_side: float = 0,
    width: int | None = None,
) -> np.ndarray:
    """Boxes in which objects may be, those that are merged of most first.

    Args:
        image: (H, W, 3) uint8 RGB, or (H, W) or (H, W, 1) grey.
        mode: "fast" (default), some 1000 to 1500 boxes of a photograph; "quality", three times as many in eight
            times the time; "rcnn", as R-CNN searched; or settings of your own.
        seed: where the random part of the ranking begins, 0 by default; another gives the same boxes in another order.
        min_side: pixels that a box is wide and high at least, after scaling; 0 (default) for all, 20 in R-CNN.
        width: pixels that the image is scaled to before, 500 in R-CNN; None (default) for its own.

    Returns:
        (N, 4) float32 xyxy in the pixels of the image as given, right and bottom edges exclusive, best ranked first,
        no two alike. A box's rank is a random number times how many merges before the last it was made, the
        lowest first; so the first 1000 of 1500 are of all sizes.

    Raises:
        ValueError: the image is no image, or the mode is unknown.
        ImportError: the extra `proposals` is not installed.

    Example:
        >>> boxes = selective_search(sample.image, "fast", min_side=20, width=500)

    Source: Uijlings et al. 2013, IJCV 104(2).
    """
    search = _settings(mode)
    pixels = _scaled(_rgb(image), width)
    boxes = _ranked(_groupings(pixels, search), np.random.default_rng(seed))
    sides = boxes[:, 2:] - boxes[:, :2]  # (N, 2)
    boxes = boxes[(sides >= min_side).all(-1)].astype(np.float32)
    zoom = np.float32([image.shape[1] / pixels.shape[1], image.shape[0] / pixels.shape[0]] * 2)
    return np.minimum(boxes * zoom, np.float32([image.shape[1], image.shape[0]] * 2))


def _settings(mode: str | Search) -> Search:
    if isinstance(mode, Search):
        return mode
    if mode not in MODES:
        raise ValueError(f"selective_search: unknown mode {mode!r}; give {', '.join(MODES)} or a Search")
    return MODES[mode]


def _rgb(image: np.ndarray) -> np.ndarray:
    """The image with three channels, or a ValueError."""
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3) or not image.size:
        raise ValueError(
            f"selective_search: an image of shape {image.shape} and type {image.dtype}; give (H, W, 3) uint8 RGB, "
            "or (H, W) grey"
        )
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def _scaled(image: np.ndarray, width: int | None) -> np.ndarray:
    if width is None or width == image.shape[1]:
        return image
    if width < 1:
        raise ValueError(f"selective_search: width={width}; give pixels from 1, or None for the image's own")
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def _groupings(image: np.ndarray, search: Search) -> list[np.ndarray]:
    """The boxes of each way of merging, in the order of making."""
    found = []
    for space in search.spaces:
        converted = COLOUR_SPACES[space](image)
        slopes = derivatives(converted)
        for scale in search.scales:
            smallest = round(scale) if search.smallest is None else search.smallest
            labels = segment(converted, scale, search.sigma, smallest)
            regions = describe(labels, converted, slopes)
            found += [group(regions, strategy) for strategy in search.strategies]
    return found


def _ranked(groupings: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """All boxes once, those of a low rank first: (N, 4)."""
    ranks = [rng.random(len(boxes)) * np.arange(len(boxes), 0, -1) for boxes in groupings]
    boxes = np.concatenate(groupings)[np.argsort(np.concatenate(ranks), kind="stable")]
    _, first = np.unique(boxes, axis=0, return_index=True)
    return boxes[np.sort(first)]
