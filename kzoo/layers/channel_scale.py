"""Learned factors of channels."""

from __future__ import annotations

import keras
from keras import layers


@keras.saving.register_keras_serializable("kzoo")
class ChannelScale(layers.Layer):
    """Multiplies each channel by a number that is learned: ConvNeXt's layer scale.

    It begins with little, so that a deep network of shortcuts starts out close to doing nothing.

    Args:
        start: what the factors are before training, 1e-6 by default.

    Shapes: (B, H, W, C) in and out.

    Source: Touvron et al. 2021, arXiv:2103.17239, section 2.
    """

    def __init__(self, start: float = 1e-6, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        initializer = keras.initializers.Constant(self.start)
        self.layer_scale = self.add_weight((input_shape[-1],), initializer=initializer, name="layer_scale")
        self.built = True

    def call(self, x):
        return x * self.layer_scale

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable("kzoo")
class LearntScale(layers.Layer):
    """Multiplies a map by one number that is learned and begins as 1: the weight of a shortcut.

    Shapes: (B, H, W, C) in and out.

    Source: Li et al. 2023, YOLOv6 v3.0, arXiv:2301.05586.
    """

    def build(self, input_shape):
        self.alpha = self.add_weight((1,), initializer="ones", name="alpha")
        self.built = True

    def call(self, x):
        return x * self.alpha

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable("kzoo")
class LearntAffine(layers.Layer):
    """Multiplies a map by one number and adds another, both learned: 1 and 0 at first.

    Shapes: (B, H, W, C) in and out.

    Source: PaddleClas's HGNetV2 and PP-LCNetV3, "learnable affine block"; as D-FINE has it, arXiv:2410.13842.
    """

    def build(self, input_shape):
        self.factor = self.add_weight((1,), initializer="ones", name="factor")
        self.shift = self.add_weight((1,), initializer="zeros", name="shift")
        self.built = True

    def call(self, x):
        return x * self.factor + self.shift

    def compute_output_shape(self, input_shape):
        return input_shape
