"""Convolutions with batch normalisation as torch pads and names them, and the residual blocks made of them."""

from __future__ import annotations

import keras
from keras import layers

from kzoo.layers.normalization import FusedBatchNormalization
from kzoo.layers.strided import seen_pixels

BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_MOMENTUM = 0.9
# Statistics and scales that training moves; that it leaves alone; or that all devices' pictures make together.
BATCH_NORMS = ("trained", "frozen", "synchronized")


def relu_initializer():
    """Keeps the variance of gradients through ReLUs. Source: He et al. 2015, arXiv:1502.01852, section 2.2."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def batch_normalization(
    kind: str, name: str, epsilon: float = BATCH_NORM_EPSILON, momentum: float = BATCH_NORM_MOMENTUM
) -> layers.BatchNormalization:
    """Batch normalisation with torch's numbers.

    Args:
        kind: "trained"; "frozen", where batches are too small for statistics of their own: those of earlier training
            and the scales stay as they are; or "synchronized", statistics of all devices' pictures together.
        name: the layer's name.
        epsilon: what is added to variances, above 0, 1e-5 by default.
        momentum: share of the statistics so far that a step keeps, 0 to 1, 0.9 by default.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in BATCH_NORMS:
        raise ValueError(f"batch_norm={kind!r}; give one of {', '.join(BATCH_NORMS)}")
    return FusedBatchNormalization(
        momentum=momentum,
        epsilon=epsilon,
        synchronized=kind == "synchronized",
        trainable=kind != "frozen",
        name=name,
    )


def conv_bn(
    x,
    filters: int,
    size: int,
    name: str,
    stride: int = 1,
    dilation: int = 1,
    activation: bool = True,
    batch_norm: str = "trained",
):
    """Convolution without bias, batch normalisation, ReLU.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        size: side of the kernel in pixels, odd.
        name: pattern of the layers' names, with {} where their kind goes: "backbone_layer1_0_{}2".
        stride: pixels between neighbouring windows, 1 (default) or 2; padded alike on every side, unlike TensorFlow's
            "same" at stride 2.
        dilation: pixels between neighbouring weights of the kernel; 1 (default) where the stride is not.
        activation: whether the ReLU is there (default).
        batch_norm: kind of batch normalisation, "trained" by default: see `batch_normalization`.

    Returns:
        (B, ceil(H / stride), ceil(W / stride), filters).
    """
    padded = stride > 1 and size > 1
    if padded:
        x = layers.ZeroPadding2D(size // 2, name=name.format("pad"))(x)
    x, strides = seen_pixels(x, size, (stride, stride), name.format("pick"))
    x = layers.Conv2D(
        filters,
        size,
        strides,
        padding="valid" if padded else "same",
        dilation_rate=dilation,
        use_bias=False,
        kernel_initializer=relu_initializer(),
        name=name.format("conv"),
    )(x)
    x = batch_normalization(batch_norm, name.format("bn"))(x)
    return layers.ReLU(name=name.format("relu"))(x) if activation else x


def basic_block(
    x,
    filters: int,
    name: str,
    stride: int = 1,
    dilation: int = 1,
    batch_norm: str = "trained",
    pooled: bool = False,
):
    """Two 3x3 convolutions with a shortcut.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        name: prefix of the layers' names.
        stride: stride of the first convolution, 1 (default) or 2.
        dilation: dilation of both convolutions; 1 (default) where the stride is not.
        batch_norm: kind of batch normalisation, "trained" by default: see `batch_normalization`.
        pooled: whether the shortcut has a convolution whatever the shapes, and the mean of neighbours before it in the
            place of its stride, as in ResNet-D; False by default.

    Returns:
        (B, ceil(H / stride), ceil(W / stride), filters).

    Source: He et al. 2015, arXiv:1512.03385, figure 5 left.
    """
    inner = conv_bn(x, filters, 3, f"{name}_{{}}1", stride, dilation, batch_norm=batch_norm)
    inner = conv_bn(inner, filters, 3, f"{name}_{{}}2", 1, dilation, False, batch_norm)
    return _joined(inner, x, name, stride, batch_norm, pooled)


def bottleneck(
    x,
    filters: int,
    name: str,
    stride: int = 1,
    dilation: int = 1,
    stride_first: bool = False,
    batch_norm: str = "trained",
    pooled: bool = False,
):
    """1x1, 3x3 and 1x1 convolutions with a shortcut, the last one four times as wide.

    Args:
        x: (B, H, W, C) maps.
        filters: channels of the first two convolutions.
        name: prefix of the layers' names.
        stride: stride of the 3x3 convolution, 1 (default) or 2.
        dilation: dilation of the 3x3 convolution; 1 (default) where the stride is not.
        stride_first: whether the first convolution has the stride instead, as in the paper; False by default.
        batch_norm: kind of batch normalisation, "trained" by default: see `batch_normalization`.
        pooled: whether the shortcut has a convolution whatever the shapes, and the mean of neighbours before it in the
            place of its stride, as in ResNet-D; False by default.

    Returns:
        (B, ceil(H / stride), ceil(W / stride), 4 * filters).

    Source: He et al. 2015, arXiv:1512.03385, figure 5 right.
    """
    first, second = (stride, 1) if stride_first else (1, stride)
    inner = conv_bn(x, filters, 1, f"{name}_{{}}1", first, batch_norm=batch_norm)
    inner = conv_bn(inner, filters, 3, f"{name}_{{}}2", second, dilation, batch_norm=batch_norm)
    inner = conv_bn(inner, 4 * filters, 1, f"{name}_{{}}3", activation=False, batch_norm=batch_norm)
    return _joined(inner, x, name, stride, batch_norm, pooled)


def _joined(inner, x, name: str, stride: int, batch_norm: str, pooled: bool):
    """Adds the shortcut, through a 1x1 convolution where the shapes differ, or where it is asked for."""
    differs = stride > 1 or x.shape[-1] != inner.shape[-1]
    if pooled and stride > 1:
        # A window that is cut off by the edge has the mean of the pixels that it has.
        x = layers.AveragePooling2D(2, 2, padding="same", name=f"{name}_downsample_pool")(x)
        stride = 1
    if pooled or differs:
        x = conv_bn(x, inner.shape[-1], 1, f"{name}_downsample_{{}}", stride, 1, False, batch_norm)
    x = layers.Add(name=f"{name}_add")([inner, x])
    return layers.ReLU(name=f"{name}_relu")(x)
