"""Synthetic images with exact boxes and masks: circles, rectangles and triangles on textured ground."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from kzoo import __version__
from kzoo.data.dataset import Dataset
from kzoo.data.parts import choose_split
from kzoo.data.record import Record
from kzoo.structures import Sample
from kzoo.structures.runs import encode_mask

CLASSES = ("circle", "rectangle", "triangle")
SPLITS = ("train", "val", "test")
LEAST_SIDE, LARGEST_SIDE = 32, 4096  # pixels of an image
MOST = 10**6  # images
_DIGITS = 12  # of a number in a name
_MAX_OBJECTS = 8
_SMALLEST, _LARGEST = 0.1, 0.36  # of the shorter side
_OVERLAP = 0.1  # of the smaller of two shapes
_Window = tuple[slice, slice]
_CONTRAST = 60.0  # least distance in RGB between a shape and the mean of the ground under it


class Shapes(Dataset):
    """Images drawn when they are asked for: image `i` is the same every time, and no two splits share one.

    Args:
        count: how many images, up to a million.
        image_size: (height, width) in pixels, 32 to 4096.
        seed: another seed gives another dataset.
        split: "train", "val" or "test"; None is train.
        masks: whether samples carry instance masks.
        task: "detect" or "instance", or "segment" for semantic masks: ground is class 0, the shapes follow.

    Example:
        >>> Shapes(count=10, image_size=(128, 128))[0].image.shape
        (128, 128, 3)
    """

    format = "shapes"
    files = False

    def __init__(
        self,
        count: int = 500,
        image_size: tuple[int, int] = (256, 256),
        seed: int = 0,
        split: str | None = None,
        masks: bool = False,
        task: str = "detect",
    ):
        if not 0 <= count <= MOST:
            raise ValueError(f"shapes: count {count}; give 0 to {MOST} images")
        if min(image_size) < LEAST_SIDE or max(image_size) > LARGEST_SIDE:
            raise ValueError(
                f"shapes: image size {tuple(image_size)}; give at least {LEAST_SIDE} pixels a side, and at most "
                f"{LARGEST_SIDE}"
            )
        if seed < 0:
            raise ValueError(f"shapes: seed {seed}; give 0 or more")
        split = None if split is None else choose_split(split, SPLITS, "shapes")
        self.semantic, self.instances = task == "segment", task == "instance"
        masks |= self.instances
        super().__init__("shapes", split, ("background", *CLASSES) if self.semantic else CLASSES, masks=masks)
        self.count = count
        self.image_size = tuple(image_size)
        self.seed = seed

    def __len__(self) -> int:
        return self.count

    def record(self, index: int) -> Record:
        index = self._position(index)
        _, masks, labels = self._labelled(index)
        name = f"{self.split or 'train'}_{index:06d}"
        return Record(
            Path("shapes") / f"{name}.png",
            _tight_boxes(masks),
            labels,
            id=name,
            size=self.image_size,
            polygons=[encode_mask(mask) for mask in masks],
            areas=masks.sum(axis=(1, 2), dtype=np.float64),
        )

    def image(self, index: int) -> np.ndarray:
        return self._draw(self._position(index))[0]

    def identity(self, index: int) -> str:
        part = self.split or SPLITS[0]
        return f"shapes|{__version__}|{part}|{self.seed}|{self.image_size}|{self._position(index)}"

    def size(self, index: int) -> tuple[int, int]:
        return self.image_size

    def probe(self, index: int) -> tuple[int, int]:
        return self.image_size

    def __getitem__(self, index: int):
        index = self._position(index)
        image, masks, labels = self._labelled(index)
        mask = (masks * labels.astype(np.uint8)[:, None, None]).sum(axis=0, dtype=np.uint8)
        return Sample(
            image,
            _tight_boxes(masks),
            labels,
            masks=masks if self.masks else None,
            mask=mask if self.semantic else None,
            id=f"{self.split or 'train'}_{index:06d}",
        )

    def _labelled(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        image, masks, labels = self._draw(index)
        return image, masks, labels + self.semantic

    def _draw(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split or "train"), index])
        return draw_shapes(rng, self.image_size)


def draw_shapes(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One image of 1 to 8 shapes; a later one hides what little it overlaps of an earlier.

    Args:
        rng: the only source of chance.
        size: (height, width) of the image in pixels.

    Returns:
        image (H, W, 3) uint8 RGB, visible masks (N, H, W) bool, labels (N,) int64.
    """
    image = _ground(rng, size)
    wanted = int(rng.integers(1, _MAX_OBJECTS + 1))
    owner = np.zeros(size, np.uint8)  # which shape, from 1, is on top
    areas: list[int] = []
    labels: list[int] = []
    for _ in range(4 * wanted):
        if len(labels) == wanted:
            break
        label = int(rng.integers(len(CLASSES)))
        mask, window = _shape(rng, label, size)
        area, below = np.count_nonzero(mask), owner[window]
        hidden = np.bincount(below[mask], minlength=len(areas) + 1)[
            1:
        ]  # pixels of each shape that it would hide
        if any(count > _OVERLAP * min(area, other) for count, other in zip(hidden, areas, strict=True)):
            continue
        labels.append(label)
        areas.append(area)
        below[mask] = len(labels)
        _paint(rng, image[window], mask)
    grain = rng.integers(0, 17, size=size, dtype=np.uint8)[..., None]
    image = cv2.subtract(cv2.add(image, np.repeat(grain, 3, axis=2)), (8, 8, 8, 0))
    masks = owner == np.arange(1, len(labels) + 1, dtype=np.uint8)[:, None, None]
    return image, masks, np.array(labels, np.int64)


