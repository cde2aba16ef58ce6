"""Changing the light and colours of a picture, its boxes unmoved; and albumentations' transforms."""

from __future__ import annotations

import copy
import math
import os
import random
import threading
from dataclasses import dataclass, replace

import cv2
import numpy as np

from kzoo.augment.arguments import check_number
from kzoo.augment.geometric import MIN_SIDE, MIN_VISIBLE, select
from kzoo.augment.objects import clip_proposals
from kzoo.structures import Sample

LUMA = np.array([0.299, 0.587, 0.114])
# Luma and the two chroma axes of YIQ: hue turns in the plane of the latter.
_YIQ = np.array([LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_RGB = np.linalg.inv(_YIQ)
# What a turn of the hue is made of: what stays, and what goes with the angle's cosine and sine.
_LUMA_PART = _RGB[:, :1] @ _YIQ[:1]
_COSINE_PART = _RGB[:, 1:] @ _YIQ[1:]
_SINE_PART = _RGB[:, 2:] @ _YIQ[1:2] - _RGB[:, 1:2] @ _YIQ[2:]


class Recolor:
    """A transform of colours alone."""

    def recolor(
        self, rng: np.random.Generator, image: np.ndarray, out: np.ndarray | None = None
    ) -> np.ndarray:
        """The image in other colours.

        Args:
            rng: the only source of chance.
            image: (H, W, 3) uint8 RGB.
            out: an array to write it to, which may be `image` itself; a new one where None.

        Returns:
            `out` or a new array; `image` itself where nothing is changed.
        """
        raise NotImplementedError

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        """The sample in other colours; a new one, unless nothing is changed."""
        image = self.recolor(rng, sample.image)
        return sample if image is sample.image else replace(sample, image=image)


@dataclass(frozen=True)
class ColorJitter(Recolor):
    """Brightness, contrast, saturation and hue, each drawn evenly within its bounds.

    The four are one 3x4 matrix on (R, G, B, 1), applied in one pass and rounded once: a twentieth of the
    time of albumentations' `ColorJitter`, which goes through HSV. Brightness, contrast and saturation are
    defined as there; hue turns in YIQ, so that luma stays.

    Attributes:
        brightness: greatest change of the factor on all pixels: 0.3 draws from 0.7 to 1.3.
        contrast: greatest change of the factor on a pixel's distance to the picture's mean grey.
        saturation: greatest change of the factor on a pixel's distance to its own grey.
        hue: greatest turn either way, as a share of the colour circle.
        p: the share of samples it is applied to.
    """

    brightness: float = 0.3
    contrast: float = 0.2
    saturation: float = 0.4
    hue: float = 0.015
    p: float = 1.0

    def recolor(
        self, rng: np.random.Generator, image: np.ndarray, out: np.ndarray | None = None
    ) -> np.ndarray:
        # One by one: drawing an array lets go of the interpreter lock, and other threads cut in.
        applied, *draws = (rng.random() for _ in range(5))
        if applied >= self.p:
            return image
        bounds = self.brightness, self.contrast, self.saturation, self.hue
        *changes, hue = ((2 * draw - 1) * bound for draw, bound in zip(draws, bounds, strict=True))
        return adjust_color(image, *(max(0.0, 1.0 + change) for change in changes), hue, out)


@dataclass(frozen=True)
class Distort(Recolor):
    """Photometric distortion: each of brightness, contrast, saturation and hue changed by itself, or not at all; and
    the channels exchanged.

    Attributes:
        brightness: greatest change of the factor on all pixels, 0 to 1: 0.125 draws from 0.875 to 1.125.
        contrast: greatest change of the factor on a pixel's distance to the picture's mean grey, 0 to 1.
        saturation: greatest change of the factor on a pixel's distance to its own grey, 0 to 1.
        hue: greatest turn either way, as a share of the colour circle, 0 to 0.5.
        p: the share of samples that each of the five is applied to.

    Raises:
        ValueError: an argument is out of its bounds.

    Source: Liu et al. 2016, SSD, arXiv:1512.02325, section 2.2; in numbers as torchvision's
        `RandomPhotometricDistort`, with which RT-DETR is trained.
    """

    brightness: float = 0.125
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.05
    p: float = 0.5

    def __post_init__(self):
        for name, most in {
            "brightness": 1.0,
            "contrast": 1.0,
            "saturation": 1.0,
            "hue": 0.5,
            "p": 1.0,
        }.items():
            check_number("distort", name, getattr(self, name), 0.0, most)

    def recolor(
        self, rng: np.random.Generator, image: np.ndarray, out: np.ndarray | None = None
    ) -> np.ndarray:
        # All figures are drawn in any case, so that `p` does not shift those of the transforms that follow.
        applied = [rng.random() < self.p for _ in range(5)]
        bounds = self.brightness, self.contrast, self.saturation, self.hue
        draws = ((2 * rng.random() - 1) * bound for bound in bounds)
        *changes, hue = (draw * there for draw, there in zip(draws, applied[:4], strict=True))
        order = rng.permutation(3)
        if any(applied[:4]):
            image = adjust_color(image, *(1.0 + change for change in changes), hue, out)
        return image[..., order] if applied[4] else image


def adjust_color(
    image: np.ndarray,
    brightness: float = 1.0,
    contrast: float = 1.0,
    saturation: float = 1.0,
    hue: float = 0.0,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """A picture with its brightness, contrast, saturation multiplied, in this order, and its hue turned.

    Args:
        image: (H, W, 3) uint8 RGB.
        brightness: factor on all pixels, 0 or more; 1 leaves them as they are.
        contrast: factor on the distance to the mean grey, as 144 pixels of a grid tell it; 1 leaves it as it is.
        saturation: factor on the distance of a pixel to its own grey; 1 leaves it as it is.
        hue: turn of the hue, as a share of the colour circle; 0 leaves it as it is.
        out: an array to write to, which may be `image` itself; a new one where None.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    angle = -2 * math.pi * hue  # red to green, as in HSV
    # Hue leaves greys and luma alone, and saturation greys: the two turn and stretch the chroma.
    linear = _LUMA_PART + saturation * (math.cos(angle) * _COSINE_PART + math.sin(angle) * _SINE_PART)
    matrix = np.empty((3, 4), np.float32)
    matrix[:, :3] = brightness * contrast * linear
    matrix[:, 3] = (1 - contrast) * brightness * _grey(image)
    changed = cv2.transform(image, matrix, dst=out)
    return changed if out is None else out


def _grey(image: np.ndarray) -> float:
    """About the mean grey. That of all pixels would take as long as the rest of `adjust_color`."""
    height, width = image.shape[:2]
    rows, columns = max(1, height // 12), max(1, width // 12)
    grid = image[rows // 2 :: rows, columns // 2 :: columns][:12, :12]
    return float(LUMA @ grid.sum((0, 1))) / (grid.size // 3)


class Albumentations:
    """Any transform of albumentations, or a list of them, with the boxes kept right and the seed passed on.

    Args:
        transforms: a transform of albumentations, or a list of them.
        min_visible: objects of which a smaller share stays in the picture are left out.
        min_side: objects narrower or lower than this many pixels are left out.

    Example:
        >>> import albumentations
        >>> blur = Albumentations([albumentations.GaussianBlur(p=0.2)])
        >>> train = kzoo.data.batches(dataset, (416, 416), 16, augment=["flip", "affine", "color", blur])
    """

    def __init__(self, transforms, min_visible: float = MIN_VISIBLE, min_side: float = MIN_SIDE):
        self.transforms = list(transforms) if isinstance(transforms, (list, tuple)) else [transforms]
        self.min_visible = min_visible
        self.min_side = min_side
        self._of_thread = threading.local()

    def __getstate__(self) -> dict:
        return {name: value for name, value in vars(self).items() if name != "_of_thread"}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state, _of_thread=threading.local())

    def _compose(self):
        """This thread's own pipeline: albumentations keeps its generators in the transforms."""
        if not hasattr(self._of_thread, "compose"):
            # Its import asks the network for newer versions unless told not to.
            os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
            import albumentations

            self._of_thread.compose = albumentations.Compose(
                copy.deepcopy(self.transforms),
                bbox_params=albumentations.BboxParams(
                    "pascal_voc",
                    label_fields=["positions"],
                    min_visibility=self.min_visible,
                    min_width=self.min_side,
                    min_height=self.min_side,
                    clip=True,
                ),
                keypoint_params=albumentations.KeypointParams(
                    "xy", label_fields=["corners"], remove_invisible=False
                ),
            )
        return self._of_thread.compose

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        compose = self._compose()
        compose.set_random_state(rng, random.Random(int(rng.integers(2**62))))
        masks = {} if sample.mask is None else {"mask": sample.mask}
        if sample.masks is not None and len(sample.masks):  # it fails on a list of none
            masks["masks"] = sample.masks.astype(np.uint8)
        moved = compose(
            image=sample.image,
            bboxes=sample.boxes,
            positions=np.arange(len(sample.boxes)),
            **_corners(sample.proposals),
            **masks,
        )
        result = select(sample, np.asarray(moved["positions"], np.int64).reshape(-1))
        result.image = np.ascontiguousarray(moved["image"])
        result.boxes = np.asarray(moved["bboxes"], np.float32).reshape(-1, 4)
        if "mask" in masks:
            result.mask = moved["mask"]
        if sample.masks is not None:
            # What fills up semantic masks, 255 say, is no object.
            layers = np.asarray(moved.get("masks", ())) == 1
            result.masks = layers.reshape(-1, *result.size)[
                np.asarray(moved["positions"], np.int64).reshape(-1)
            ]
        if sample.proposals is not None:
            result.proposals = _around(
                moved["keypoints"], moved["corners"], len(sample.proposals), result.size
            )
        return result


def _corners(boxes: np.ndarray | None) -> dict:
    """The corners of boxes (P, 4) as albumentations moves points, whose places count from pixel centres."""
    boxes = np.zeros((0, 4), np.float32) if boxes is None else boxes
    points = boxes[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 2) - np.float32(0.5)  # (4 P, 2)
    return {"keypoints": points, "corners": np.arange(len(points))}


def _around(points, numbers, count: int, size: tuple[int, int]) -> np.ndarray:
    """The boxes around moved corners, as far as they are seen: (P, 4).

    Args:
        points: (N, 2) places of the corners that are left.
        numbers: (N,) which corners these are, of `_corners`.
        count: number of boxes before.
        size: (height, width) of the picture in pixels.
    """
    places = np.full((count * 4, 2), np.nan, np.float32)
    places[np.asarray(numbers, np.int64).reshape(-1)] = np.asarray(points, np.float32).reshape(-1, 2) + 0.5
    places = places.reshape(count, 4, 2)
    boxes = np.concatenate([places.min(1), places.max(1)], 1)
    return clip_proposals(boxes[~np.isnan(boxes).any(1)], (0, 0, size[1], size[0]))
