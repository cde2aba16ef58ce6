"""Covering parts of the picture, so that a network learns from all of an object, not from its one clearest part.

What is covered is still there: boxes, labels and masks are left as they are. With `min_visible` above 0, the
objects of which less than that share is left to see are left out: a share of their masks' pixels where the
sample has masks, of their boxes where it has none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from kzoo.augment.arguments import check_choice, check_number, check_range
from kzoo.augment.letterbox import FILL
from kzoo.augment.objects import select
from kzoo.structures import Sample

_TRIES = 20  # Rectangles drawn until one fits its region.


@dataclass(frozen=True)
class Cutout:
    """Covers squares, whose centres are anywhere: parts of them may lie outside of the picture.

    Attributes:
        size: least and greatest side, as a share of the picture's shorter one.
        count: how many.
        fill: the grey level, 0 to 255, or "random" for noise.
        min_visible: objects of which a smaller share, 0 to 1, is left to see are left out; 0 keeps all.
        p: the share of samples it is applied to.

    Source: DeVries & Taylor 2017, arXiv:1708.04552.
    """

    size: tuple[float, float] = (0.1, 0.3)
    count: int = 1
    fill: int | str = FILL
    min_visible: float = 0.0
    p: float = 0.5

    def __post_init__(self):
        check_range("cutout", "size", self.size, 0.0, 2.0)
        check_number("cutout", "count", self.count, 1, 1000, whole=True)
        _check_common("cutout", self)

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        applied = rng.random() < self.p
        height, width = sample.size
        sides = rng.uniform(*self.size, (self.count, 1)) * min(height, width)
        centres = rng.random((self.count, 2)) * (width, height)
        if not applied:
            return sample
        squares = np.concatenate([centres - sides / 2, centres + sides / 2], 1)
        return _covered(rng, sample, _inside_of(squares, sample), self.fill, self.min_visible)


@dataclass(frozen=True)
class RandomErasing:
    """Covers a rectangle of random area and aspect with noise: in the picture, in every object's box, or both.

    Attributes:
        scale: least and greatest share of the area of the picture, or box, drawn evenly.
        ratio: least and greatest height over width, drawn evenly on a logarithmic scale.
        where: "picture", "objects" or "both".
        fill: the grey level, 0 to 255, or "random" for noise.
        min_visible: objects of which a smaller share, 0 to 1, is left to see are left out; 0 keeps all.
        p: the share of samples it is applied to.

    Source: Zhong et al. 2017, arXiv:1708.04896, sections 3.2 and 3.3.
    """

    scale: tuple[float, float] = (0.02, 0.2)
    ratio: tuple[float, float] = (0.3, 1 / 0.3)
    where: str = "picture"
    fill: int | str = "random"
    min_visible: float = 0.0
    p: float = 0.5

    def __post_init__(self):
        check_range("random_erasing", "scale", self.scale, 0.0, 1.0)
        check_range("random_erasing", "ratio", self.ratio, 0.01, 100.0)
        check_choice("random_erasing", "where", self.where, ("picture", "objects", "both"))
        _check_common("random_erasing", self)

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        applied = rng.random() < self.p
        height, width = sample.size
        picture = np.array([[0.0, 0.0, width, height]])
        regions = {
            "picture": picture,
            "objects": sample.boxes,
            "both": np.concatenate([picture, sample.boxes]),
        }[self.where]
        rectangles = self._rectangles(rng, regions.astype(np.float64))
        if not applied:
            return sample
        return _covered(rng, sample, _inside_of(rectangles, sample), self.fill, self.min_visible)

    def _rectangles(self, rng: np.random.Generator, regions: np.ndarray) -> np.ndarray:
        """One in each region, (N, 4), but in those where none fits."""
        shape = (len(regions), _TRIES)  # N, T: all tries are drawn at once, and the first that fits is taken
        whole = (regions[:, 2:] - regions[:, :2])[:, None]  # (N, 1, 2)
        area = rng.uniform(*self.scale, shape) * whole.prod(2)  # (N, T)
        ratio = np.exp(rng.uniform(*map(math.log, self.ratio), shape))
        sides = np.sqrt(np.stack([area / ratio, area * ratio], 2))  # (N, T, 2)
        corners = regions[:, None, :2] + (whole - sides) * rng.random((*shape, 2))
        fits = (sides <= whole).all(2)  # (N, T)
        first = (np.arange(len(regions)), fits.argmax(1))
        return np.concatenate([corners[first], corners[first] + sides[first]], 1)[fits.any(1)]


@dataclass(frozen=True)
class GridMask:
    """Covers the squares of a grid, one in each unit, turned and shifted at random.

    Attributes:
        unit: least and greatest side of a unit, as a share of the picture's shorter side.
        keep: what of a unit's side stays free: of the picture, 1 - (1 - keep) ** 2 does.
        rotate: greatest turn either way, degrees; a grid is the same again after 90.
        fill: the grey level, 0 to 255, or "random" for noise.
        min_visible: objects of which a smaller share, 0 to 1, is left to see are left out; 0 keeps all.
        p: the share of samples it is applied to.

    Source: Chen et al. 2020, arXiv:2001.04086. There `p` grows during the training; here it does not.
    """

    unit: tuple[float, float] = (0.2, 0.6)
    keep: float = 0.6
    rotate: float = 45.0
    fill: int | str = FILL
    min_visible: float = 0.0
    p: float = 0.5

    def __post_init__(self):
        check_range("grid_mask", "unit", self.unit, 0.01, 10.0)
        check_number("grid_mask", "keep", self.keep, 0.0, 1.0)
        check_number("grid_mask", "rotate", self.rotate, 0.0, 180.0)
        _check_common("grid_mask", self)

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        applied = rng.random() < self.p
        height, width = sample.size
        unit = rng.uniform(*self.unit) * min(height, width)
        angle = math.radians(rng.uniform(-self.rotate, self.rotate))
        shift = rng.random(2)
        if not applied:
            return sample
        x = ((np.arange(width, dtype=np.float32) + 0.5) / unit)[None]  # (1, W), in units
        y = ((np.arange(height, dtype=np.float32) + 0.5) / unit)[:, None]  # (H, 1)
        # Along each axis of the turned grid a unit's first part is covered; a square is where both are.
        covered = np.ones((height, width), bool)
        for along, across, start in ((x, y, shift[0]), (y, -x, shift[1])):
            position = along * np.float32(math.cos(angle)) + across * np.float32(math.sin(angle))
            position += np.float32(start)
            covered &= position - np.floor(position) < 1 - self.keep
        return _covered(rng, sample, covered, self.fill, self.min_visible)


@dataclass(frozen=True)
class HideAndSeek:
    """Covers cells of a grid, each by its own chance.

    Attributes:
        cells: least and greatest count of cells along the picture's shorter side.
        share: the chance of a cell to be covered.
        fill: the grey level, 0 to 255, or "random" for noise.
        min_visible: objects of which a smaller share, 0 to 1, is left to see are left out; 0 keeps all.
        p: the share of samples it is applied to.

    Source: Singh & Lee 2017, arXiv:1704.04232, where the share is one half.
    """

    cells: tuple[int, int] = (4, 14)
    share: float = 0.25
    fill: int | str = FILL
    min_visible: float = 0.0
    p: float = 0.5

    def __post_init__(self):
        check_range("hide_and_seek", "cells", self.cells, 1, 1000, whole=True)
        check_number("hide_and_seek", "share", self.share, 0.0, 1.0)
        _check_common("hide_and_seek", self)

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        applied = rng.random() < self.p
        height, width = sample.size
        side = min(height, width) / rng.integers(self.cells[0], self.cells[1] + 1)
        rows, columns = ((np.arange(length) / side).astype(int) for length in (height, width))
        hidden = rng.random((rows[-1] + 1, columns[-1] + 1)) < self.share
        if not applied:
            return sample
        return _covered(rng, sample, hidden[rows][:, columns], self.fill, self.min_visible)


def _check_common(name: str, transform) -> None:
    """Raises a ValueError where `fill`, `min_visible` or `p` of a transform is out of its bounds."""
    if transform.fill != "random":
        if isinstance(transform.fill, str):
            raise ValueError(f'{name}: fill={transform.fill!r}; give a grey level from 0 to 255, or "random"')
        check_number(name, "fill", transform.fill, 0, 255)
    check_number(name, "min_visible", transform.min_visible, 0.0, 1.0)
    check_number(name, "p", transform.p, 0.0, 1.0)


def _inside_of(rectangles: np.ndarray, sample: Sample) -> np.ndarray:
    """(H, W) bool: what lies in one of (N, 4) rectangles, rounded to pixels."""
    height, width = sample.size
    inside = np.zeros((height, width), bool)
    for x1, y1, x2, y2 in np.rint(np.clip(rectangles, 0, (width, height, width, height))).astype(int):
        inside[y1:y2, x1:x2] = True
    return inside


def _covered(rng, sample: Sample, covered: np.ndarray, fill: int | str, min_visible: float) -> Sample:
    """The sample with the pixels of a mask covered."""
    image = sample.image.copy()
    if fill == "random":
        image[covered] = rng.integers(0, 256, (int(covered.sum()), 3), dtype=np.uint8)
    else:
        image[covered] = fill
    result = replace(sample, image=image)
    if min_visible > 0 and len(sample.boxes):
        result = select(result, _visible_shares(sample, covered) >= min_visible)
    return result


def _visible_shares(sample: Sample, covered: np.ndarray) -> np.ndarray:
    """What of every object is not covered: (N,), 0 to 1."""
    if sample.masks is not None:
        whole = sample.masks.sum((1, 2))
        return (sample.masks & ~covered).sum((1, 2)) / np.maximum(whole, 1)
    height, width = sample.size
    shares = []
    for x1, y1, x2, y2 in np.clip(sample.boxes, 0, (width, height, width, height)):
        # All pixels that the box touches: at least one.
        part = covered[math.floor(y1) : math.ceil(y2), math.floor(x1) : math.ceil(x2)]
        shares.append(1.0 - part.mean() if part.size else 0.0)
    return np.array(shares)
