"""What cameras and files do to pictures: blur, noise, compression, lost colour. Mostly albumentations' work, by name.

Boxes and masks are left as they are, exactly.
"""

from __future__ import annotations

import os
import random
import threading
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from kzoo.augment.arguments import check_number, check_range
from kzoo.structures import Sample

_OF_THREAD = threading.local()  # albumentations keeps its generators in its transforms.


def import_albumentations():
    """The package, when it is needed: its import takes two seconds."""
    # Its import asks the network for newer versions unless told not to.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return albumentations


class OnPixels:
    """A transform of albumentations that changes pixels and moves none.

    Subclasses are frozen dataclasses with a field `p`.
    """

    def theirs(self) -> tuple[str, dict[str, Any]]:
        """Its name in albumentations, and the arguments of its constructor but `p`."""
        raise NotImplementedError

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        # The seed is drawn in any case, so that `p` does not shift those of the transforms that follow.
        applied, seed = rng.random() < self.p, int(rng.integers(2**62))
        if not applied:
            return sample
        pipeline = self._pipeline()
        pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
        return replace(sample, image=np.ascontiguousarray(pipeline(image=sample.image)["image"]))

    def _pipeline(self):
        """This thread's own."""
        known, key = vars(_OF_THREAD), repr(self)
        if key not in known:
            albumentations = import_albumentations()
            name, arguments = self.theirs()
            known[key] = albumentations.Compose([getattr(albumentations, name)(**arguments, p=1.0)])
        return known[key]


@dataclass(frozen=True)
class GaussianBlur(OnPixels):
    """Blurs, as a lens out of focus does.

    Attributes:
        sigma: least and greatest standard deviation in pixels of the input.
        p: the share of samples it is applied to.
    """

    sigma: tuple[float, float] = (0.5, 2.0)
    p: float = 0.1

    def __post_init__(self):
        check_range("gaussian_blur", "sigma", self.sigma, 0.1, 100.0)
        check_number("gaussian_blur", "p", self.p, 0.0, 1.0)

    def theirs(self):
        return "GaussianBlur", {"sigma_limit": tuple(self.sigma), "blur_limit": 0}


@dataclass(frozen=True)
class MedianBlur(OnPixels):
    """Puts the median of a pixel's surroundings in its place.

    Attributes:
        size: least and greatest side of the surroundings in pixels: odd numbers from 3.
        p: the share of samples it is applied to.
    """

    size: tuple[int, int] = (3, 5)
    p: float = 0.1

    def __post_init__(self):
        _check_odd("median_blur", self.size)
        check_number("median_blur", "p", self.p, 0.0, 1.0)

    def theirs(self):
        return "MedianBlur", {"blur_limit": tuple(self.size)}


@dataclass(frozen=True)
class MotionBlur(OnPixels):
    """Blurs along a line in any direction, as a moving camera does.

    Attributes:
        size: least and greatest length of the line in pixels: odd numbers from 3.
        p: the share of samples it is applied to.
    """

    size: tuple[int, int] = (3, 9)
    p: float = 0.1

    def __post_init__(self):
        _check_odd("motion_blur", self.size)
        check_number("motion_blur", "p", self.p, 0.0, 1.0)

    def theirs(self):
        # A line whose middle is elsewhere would move the picture away from its boxes.
        return "MotionBlur", {
            "blur_limit": tuple(self.size),
            "allow_shifted": False,
            "direction_range": (0.0, 0.0),
        }


@dataclass(frozen=True)
class Noise(OnPixels):
    """Adds Gaussian noise, to each channel its own.

    Attributes:
        std: least and greatest standard deviation, where 1 is the whole range from black to white.
        p: the share of samples it is applied to.
    """

    std: tuple[float, float] = (0.01, 0.06)
    p: float = 0.1

    def __post_init__(self):
        check_range("noise", "std", self.std, 0.0, 1.0)
        check_number("noise", "p", self.p, 0.0, 1.0)

    def theirs(self):
        return "GaussNoise", {"std_range": tuple(self.std)}


@dataclass(frozen=True)
class Jpeg:
    """Compresses as JPEG and reads it again.

    albumentations' `ImageCompression` hands RGB to an encoder that takes BGR, so that red suffers what blue
    should; hence not by it.

    Attributes:
        quality: least and greatest quality of the JPEG, 1 to 100.
        p: the share of samples it is applied to.
    """

    quality: tuple[int, int] = (30, 90)
    p: float = 0.1

    def __post_init__(self):
        check_range("jpeg", "quality", self.quality, 1, 100, whole=True)
        check_number("jpeg", "p", self.p, 0.0, 1.0)

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        applied = rng.random() < self.p
        quality = int(rng.integers(self.quality[0], self.quality[1] + 1))
        if not applied:
            return sample
        flipped = cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", flipped, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return replace(sample, image=cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))


@dataclass(frozen=True)
class Gray:
    """Takes the colour away: all three channels become the luma.

    Attributes:
        p: the share of samples it is applied to.
    """

    p: float = 0.1

    def __post_init__(self):
        check_number("gray", "p", self.p, 0.0, 1.0)

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        if rng.random() >= self.p:
            return sample
        luma = cv2.cvtColor(sample.image, cv2.COLOR_RGB2GRAY)
        return replace(sample, image=cv2.cvtColor(luma, cv2.COLOR_GRAY2RGB))


@dataclass(frozen=True)
class Clahe(OnPixels):
    """Raises the contrast of each part of the picture by itself (CLAHE), in lightness alone.

    Attributes:
        limit: least and greatest limit of the contrast.
        tiles: parts along each side.
        p: the share of samples it is applied to.
    """

    limit: tuple[float, float] = (1.0, 4.0)
    tiles: int = 8
    p: float = 0.1

    def __post_init__(self):
        check_range("clahe", "limit", self.limit, 1.0, 100.0)
        check_number("clahe", "tiles", self.tiles, 1, 64, whole=True)
        check_number("clahe", "p", self.p, 0.0, 1.0)

    def theirs(self):
        return "CLAHE", {"clip_limit": tuple(self.limit), "tile_grid_size": (self.tiles, self.tiles)}


@dataclass(frozen=True)
class Gamma(OnPixels):
    """Raises all values, from 0 to 1, to a power: black and white stay, what is between gets lighter or darker.

    Attributes:
        gamma: least and greatest power.
        p: the share of samples it is applied to.
    """

    gamma: tuple[float, float] = (0.7, 1.4)
    p: float = 0.1

    def __post_init__(self):
        check_range("gamma", "gamma", self.gamma, 0.05, 20.0)
        check_number("gamma", "p", self.p, 0.0, 1.0)

    def theirs(self):
        return "RandomGamma", {"gamma_limit": tuple(100.0 * power for power in self.gamma)}


def _check_odd(transform: str, size) -> None:
    pair = check_range(transform, "size", size, 3, 99, whole=True)
    if any(side % 2 != 1 for side in pair):
        raise ValueError(f"{transform}: size={size!r}; give two odd numbers")
