"""Moving the picture and its boxes together: flips, quarter turns, affine maps.

Every transform here states a matrix, and nothing is drawn until `warp`: so any number of them, and the
letterbox, cost one interpolation of the photograph and blur it once. A chain of albumentations'
transforms resamples at every link, at the photograph's full size: three times the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from kzoo.augment.letterbox import FILL
from kzoo.structures import Sample

MIN_VISIBLE = 0.15  # A smaller share of an object left in the picture does not show what it is.
MIN_SIDE = 1.0  # Pixels: what is smaller cannot be seen at all.
IGNORED = 255  # Semantic masks: what lies outside the photograph.


def transform_boxes(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The upright boxes around moved boxes.

    Args:
        boxes: (N, 4) xyxy pixels.
        matrix: (3, 3) affine, on column vectors (x, y, 1).

    Returns:
        (N, 4) float64, not clipped.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) @ matrix[:2, :2].T + matrix[:2, 2]
    return np.concatenate([corners.min(1), corners.max(1)], 1)


def warp_image(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], fill: int = FILL) -> np.ndarray:
    """The image moved by `matrix` into a canvas of `size`.

    Args:
        image: (H, W, 3) uint8.
        matrix: (3, 3) affine from the image's to the canvas's edge coordinates.
        size: (height, width) of the canvas in pixels.
        fill: the grey level where no image lies.

    Returns:
        (height, width, 3) uint8.
    """
    # Bilinear sampling skips pixels once the image shrinks to less than half: average it down first.
    shrink = math.sqrt(max(abs(np.linalg.det(matrix)), 1e-12))
    if shrink < 0.5:
        part = 2 ** math.floor(-math.log2(shrink))
        height, width = image.shape[:2]
        small = (max(1, width // part), max(1, height // part))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.diag([width / small[0], height / small[1], 1.0])
    return _warp(image, matrix, size, cv2.INTER_LINEAR, (fill,) * 3)


def _warp(image, matrix, size, interpolation, border) -> np.ndarray:
    """`cv2.warpAffine`, which counts from pixel centres, of a matrix that counts from edges."""
    centred = matrix[:2].copy()
    centred[:, 2] += 0.5 * (matrix[:2, :2].sum(1) - 1.0)
    return cv2.warpAffine(
        image,
        centred,
        (size[1], size[0]),
        flags=interpolation,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=border,
    )


def warp(
    sample: Sample,
    matrix: np.ndarray,
    size: tuple[int, int],
    min_visible: float = MIN_VISIBLE,
    min_side: float = MIN_SIDE,
) -> Sample:
    """The sample moved by `matrix` into a canvas of `size`: image, boxes, masks.

    Args:
        sample: image, and boxes in its pixels.
        matrix: (3, 3) affine from the image's to the canvas's edge coordinates.
        size: (height, width) of the canvas in pixels.
        min_visible: objects of which a smaller share of the box stays on the canvas are left out.
        min_side: objects that end up narrower or lower than this many pixels are left out.
    """
    boxes, keep = clip_boxes(
        transform_boxes(sample.boxes, matrix), (0, 0, size[1], size[0]), min_visible, min_side
    )
    moved = select(sample, keep, boxes)
    moved.image = warp_image(sample.image, matrix, size)
    if moved.masks is not None:
        layers = [_warp(m.astype(np.uint8), matrix, size, cv2.INTER_NEAREST, 0) > 0 for m in moved.masks]
        moved.masks = np.array(layers, bool).reshape(-1, *size)
    if moved.mask is not None:
        moved.mask = _warp(moved.mask, matrix, size, cv2.INTER_NEAREST, IGNORED)
    return moved


def clip_boxes(
    boxes: np.ndarray,
    region: tuple[float, float, float, float],
    min_visible: float = MIN_VISIBLE,
    min_side: float = MIN_SIDE,
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes clipped to a region, and which of them are still worth showing to a network.

    Args:
        boxes: (N, 4) xyxy pixels.
        region: x1, y1, x2, y2 in the same pixels.
        min_visible: least share of a box's area inside the region.
        min_side: least width and height inside it, in pixels.

    Returns:
        Clipped boxes (N, 4), and (N,) bool.
    """
    lows, highs = np.tile(region[:2], 2), np.tile(region[2:], 2)
    clipped = np.clip(boxes, lows, highs)
    sides, whole = clipped[:, 2:] - clipped[:, :2], boxes[:, 2:] - boxes[:, :2]
    keep = (sides.prod(1) >= min_visible * whole.prod(1)) & (sides.min(1, initial=np.inf) >= min_side)
    return clipped, keep


