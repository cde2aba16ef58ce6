"""Convolutions that are trained as several side by side, and deployed as the one that they come to."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from kzoo.layers.activations import activate
from kzoo.layers.normalization import FusedBatchNormalization
from kzoo.layers.yolo_conv import EPSILON, MOMENTUM


@keras.saving.register_keras_serializable("kzoo")
class RepConv(layers.Layer):
    """A 3x3 and a 1x1 convolution and, where asked for, what goes in itself, each with batch normalisation, added up.

    All three are linear, so that after training one 3x3 convolution with a bias does the same: `merged` gives it, and
    exports have it in the place of this layer. Operations are counted as of that one.

    Shapes: (B, H, W, C) to (B, H, W, filters); at stride 2 maps with a margin of one pixel, (B, H + 2, W + 2, C), to
    (B, H / 2, W / 2, filters).

    Args:
        filters: number of output channels.
        stride: pixels between neighbouring windows, 1 (default) or 2.
        identity: whether what goes in is added, too, by a batch normalisation of its own; False by default, and for
            stride 1 and as many channels as `filters` alone.
        epsilon: what batch normalisation adds to variances, 1e-3 by default.
        momentum: share of the statistics so far that a step keeps, 0 to 1, 0.97 by default.
        **kwargs: arguments of every Keras layer: `name`, `dtype` and `trainable`.

    Source: Ding et al. 2021, RepVGG, arXiv:2101.03697, section 3.3.
    """

    def __init__(
        self,
        filters: int,
        stride: int = 1,
        identity: bool = False,
        epsilon: float = EPSILON,
        momentum: float = MOMENTUM,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.stride, self.identity = filters, stride, identity
        self.epsilon, self.momentum = epsilon, momentum
        self.convs, self.norms = [], []
        # Of a 1x1 kernel's stride see `call`.
        for size, steps in ((3, stride), (1, 1)):
            self.convs.append(self._conv(size, steps))
            self.norms.append(self._norm(f"bn{size}"))
        self.identity_norm = self._norm("bn0") if identity else None

    def _conv(self, size: int, stride: int):
        return layers.Conv2D(
            self.filters,
            size,
            stride,
            padding="valid" if self.stride > 1 else "same",
            use_bias=False,
            kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
            dtype=self.dtype_policy,
            name=f"conv{size}",
        )

    def _norm(self, name: str):
        return FusedBatchNormalization(
            momentum=self.momentum, epsilon=self.epsilon, dtype=self.dtype_policy, name=name
        )

    def build(self, input_shape):
        if self.identity and (self.stride > 1 or input_shape[-1] != self.filters):
            raise ValueError(
                f"{self.name}: {input_shape[-1]} channels at stride {self.stride} cannot be added to {self.filters}; "
                "give identity=False"
            )
        for conv, norm in zip(self.convs, self.norms, strict=True):
            conv.build(input_shape)
            norm.build((*input_shape[:-1], self.filters))
        if self.identity:
            self.identity_norm.build(input_shape)
        self.built = True

    @property
    def kernel(self):
        """The kernel of the 3x3 convolution, of the shape that the merged one has."""
        return self.convs[0].kernel

    def call(self, x, training=None):
        three = self.norms[0](self.convs[0](x), training=training)  # (B, H / stride, W / stride, filters)
        # Of a map with a margin a 1x1 kernel is laid on what is inside it, and has its stride here: see `seen_pixels`.
        inner = x[:, 1 : -1 : self.stride, 1 : -1 : self.stride] if self.stride > 1 else x
        one = self.norms[1](self.convs[1](inner), training=training)
        total = three + one
        return total + self.identity_norm(x, training=training) if self.identity else total

    def compute_output_shape(self, input_shape):
        margin = 0 if self.stride == 1 else 2
        sides = (side if side is None else -(-(side - margin) // self.stride) for side in input_shape[1:3])
        return (input_shape[0], *sides, self.filters)

    def merged(self) -> tuple[np.ndarray, np.ndarray]:
        """Kernel (3, 3, C, filters) and bias (filters,) of the one convolution, computed in float64."""
        channels = self.kernel.shape[2]
        kernel, bias = np.zeros(self.kernel.shape, np.float64), np.zeros(self.filters)
        branches = [(conv.kernel, norm) for conv, norm in zip(self.convs, self.norms, strict=True)]
        if self.identity:
            branches.append((np.eye(channels)[None, None], self.identity_norm))
        for own, norm in branches:
            scale, shift = _scale_and_shift(norm)
            own = np.asarray(ops.convert_to_numpy(own), np.float64) * scale
            margin = (3 - own.shape[0]) // 2  # a 1x1 kernel is the middle of a 3x3 one
            kernel += np.pad(own, [[margin, margin], [margin, margin], [0, 0], [0, 0]])
            bias += shift
        return kernel.astype(np.float32), bias.astype(np.float32)

    def plain(self) -> layers.Layer:
        """The layer that takes `merged`'s weights, and stands in the place of this one."""
        padding = "same" if self.stride == 1 else "valid"
        return layers.Conv2D(
            self.filters, 3, self.stride, padding=padding, dtype=self.dtype_policy, name=self.name
        )


def _scale_and_shift(norm: layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """What a batch normalisation multiplies by, and what it adds, a channel each, in float64."""
    values = (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    gamma, beta, mean, variance = (np.asarray(ops.convert_to_numpy(value), np.float64) for value in values)
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return scale, beta - mean * scale


def rep_conv(
    x,
    filters: int,
    name: str,
    stride: int = 1,
    identity: bool = False,
    activation: str = "relu",
    epsilon: float = EPSILON,
    momentum: float = MOMENTUM,
):
    """A `RepConv`, called `{name}_rep`, and an activation.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        name: prefix of the layers' names.
        stride: pixels between neighbouring windows, 1 (default) or 2.
        identity: whether what goes in is added, too, where its shape allows that; False by default.
        activation: Darknet's name of the activation, "relu" by default; "linear" for none.
        epsilon: what batch normalisation adds to variances, 1e-3 by default.
        momentum: share of the statistics so far that a step keeps, 0 to 1, 0.97 by default.

    Returns:
        (B, H / stride, W / stride, filters).
    """
    identity = identity and stride == 1 and x.shape[-1] == filters
    if stride > 1:
        x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    x = RepConv(filters, stride, identity, epsilon, momentum, name=f"{name}_rep")(x)
    return activate(x, activation, f"{name}_act")
