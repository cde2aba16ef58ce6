"""Resizing as layers."""

from __future__ import annotations

import keras

from kzoo.ops.resize import enlarge_bilinear


@keras.saving.register_keras_serializable("kzoo")
class Enlarge(keras.layers.Layer):
    """Feature maps (B, H, W, C) at `factor` times their size, bilinear, at sizes unknown before, too.

    Args:
        factor: whole number that height and width are multiplied by, 2 by default.

    Shapes: (B, H, W, C) to (B, H * factor, W * factor, C).
    """

    def __init__(self, factor: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return enlarge_bilinear(x, self.factor)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, *(None if side is None else side * self.factor for side in (height, width)), channels)
