"""No task at all: the last feature map as it is, of a network that was cut before its head."""

from __future__ import annotations

import keras
from keras import ops

from kzoo.heads.base import Head


@keras.saving.register_keras_serializable("kzoo")
class FeatureHead(Head):
    """Gives the last feature map, raw and decoded: `{"features": (B, H, W, C)}`. There is nothing to train it for.

    Args:
        num_classes: number of the map's channels, which stands where other heads have their classes.
        **kwargs: arguments of every Keras layer: `name`, `dtype` and `trainable`.
    """

    task = "features"

    def __init__(self, num_classes: int, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def build(self, input_shape):
        self.built = True

    def call(self, features, training=None):
        return {"features": ops.cast(features[-1], "float32")}

    def loss(self, targets, outputs, sample_weight=None):
        raise ValueError(f"{self.name}: feature maps alone cannot be trained; add a head to the network")

    def decode(self, outputs):
        return dict(outputs)
