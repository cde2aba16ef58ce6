"""Every second pixel of every second row as a map of its own: half the sides, four times the channels."""

from __future__ import annotations

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("kzoo")
class Focus(layers.Layer):
    """The four pixels of each square of two by two as channels, column by column.

    The order is that in which weights of YOLOv5 (before 6.0), YOLOX, YOLOP and YOLOv7-W6 were trained: upper left,
    lower left, upper right, lower right.

    Shapes: (B, H, W, C) to (B, H / 2, W / 2, 4 C), for even H and W.

    Source: YOLOv5.

    Example:
        >>> Focus()(keras.ops.zeros((1, 640, 640, 3))).shape
        (1, 320, 320, 12)
    """

    def call(self, x):
        batch, height, width, channels = ops.shape(x)
        x = ops.reshape(x, (batch, height // 2, 2, width // 2, 2, channels))
        x = ops.transpose(x, (0, 1, 3, 4, 2, 5))  # (B, H / 2, W / 2, column, row, C)
        return ops.reshape(x, (batch, height // 2, width // 2, 4 * channels))

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        return (batch, *(None if side is None else side // 2 for side in sides), 4 * channels)
