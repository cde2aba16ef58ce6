"""Weights that make a network learn the gaps between touching objects."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from kzoo.structures import IGNORED, Sample

_NEGLIGIBLE = 1e-5  # Of `w0`: where the border term is less, it is left out.


@dataclass(frozen=True)
class BorderWeights:
    """Pixels between close objects count more: U-Net's weight map.

    w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2)), where d1 and d2 are the distances from a pixel of the
    ground to the nearest and to the second nearest object. Pixels of objects have w_c alone, and so have all where
    there are fewer than two objects.

    The objects are the sample's instance masks (`kzoo.data.load(..., masks=True)`); without them, the connected
    parts of each class of the semantic mask, in which touching objects of a class are one. List it last: what
    comes after may move or mix pixels.

    Source: Ronneberger et al. 2015, U-Net: Convolutional Networks for Biomedical Image Segmentation, eq. 2.

    Attributes:
        w0: the greatest additional weight, 0 or more; 10 as in the paper.
        sigma: standard deviation of its decline with the distance, in pixels of the network's input; 5 as in the paper.
        frequencies: the share of pixels each class has, as `kzoo data check` tells; w_c is then 1 over the number of
            classes times its class's share, which is 1 on average. None for w_c = 1.

    Raises:
        ValueError: `w0` is negative, `sigma` or a frequency is not above 0; of a sample: it has no semantic mask.

    Example:
        >>> kzoo.data.batches(dataset, 256, 8, augment=["flip", {"border_weights": {"sigma": 3}}])
    """

    w0: float = 10.0
    sigma: float = 5.0
    frequencies: tuple[float, ...] | None = None

    weighted = True
    instances = True

    def __post_init__(self):
        if self.w0 < 0 or self.sigma <= 0:
            raise ValueError(
                f"border_weights: w0 {self.w0}, sigma {self.sigma}; give 0 or more, and more than 0"
            )
        if self.frequencies is not None and min(self.frequencies, default=0) <= 0:
            raise ValueError(
                f"border_weights: frequencies {self.frequencies}; give the share of every class, above 0"
            )

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        if sample.mask is None:
            raise ValueError(
                f"image {sample.id!r}: border_weights needs a semantic mask; open the dataset with task='segment'"
            )
        weights = self._balance(sample)
        objects = (
            connected_parts(sample.mask) if sample.masks is None else (m.view(np.uint8) for m in sample.masks)
        )
        reach = self.sigma * math.sqrt(-2 * math.log(_NEGLIGIBLE))
        nearest, second = two_nearest(objects, sample.size, reach)  # d1, d2: (H, W)
        border = np.exp((nearest + second) ** 2 * (-0.5 / self.sigma**2)) * self.w0
        ground = nearest > 0
        weights[ground] += border[ground]
        return dataclasses.replace(sample, pixel_weights=weights)

    def _balance(self, sample: Sample) -> np.ndarray:
        """w_c: (H, W) float32."""
        if self.frequencies is None:
            return np.ones(sample.size, np.float32)
        classes = len(self.frequencies)
        table = np.ones(256, np.float32)
        table[:classes] = [1 / (classes * share) for share in self.frequencies]
        highest = int(sample.mask[sample.mask != IGNORED].max(initial=0))
        if highest >= classes:
            raise ValueError(
                f"image {sample.id!r}: border_weights has {classes} frequencies and the mask a class {highest}; "
                "give one for every class"
            )
        return table[sample.mask]


def two_nearest(
    objects: Iterable[np.ndarray], size: tuple[int, int], reach: float = math.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Distances from every pixel to the nearest and to the second nearest object.

    Every object is looked at in a window around it alone, so that hundreds of small ones take milliseconds.

    Args:
        objects: (H, W) uint8 masks; empty ones do not count.
        size: (height, width) in pixels.
        reach: distances beyond it need not be known, in pixels.

    Returns:
        Two (H, W) float32: 0 on an object, exact up to `reach`, and infinite where there is no object within it.
    """
    height, width = size
    nearest, second = np.full(size, np.inf, np.float32), np.full(size, np.inf, np.float32)
    margin = math.ceil(min(reach, max(size)))
    for mask in objects:
        x, y, w, h = cv2.boundingRect(mask)
        if not w:
            continue
        rows = slice(max(0, y - margin), min(height, y + h + margin))
        columns = slice(max(0, x - margin), min(width, x + w + margin))
        distance = _distance(mask[rows, columns])
        # Views, written to in place: the larger of the new distance and the nearest may be the second, the smaller is
        # the nearest.
        first, next_one = nearest[rows, columns], second[rows, columns]
        np.minimum(next_one, np.maximum(first, distance), out=next_one)
        np.minimum(first, distance, out=first)
    return nearest, second


def _distance(mask: np.ndarray) -> np.ndarray:
    """(H, W) float32: how far each pixel is from the mask, which has some."""
    outside = (mask == 0).view(np.uint8)
    return cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def connected_parts(mask: np.ndarray) -> Iterator[np.ndarray]:
    """The connected parts of each class of a semantic mask but ground, as (H, W) uint8; corners connect."""
    for value in np.unique(mask):
        if value not in (0, IGNORED):
            count, numbers = cv2.connectedComponents((mask == value).view(np.uint8), connectivity=8)
            for number in range(1, count):
                yield (numbers == number).view(np.uint8)
