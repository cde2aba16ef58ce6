"""Transposed convolutions that begin as bilinear interpolation."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops


def bilinear_weights(size: int) -> np.ndarray:
    """The weights (size, size) of a transposed convolution's kernel that interpolates between a coarse map's pixels."""
    # A weight falls evenly with the distance from the middle, to 0 at one pixel of the coarse map.
    reach = (size + 1) // 2
    line = 1 - np.abs(np.arange(size) - (size - 1) / 2) / reach  # (size,)
    return np.outer(line, line)


@keras.saving.register_keras_serializable("kzoo")
class BilinearKernel(keras.initializers.Initializer):
    """A transposed convolution's kernel (size, size, channels, channels) that interpolates each channel by itself."""

    def __call__(self, shape, dtype=None):
        size, _, outputs, inputs = shape
        kernel = np.multiply.outer(bilinear_weights(size), np.eye(outputs, inputs))
        return ops.convert_to_tensor(kernel, dtype=dtype or "float32")


def transposed(x, factor: int, name: str):
    """Enlarges maps by a transposed convolution, to be trained, that begins as bilinear interpolation.

    Args:
        x: (B, H, W, C) maps, such as scores of C classes.
        factor: even number that height and width are multiplied by.
        name: the layer's name.

    Returns:
        (B, H * factor, W * factor, C).

    Source: Long et al. 2015, arXiv:1411.4038, section 3.3.
    """
    return layers.Conv2DTranspose(
        x.shape[-1],
        2 * factor,
        factor,
        padding="same",
        use_bias=False,
        kernel_initializer=BilinearKernel(),
        name=name,
    )(x)
