"""Enlarging a part of the picture to the whole frame: one more matrix, drawn with an eye on the objects."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kzoo.augment.arguments import check_number, check_range
from kzoo.augment.geometric import Geometric, transform_boxes
from kzoo.augment.objects import MIN_VISIBLE, clip_boxes, clip_proposals, select
from kzoo.structures import Sample

_TRIES = 50  # Crops drawn before the picture stays whole; as many as SSD's.


@dataclass(frozen=True)
class RandomResizedCrop(Geometric):
    """Enlarges a random crop of the picture to the frame, with the objects in it.

    Crops are drawn until one shows an object, if the picture has any; where none of 50 does, it stays whole.
    The crop is one of the picture as the transforms before have left it, without the grey beside it.

    Attributes:
        scale: least and greatest share of the picture's area, drawn evenly.
        ratio: least and greatest stretch of width against height, drawn evenly on a logarithmic scale: what
            the crop's width over height is to the frame's.
        min_visible: objects of which a smaller share of the box is in the crop are left out; the others'
            boxes are clipped to it.
        p: the share of samples it is applied to.

    Raises:
        ValueError: an argument is out of its bounds.
    """

    scale: tuple[float, float] = (0.3, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    min_visible: float = MIN_VISIBLE
    p: float = 1.0

    def __post_init__(self):
        check_range("random_resized_crop", "scale", self.scale, 1e-3, 1.0)
        check_range("random_resized_crop", "ratio", self.ratio, 0.1, 10.0)
        check_number("random_resized_crop", "min_visible", self.min_visible, 0.0, 1.0)
        check_number("random_resized_crop", "p", self.p, 0.0, 1.0)

    def extend(
        self, rng: np.random.Generator, sample: Sample, matrix: np.ndarray, size: tuple[int, int]
    ) -> tuple[Sample, np.ndarray]:
        applied = rng.random() < self.p
        boxes = transform_boxes(sample.boxes, matrix)  # (N, 4)
        crops, fits = _crops(
            rng, _picture(sample, matrix, size), rng.uniform(*self.scale, _TRIES), self.ratio, size
        )  # (K, 4), (K,)
        shares = common_areas(crops, boxes) / np.maximum(areas(boxes), 1e-9)  # (K, N)
        shown = (shares >= self.min_visible) & (shares > 0)
        good = fits & (shown.any(1) | (len(boxes) == 0))  # (K,)
        if not (applied and good.any()):
            return sample, matrix
        first = good.argmax()
        return _enlarged(sample, shown[first], crops[first], matrix, size)


@dataclass(frozen=True)
class SSDCrop(Geometric):
    """SSD's sampling: a smaller picture on grey ground, then a crop that overlaps an object as asked.

    Equally often, the picture stays whole or a crop of it becomes the frame, which has at least one of the IoUs
    of `min_iou` with at least one object. In a crop, objects whose centre is outside of it are left out,
    the others' boxes are clipped to it, and at least one is left, if the picture has any. A wish that 50
    random crops do not fulfil gives way to another.

    Attributes:
        min_iou: the IoUs of which a crop has to have one with an object, 0 to 1; they are tried in random order, and 0
            is any crop. Where there are none, only the ground is added.
        scale: least and greatest side of a crop, as a share of the picture's, drawn evenly.
        ratio: least and greatest stretch of width against height, drawn evenly on a logarithmic scale.
        zoom_out: greatest side of the ground, as a multiple of the picture's; 1 for none.
        zoom_out_p: the share of samples that get it.
        p: the share of samples all this is applied to.

    Raises:
        ValueError: an argument is out of its bounds.

    Source: Liu et al. 2016, SSD: Single Shot MultiBox Detector, arXiv:1512.02325, sections 2.2 and 3.6;
    `scale` and the number of tries are those of its published configuration.
    """

    min_iou: tuple[float, ...] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
    scale: tuple[float, float] = (0.3, 1.0)
    ratio: tuple[float, float] = (0.5, 2.0)
    zoom_out: float = 4.0
    zoom_out_p: float = 0.5
    p: float = 1.0

    def __post_init__(self):
        for wish in self.min_iou:
            check_number("ssd_crop", "min_iou", wish, 0.0, 1.0)
        check_range("ssd_crop", "scale", self.scale, 0.03, 1.0)
        check_range("ssd_crop", "ratio", self.ratio, 0.1, 10.0)
        check_number("ssd_crop", "zoom_out", self.zoom_out, 1.0, 32.0)
        check_number("ssd_crop", "zoom_out_p", self.zoom_out_p, 0.0, 1.0)
        check_number("ssd_crop", "p", self.p, 0.0, 1.0)

    def extend(
        self, rng: np.random.Generator, sample: Sample, matrix: np.ndarray, size: tuple[int, int]
    ) -> tuple[Sample, np.ndarray]:
        # All is drawn in any case, so that `p` does not shift the draws of the transforms that follow.
        applied, zoomed = rng.random(2) < (self.p, self.zoom_out_p)
        picture = _picture(sample, matrix, size)
        zooming = _zoom_out(rng, picture, self.zoom_out)
        sides = rng.uniform(*self.scale, _TRIES)
        crops, fits = _crops(rng, picture, sides**2, self.ratio, size)
        wishes = rng.permutation([*self.min_iou, np.inf])
        if not applied:
            return sample, matrix
        if zoomed:
            matrix = zooming @ matrix
        boxes = transform_boxes(sample.boxes, matrix)
        inside, ious = _centres_inside(crops, boxes), _ious(crops, boxes)  # (K, N)
        good = fits & (inside.any(1) | (len(boxes) == 0))
        for wish in wishes:
            if wish == np.inf:  # the whole picture
                break
            fulfilled = good & (ious.max(1, initial=0.0) >= wish)
            if fulfilled.any():
                first = fulfilled.argmax()
                return _enlarged(sample, inside[first], crops[first], matrix, size)
        return sample, matrix


@dataclass(frozen=True)
class DETRCrop(Geometric):
    """DETR's sizes: the picture, or a crop of it, smaller than the largest that fits, beside the ground.

    The authors resize pictures until the shorter side has one of several lengths, a share of them after a crop out
    of a smaller copy. Inputs of one size show the same where the longest of these lengths is that of a picture that
    fills its input. It lies in the input's top left corner, as the authors' batches are filled up on the right and
    below. Shapes are kept: a crop is not stretched.

    Attributes:
        scale: least and greatest length of the shorter side, as a share of the largest that fits, above 0 to 1.
        steps: number of lengths, evenly spread, 1 or more, that are drawn equally often.
        shorter: lengths of the shorter side, 1 or more, that a picture has before it is cropped, drawn equally often.
        crop: least and greatest side of a crop, in the pixels of `shorter`, drawn evenly and each side by itself.
        min_visible: objects of which a smaller share of the box is in the crop are left out; the others' boxes are
            clipped to it.
        p: the share of samples that are cropped; the others are resized alone.

    Raises:
        ValueError: an argument is out of its bounds.

    Source: Carion et al. 2020, DETR, arXiv:2005.12872, section 4, whose lengths are 480 to 800 by 32.
    """

    scale: tuple[float, float] = (0.6, 1.0)
    steps: int = 11
    shorter: tuple[int, ...] = (400, 500, 600)
    crop: tuple[int, int] = (384, 600)
    min_visible: float = MIN_VISIBLE
    p: float = 0.5

    def __post_init__(self):
        check_range("detr_crop", "scale", self.scale, 0.01, 1.0)
        check_number("detr_crop", "steps", self.steps, 1, 1000, whole=True)
        check_range("detr_crop", "crop", self.crop, 1, 100_000, whole=True)
        if not self.shorter:
            raise ValueError("detr_crop: shorter is empty; give at least one length in pixels")
        for length in self.shorter:
            check_number("detr_crop", "shorter", length, self.crop[0], 100_000, whole=True)
        check_number("detr_crop", "min_visible", self.min_visible, 0.0, 1.0)
        check_number("detr_crop", "p", self.p, 0.0, 1.0)

    def extend(
        self, rng: np.random.Generator, sample: Sample, matrix: np.ndarray, size: tuple[int, int]
    ) -> tuple[Sample, np.ndarray]:
        # All is drawn in any case, so that `p` does not shift the draws of the transforms that follow.
        applied, length = rng.random() < self.p, rng.choice(self.shorter)
        draws, places = rng.random(2), rng.random(2)
        share = rng.choice(np.linspace(*self.scale, self.steps))
        part = picture = _picture(sample, matrix, size)
        if applied:
            whole = picture[2:] - picture[:2]
            unit = whole.min() / length  # pixels of the frame for one of `shorter`
            least, most = (np.minimum(side * unit, whole) for side in self.crop)
            sides = least + (most - least) * draws
            corner = picture[:2] + (whole - sides) * places
            part = np.concatenate([corner, corner + sides])
            boxes = transform_boxes(sample.boxes, matrix)  # (N, 4)
            shares = (common_areas(part[None], boxes) / np.maximum(areas(boxes), 1e-9))[0]  # (N,)
            keep = (shares >= self.min_visible) & (shares > 0)
            sample, matrix = _cut(sample, keep, _bounds_before(part, matrix), matrix)
        # The part as large as its shape allows, and then a share of that.
        ratio = share * (np.array([size[1], size[0]]) / (part[2:] - part[:2])).min()
        resizing = np.diag([ratio, ratio, 1.0])
        resizing[:2, 2] = -ratio * part[:2]
        return sample, resizing @ matrix


def _picture(sample: Sample, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """What of the frame the picture covers: x1, y1, x2, y2; the frame where it covers nothing."""
    height, width = sample.size
    frame = np.array([0.0, 0.0, size[1], size[0]])
    bounds = transform_boxes([[0, 0, width, height]], matrix)[0]
    covered = np.clip(bounds, 0.0, np.tile(frame[2:], 2))
    return covered if (covered[2:] > covered[:2]).all() else frame


def _crops(rng, picture, shares, ratio, size) -> tuple[np.ndarray, np.ndarray]:
    """Random crops of the picture, (K, 4) pixels of the frame, and which of them do not stick out of it, (K,) bool."""
    area = shares * (picture[2:] - picture[:2]).prod()
    stretch = np.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1]), len(shares)))
    aspect = stretch * size[1] / size[0]
    sides = np.sqrt(np.stack([area * aspect, area / aspect], 1))
    room = picture[2:] - picture[:2] - sides
    corners = picture[:2] + np.maximum(room, 0.0) * rng.random((len(shares), 2))
    return np.concatenate([corners, corners + sides], 1), (room > -1e-6).all(1)


def _zoom_out(rng, picture, most) -> np.ndarray:
    """The matrix that makes the picture smaller, on a ground that takes its place."""
    ratio = rng.uniform(1.0, most)
    matrix = np.diag([1 / ratio, 1 / ratio, 1.0])
    room = (picture[2:] - picture[:2]) * (1 - 1 / ratio)
    matrix[:2, 2] = picture[:2] * (1 - 1 / ratio) + room * rng.random(2)
    return matrix


def _enlarged(sample, keep, crop, matrix, size) -> tuple[Sample, np.ndarray]:
    """Some objects of a sample, what lies outside of a crop of the frame cut off; and the matrix that makes
    the crop the frame.

    It is cut off, because a transform that follows might bring it back, without its objects.
    """
    scale = np.array([size[1], size[0]]) / (crop[2:] - crop[:2])
    enlarging = np.diag([*scale, 1.0])
    enlarging[:2, 2] = -crop[:2] * scale
    cut, matrix = _cut(sample, keep, _bounds_before(crop, matrix), matrix)
    return cut, enlarging @ matrix


def _bounds_before(crop: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """What of the unmoved picture is in a crop of the frame: the bounds of it, x1, y1, x2, y2."""
    corners = np.array([(x, y, 1.0) for x in crop[::2] for y in crop[1::2]]) @ np.linalg.inv(matrix).T
    if (corners[:, 2] <= 0).any():  # a corner beyond the horizon: no bounds
        return np.array([-np.inf, -np.inf, np.inf, np.inf])
    points = corners[:, :2] / corners[:, 2:]
    return np.concatenate([points.min(0), points.max(0)])


def _cut(sample, keep, bounds, matrix) -> tuple[Sample, np.ndarray]:
    """Some objects of a sample, and the picture within bounds; the matrix is changed accordingly."""
    height, width = sample.size
    bounds = np.clip(bounds, 0, (width, height, width, height))
    # One pixel more, which interpolation at the edge looks at.
    x1, y1 = np.maximum(np.floor(bounds[:2]).astype(int) - 1, 0)
    x2, y2 = np.minimum(np.ceil(bounds[2:]).astype(int) + 1, (width, height))
    boxes, positive = clip_boxes(sample.boxes, (x1, y1, x2, y2), 0.0, 1e-3)
    cut = select(sample, keep & positive, boxes - np.array([x1, y1, x1, y1]))
    cut.image = cut.image[y1:y2, x1:x2]
    if cut.proposals is not None:
        cut.proposals = clip_proposals(cut.proposals, (x1, y1, x2, y2)) - np.float32([x1, y1, x1, y1])
    if cut.masks is not None:
        cut.masks = cut.masks[:, y1:y2, x1:x2]
    if cut.mask is not None:
        cut.mask = cut.mask[y1:y2, x1:x2]
    moved = matrix.copy()
    moved[:, 2] = matrix @ (x1, y1, 1.0)
    return cut, moved


def areas(boxes: np.ndarray) -> np.ndarray:
    """Areas of (N, 4) xyxy boxes: (N,)."""
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)


def common_areas(crops: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The area that each of (K, 4) xyxy crops has in common with each of (N, 4) boxes: (K, N)."""
    low = np.maximum(crops[:, None, :2], boxes[None, :, :2])
    high = np.minimum(crops[:, None, 2:], boxes[None, :, 2:])
    return np.maximum(high - low, 0.0).prod(2)


def _ious(crops: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of each of K crops with each of N boxes: (K, N)."""
    common = common_areas(crops, boxes)
    return common / np.maximum(areas(crops)[:, None] + areas(boxes)[None] - common, 1e-9)


def _centres_inside(crops: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Whether the middle of each of N boxes lies in each of K crops: (K, N) bool."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return ((centres[None] >= crops[:, None, :2]) & (centres[None] < crops[:, None, 2:])).all(2)
