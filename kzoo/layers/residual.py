"""Convolutions with batch normalisation as torch pads and names them, and the residual blocks made of them."""

from __future__ import annotations

import keras
from keras import layers

BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_MOMENTUM = 0.9


def relu_initializer():
    """Keeps the variance of gradients through ReLUs. Source: He et al. 2015, arXiv:1502.01852, section 2.2."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def conv_bn(
    x, filters: int, size: int, name: str, stride: int = 1, dilation: int = 1, activation: bool = True
):
    """Convolution without bias, batch normalisation, ReLU.

    Args:
        x: (B, H, W, C).
        filters: output channels.
        size: side of the kernel, odd.
        name: of the layers, with {} where their kind goes: "backbone_layer1_0_{}2".
        stride: 1 or 2; padded alike on every side, unlike TensorFlow's "same" at stride 2.
        dilation: of the kernel; 1 where the stride is not.
        activation: whether the ReLU is there.

    Returns:
        (B, ceil(H / stride), ceil(W / stride), filters).
    """
    padded = stride > 1 and size > 1
    if padded:
        x = layers.ZeroPadding2D(size // 2, name=name.format("pad"))(x)
    x = layers.Conv2D(
        filters,
        size,
        stride,
        padding="valid" if padded else "same",
        dilation_rate=dilation,
        use_bias=False,
        kernel_initializer=relu_initializer(),
        name=name.format("conv"),
    )(x)
    x = layers.BatchNormalization(
        momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON, name=name.format("bn")
    )(x)
    return layers.ReLU(name=name.format("relu"))(x) if activation else x


def basic_block(x, filters: int, name: str, stride: int = 1, dilation: int = 1):
    """Two 3x3 convolutions with a shortcut.

    Args:
        x: (B, H, W, C).
        filters: output channels.
        name: prefix of the layers' names.
        stride: of the first convolution.
        dilation: of both; 1 where the stride is not.

    Source: He et al. 2015, arXiv:1512.03385, figure 5 left.
    """
    inner = conv_bn(x, filters, 3, f"{name}_{{}}1", stride, dilation)
    inner = conv_bn(inner, filters, 3, f"{name}_{{}}2", dilation=dilation, activation=False)
    return _joined(inner, x, name, stride)


def bottleneck(x, filters: int, name: str, stride: int = 1, dilation: int = 1, stride_first: bool = False):
    """1x1, 3x3 and 1x1 convolutions with a shortcut, the last one four times as wide.

    Args:
        x: (B, H, W, C).
        filters: channels of the first two.
        name: prefix of the layers' names.
        stride: of the 3x3 convolution.
        dilation: of the 3x3 convolution; 1 where the stride is not.
        stride_first: whether the first convolution has the stride instead, as in the paper.

    Source: He et al. 2015, arXiv:1512.03385, figure 5 right.
    """
    first, second = (stride, 1) if stride_first else (1, stride)
    inner = conv_bn(x, filters, 1, f"{name}_{{}}1", first)
    inner = conv_bn(inner, filters, 3, f"{name}_{{}}2", second, dilation)
    inner = conv_bn(inner, 4 * filters, 1, f"{name}_{{}}3", activation=False)
    return _joined(inner, x, name, stride)


def _joined(inner, x, name: str, stride: int):
    """Adds the shortcut, through a 1x1 convolution where the shapes differ."""
    if stride > 1 or x.shape[-1] != inner.shape[-1]:
        x = conv_bn(x, inner.shape[-1], 1, f"{name}_downsample_{{}}", stride, activation=False)
    x = layers.Add(name=f"{name}_add")([inner, x])
    return layers.ReLU(name=f"{name}_relu")(x)
