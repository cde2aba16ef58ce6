"""Batch normalisation: in one pass over the features, and over more pictures than fit into memory at once."""

from __future__ import annotations

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("kzoo")
class FusedBatchNormalization(layers.BatchNormalization):
    """Keras's batch normalisation, trained by TensorFlow's one operation for it.

    Keras computes means, differences and squares one after another, each a pass over all features. On a CPU that takes
    longer than the convolution before it. Here training on TensorFlow goes through the features once forward and once
    backward; prediction, exports, other backends and synchronised statistics are Keras's.

    Args:
        **kwargs: arguments of `keras.layers.BatchNormalization`.

    Shapes: (B, ..., C) in and out; what is fused are maps (B, H, W, C).

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1.

    Example:
        >>> FusedBatchNormalization(momentum=0.9)(features, training=True)
    """

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable) or mask is not None or not self._is_fusible(inputs):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        # In float32 whatever the policy, as Keras has it: sums over many pixels overflow in half precision.
        x = ops.cast(inputs, "float32")  # (B, H, W, C)
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            x, ops.cast(self.gamma, x.dtype), ops.cast(self.beta, x.dtype), epsilon=self.epsilon
        )
        # TensorFlow estimates the variance of all pictures there are, (n / (n - 1)) of this batch's; Keras keeps that.
        count = ops.cast(ops.prod(ops.shape(x)[:-1]), x.dtype)
        _follow(self, mean, variance * (1.0 - 1.0 / count))
        return ops.cast(y, self.compute_dtype)

    def compute_mask(self, inputs, previous_mask):
        """A mask says what statistics are made of, and goes no further."""
        return None

    def _is_fusible(self, inputs) -> bool:
        plain = self.scale and self.center and not self.synchronized and not getattr(self, "renorm", False)
        maps = len(inputs.shape) == 4 and self.axis in (-1, 3) and self.compute_dtype != "float64"
        return plain and maps and keras.backend.backend() == "tensorflow"


@keras.saving.register_keras_serializable("kzoo")
class CrossMiniBatchNormalization(layers.BatchNormalization):
    """Batch normalisation whose statistics are of all mini-batches of a batch so far (CmBN).

    Where gradients of several mini-batches make one update, the weights stay the same within it, so earlier
    mini-batches' means and variances hold for later ones. They count as constants. In inference it is Keras's
    batch normalisation, and folds and exports as that.

    Args:
        window: number of mini-batches of a batch, 1 or more, 4 by default: `accumulate` of the training, Darknet's
            `subdivisions`. 1 is plain batch normalisation.
        **kwargs: arguments of `keras.layers.BatchNormalization`; masks and synchronisation are not taken.

    Shapes: (B, ..., C) in and out.

    Source: Bochkovskiy et al. 2020, YOLOv4, arXiv:2004.10934, figure 4; after Yao et al. 2020, arXiv:2002.05712.
    """

    def __init__(self, window: int = 4, **kwargs):
        super().__init__(**kwargs)
        if window < 1 or self.synchronized:
            raise ValueError(
                f"CrossMiniBatchNormalization: window={window}; give 1 or more, and no synchronized=True"
            )
        self.window = window

    def get_config(self):
        return {**super().get_config(), "window": self.window}

    def build(self, input_shape):
        super().build(input_shape)
        shape = self.moving_mean.shape  # (C,)

        def kept(name, shape):
            return self.add_weight(shape, initializer="zeros", trainable=False, dtype="float32", name=name)

        self.means = kept("means", shape)
        self.squares = kept("squares", shape)
        self.seen = kept("seen", ())

    def call(self, inputs, training=None, mask=None):
        if not training or not self.trainable:
            return super().call(inputs, training=False)
        x = ops.cast(inputs, "float32")
        axes = [axis for axis in range(len(x.shape)) if axis != self.axis % len(x.shape)]
        mean, square = ops.mean(x, axis=axes), ops.mean(x * x, axis=axes)  # (C,) each
        # Sums over this batch's mini-batches; a new batch starts from nothing.
        carried = ops.cast(self.seen < self.window - 0.5, "float32")
        seen = self.seen * carried + 1.0
        means, squares = self.means * carried + mean, self.squares * carried + square
        for variable, value in ((self.means, means), (self.squares, squares), (self.seen, seen)):
            variable.assign(ops.stop_gradient(value))
        whole_mean = means / seen
        variance = ops.maximum(squares / seen - whole_mean * whole_mean, 0.0)
        _follow(self, whole_mean, variance)
        shape = [1] * len(x.shape)
        shape[self.axis] = -1
        scale = ops.rsqrt(variance + self.epsilon)
        if self.scale:
            scale = scale * ops.cast(self.gamma, "float32")
        shift = -whole_mean * scale
        if self.center:
            shift = shift + ops.cast(self.beta, "float32")
        return ops.cast(x * ops.reshape(scale, shape) + ops.reshape(shift, shape), self.compute_dtype)


def _follow(layer: layers.BatchNormalization, mean, variance) -> None:
    """Moves a layer's statistics of prediction towards a batch's mean and variance, (C,) each."""
    for average, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        value = ops.cast(ops.stop_gradient(value), average.dtype)
        average.assign(average * layer.momentum + value * (1.0 - layer.momentum))
