"""Fitting a photograph into the network's input, and carrying boxes there and back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

FILL = 114  # The grey beside the picture; what the field's YOLO implementations train with.
RESIZES = ("letterbox", "stretch", "darknet")  # Ways to make a photograph an input.


@dataclass(frozen=True)
class Placement:
    """How an image lies in the network's input: input = original * scale + offset.

    Attributes:
        scale: along x and y; the two differ by the rounding to whole pixels, or freely after `stretch`.
        offset: x and y in input pixels of the image's top left corner.
        original: (height, width) of the image in pixels.
    """

    scale: tuple[float, float]
    offset: tuple[float, float]
    original: tuple[int, int]

    @property
    def inner(self) -> tuple[int, int]:
        """Height and width in whole input pixels that the image takes there."""
        height, width = self.original
        return round(height * self.scale[1]), round(width * self.scale[0])

    def to_input(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (..., 4) xyxy from the image's pixels to the input's, float32."""
        boxes = np.asarray(boxes, np.float64)
        return (boxes * np.tile(self.scale, 2) + np.tile(self.offset, 2)).astype(np.float32)

    def to_original(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (..., 4) xyxy from the input's pixels to the image's, clipped to the image, float32."""
        boxes = (np.asarray(boxes, np.float64) - np.tile(self.offset, 2)) / np.tile(self.scale, 2)
        height, width = self.original
        return np.clip(boxes, 0, (width, height, width, height)).astype(np.float32)

    @property
    def matrix(self) -> np.ndarray:
        """The same as a (3, 3) matrix on column vectors (x, y, 1), in edge coordinates."""
        (sx, sy), (tx, ty) = self.scale, self.offset
        return np.array([[sx, 0.0, tx], [0.0, sy, ty], [0.0, 0.0, 1.0]])


def check_resize(resize: str) -> str:
    """The name of a way to resize, if it is one.

    Raises:
        ValueError: it is not.
    """
    if resize not in RESIZES:
        raise ValueError(f"resize={resize!r} is unknown; use {', '.join(RESIZES)}")
    return resize


def fit(image: np.ndarray, size: tuple[int, int], resize: str = "letterbox") -> tuple[np.ndarray, Placement]:
    """The image as a network of an input of `size` takes it.

    Args:
        image: (H, W, 3) uint8.
        size: (height, width) in pixels.
        resize: "letterbox" keeps the aspect, with grey beside the picture; "stretch" does not; "darknet"
            stretches as Darknet's detector does, bilinear with aligned corners.

    Returns:
        (height, width, 3) uint8, and the placement that carries boxes to it and back.

    Raises:
        ValueError: `resize` is none of these, or a side is 0.
    """
    if check_resize(resize) == "letterbox":
        return letterbox(image, size)
    if resize == "stretch":
        return stretch(image, size)
    return _aligned(image, size), stretch_placement(image.shape[:2], size)


def fit_placement(original: tuple[int, int], size: tuple[int, int], resize: str = "letterbox") -> Placement:
    """Where `fit` puts an image of (height, width) `original`."""
    place = letterbox_placement if check_resize(resize) == "letterbox" else stretch_placement
    return place(original, size)


def letterbox_placement(original: tuple[int, int], size: tuple[int, int]) -> Placement:
    """Where `letterbox` puts an image: as large as fits, its aspect kept, centred on whole pixels.

    Args:
        original: (height, width) of the image.
        size: (height, width) of the network's input.
    """
    (height, width), (rows, columns) = _sides(original, size)
    ratio = min(rows / height, columns / width)
    inner_height = min(rows, max(1, round(height * ratio)))
    inner_width = min(columns, max(1, round(width * ratio)))
    offset = ((columns - inner_width) // 2, (rows - inner_height) // 2)
    return Placement((inner_width / width, inner_height / height), offset, (height, width))


def stretch_placement(original: tuple[int, int], size: tuple[int, int]) -> Placement:
    """Where `stretch` puts an image: on all of the input.

    Args:
        original: (height, width) of the image.
        size: (height, width) of the network's input.
    """
    (height, width), (rows, columns) = _sides(original, size)
    return Placement((columns / width, rows / height), (0, 0), (height, width))


def _sides(original, size):
    (height, width), (rows, columns) = original, size
    if min(height, width, rows, columns) < 1:
        raise ValueError(f"letterbox: cannot fit an image of {height}x{width} into {rows}x{columns} pixels")
    return (height, width), (rows, columns)


def letterbox(image: np.ndarray, size: tuple[int, int], fill: int = FILL) -> tuple[np.ndarray, Placement]:
    """The image in a canvas of `size`, its aspect kept, centred, with grey beside it.

    Args:
        image: (H, W, 3) uint8.
        size: (height, width) of the canvas in pixels.
        fill: the grey level beside the picture.

    Returns:
        The canvas (height, width, 3) uint8, and the placement that carries boxes to it and back.
    """
    placement = letterbox_placement(image.shape[:2], size)
    height, width = placement.inner
    resized = _resize(image, (width, height))
    if resized.shape[:2] == tuple(size):
        return resized, placement
    left, top = placement.offset
    canvas = np.full((*size, 3), fill, np.uint8)
    canvas[top : top + height, left : left + width] = resized
    return canvas, placement


def stretch(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, Placement]:
    """The image resized to `size`, its aspect lost.

    Args:
        image: (H, W, 3) uint8.
        size: (height, width) in pixels.

    Returns:
        (height, width, 3) uint8, and the placement that carries boxes to it and back.
    """
    placement = stretch_placement(image.shape[:2], size)
    return _resize(image, (size[1], size[0])), placement


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`cv2.resize` to (width, height), without aliasing.

    Bilinear interpolation looks at two pixels a side: beyond a halving it skips some, and thin things
    vanish. Area averaging sees all of them, at about twice the time, and equals nearest when enlarging.
    """
    if (image.shape[1], image.shape[0]) == tuple(size):
        return image
    halved = image.shape[1] > 2 * size[0] or image.shape[0] > 2 * size[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if halved else cv2.INTER_LINEAR)


def _aligned(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Darknet's resize to (height, width): the outermost pixels' centres meet those of the input, in both axes.

    Linear between two neighbours and without antialiasing, whatever the size. `cv2.remap` would be faster, but
    looks at the source on a grid of 1/32 pixel.

    Source: Darknet, `resize_image` in image.c.
    """
    if image.shape[:2] == tuple(size):
        return image
    mixed = np.asarray(image)
    # The axis that loses most comes first: less is left to do.
    for axis in sorted((0, 1), key=lambda axis: size[axis] / image.shape[axis]):
        position = np.linspace(0, mixed.shape[axis] - 1, size[axis], dtype=np.float64)
        first = position.astype(np.intp)
        share = (position - first).astype(np.float32).reshape(-1, *(1,) * (2 - axis))
        left, right = (
            mixed.take(index, axis, mode="clip").astype(np.float32) for index in (first, first + 1)
        )
        right -= left
        right *= share
        left += right
        mixed = left
    return np.rint(mixed).astype(np.uint8)
