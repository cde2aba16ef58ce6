"""Attention over the places of a feature map."""

from __future__ import annotations

import keras
from keras import layers


@keras.saving.register_keras_serializable("kzoo")
class SpatialAttention(layers.Layer):
    """Multiplies every place of every channel by a logistic of its own: SAM as YOLOv4 has it.

    A 1x1 convolution and a logistic give the factors. The original (Woo et al. 2018, arXiv:1807.06521, section 3) pools
    over the channels first, so that each place has one factor; YOLOv4 leaves the pooling out, and every channel has its
    own.

    Shapes: (B, H, W, C) in and out.

    Source: Bochkovskiy et al. 2020, YOLOv4, arXiv:2004.10934, figure 5(b); Darknet's `[sam]`.
    """

    def build(self, input_shape):
        self.conv = layers.Conv2D(
            input_shape[-1],
            1,
            activation="sigmoid",
            kernel_initializer="he_normal",
            dtype=self.dtype_policy,
            name="conv",
        )
        self.conv.build(input_shape)
        self.built = True

    def call(self, x):
        return x * self.conv(x)

    def compute_output_shape(self, input_shape):
        return input_shape
