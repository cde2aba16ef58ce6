"""Small pictures cut out of a dataset's own: what a backbone can learn to tell apart before it has to find anything.

They are cut once and kept in memory, for a photograph has many of them and would be decoded for each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from kzoo.augment.crop import areas, common_areas
from kzoo.augment.geometric import warp
from kzoo.augment.letterbox import FILL
from kzoo.augment.objects import clip_boxes
from kzoo.data.anchors import input_shapes
from kzoo.structures import Sample

BACKGROUND = "background"
SIDES = (64, 128)  # pixels: of two strides of the coarsest maps and more, and small enough to be quick
MOST = 8192  # crops that are kept: 400 MB of 128 pixels
_CUT = 4  # what this stream of random numbers is for: see `kzoo.data.loading.batch`
_MARGIN = 0.125  # of a box's longer side, added on each side of it
_TRIES = 30  # squares that are drawn for each background
_OVERLAP = 0.1  # of the smaller of the two, at most, that a background and a box have in common


@dataclass(eq=False)
class Crops:
    """Square pictures of one size with what they show, as `kzoo.data.batches` takes them for classifiers.

    Attributes:
        classes: names of the classes.
        images: (N, S, S, 3) uint8 RGB.
        shares: (N, C) float32, how much of each class a picture shows, together 1.
        masks: (N, S, S) uint8 semantic masks that `shares` tell of, 255 = ignored; None where there are none.
    """

    classify: ClassVar[bool] = True

    classes: list[str]
    images: np.ndarray
    shares: np.ndarray
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        mask = None if self.masks is None else self.masks[index]
        return Sample(self.images[index], mask=mask, shares=self.shares[index], id=int(index))

    @property
    def side(self) -> int:
        """Height and width of each in pixels."""
        return self.images.shape[1]

    @property
    def shown(self) -> int:
        """How many of the classes there is something of."""
        return int((self.shares > 0).any(0).sum())


@dataclass(frozen=True)
class PixelShares:
    """A transform that says how much of each class a sample shows, by the pixels of its semantic mask.

    Listed last, it tells of what the transforms before it have left in the picture.

    Attributes:
        count: number of classes.
    """

    count: int

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        return replace(sample, shares=pixel_shares(sample.mask, self.count))


def pixel_shares(mask: np.ndarray, count: int) -> np.ndarray:
    """Shares of the classes in a semantic mask, of the pixels that are not ignored.

    Args:
        mask: (H, W) integers, values into the classes; others are ignored.
        count: number of classes, C.

    Returns:
        (C,) float32, together 1; all 0 where every pixel is ignored.

    Example:
        >>> pixel_shares(np.array([[0, 0, 0, 2], [255, 255, 255, 255]]), 3)
        array([0.75, 0.  , 0.25], dtype=float32)
    """
    counts = np.bincount(mask.reshape(-1), minlength=count)[:count]  # (C,)
    return (counts / max(1, counts.sum())).astype(np.float32)


def object_crops(dataset, side: int, seed: int = 0, most: int = MOST) -> Crops:
    """Each object in the middle of a square of its own, and about as many squares of background as of a class.

    Backgrounds make a class of their own, the last, so that a dataset of one class teaches something, too. They are of
    the objects' sizes, and have no more grey in them: neither is to tell them apart. Crowds and difficult objects are
    no object's crop and no background.

    Args:
        dataset: anything with `len`, `[i] -> Sample` and `classes`; each image is decoded once.
        side: height and width of a crop in pixels.
        seed: seeds the order of the images and the places of backgrounds, 0 or more.
        most: number of crops after which no further image is looked at, 8192 by default.

    Example:
        >>> object_crops(kzoo.data.load("shapes:10:128"), side=64).images.shape
        (52, 64, 64, 3)
    """
    rng = np.random.default_rng((_CUT, seed))
    images, labels = [], []
    sized = np.zeros((0, 4))  # the squares of the last picture with objects, whose sizes backgrounds take
    for index in rng.permutation(len(dataset)):
        if len(images) >= most:
            break
        sample = dataset[int(index)]
        squares, kinds = _objects(sample, len(dataset.classes))
        sized = squares if len(squares) else sized
        ground = background_squares(rng, sample, sized, max(1, round(len(squares) / len(dataset.classes))))
        images += [cut(sample, one, side).image for one in (*squares, *ground)]
        labels += [*kinds, *[len(dataset.classes)] * len(ground)]
    shares = np.eye(len(dataset.classes) + 1, dtype=np.float32)[np.array(labels[:most], int)]  # (N, C + 1)
    return Crops([*dataset.classes, BACKGROUND], _stacked(images[:most], (side, side, 3)), shares)


def tiles(dataset, side: int, image_size: tuple[int, int], seed: int = 0, most: int = MOST) -> Crops:
    """Parts of pictures with semantic masks, at the scale at which the network will see them.

    A picture gives as many as would cover it. Each lies around a pixel of a class, as far as the border lets it. The
    picture's classes are drawn equally often, so that small ones are seen as often as large ones.

    Args:
        dataset: anything with `len`, `[i] -> Sample` with a `mask`, and `classes`; each image is decoded once.
        side: height and width of a tile in pixels.
        image_size: (height, width) in pixels of the network's input, into which a whole picture is fitted.
        seed: seeds the order of the images and the places of tiles, 0 or more.
        most: number of tiles after which no further image is looked at, 8192 by default.

    Example:
        >>> tiles(kzoo.data.load("shapes:10:128", task="segment"), side=64, image_size=(128, 128)).shares.shape
        (40, 4)
    """
    rng = np.random.default_rng((_CUT, seed))
    count = len(dataset.classes)
    images, masks = [], []
    for index in rng.permutation(len(dataset)):
        if len(images) >= most:
            break
        sample = dataset[int(index)]
        height, width = sample.size
        reach = side * max(height / image_size[0], width / image_size[1])  # pixels of the picture
        for square in _tile_squares(rng, sample.mask, reach, count):
            tile = cut(sample, square, side)
            images.append(tile.image)
            masks.append(tile.mask)
    masks = _stacked(masks[:most], (side, side))
    shares = np.array([pixel_shares(mask, count) for mask in masks], np.float32).reshape(-1, count)
    return Crops(list(dataset.classes), _stacked(images[:most], (side, side, 3)), shares, masks)


def fitting_side(dataset, image_size: tuple[int, int]) -> int:
    """The side in pixels, one of `SIDES`, that changes the size of a dataset's objects least.

    Args:
        dataset: a dataset of boxes.
        image_size: (height, width) of the network's input in pixels.
    """
    sides = (1 + 2 * _MARGIN) * input_shapes(dataset, image_size).max(1, initial=0.0)  # (N,)
    return SIDES[int(len(sides) > 0 and np.median(sides) > math.sqrt(SIDES[0] * SIDES[1]))]


def squares_around(boxes: np.ndarray) -> np.ndarray:
    """The squares in whose middle boxes lie, with a margin of an eighth of the longer side: (N, 4) -> (N, 4) xyxy."""
    boxes = boxes.astype(np.float64)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (0.5 + _MARGIN) * (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True)
    return np.concatenate([middles - half, middles + half], 1)


def background_squares(rng: np.random.Generator, sample: Sample, sized: np.ndarray, count: int) -> np.ndarray:
    """Squares that have next to nothing of any box in them, nor fill one.

    They stick out of the picture by no more than the square of a box at its border does.

    Args:
        rng: the only source of chance.
        sample: the picture and all of its boxes.
        sized: (M, 4) xyxy squares; those that are drawn have half to all of the side of one of them.
        count: number of squares that are looked for.

    Returns:
        (K, 4) xyxy in pixels of the picture; fewer than `count` where there is little room, none without sizes.
    """
    if not len(sized):
        return sized
    height, width = sample.size
    tries = _TRIES * count
    half = (sized[:, 2:] - sized[:, :2])[rng.integers(len(sized), size=tries)] / 2  # (T, 2)
    half = half * rng.uniform(0.5, 1.0, (tries, 1))
    frame = np.array([width, height])
    nearest = np.minimum(half / (1 + 2 * _MARGIN), frame / 2)  # of a middle to the border
    middles = nearest + rng.random((tries, 2)) * (frame - 2 * nearest)
    found = np.concatenate([middles - half, middles + half], 1)  # (T, 4)
    smaller = np.minimum(areas(found)[:, None], areas(sample.boxes)[None])  # (T, N)
    free = (common_areas(found, sample.boxes) <= _OVERLAP * smaller).all(1)
    return found[free][:count]


def cut(sample: Sample, square: np.ndarray, side: int) -> Sample:
    """The picture in a square, and its semantic mask if it has one, with grey and ignored pixels beside the picture.

    Args:
        sample: the picture.
        square: (4,) xyxy in pixels of the picture, which it may stick out of.
        side: height and width of the result in pixels.
    """
    height, width = sample.size
    # Warping shrinks what it is given as a whole, so it is given the window; one pixel more, which interpolation at the
    # edge looks at.
    x1, y1 = np.clip(np.floor(square[:2]).astype(int) - 1, 0, (width - 1, height - 1))
    x2, y2 = np.clip(np.ceil(square[2:]).astype(int) + 1, 1, (width, height))
    scale = side / (square[2] - square[0])
    matrix = np.array(
        [[scale, 0.0, (x1 - square[0]) * scale], [0.0, scale, (y1 - square[1]) * scale], [0.0, 0.0, 1.0]]
    )
    mask = None if sample.mask is None else sample.mask[y1:y2, x1:x2]
    return warp(Sample(sample.image[y1:y2, x1:x2], mask=mask), matrix, (side, side), fill=(FILL,) * 3)


def _objects(sample: Sample, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The squares around the objects that are to be told apart, (N, 4), and their labels, (N,)."""
    height, width = sample.size
    boxes, there = clip_boxes(sample.boxes, (0, 0, width, height), 0.0)
    there &= ~(sample.difficult | sample.crowd) & (sample.labels >= 0) & (sample.labels < classes)
    return squares_around(boxes[there]), sample.labels[there]


def _tile_squares(
    rng: np.random.Generator, mask: np.ndarray, reach: float, count: int
) -> Iterator[np.ndarray]:
    """As many squares of the side `reach` as would cover a (H, W) mask, each about a pixel of a class by chance."""
    height, width = mask.shape
    places = [np.flatnonzero(mask == label) for label in np.unique(mask) if 0 <= label < count]
    room = np.array([width, height]) - reach
    for _ in range(math.ceil(height * width / reach**2) if places else 0):
        pixels = places[rng.integers(len(places))]
        row, column = divmod(int(pixels[rng.integers(len(pixels))]), width)
        corner = np.array([column, row]) + 0.5 - reach / 2
        # Within the picture; a picture that is narrower lies in the middle.
        corner = np.where(room > 0, np.clip(corner, 0.0, np.maximum(room, 0.0)), room / 2)
        yield np.concatenate([corner, corner + reach])


def _stacked(arrays: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Arrays of one shape as one, (N, *shape) uint8, also where there is none."""
    return np.array(arrays, np.uint8).reshape(-1, *shape)
