"""Fitting a photograph into the network's input, and carrying boxes there and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

FILL = 114  # The grey beside the picture; what the field's YOLO implementations train with.
_HALF = 127.5  # Darknet's .5
_MEAN = (124, 116, 104)  # ImageNet's mean colour: what zeros beside a normalised picture stand for.


@dataclass(frozen=True)
class Resize:
    """One way to make a photograph an input.

    Attributes:
        keeps_aspect: whether the picture is made as large as fits, with `fill` beside it; or fills all of the input.
        rounding: how the picture's sides become whole pixels: the "nearest" ones, or "down".
        interpolation: "area" is bilinear, and averages over areas beyond a halving; "linear" is bilinear at any size;
            "cubic"; "aligned" is Darknet's, bilinear with the outermost pixels' centres on those of the input.
        fill: red, green and blue beside the picture.
        place: where the picture lies in the input: in the "centre", on whole pixels, or in the top left "corner".
        back: how boxes come back: by the picture's "sides", width by width and height by height; by the one "ratio"
            before the sides were rounded; or by the sides and the "fraction" of a pixel that the centre lost.
    """

    keeps_aspect: bool = True
    rounding: str = "nearest"
    interpolation: str = "area"
    fill: tuple[int, int, int] = (FILL,) * 3
    place: str = "centre"
    back: str = "sides"

    @property
    def fractional(self) -> bool:
        """Whether the input's pixels lie between whole levels, which `fit` can keep."""
        return self.interpolation == "aligned"


# By name: the zoo's own; plain stretching; Darknet's two, of which `letter_box=1` is the second; the zoo's with the
# colours that other families have beside it; YOLOX's, DETR's and R-CNN's corner; PP-YOLOE's stretching.
RESIZES = {
    "letterbox": Resize(),
    "stretch": Resize(keeps_aspect=False),
    "darknet": Resize(keeps_aspect=False, interpolation="aligned"),
    "darknet-letterbox": Resize(
        rounding="down", interpolation="aligned", fill=(128, 128, 128), back="fraction"
    ),
    "letterbox-black": Resize(fill=(0, 0, 0)),
    "letterbox-mean": Resize(fill=_MEAN),
    "corner": Resize(rounding="down", interpolation="linear", place="corner", back="ratio"),
    "corner-black": Resize(rounding="down", interpolation="linear", fill=(0, 0, 0), place="corner"),
    "corner-mean": Resize(rounding="down", interpolation="linear", fill=_MEAN, place="corner"),
    "stretch-cubic": Resize(keeps_aspect=False, interpolation="cubic"),
}


