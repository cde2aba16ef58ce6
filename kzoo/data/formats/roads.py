"""Synthetic streets with exact boxes of cars, the drivable area and the lanes' lines."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np

from kzoo import __version__
from kzoo.data.dataset import Dataset
from kzoo.data.formats.shapes import LARGEST_SIDE, LEAST_SIDE, MOST, SPLITS
from kzoo.data.parts import choose_split
from kzoo.data.record import Record
from kzoo.structures.roads import DRIVABLE, LANE

CLASSES = ("car",)
_DIGITS = 12  # of a number in a name
_MOST_CARS = 4
_OVERLAP = 0.05  # of the smaller of two cars
_LEAST_CAR = 8  # pixels of a car's height, in an image of 128


class Roads(Dataset):
    """Streets drawn when they are asked for: image `i` is the same every time, and no two splits share one.

    Of each there are the boxes of its cars, and a mask of bits: 1 where the road is not hidden, 2 on a lane's line.

    Args:
        count: how many images, up to a million.
        image_size: (height, width) in pixels, 32 to 4096.
        seed: another seed gives another dataset.
        split: "train", "val" or "test"; None is train.
        task: "drive", or "detect" for the boxes alone.

    Example:
        >>> sample = Roads(count=10, image_size=(128, 128))[0]
        >>> sample.boxes.shape, sample.mask.shape
        ((2, 4), (128, 128))
    """

    format = "roads"
    files = False

    def __init__(
        self,
        count: int = 500,
        image_size: tuple[int, int] = (128, 128),
        seed: int = 0,
        split: str | None = None,
        task: str = "drive",
    ):
        if not 0 <= count <= MOST:
            raise ValueError(f"roads: count {count}; give 0 to {MOST} images")
        if min(image_size) < LEAST_SIDE or max(image_size) > LARGEST_SIDE:
            raise ValueError(
                f"roads: image size {tuple(image_size)}; give at least {LEAST_SIDE} pixels a side, and at most "
                f"{LARGEST_SIDE}"
            )
        if seed < 0:
            raise ValueError(f"roads: seed {seed}; give 0 or more")
        split = None if split is None else choose_split(split, SPLITS, "roads")
        super().__init__("roads", split, CLASSES)
        self.roads = task == "drive"
        self.count = count
        self.image_size = tuple(image_size)
        self.seed = seed

    def __len__(self) -> int:
        return self.count

    def record(self, index: int) -> Record:
        index = self._position(index)
        boxes = self._draw(index)[1]
        name = f"{self.split or 'train'}_{index:06d}"
        return Record(
            Path("roads") / f"{name}.png", boxes, np.zeros(len(boxes)), id=name, size=self.image_size
        )

    def image(self, index: int) -> np.ndarray:
        return self._draw(self._position(index))[0]

    def mask_of(self, index: int, record: Record, size: tuple[int, int]) -> np.ndarray:
        return self._draw(index)[2]

    def identity(self, index: int) -> str:
        part = self.split or SPLITS[0]
        return f"roads|{__version__}|{part}|{self.seed}|{self.image_size}|{self._position(index)}"

    def size(self, index: int) -> tuple[int, int]:
        return self.image_size

    def probe(self, index: int) -> tuple[int, int]:
        return self.image_size

    def _draw(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split or "train"), index])
        return draw_road(rng, self.image_size)


def draw_road(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One street with one to four cars on it and beside it.

    Args:
        rng: the only source of chance.
        size: (height, width) of the image in pixels.

    Returns:
        image (H, W, 3) uint8 RGB, boxes (N, 4) float32 xyxy pixels, mask (H, W) uint8 bits.
    """
    height, width = size
    horizon = rng.uniform(0.3, 0.45) * height
    image = _landscape(rng, size, int(horizon))
    # Where the road's edges are: a share of the width at the horizon and at the lower border, left and right.
    middle, half = rng.uniform(0.35, 0.65), rng.uniform(0.02, 0.05)
    edges = (middle - half, middle + half), (rng.uniform(-0.15, 0.2), rng.uniform(0.8, 1.15))
    far, near = (np.array(pair) * width for pair in edges)
    mask = np.zeros(size, np.uint8)
    road = np.array([[far[0], horizon], [far[1], horizon], [near[1], height], [near[0], height]])
    cv2.fillConvexPoly(mask, np.rint(road).astype(np.int32), DRIVABLE)
    image[mask > 0] = rng.uniform(60, 125) + rng.uniform(-6, 6, 3)
    _paint_lanes(rng, image, mask, horizon, far, near)
    boxes = []
    # Those that are far are drawn first: near ones stand before them.
    for bottom in np.sort(rng.uniform(0.25, 0.98, int(rng.integers(1, _MOST_CARS + 1)))):
        box = _place_car(rng, size, horizon, bottom, far, near)
        if box is not None and not _overlaps(box, boxes):
            _paint_car(rng, image, box)
            mask[box[1] : box[3], box[0] : box[2]] = 0
            boxes.append(box)
    grain = rng.integers(0, 17, size=size, dtype=np.uint8)[..., None]
    image = cv2.subtract(cv2.add(image, np.repeat(grain, 3, axis=2)), (8, 8, 8, 0))
    return image, np.array(boxes, np.float32).reshape(-1, 4), mask