def _ground(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8: a colour, blotches on it, and stripes at some angle."""
    height, width = size
    cells = int(rng.integers(3, 9))
    blotches = (rng.uniform(40, 215, 3) + rng.normal(0, 22, (cells, cells, 3))).astype(np.float32)
    ground = cv2.resize(blotches, (width, height), interpolation=cv2.INTER_CUBIC)
    angle, period, depth = rng.uniform(0, np.pi), rng.uniform(6, 40), rng.uniform(0, 18)
    across = np.arange(width) * (np.cos(angle) * 2 * np.pi / period)
    down = np.arange(height) * (np.sin(angle) * 2 * np.pi / period)
    # sin(a + b) as an outer product, which is ten times as fast as the sine of every pixel.
    stripes = np.outer(np.sin(down), np.cos(across)) + np.outer(np.cos(down), np.sin(across))
    ground += (depth * stripes).astype(np.float32)[..., None]
    return cv2.convertScaleAbs(np.maximum(ground, 0))


def _shape(
    rng: np.random.Generator, label: int, size: tuple[int, int]
) -> tuple[np.ndarray, tuple[slice, slice]]:
    """A shape that lies wholly inside the image: its pixels (h, w) bool and where in the image they are."""
    height, width = size
    reach = rng.uniform(_SMALLEST, _LARGEST) * min(size) / 2
    side = 2 * int(np.ceil(reach)) + 3
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    canvas = np.zeros((side, side), np.uint8)
    middle = side // 2
    if CLASSES[label] == "circle":
        cv2.circle(canvas, (middle, middle), round(reach), 1, -1)
    else:
        corners = _rectangle(rng) if CLASSES[label] == "rectangle" else _triangle(rng)
        cv2.fillConvexPoly(canvas, np.rint(corners * reach + middle).astype(np.int32), 1)
    return canvas.astype(bool), (slice(top, top + side), slice(left, left + side))


def _rectangle(rng: np.random.Generator) -> np.ndarray:
    """(4, 2) corners within the unit square, half the time a little turned, so that a box is no giveaway."""
    narrow = rng.uniform(0.5, 1.0)
    sides = np.array([1.0, narrow] if rng.random() < 0.5 else [narrow, 1.0])
    turn = rng.uniform(-0.35, 0.35) if rng.random() < 0.5 else 0.0
    cos, sin = np.cos(turn), np.sin(turn)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * sides @ np.array([[cos, sin], [-sin, cos]])
    return corners / (cos + abs(sin))


def _triangle(rng: np.random.Generator) -> np.ndarray:
    """(3, 2) corners on the unit circle, nearly evenly spread."""
    angles = rng.uniform(0, 2 * np.pi) + np.array([0, 2, 4]) * np.pi / 3 + rng.uniform(-0.25, 0.25, 3)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _paint(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray) -> None:
    """Fills `mask` with a colour that stands out from what lies under it, a little shaded."""
    under = image[mask].mean(axis=0)
    colour = rng.uniform(0, 255, 3)
    while np.linalg.norm(colour - under) < _CONTRAST:
        colour = rng.uniform(0, 255, 3)
    shade = np.add.outer(*(np.linspace(-0.5, 0.5, len(mask)) * rng.uniform(-20, 20) for _ in range(2)))
    image[mask] = np.clip(colour + shade[mask][:, None], 0, 255)


def _tight_boxes(masks: np.ndarray) -> np.ndarray:
    """(N, 4) float32 xyxy of the pixels of (N, H, W) masks."""
    rectangles = [cv2.boundingRect(mask.view(np.uint8)) for mask in masks]
    return np.array([(x, y, x + w, y + h) for x, y, w, h in rectangles], np.float32).reshape(-1, 4)


def make_splits(
    count: int,
    image_size: tuple[int, int] = (256, 256),
    seed: int = 0,
    masks: bool = False,
    task: str = "detect",
) -> dict[str, Shapes]:
    """Three datasets that share no image: train, and val and test, which have a quarter as many images each.

    Args:
        count: number of images of train, up to a million.
        image_size: (height, width) in pixels, 32 to 4096.
        seed: another seed gives other datasets; 0 or more.
        masks: whether samples carry instance masks.
        task: "detect" or "instance", or "segment" for semantic masks.

    Returns:
        The datasets by the name of their split.
    """
    few = min(max(count // 4, 1), count)
    counts = {"train": count, "val": few, "test": few}
    return {split: Shapes(n, image_size, seed, split, masks, task) for split, n in counts.items()}


def is_shapes(path: Path) -> bool:
    """Whether `path` is the name of the synthetic dataset."""
    return str(path).partition(":")[0] == "shapes"


def splits(path: Path) -> list[str]:
    """Train, val and test."""
    return list(SPLITS)


def from_name(name: str, split: str | None = None, masks: bool = False, task: str = "detect") -> Shapes:
    """The dataset of a name: "shapes" is 500 images of 256 pixels, "shapes:1000:128" 1000 of 128.

    Args:
        name: "shapes", "shapes:COUNT" or "shapes:COUNT:SIZE"; the count is train's, val and test have a quarter of it.
        split: "train", "val" or "test"; None is train.
        masks: whether samples carry instance masks.
        task: "detect" or "instance", or "segment" for semantic masks.

    Raises:
        ValueError: the name has another form, or the split is unknown.
    """
    parts = name.split(":")[1:]
    if len(parts) > 2 or not all(part.isdecimal() and len(part) <= _DIGITS and int(part) for part in parts):
        raise ValueError(f"{name}: not a synthetic dataset; write shapes, shapes:COUNT or shapes:COUNT:SIZE")
    count = int(parts[0]) if parts else 500
    side = int(parts[1]) if len(parts) > 1 else 256
    split = None if split is None else choose_split(split, SPLITS, name)
    count = count if split in (None, "train") else max(count // 4, 1)
    return Shapes(count, (side, side), split=split, masks=masks, task=task)
