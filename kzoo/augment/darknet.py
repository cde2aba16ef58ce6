"""What Darknet does to its training pictures: jitter by cropping, and colours in HSV.

Source: Darknet, `load_data_detection` in data.c and `rand_scale` in utils.c.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from kzoo.augment.geometric import Geometric
from kzoo.augment.photometric import Recolor


@dataclass(frozen=True)
class DarknetJitter(Geometric):
    """Cuts off or adds at each of the four sides by itself, and stretches what is there to the frame.

    So scale, aspect and place all vary at once.

    Attributes:
        jitter: the most of each side, as a share of the frame's width or height.
        resize: enlarges and shrinks besides, up to this ratio, with one draw for left and top and one for right
            and bottom; below 1 it only shrinks.

    Raises:
        ValueError: nothing of the picture might be left.
    """

    jitter: float = 0.3
    resize: float = 1.0

    def __post_init__(self):
        if not (self.jitter >= 0 and self.resize > 0 and self.jitter + self._bounds[1] < 0.5):
            raise ValueError(
                f"darknet_jitter: jitter={self.jitter}, resize={self.resize} may leave nothing of a picture; "
                "give a jitter below 0.5 and a resize near 1"
            )

    @property
    def _bounds(self) -> tuple[float, float]:
        """What `resize` takes off a side, least and most, as a share of it; less than nothing is added."""
        ratio = max(self.resize, 1 / self.resize)
        return (1 - ratio) / 2, (1 - 1 / ratio) / 2 if self.resize >= 1 else 0.0

    def matrix(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        left, right, top, bottom = rng.uniform(-self.jitter, self.jitter, 4)
        near, far = rng.uniform(*self._bounds, 2)
        matrix = np.eye(3)
        for axis, first, last in ((0, left + near, right + far), (1, top + near, bottom + far)):
            scale = 1 / (1 - first - last)
            matrix[axis, axis], matrix[axis, 2] = scale, -first * scale * size[1 - axis]
        return matrix


@dataclass(frozen=True)
class DarknetColor(Recolor):
    """Turns the hue, and multiplies saturation and value, in HSV.

    Attributes:
        hue: greatest turn of the hue either way, as a share of the colour circle.
        saturation: greatest factor on the saturation, or divisor, half the time each; 0.75 is the range of 1/0.75.
        exposure: greatest factor on the value, or divisor, half the time each.

    Raises:
        ValueError: a figure is below 0.
    """

    hue: float = 0.1
    saturation: float = 1.5
    exposure: float = 1.5

    def __post_init__(self):
        if not min(self.hue, self.saturation, self.exposure) >= 0:
            raise ValueError(
                f"darknet_color: hue={self.hue}, saturation={self.saturation}, exposure={self.exposure}; "
                "give numbers from 0"
            )

    def recolor(
        self, rng: np.random.Generator, image: np.ndarray, out: np.ndarray | None = None
    ) -> np.ndarray:
        hue = rng.uniform(-self.hue, self.hue)
        saturation, exposure = (_scale(rng, most) for most in (self.saturation, self.exposure))
        return scale_hsv(image, hue, saturation, exposure, out)


def _scale(rng: np.random.Generator, most: float) -> float:
    """A factor, evenly from 1 to `most`, or one over it."""
    most = most or 1.0  # Darknet's 0 is "not given".
    factor = rng.uniform(min(1.0, most), max(1.0, most))
    return factor if rng.random() < 0.5 else 1 / factor


def scale_hsv(
    image: np.ndarray,
    hue: float = 0.0,
    saturation: float = 1.0,
    exposure: float = 1.0,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """A picture with its hue turned, and its saturation and value multiplied.

    Args:
        image: (H, W, 3) uint8 RGB.
        hue: turn of the hue, as a share of the colour circle: 0 and 1 leave it as it is.
        saturation: factor on the saturation, 0 or more: 0 makes grey, 1 leaves it as it is.
        exposure: factor on the value, the brightest of a pixel's channels, 0 or more; 1 leaves it as it is.
        out: an array to write to, which may be `image` itself; a new one where None.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    if (hue, saturation, exposure) == (0.0, 1.0, 1.0):
        return image
    levels = np.arange(256)
    # Each channel of HSV changes by its own level alone: a table of (256, 3) says it all.
    table = np.stack(
        [
            np.rint(levels + 256 * hue) % 256,
            np.clip(np.rint(levels * saturation), 0, 255),
            np.clip(np.rint(levels * exposure), 0, 255),
        ],
        axis=-1,
    ).astype(np.uint8)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    cv2.LUT(hsv, table[None], dst=hsv)
    changed = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL, dst=out)
    return changed if out is None else out
