"""Augmentation: `(rng, Sample) -> Sample`, on NumPy arrays.

A transform is any callable that takes a NumPy generator, its only source of chance, and a sample.
`Compose` joins them with the letterbox.
"""

from kzoo.augment.compose import PRESETS, TRANSFORMS, Compose, place, transforms
from kzoo.augment.geometric import Affine, Flip, FlipVertical, Geometric, Rotate90, warp
from kzoo.augment.letterbox import Placement, letterbox, letterbox_placement, stretch
from kzoo.augment.mosaic import Mosaic
from kzoo.augment.photometric import Albumentations, ColorJitter, adjust_color

__all__ = [
    "PRESETS",
    "TRANSFORMS",
    "Affine",
    "Albumentations",
    "ColorJitter",
    "Compose",
    "Flip",
    "FlipVertical",
    "Geometric",
    "Mosaic",
    "Placement",
    "Rotate90",
    "adjust_color",
    "letterbox",
    "letterbox_placement",
    "place",
    "stretch",
    "transforms",
    "warp",
]
