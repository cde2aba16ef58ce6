"""The convolution that networks of the YOLO line are made of from the fifth version on."""

from __future__ import annotations

import math

import keras
from keras import layers

from kzoo.layers.activations import activate
from kzoo.layers.normalization import FusedBatchNormalization

EPSILON = 1e-3  # what batch normalisation adds to variances
MOMENTUM = 0.97  # share of the statistics so far that a step keeps; torch's 0.03


def width_of(filters: int, width: float) -> int:
    """A number of channels, `filters` times `width`, rounded up to a multiple of 8."""
    return math.ceil(filters * width / 8) * 8


def conv(
    x,
    filters: int,
    name: str,
    size: int = 1,
    stride: int = 1,
    depthwise: bool = False,
    activation: str = "swish",
    epsilon: float = EPSILON,
    momentum: float = MOMENTUM,
):
    """Convolution without bias, batch normalisation, activation.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels; C of a depthwise convolution.
        name: prefix of the layers' names, which end in `_conv`, `_bn` and `_act`.
        size: side of the kernel in pixels, odd or 6, 1 by default; padded by (size - 1) // 2 on every side, as torch
            does, which at stride 2 is not TensorFlow's "same".
        stride: pixels between neighbouring windows, 1 (default) or 2.
        depthwise: whether each channel has a kernel of its own and sees no other; False by default.
        activation: Darknet's name of the activation, "swish" (SiLU) by default; "linear" for none.
        epsilon: what batch normalisation adds to variances, 1e-3 by default.
        momentum: share of the statistics so far that a step keeps, 0 to 1, 0.97 by default.

    Returns:
        (B, H / stride, W / stride, filters) for H and W that are multiples of the stride.
    """
    x = plain_conv(x, filters, f"{name}_conv", size, stride, depthwise)
    return activate(normalize(x, f"{name}_bn", epsilon, momentum), activation, f"{name}_act")


def plain_conv(x, filters: int, name: str, size: int = 1, stride: int = 1, depthwise: bool = False):
    """The convolution of `conv` alone, without bias; `name` is the layer's own."""
    padded = stride > 1 and size > 1
    if padded:
        x = layers.ZeroPadding2D((size - 1) // 2, name=f"{name.removesuffix('_conv')}_pad")(x)
    arguments = {"padding": "valid" if padded else "same", "use_bias": False, "name": name}
    # Kernels begin as torch's do: uniform, with a variance of 1 / (3 x inputs of a sum).
    initializer = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    if depthwise:
        return layers.DepthwiseConv2D(size, stride, depthwise_initializer=initializer, **arguments)(x)
    return layers.Conv2D(filters, size, stride, kernel_initializer=initializer, **arguments)(x)


def normalize(x, name: str, epsilon: float = EPSILON, momentum: float = MOMENTUM):
    """The batch normalisation of `conv` alone."""
    return FusedBatchNormalization(momentum=momentum, epsilon=epsilon, name=name)(x)