def _landscape(rng: np.random.Generator, size: tuple[int, int], horizon: int) -> np.ndarray:
    """(H, W, 3) uint8: a sky that is lighter towards the horizon, and blotches of green and brown under it."""
    height, width = size
    image = np.empty((height, width, 3), np.float32)
    sky = rng.uniform((90, 140, 180), (150, 190, 240))
    image[:horizon] = sky + np.linspace(0, 40, max(horizon, 1))[:horizon, None, None]
    cells = int(rng.integers(4, 9))
    land = rng.uniform((60, 90, 30), (140, 150, 80)) + rng.normal(0, 18, (cells, cells, 3))
    image[horizon:] = cv2.resize(
        land.astype(np.float32), (width, height - horizon), interpolation=cv2.INTER_CUBIC
    )
    return np.clip(image, 0, 255).astype(np.uint8)


def _paint_lanes(rng, image: np.ndarray, mask: np.ndarray, horizon: float, far, near) -> None:
    """Lines at both edges, and one or two between them, solid or dashed, two to four pixels wide in 128; in place.

    Args:
        rng: the only source of chance.
        image: (H, W, 3) uint8.
        mask: (H, W) uint8, which gets the lines' bit.
        horizon: where the road ends, in pixels from above.
        far: left and right edge of the road at the horizon, in pixels.
        near: left and right edge at the image's lower border, in pixels.
    """
    height = len(mask)
    scale = min(mask.shape) / 128
    shares = [0.06, 0.94, *([0.5] if rng.random() < 0.5 else [0.36, 0.65])]
    for number, share in enumerate(shares):
        top, bottom = (edges[0] + share * (edges[1] - edges[0]) for edges in (far, near))
        dashes = 1 if number < 2 else int(rng.choice([1, 4]))
        # Of the way from the horizon down, where dashes begin and end: longer ones are nearer.
        ends = np.linspace(0.15, 1.0, dashes + 1) ** 1.5
        colour = rng.uniform((225, 215, 120), (255, 255, 255))
        for start, end in itertools.pairwise(ends):
            gap = 0.35 * (end - start) if dashes > 1 else 0.0
            along = np.array([start, end - gap])
            x, y = top + (bottom - top) * along, horizon + (height - horizon) * along
            half = scale * (0.5 + along)  # half the width in pixels, less the border that is drawn as well
            left, right = (
                np.stack([x - half, y], 1),
                np.stack([x + half, y], 1),
            )  # (2, 2) each: from far to near
            corners = np.concatenate([left, right[::-1]])
            line = np.zeros_like(mask)
            cv2.fillConvexPoly(line, np.rint(corners - 0.5).astype(np.int32), 1)
            mask[line > 0] |= LANE
            image[line > 0] = colour


