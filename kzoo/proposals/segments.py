"""An image in several colour spaces, and the first small regions in each of them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_COLOUR_BINS = 25
_TEXTURE_BINS = 10


def _hsv(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)


def _normalised(image: np.ndarray) -> np.ndarray:
    """Shares of red and green, and the intensity."""
    whole = image.sum(-1, dtype=np.int32)  # (H, W)
    shares = image[..., :2] * 255 // np.maximum(whole, 1)[..., None]
    return np.concatenate([shares, whole[..., None] // 3], axis=-1).astype(np.uint8)


# By name, functions of (H, W, 3) uint8 RGB that give (H, W, channels) uint8, each channel over all of 0..255.
COLOUR_SPACES = {
    "hsv": _hsv,
    "lab": lambda image: cv2.cvtColor(image, cv2.COLOR_RGB2LAB),
    "rgi": _normalised,
    "grey": lambda image: cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None],
    "hue": lambda image: _hsv(image)[..., :1],
}


@dataclass(frozen=True)
class Regions:
    """What is known of the regions of an image; R of them.

    Attributes:
        sizes: (R,) pixels of each.
        boxes: (R, 4) xyxy pixels around each, right and bottom edges exclusive.
        colour: (R, 25 * channels) histogram of each region's values, of sum 1.
        texture: (R, 80 * channels) histograms of its derivatives, of sum 1.
        pairs: (P, 2) regions that touch, the lower first.
    """

    sizes: np.ndarray
    boxes: np.ndarray
    colour: np.ndarray
    texture: np.ndarray
    pairs: np.ndarray

    def __len__(self) -> int:
        return len(self.sizes)


def segment(image: np.ndarray, scale: float, sigma: float, smallest: int) -> np.ndarray:
    """The regions that differ from their neighbours by more than within: (H, W) labels from 0.

    Args:
        image: (H, W, channels) uint8 in any colour space.
        scale: how large regions tend to be, k of the paper for values of 0..255, above 0.
        sigma: deviation in pixels of the Gaussian that smooths the image first, 0 or more.
        smallest: pixels that a region has at least.

    Raises:
        ImportError: the extra `proposals` is not installed.

    Source: Felzenszwalb and Huttenlocher 2004, IJCV 59(2).
    """
    try:
        from skimage.segmentation import felzenszwalb
    except ImportError as error:
        raise ImportError(
            f"selective search needs scikit-image ({error}): pip install 'kzoo[proposals]'"
        ) from error
    return felzenszwalb(image, scale=scale, sigma=sigma, min_size=smallest)


def derivatives(image: np.ndarray) -> np.ndarray:
    """How steep each channel is along both axes and both diagonals, up and down apart: (H, W, channels * 8) int.

    Each map's values are its bins, from 0 to 9 at the map's largest.
    """
    maps = []
    for channel in cv2.split(image):
        across, down = cv2.Scharr(channel, cv2.CV_32F, 1, 0), cv2.Scharr(channel, cv2.CV_32F, 0, 1)
        diagonal = np.sqrt(np.float32(0.5))
        for slope in (across, down, (across + down) * diagonal, (across - down) * diagonal):
            maps += [np.maximum(slope, 0), np.maximum(-slope, 0)]
    maps = np.stack(maps, axis=-1)  # (H, W, channels * 8)
    largest = np.maximum(maps.max((0, 1)), 1e-6)
    return np.minimum(maps * (_TEXTURE_BINS / largest), _TEXTURE_BINS - 1).astype(np.int64)


def describe(labels: np.ndarray, image: np.ndarray, slopes: np.ndarray) -> Regions:
    """The regions of a segmentation.

    Args:
        labels: (H, W) labels from 0, none left out.
        image: (H, W, channels) uint8, whose values the colour histograms count.
        slopes: (H, W, maps) bins of its derivatives.
    """
    sizes = np.bincount(labels.ravel())
    colours = image.astype(np.int64) * _COLOUR_BINS // 256
    return Regions(
        sizes,
        _boxes(labels, len(sizes)),
        _histograms(labels, colours, _COLOUR_BINS, sizes),
        _histograms(labels, slopes, _TEXTURE_BINS, sizes),
        _touching(labels),
    )


def _boxes(labels: np.ndarray, count: int) -> np.ndarray:
    """The box around each region: (R, 4)."""
    boxes = np.zeros((count, 4), np.int64)
    for axis in (0, 1):
        # Which regions each row has, and each column, each once: far fewer than pixels.
        length = labels.shape[axis]
        lines = np.arange(length).reshape(-1, 1) if axis == 0 else np.arange(length)
        present = np.unique(labels.astype(np.int64) * length + lines)
        region, line = present // length, present % length
        first = np.flatnonzero(np.diff(region, prepend=-1))
        last = np.append(first[1:], len(region)) - 1
        boxes[:, 1 - axis], boxes[:, 3 - axis] = line[first], line[last] + 1
    return boxes


def _histograms(labels: np.ndarray, values: np.ndarray, bins: int, sizes: np.ndarray) -> np.ndarray:
    """Histograms of each map of (H, W, maps) in each region, side by side: (R, maps * bins) of sum 1."""
    start = labels.ravel().astype(np.int64) * bins
    counts = [
        np.bincount(start + values[..., i].ravel(), minlength=len(sizes) * bins).reshape(-1, bins)
        for i in range(values.shape[-1])
    ]
    return (np.concatenate(counts, axis=1) / (sizes[:, None] * len(counts))).astype(np.float32)


def _touching(labels: np.ndarray) -> np.ndarray:
    """Pairs of regions that share an edge of a pixel, each once: (P, 2)."""
    ends = np.concatenate(
        [
            np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()], axis=1),
            np.stack([labels[:-1].ravel(), labels[1:].ravel()], axis=1),
        ]
    ).astype(np.int64)
    ends = np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1)
    count = int(labels.max()) + 1
    pairs = np.unique(ends[:, 0] * count + ends[:, 1])
    return np.stack([pairs // count, pairs % count], axis=1)
