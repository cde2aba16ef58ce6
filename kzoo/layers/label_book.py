"""What queries that are made of the truth have as their content: one vector a class."""

from __future__ import annotations

from keras import layers, ops


class LabelBook(layers.Layer):
    """A learnt vector for each class, and one for none, which stands first.

    Args:
        num_classes: number of classes, 1 or more.
        width: number of channels of a vector.
        **kwargs: arguments of every Keras layer.

    Shapes: labels (B, P) int32, -1 for none, in; (B, P, width) out.
    """

    def __init__(self, num_classes: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.num_classes, self.width = num_classes, width

    def build(self, input_shape=None):
        # Classes along the last axis, as of all layers that count them.
        shape = (self.width, 1 + self.num_classes)
        self.kernel = self.add_weight(shape=shape, initializer="normal", name="kernel")
        self.built = True

    def call(self, labels):
        hot = ops.one_hot(labels + 1, 1 + self.num_classes, dtype=self.compute_dtype)  # (B, P, 1 + K)
        return ops.matmul(hot, ops.transpose(ops.cast(self.kernel, self.compute_dtype)))
