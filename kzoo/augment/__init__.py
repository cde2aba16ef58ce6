"""Augmentation: `(rng, Sample) -> Sample`, on NumPy arrays.

A transform is any callable that takes a NumPy generator, its only source of chance, and a sample.
`Compose` joins them with the resizing.
"""

from kzoo.augment.compose import PRESETS, TRANSFORMS, Compose, place, transforms
from kzoo.augment.darknet import DarknetColor, DarknetJitter, scale_hsv
from kzoo.augment.geometric import Affine, Flip, FlipVertical, Geometric, Rotate90, warp
from kzoo.augment.letterbox import (
    RESIZES,
    Placement,
    check_resize,
    fit,
    fit_placement,
    letterbox,
    letterbox_placement,
    stretch,
)
from kzoo.augment.mosaic import Mosaic
from kzoo.augment.photometric import Albumentations, ColorJitter, adjust_color

__all__ = [
    "PRESETS",
    "RESIZES",
    "TRANSFORMS",
    "Affine",
    "Albumentations",
    "ColorJitter",
    "Compose",
    "DarknetColor",
    "DarknetJitter",
    "Flip",
    "FlipVertical",
    "Geometric",
    "Mosaic",
    "Placement",
    "Rotate90",
    "adjust_color",
    "check_resize",
    "fit",
    "fit_placement",
    "letterbox",
    "letterbox_placement",
    "place",
    "scale_hsv",
    "stretch",
    "transforms",
    "warp",
]