@dataclass(frozen=True)
class Placement:
    """How an image lies in the network's input: input = original * scale + offset.

    Attributes:
        scale: along x and y; the two differ by the rounding to whole pixels, or freely after `stretch`.
        offset: x and y in input pixels of the image's top left corner, as boxes count it.
        original: (height, width) of the image in pixels.
        inner: height and width in whole input pixels that the image takes there; as the scale says where None.
        corner: x and y of the first input pixel that the image takes; the offset's where None. Darknet's letterbox
            counts half a pixel more on the way back where the picture's sides leave an odd number of pixels.
    """

    scale: tuple[float, float]
    offset: tuple[float, float]
    original: tuple[int, int]
    inner: tuple[int, int] | None = None
    corner: tuple[int, int] | None = None

    def __post_init__(self):
        if self.inner is None:
            height, width = self.original
            inner = round(height * self.scale[1]), round(width * self.scale[0])
            object.__setattr__(self, "inner", inner)
        if self.corner is None:
            object.__setattr__(self, "corner", tuple(int(one) for one in self.offset))

    def to_input(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (..., 4) xyxy from the image's pixels to the input's, float32."""
        boxes = np.asarray(boxes, np.float64)
        return (boxes * np.tile(self.scale, 2) + np.tile(self.offset, 2)).astype(np.float32)

    def to_original(self, boxes: np.ndarray, clip: bool = True) -> np.ndarray:
        """Boxes (..., 4) xyxy from the input's pixels to the image's, float32.

        Args:
            boxes: (..., 4) xyxy in pixels of the input.
            clip: whether they end with the image (default); masks inside boxes lie where the boxes do as they are.
        """
        boxes = (np.asarray(boxes, np.float64) - np.tile(self.offset, 2)) / np.tile(self.scale, 2)
        if not clip:
            return boxes.astype(np.float32)
        height, width = self.original
        return np.clip(boxes, 0, (width, height, width, height)).astype(np.float32)

    @property
    def matrix(self) -> np.ndarray:
        """Where the pixels go, as a (3, 3) matrix on column vectors (x, y, 1), in edge coordinates."""
        (height, width), (rows, columns), (left, top) = self.original, self.inner, self.corner
        return np.array([[columns / width, 0.0, left], [0.0, rows / height, top], [0.0, 0.0, 1.0]])


def check_resize(resize: str) -> str:
    """The name of a way to resize, if it is one.

    Raises:
        ValueError: it is not.
    """
    if resize not in RESIZES:
        raise ValueError(f"resize={resize!r} is unknown; use {', '.join(RESIZES)}")
    return resize


def fit(
    image: np.ndarray, size: tuple[int, int], resize: str = "letterbox", exact: bool = False
) -> tuple[np.ndarray, Placement]:
    """The image as a network of an input of `size` takes it.

    Args:
        image: (H, W, 3) uint8.
        size: (height, width) in pixels.
        resize: one of `RESIZES`: "letterbox" keeps the aspect, with grey beside the picture; "stretch" does not;
            "darknet" and "darknet-letterbox" do as Darknet's detector does.
        exact: whether Darknet's two give float32, as Darknet computes, and not the nearest whole levels: scores differ
            by about .01.

    Returns:
        (height, width, 3) uint8, or where it is asked for float32, and the placement that carries boxes to it and back.

    Raises:
        ValueError: `resize` is none of these, or a side is 0.

    Example:
        >>> image, placement = fit(photograph, (416, 416), "darknet-letterbox")
        >>> placement.to_original(boxes)
    """
    rule = RESIZES[check_resize(resize)]
    return _fitted(image, size, rule, rule.fill, exact and rule.fractional)


def fit_placement(original: tuple[int, int], size: tuple[int, int], resize: str = "letterbox") -> Placement:
    """Where `fit` puts an image in an input.

    Args:
        original: (height, width) of the image in pixels.
        size: (height, width) of the network's input in pixels.
        resize: one of `RESIZES`.

    Raises:
        ValueError: `resize` is none of these, or a side is 0.
    """
    return _placed(original, size, RESIZES[check_resize(resize)])


def letterbox_placement(original: tuple[int, int], size: tuple[int, int]) -> Placement:
    """Where `letterbox` puts an image: as large as fits, its aspect kept, centred on whole pixels.

    Args:
        original: (height, width) of the image in pixels.
        size: (height, width) of the network's input in pixels.
    """
    return fit_placement(original, size)


def letterbox(image: np.ndarray, size: tuple[int, int], fill: int = FILL) -> tuple[np.ndarray, Placement]:
    """The image in a canvas of `size`, its aspect kept, centred, with grey beside it.

    Args:
        image: (H, W, 3) uint8.
        size: (height, width) of the canvas in pixels.
        fill: the grey level beside the picture, 0 to 255; 114 as the field's YOLO implementations have it.

    Returns:
        The canvas (height, width, 3) uint8, and the placement that carries boxes to it and back.
    """
    return _fitted(image, size, RESIZES["letterbox"], (fill,) * 3)


def stretch(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, Placement]:
    """The image resized to `size`, its aspect lost.

    Args:
        image: (H, W, 3) uint8.
        size: (height, width) in pixels.

    Returns:
        (height, width, 3) uint8, and the placement that carries boxes to it and back.
    """
    return fit(image, size, "stretch")


def _fitted(
    image: np.ndarray, size: tuple[int, int], rule: Resize, fill: Sequence[float], exact: bool = False
) -> tuple[np.ndarray, Placement]:
    placement = _placed(image.shape[:2], size, rule)
    height, width = placement.inner
    resized = _resize(image, (height, width), rule.interpolation, exact)
    if (height, width) == tuple(size):
        return resized, placement
    left, top = placement.corner
    canvas = np.empty((*size, 3), resized.dtype)
    fill_with(canvas, (_HALF,) * 3 if exact else fill)
    canvas[top : top + height, left : left + width] = resized
    return canvas, placement


def fill_with(canvas: np.ndarray, colour: Sequence[float]) -> None:
    """Fills an image (H, W, 3) with a colour, in place."""
    # NumPy writes one number some twenty times as fast as three in turn.
    canvas[...] = colour[0] if min(colour) == max(colour) else colour


def _placed(original: tuple[int, int], size: tuple[int, int], rule: Resize) -> Placement:
    (height, width), (rows, columns) = original, size
    if min(height, width, rows, columns) < 1:
        raise ValueError(f"letterbox: cannot fit an image of {height}x{width} into {rows}x{columns} pixels")
    if not rule.keeps_aspect:
        return Placement((columns / width, rows / height), (0, 0), (height, width))
    inner = _inner((height, width), (rows, columns), rule.rounding)
    scale = inner[1] / width, inner[0] / height
    if rule.back == "ratio":
        scale = (min(rows / height, columns / width),) * 2
    corner = (0, 0)
    if rule.place == "centre":
        corner = (columns - inner[1]) // 2, (rows - inner[0]) // 2
    offset = ((columns - inner[1]) / 2, (rows - inner[0]) / 2) if rule.back == "fraction" else corner
    return Placement(scale, offset, (height, width), inner, corner)


def _inner(original: tuple[int, int], size: tuple[int, int], rounding: str) -> tuple[int, int]:
    """Height and width of the largest picture of the image's aspect in the input."""
    (height, width), (rows, columns) = original, size
    if rounding == "nearest":
        ratio = min(rows / height, columns / width)
        return min(rows, max(1, round(height * ratio))), min(columns, max(1, round(width * ratio)))
    # In whole numbers: what fits exactly does not lose a pixel.
    if columns * height < rows * width:
        return max(1, height * columns // width), columns
    return rows, max(1, width * rows // height)


def _resize(image: np.ndarray, size: tuple[int, int], interpolation: str, exact: bool = False) -> np.ndarray:
    """The image at (height, width) pixels.

    Bilinear interpolation looks at two pixels a side: beyond a halving it skips some, and thin things
    vanish. "area" averages then, which sees all of them, at about twice the time, and equals nearest when enlarging.
    """
    if image.shape[:2] == tuple(size):
        return image.astype(np.float32) if exact else image
    if interpolation == "aligned":
        mixed = _aligned(image, size)
        return mixed if exact else np.rint(mixed).astype(np.uint8)
    kind = cv2.INTER_CUBIC if interpolation == "cubic" else cv2.INTER_LINEAR
    if interpolation == "area" and (image.shape[1] > 2 * size[1] or image.shape[0] > 2 * size[0]):
        kind = cv2.INTER_AREA
    return cv2.resize(image, size[::-1], interpolation=kind)


def _aligned(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Darknet's resize to (height, width), float32: outermost pixels' centres meet those of the input, in both axes.

    Linear between two neighbours and without antialiasing, whatever the size. `cv2.remap` would be faster, but
    looks at the source on a grid of 1/32 pixel.

    Source: Darknet, `resize_image` in image.c.
    """
    mixed = np.asarray(image)  # (H, W, 3), then one axis after the other of the new length
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
    return mixed