def _place_car(
    rng, size: tuple[int, int], horizon: float, bottom: float, far, near
) -> tuple[int, int, int, int] | None:
    """Corners x1, y1, x2, y2 in whole pixels of a car that stands at a share of the way from the horizon down.

    None where it would be too small, or mostly beyond the image.
    """
    height, width = size
    y2 = horizon + bottom * (height - horizon)
    left, right = (far[i] + (near[i] - far[i]) * bottom for i in (0, 1))
    wide = rng.uniform(0.26, 0.36) * (right - left)
    tall = wide * rng.uniform(0.6, 0.9)
    on_road = rng.random() < 0.7
    middle = rng.uniform(left + wide / 2, right - wide / 2) if on_road else rng.uniform(0, width)
    x1, x2 = (round(float(np.clip(middle + side * wide / 2, 0, width))) for side in (-1, 1))
    y1, y2 = round(float(max(y2 - tall, 0))), round(float(y2))
    least = _LEAST_CAR * min(size) / 128
    seen = (x2 - x1) / max(wide, 1e-6)
    return (x1, y1, x2, y2) if y2 - y1 >= least and x2 - x1 >= least and seen > 0.6 else None


def _overlaps(box: tuple[int, int, int, int], others: list[tuple[int, int, int, int]]) -> bool:
    """Whether a car hides more than a little of another, or of itself behind it."""
    for other in others:
        common = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
        areas = [(one[2] - one[0]) * (one[3] - one[1]) for one in (box, other)]
        if (common > 0).all() and common.prod() > _OVERLAP * min(areas):
            return True
    return False


def _paint_car(rng: np.random.Generator, image: np.ndarray, box: tuple[int, int, int, int]) -> None:
    """A body in some colour, a dark window above its middle, lamps, and wheels below; in place."""
    x1, y1, x2, y2 = box
    wide, tall = x2 - x1, y2 - y1
    colour = rng.uniform(0, 255, 3)
    while np.ptp(colour) < 60 and 40 < colour.mean() < 200:  # not of the road's grey
        colour = rng.uniform(0, 255, 3)
    image[y1:y2, x1:x2] = colour

    def part(left: float, top: float, right: float, bottom: float, paint) -> None:
        """A rectangle inside the car, in shares of its sides."""
        rows = slice(y1 + round(top * tall), y1 + round(bottom * tall))
        image[rows, x1 + round(left * wide) : x1 + round(right * wide)] = paint

    part(0.15, 0.12, 0.85, 0.45, rng.uniform(15, 60, 3))
    part(0.05, 0.6, 0.2, 0.72, (230, 60, 40))
    part(0.8, 0.6, 0.95, 0.72, (230, 60, 40))
    part(0.08, 0.86, 0.28, 1.0, (20, 20, 20))
    part(0.72, 0.86, 0.92, 1.0, (20, 20, 20))


def make_splits(
    count: int, image_size: tuple[int, int] = (128, 128), seed: int = 0, task: str = "drive"
) -> dict[str, Roads]:
    """Three datasets that share no image: train, and val and test, which have a quarter as many images each."""
    few = min(max(count // 4, 1), count)
    counts = {"train": count, "val": few, "test": few}
    return {split: Roads(n, image_size, seed, split, task) for split, n in counts.items()}


def is_roads(path: Path) -> bool:
    """Whether `path` is the name of the synthetic dataset."""
    return str(path).partition(":")[0] == "roads"


def splits(path: Path) -> list[str]:
    """Train, val and test."""
    return list(SPLITS)


def from_name(name: str, split: str | None = None, task: str = "drive") -> Roads:
    """The dataset of a name: "roads" is 500 images of 128 pixels, "roads:1000:256" 1000 of 256.

    Args:
        name: "roads", "roads:COUNT" or "roads:COUNT:SIZE"; the count is train's, val and test have a quarter of it.
        split: "train", "val" or "test"; None is train.
        task: "drive", or "detect" for the boxes alone.

    Raises:
        ValueError: the name has another form, the split is unknown, or it has nothing for the task.
    """
    if task not in ("drive", "detect"):
        raise ValueError(f"{name}: boxes, and masks of roads; open it with task='drive', or task='detect'")
    parts = name.split(":")[1:]
    if len(parts) > 2 or not all(part.isdecimal() and len(part) <= _DIGITS and int(part) for part in parts):
        raise ValueError(f"{name}: not a synthetic dataset; write roads, roads:COUNT or roads:COUNT:SIZE")
    count = int(parts[0]) if parts else 500
    side = int(parts[1]) if len(parts) > 1 else 128
    split = None if split is None else choose_split(split, SPLITS, name)
    count = count if split in (None, "train") else max(count // 4, 1)
    return Roads(count, (side, side), split=split, task=task)
