"""How well a box fits its object: a number of every region and class, and how it changes with what was pooled."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers, ops


class IoUBranch(keras.layers.Layer):
    """Dense layers from pooled features to the IoU of the region with an object of each class.

    Shapes, of R regions and K classes: (R, h, w, C) pooled features to (R, K) numbers, -1 for an IoU of 0 and 1 for one
    of 1, unbounded. The background has none: with it nothing overlaps.

    Args:
        num_classes: number of classes, 1 or more, without the background, K.
        dense: units of the dense layers, one after another, each with a ReLU.

    Source: Jiang et al. 2018, arXiv:1807.11590, section 3.1, figure 3.
    """

    def __init__(self, num_classes: int, dense: Sequence[int], **kwargs):
        super().__init__(name="iou_branch", **kwargs)
        self.hidden_layers = [
            layers.Dense(units, activation="relu", name=f"iou_dense{i}") for i, units in enumerate(dense)
        ]
        start = keras.initializers.RandomNormal(stddev=0.01)
        self.class_layer = layers.Dense(num_classes, kernel_initializer=start, name="iou_class")

    def build(self, input_shape):
        units = input_shape[1] * input_shape[2] * input_shape[3]
        for layer in (*self.hidden_layers, self.class_layer):
            layer.build((None, units))
            units = layer.units
        self.built = True

    def call(self, pooled):
        x = _flat(pooled)
        for layer in (*self.hidden_layers, self.class_layer):
            x = layer(x)
        return ops.cast(x, "float32")

    def gradient(self, pooled, own):
        """The numbers of some classes, and how they change with the features, by the chain rule.

        In float32 whatever the policy: steps along it are small.

        Args:
            pooled: (R, h, w, C) float32 features.
            own: (R, K) float, 1 for the class that is asked for, else 0.

        Returns:
            numbers (R,), and their gradients (R, h, w, C).
        """
        x, active = _flat(pooled), []
        for layer in self.hidden_layers:
            x = ops.relu(ops.matmul(x, _float32(layer.kernel)) + _float32(layer.bias))  # (R, units)
            active.append(x > 0)
        kernel = _float32(self.class_layer.kernel)
        values = ops.matmul(x, kernel) + _float32(self.class_layer.bias)  # (R, K)
        slope = ops.matmul(own, ops.transpose(kernel))  # (R, units)
        for layer, passes in zip(self.hidden_layers[::-1], active[::-1], strict=True):
            slope = ops.matmul(ops.where(passes, slope, 0.0), ops.transpose(_float32(layer.kernel)))
        return ops.sum(values * own, axis=-1), ops.reshape(slope, (-1, *pooled.shape[1:]))


def _flat(pooled):
    """(R, h, w, C) -> (R, h * w * C)."""
    height, width, channels = pooled.shape[1:]
    return ops.reshape(pooled, (-1, height * width * channels))


def _float32(variable):
    return ops.cast(variable, "float32")
