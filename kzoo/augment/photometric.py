"""Changing the light and colours of a picture, its boxes unmoved; and albumentations' transforms."""

from __future__ import annotations

import copy
import os
import random
import threading
from dataclasses import dataclass, replace

import cv2
import numpy as np

from kzoo.augment.geometric import MIN_SIDE, MIN_VISIBLE, select
from kzoo.structures import Sample

LUMA = np.array([0.299, 0.587, 0.114])
# Luma and the two chroma axes of YIQ: hue turns in the plane of the latter.
_YIQ = np.array([LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


@dataclass(frozen=True)
class ColorJitter:
    """Brightness, contrast, saturation and hue, each drawn evenly within its bounds.

    The four are one 3x4 matrix on (R, G, B, 1), applied in one pass and rounded once: a twentieth of the
    time of albumentations' `ColorJitter`, which goes through HSV. Brightness, contrast and saturation are
    defined as there; hue turns in YIQ, so that luma stays.

    Attributes:
        brightness: greatest change of the factor on all pixels: 0.3 draws from 0.7 to 1.3.
        contrast: the same on the distance to the picture's mean grey.
        saturation: the same on the distance to a pixel's own grey.
        hue: greatest turn either way, as a share of the colour circle.
        p: the share of samples it is applied to.
    """

    brightness: float = 0.3
    contrast: float = 0.2
    saturation: float = 0.4
    hue: float = 0.015
    p: float = 1.0

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        applied = rng.random() < self.p
        bounds = np.array([self.brightness, self.contrast, self.saturation, self.hue])
        brightness, contrast, saturation, hue = rng.uniform(-bounds, bounds)
        if not applied:
            return sample
        factors = np.maximum(0.0, 1.0 + np.array([brightness, contrast, saturation]))
        return replace(sample, image=adjust_color(sample.image, *factors, hue))


def adjust_color(
    image: np.ndarray,
    brightness: float = 1.0,
    contrast: float = 1.0,
    saturation: float = 1.0,
    hue: float = 0.0,
) -> np.ndarray:
    """A picture with its brightness, contrast, saturation multiplied, in this order, and its hue turned.

    Args:
        image: (H, W, 3) uint8 RGB.
        brightness: factor on all pixels.
        contrast: factor on the distance to the mean grey.
        saturation: factor on the distance of a pixel to its own grey.
        hue: turn, in parts of the colour circle.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    mean = brightness * float(LUMA @ np.array(cv2.mean(image)[:3]))
    angle = -2 * np.pi * hue  # red to green, as in HSV
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    linear = (
        np.linalg.inv(_YIQ)
        @ turn
        @ _YIQ
        @ (saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), LUMA))
    )
    # Saturation and hue leave greys alone, so the offset of contrast passes through them unchanged.
    offset = np.full((3, 1), (1 - contrast) * mean)
    return cv2.transform(image, np.hstack([brightness * contrast * linear, offset]).astype(np.float32))


class Albumentations:
    """Any transform of albumentations, or a list of them, with the boxes kept right and the seed passed on.

    Args:
        transforms: albumentations transforms.
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
            )
        return self._of_thread.compose

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        compose = self._compose()
        compose.set_random_state(rng, random.Random(int(rng.integers(2**62))))
        masks = {
            name: getattr(sample, name) for name in ("mask", "masks") if getattr(sample, name) is not None
        }
        if "masks" in masks:
            masks["masks"] = masks["masks"].astype(np.uint8)
        moved = compose(
            image=sample.image, bboxes=sample.boxes, positions=np.arange(len(sample.boxes)), **masks
        )
        result = select(sample, np.asarray(moved["positions"], np.int64).reshape(-1))
        result.image = np.ascontiguousarray(moved["image"])
        result.boxes = np.asarray(moved["bboxes"], np.float32).reshape(-1, 4)
        if "mask" in masks:
            result.mask = moved["mask"]
        if "masks" in masks:
            result.masks = np.asarray(moved["masks"], bool)[
                np.asarray(moved["positions"], np.int64).reshape(-1)
            ]
        return result
