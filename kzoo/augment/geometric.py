"""Moving the picture and its boxes together: flips, quarter turns, affine maps.

Every transform here states a matrix, and nothing is drawn until `warp`: so any number of them, and the
letterbox, cost one interpolation of the photograph and blur it once. A chain of albumentations'
transforms resamples at every link, at the photograph's full size: three times the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from kzoo.augment.letterbox import FILL
from kzoo.augment.objects import MIN_SIDE, MIN_VISIBLE, clip_boxes, clip_proposals, select
from kzoo.structures import IGNORED, Sample

_AFFINE = np.array([0.0, 0.0, 1.0])  # The last row of a matrix that keeps parallels parallel.
_IDENTITY = np.eye(3)
_IDENTITY.flags.writeable = False


def transform_boxes(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The upright boxes around moved boxes.

    Args:
        boxes: (N, 4) xyxy pixels.
        matrix: (3, 3) affine or projective, on column vectors (x, y, 1); or (N, 3, 3), one for each box.

    Returns:
        (N, 4) float64, not clipped.

    Raises:
        ValueError: the matrix is projective and a box reaches its horizon, where pixels would be infinitely far.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    if not (matrix[..., 2, :] != _AFFINE).any():
        # An affine map takes middles to middles, and half the sides to |linear| times them: no corners are needed.
        linear, shift = 0.5 * matrix[..., :2, :2], matrix[..., :2, 2]
        low, high = boxes[:, :2, None], boxes[:, 2:, None]  # (N, 2, 1)
        middle = (linear @ (high + low))[..., 0] + shift  # (N, 2)
        half = (abs(linear) @ abs(high - low))[..., 0]  # (N, 2)
        return np.concatenate([middle - half, middle + half], 1)
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)  # x, y of the four
    corners = np.concatenate([corners, np.ones((len(boxes), 4, 1))], 2) @ np.swapaxes(
        matrix, -1, -2
    )  # (N, 4, 3)
    if (corners[..., 2] <= 0).any():
        raise ValueError("warp: the matrix has its horizon inside the picture; give a weaker perspective")
    moved = corners[..., :2] / corners[..., 2:]
    return np.concatenate([moved.min(1), moved.max(1)], 1)


def bounds(size: tuple[int, int], matrix: np.ndarray) -> tuple[float, float, float, float]:
    """As `transform_boxes` of all of a frame of (height, width), in a tenth of the time."""
    (a, b, x), (c, d, y), last = matrix.tolist()
    if last != [0.0, 0.0, 1.0]:
        return tuple(transform_boxes([[0, 0, size[1], size[0]]], matrix)[0].tolist())
    (height, width), zero = size, 0.0
    return (
        x + min(a * width, zero) + min(b * height, zero),
        y + min(c * width, zero) + min(d * height, zero),
        x + max(a * width, zero) + max(b * height, zero),
        y + max(c * width, zero) + max(d * height, zero),
    )


def warp_image(
    image: np.ndarray,
    matrix: np.ndarray,
    size: tuple[int, int],
    fill: tuple[int, int, int] = (FILL,) * 3,
    out: np.ndarray | None = None,
    start: tuple[int, int] = (0, 0),
) -> np.ndarray:
    """The image moved by `matrix` into a canvas of `size`.

    Args:
        image: (H, W, 3) uint8.
        matrix: (3, 3) affine or projective, from the image's to the canvas's edge coordinates.
        size: (height, width) of the canvas in pixels.
        fill: red, green and blue, 0 to 255, of the canvas where no image lies.
        out: the canvas to write over, such as a part of another image; a new one where None.
        start: x and y of the canvas's first pixel, where it is a part of another.

    Returns:
        (height, width, 3) uint8.
    """
    # Bilinear sampling skips pixels once the image shrinks to less than half: average it down first. By how much it
    # shrinks, at its middle, is the root of the area that a pixel there becomes.
    height, width = image.shape[:2]
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    depth = abs(g * width / 2 + h * height / 2 + i)  # 1 of an affine matrix
    shrink = math.sqrt(max(abs(determinant) / depth**3, 1e-12))
    if shrink < 0.5:
        part = 2 ** math.floor(-math.log2(shrink))
        small = (max(1, width // part), max(1, height // part))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.diag([width / small[0], height / small[1], 1.0])
    return _warp(image, matrix, size, cv2.INTER_LINEAR, fill, out, start)


def _warp(image, matrix, size, interpolation, border, out=None, start=(0, 0)) -> np.ndarray:
    """OpenCV's warp, which counts from pixel centres, of a matrix that counts from edges."""
    (a, b, x), (c, d, y), last = matrix.tolist()
    if last == [0.0, 0.0, 1.0]:
        warp = cv2.warpAffine
        # Half a pixel to the edges before the map, and half a pixel back after it.
        x, y = x + 0.5 * (a + b - 1) - start[0], y + 0.5 * (c + d - 1) - start[1]
        centred = np.array(((a, b, x), (c, d, y)))
    else:  # takes several times as long
        warp = cv2.warpPerspective
        to_edges, to_centres = np.eye(3), np.eye(3)
        to_edges[:2, 2], to_centres[:2, 2] = 0.5, (-0.5 - start[0], -0.5 - start[1])
        centred = to_centres @ matrix @ to_edges
    return warp(
        image,
        centred,
        (size[1], size[0]),
        dst=out,
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
    out: np.ndarray | None = None,
    fill: tuple[int, int, int] = (FILL,) * 3,
) -> Sample:
    """The sample moved by `matrix` into a canvas of `size`: image, boxes, masks, proposals.

    Args:
        sample: image, and boxes in its pixels.
        matrix: (3, 3) affine or projective, from the image's to the canvas's edge coordinates.
        size: (height, width) of the canvas in pixels.
        min_visible: objects of which a smaller share of the box stays on the canvas are left out.
        min_side: objects that end up narrower or lower than this many pixels are left out.
        out: (height, width, 3) uint8 canvas to write over; a new one where None.
        fill: red, green and blue, 0 to 255, of the canvas where no image lies.

    Example:
        >>> half = warp(sample, np.diag([0.5, 0.5, 1.0]), (208, 208))    # everything half as large
    """
    boxes, keep = clip_boxes(
        transform_boxes(sample.boxes, matrix), (0, 0, size[1], size[0]), min_visible, min_side
    )
    moved = select(sample, keep, boxes, masks=False)
    moved.image = warp_image(sample.image, matrix, size, fill, out)
    moved.masks, moved.mask = warp_masks(sample, matrix, size, keep)
    if sample.proposals is not None:
        boxes = transform_boxes(sample.proposals, matrix)  # (P, 4)
        moved.proposals = clip_proposals(boxes, (0, 0, size[1], size[0]))
    return moved


