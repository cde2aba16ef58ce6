"""Arrays of the right type and shape, even of nothing."""

from __future__ import annotations

import numpy as np


def as_array(value, shape: tuple[int, ...], dtype) -> np.ndarray:
    """`value` as an array of `dtype`; an empty one takes `shape`, so that no boxes are still (0, 4)."""
    array = np.asarray(value if value is not None else (), dtype=dtype)
    return array.reshape(shape) if array.size == 0 else array
