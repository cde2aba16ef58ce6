"""Augmentation: `(rng, Sample) -> Sample`, on NumPy arrays.

A transform is any callable that takes a NumPy generator, its only source of chance, and a sample. `Compose` joins
several with the resizing; `kzoo.data.batches` takes them by name.

Example:
    >>> def darker(rng, sample):    # a transform of one's own
    ...     return dataclasses.replace(sample, image=sample.image // 2)
    >>> train = kzoo.data.batches(dataset, 416, 16, augment=["flip", {"affine": {"rotate": 5}}, darker])
"""

from kzoo.augment.border import BorderWeights
from kzoo.augment.compose import PRESETS, TRANSFORMS, Compose, place, transforms
from kzoo.augment.crop import DETRCrop, RandomResizedCrop, SSDCrop
from kzoo.augment.darknet import DarknetColor, DarknetJitter, scale_hsv
from kzoo.augment.degrade import Clahe, Gamma, GaussianBlur, Gray, Jpeg, MedianBlur, MotionBlur, Noise
from kzoo.augment.erase import Cutout, GridMask, HideAndSeek, RandomErasing
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
from kzoo.augment.mix import CopyPaste, CutMix, MixUp, Pair
from kzoo.augment.mosaic import Mosaic
from kzoo.augment.named import FromAlbumentations
from kzoo.augment.perspective import Perspective
from kzoo.augment.photometric import Albumentations, ColorJitter, Distort, Recolor, adjust_color

__all__ = [
    "PRESETS",
    "RESIZES",
    "TRANSFORMS",
    "Affine",
    "Albumentations",
    "BorderWeights",
    "Clahe",
    "ColorJitter",
    "Compose",
    "CopyPaste",
    "CutMix",
    "Cutout",
    "DETRCrop",
    "DarknetColor",
    "DarknetJitter",
    "Distort",
    "Flip",
    "FlipVertical",
    "FromAlbumentations",
    "Gamma",
    "GaussianBlur",
    "Geometric",
    "Gray",
    "GridMask",
    "HideAndSeek",
    "Jpeg",
    "MedianBlur",
    "MixUp",
    "Mosaic",
    "MotionBlur",
    "Noise",
    "Pair",
    "Perspective",
    "Placement",
    "RandomErasing",
    "RandomResizedCrop",
    "Recolor",
    "Rotate90",
    "SSDCrop",
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