def warp_masks(
    sample: Sample, matrix: np.ndarray, size: tuple[int, int], keep: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """A sample's masks moved as by `warp`.

    Args:
        sample: N objects with masks or without, and a semantic mask or none.
        matrix: (3, 3) affine or projective, from the image's to the canvas's edge coordinates.
        size: (height, width) of the canvas in pixels.
        keep: (N,) bool, the objects whose masks are moved.

    Returns:
        Instance masks (n, height, width) and the semantic mask (height, width), or None for either.
    """
    masks, mask = sample.masks, sample.mask  # (N, H, W) and (H, W)
    if masks is not None:
        # One by one: to pick them all at once would copy each.
        masks = _warp_instances([masks[i] for i in np.flatnonzero(keep)], matrix, size)
    if mask is not None:
        mask = _warp(mask, matrix, size, cv2.INTER_NEAREST, IGNORED)
    return masks, mask


def _warp_instances(masks: Sequence[np.ndarray], matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """N masks (H, W) bool moved as by `warp`: (N, height, width). Of each no more than its own box is drawn."""
    moved = np.zeros((len(masks), *size), bool)
    for mask, canvas in zip(masks, moved, strict=True):
        x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
        if not width:
            continue
        low_x, low_y, high_x, high_y = transform_boxes([[x, y, x + width, y + height]], matrix)[0]
        # One pixel more: nearest pixels are rounded.
        left, right = np.clip((np.floor(low_x) - 1, np.ceil(high_x) + 1), 0, size[1]).astype(int).tolist()
        top, bottom = np.clip((np.floor(low_y) - 1, np.ceil(high_y) + 1), 0, size[0]).astype(int).tolist()
        if right > left and bottom > top:
            part = np.ascontiguousarray(mask[y : y + height, x : x + width]).view(np.uint8)
            from_part = matrix @ np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
            window = (bottom - top, right - left)
            drawn = _warp(part, from_part, window, cv2.INTER_NEAREST, 0, start=(left, top))
            canvas[top:bottom, left:right] = drawn.view(bool)
    return moved


class Geometric:
    """A transform that is a matrix. Subclasses give `matrix`, or `extend` where they look at the sample."""

    def matrix(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        """A matrix by chance: (3, 3) affine or projective, on column vectors (x, y, 1), of the canvas to itself.

        Args:
            rng: the only source of chance.
            size: (height, width) of the canvas in pixels.
        """
        raise NotImplementedError

    def extend(
        self, rng: np.random.Generator, sample: Sample, matrix: np.ndarray, size: tuple[int, int]
    ) -> tuple[Sample, np.ndarray]:
        """What a sample has gone through so far, and this transform after it.

        Transforms that look at the picture's place or at the objects, such as crops, override it.

        Args:
            rng: the only source of chance.
            sample: the sample, unmoved.
            matrix: (3, 3) from the sample's pixels to the canvas, of what came before.
            size: (height, width) of the canvas in pixels.

        Returns:
            The sample, still unmoved, or the part of it that the transform leaves; and the (3, 3) matrix from
            its pixels to the canvas, with this transform in it.
        """
        step = self.matrix(rng, size)
        return sample, matrix if step is _IDENTITY else step @ matrix

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        """The sample moved within its own frame."""
        kept, matrix = self.extend(rng, sample, np.eye(3), sample.size)
        return warp(kept, matrix, sample.size)


@dataclass(frozen=True)
class Flip(Geometric):
    """Left becomes right in a share `p` of the samples."""

    p: float = 0.5

    def matrix(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        return _about_centre(((-1.0, 0.0), (0.0, 1.0)), size) if rng.random() < self.p else _IDENTITY


@dataclass(frozen=True)
class FlipVertical(Geometric):
    """Up becomes down in a share `p` of the samples: for pictures without a way up, such as microscopy."""

    p: float = 0.5

    def matrix(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        return _about_centre(((1.0, 0.0), (0.0, -1.0)), size) if rng.random() < self.p else _IDENTITY


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
        draw = rng.random  # One by one: for an array it lets go of the interpreter lock, and threads cut in.
        applied, enlarge, turn = draw(), draw(), 2 * draw() - 1
        shear_x, shear_y, move_x, move_y = 2 * draw() - 1, 2 * draw() - 1, 2 * draw() - 1, 2 * draw() - 1
        if applied >= self.p:
            return _IDENTITY
        low, high = self.scale
        ratio = low * (high / low) ** enlarge
        angle = math.radians(self.rotate * turn)
        slant_x = math.tan(math.radians(self.shear * shear_x))
        slant_y = math.tan(math.radians(self.shear * shear_y))
        cos, sin = ratio * math.cos(angle), ratio * math.sin(angle)
        matrix = _about_centre(
            ((cos - sin * slant_y, cos * slant_x - sin), (sin + cos * slant_y, sin * slant_x + cos)), size
        )
        matrix[0, 2] += self.translate * move_x * size[1]
        matrix[1, 2] += self.translate * move_y * size[0]
        return matrix


def _about_centre(linear, size: tuple[int, int]) -> np.ndarray:
    """The (3, 3) matrix that applies a (2, 2) one about the middle of a (height, width) frame."""
    (a, b), (c, d) = linear
    x, y = size[1] / 2, size[0] / 2
    return np.array([[a, b, x - a * x - b * y], [c, d, y - c * x - d * y], [0.0, 0.0, 1.0]])
