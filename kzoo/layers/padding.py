"""Margins around images."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable("kzoo")
class MirrorPadding2D(keras.layers.Layer):
    """Continues images beyond their borders by their mirror image, which does not repeat the outermost pixels.

    Args:
        margin: pixels that are added on every side, fewer than the image has.

    Shapes: (B, H, W, C) to (B, H + 2 margin, W + 2 margin, C).

    Source: Ronneberger et al. 2015, arXiv:1505.04597, figure 2 (the overlap-tile strategy's extrapolation).
    """

    def __init__(self, margin: int, **kwargs):
        super().__init__(**kwargs)
        self.margin = margin

    def call(self, images):
        sides = (self.margin, self.margin)
        return ops.pad(images, ((0, 0), sides, sides, (0, 0)), mode="reflect")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        grown = [None if side is None else side + 2 * self.margin for side in (height, width)]
        return (batch, *grown, channels)