def select(sample: Sample, keep: np.ndarray, boxes: np.ndarray | None = None) -> Sample:
    """The sample with some of its objects, and with other boxes where they are given.

    Args:
        sample: a sample of N objects.
        keep: (N,) bool, or positions.
        boxes: (N, 4) in place of the sample's own.
    """
    return replace(
        sample,
        boxes=(sample.boxes if boxes is None else boxes)[keep],
        labels=sample.labels[keep],
        masks=None if sample.masks is None else sample.masks[keep],
        difficult=sample.difficult[keep],
        crowd=sample.crowd[keep],
    )


class Geometric:
    """A transform that is a matrix: `matrix(rng, size)` draws one for a canvas of (height, width)."""

    def matrix(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        raise NotImplementedError

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        """The sample moved within its own frame."""
        return warp(sample, self.matrix(rng, sample.size), sample.size)


@dataclass(frozen=True)
class Flip(Geometric):
    """Left becomes right in a share `p` of the samples."""

    p: float = 0.5

    def matrix(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        return _about_centre(np.diag([-1.0, 1.0]), size) if rng.random() < self.p else np.eye(3)


@dataclass(frozen=True)
class FlipVertical(Geometric):
    """Up becomes down in a share `p` of the samples: for pictures without a way up, such as microscopy."""

    p: float = 0.5

    def matrix(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        return _about_centre(np.diag([1.0, -1.0]), size) if rng.random() < self.p else np.eye(3)


@dataclass(frozen=True)
class Rotate90(Geometric):
    """None to three quarter turns, equally often; what no longer fits an oblong frame is scaled to fit."""

    def matrix(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        turns = int(rng.integers(4))
        linear = np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), turns)
        fit = min(size) / max(size) if turns % 2 else 1.0
        return _about_centre(linear * fit, size)


@dataclass(frozen=True)
class Affine(Geometric):
    """Scales, shifts, turns and shears about the centre, each evenly within its bounds.

    Attributes:
        scale: least and greatest enlargement, drawn evenly on a logarithmic scale.
        translate: greatest shift, as a share of the frame's width and height.
        rotate: greatest turn either way, degrees. The boxes are those around the turned boxes' corners,
            which grow with the angle; keep it small.
        shear: greatest shear either way, degrees.
        p: the share of samples it is applied to.
    """

    scale: tuple[float, float] = (0.6, 1.5)
    translate: float = 0.1
    rotate: float = 3.0
    shear: float = 1.0
    p: float = 1.0

    def matrix(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        # All figures are drawn in any case, so that `p` does not shift those of the transforms that follow.
        applied = rng.random() < self.p
        ratio = math.exp(rng.uniform(math.log(self.scale[0]), math.log(self.scale[1])))
        angle = math.radians(rng.uniform(-self.rotate, self.rotate))
        slant = np.tan(np.radians(rng.uniform(-self.shear, self.shear, 2)))
        shift = rng.uniform(-self.translate, self.translate, 2) * (size[1], size[0])
        if not applied:
            return np.eye(3)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        matrix = _about_centre(ratio * turn @ np.array([[1.0, slant[0]], [slant[1], 1.0]]), size)
        matrix[:2, 2] += shift
        return matrix


def _about_centre(linear: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The (3, 3) matrix that applies a (2, 2) one about the middle of a (height, width) frame."""
    centre = np.array([size[1] / 2, size[0] / 2])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre - linear @ centre
    return matrix
