"""Deformable convolution: each tap of the kernel looks where, and counts as much as, the map itself says."""

from __future__ import annotations

import keras
from keras import layers, ops

from kzoo.ops.gather import take_rows


@keras.saving.register_keras_serializable("kzoo")
class DeformableConv2D(layers.Layer):
    """A convolution whose taps are moved and weighed by what another convolution makes of the same map.

    That other convolution begins with zeros, so that all taps are where they are in a plain one, and count half.

    Shapes: (B, H, W, C) to (B, ceil(H / stride), ceil(W / stride), filters).

    Args:
        filters: number of output channels.
        kernel_size: side of the kernel in pixels, odd, 3 by default; padded by half of its reach on every side.
        stride: pixels between neighbouring windows, 1 by default.
        dilation: pixels between neighbouring taps, 1 by default.
        use_bias: whether a number is added to each output channel (default).
        **kwargs: arguments of every Keras layer: `name`, `dtype` and `trainable`.

    Source: Zhu et al. 2018, Deformable ConvNets v2, arXiv:1811.11168, equation 1; samples as torchvision's
        `deform_conv2d`.

    Example:
        >>> DeformableConv2D(64)(features)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        stride: int = 1,
        dilation: int = 1,
        use_bias: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size}; give an odd number")
        self.filters, self.kernel_size, self.stride = filters, kernel_size, stride
        self.dilation, self.use_bias = dilation, use_bias
        self.margin = dilation * (kernel_size // 2)

    def build(self, input_shape):
        shape = (self.kernel_size, self.kernel_size, input_shape[-1])
        initializer = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        self.kernel = self.add_weight(shape=(*shape, self.filters), initializer=initializer, name="kernel")
        # For each tap how far it is moved down and to the right; then for each what it is multiplied by, as a logit.
        moved = 3 * self.kernel_size**2
        self.offset_kernel = self.add_weight(shape=(*shape, moved), initializer="zeros", name="offset_kernel")
        self.offset_bias = self.add_weight(shape=(moved,), initializer="zeros", name="offset_bias")
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
        self.built = True

    @property
    def kernels(self) -> list:
        """All kernels that are laid on the map."""
        return [self.kernel, self.offset_kernel]

    def call(self, x):
        taps, margin = self.kernel_size**2, [self.margin, self.margin]
        padded = ops.pad(x, [[0, 0], margin, margin, [0, 0]])
        raw = ops.conv(
            padded, ops.cast(self.offset_kernel, x.dtype), self.stride, "valid", dilation_rate=self.dilation
        )
        raw = ops.cast(raw, "float32") + ops.cast(self.offset_bias, "float32")  # (B, h, w, 3 * taps)
        mask = ops.sigmoid(raw[..., 2 * taps :])  # (B, h, w, taps)
        sampled = deformed_taps(
            x, raw[..., : 2 * taps], mask, self.kernel_size, self.stride, self.dilation
        )  # (B, h, w, taps * C)
        channels = x.shape[-1]
        kernel = ops.reshape(ops.cast(self.kernel, sampled.dtype), (taps * channels, self.filters))
        y = ops.matmul(sampled, kernel)  # (B, h, w, filters)
        return y if self.bias is None else y + ops.cast(self.bias, y.dtype)

    def compute_output_shape(self, input_shape):
        sides = (side if side is None else -(-side // self.stride) for side in input_shape[1:3])
        return (input_shape[0], *sides, self.filters)


def deformed_taps(x, offsets, mask, kernel_size: int, stride: int = 1, dilation: int = 1):
    """What each tap of a kernel sees of a map, where it has been moved to, between pixels by their four neighbours.

    Outside of the map everything is 0.

    Args:
        x: (B, H, W, C) maps.
        offsets: (B, h, w, 2 * taps), pixels that each tap is moved down and to the right, tap by tap in rows.
        mask: (B, h, w, taps), what each tap is multiplied by.
        kernel_size: side of the kernel in pixels, odd; padded by half of its reach on every side.
        stride: pixels between neighbouring windows, 1 by default.
        dilation: pixels between neighbouring taps, 1 by default.

    Returns:
        (B, h, w, taps * C).
    """
    batch, height, width, channels = ops.shape(x)
    _, rows, columns, taps = ops.shape(mask)
    margin = dilation * (kernel_size // 2)
    offsets = ops.reshape(offsets, (batch, rows, columns, taps, 2))
    # Where each tap is, (B, h, w, taps).
    row, column = (ops.arange(count, dtype="float32") * stride - margin for count in (rows, columns))
    tap = ops.arange(taps, dtype="int32")
    y = ops.reshape(row, (-1, 1, 1)) + ops.cast(tap // kernel_size * dilation, "float32") + offsets[..., 0]
    x_ = ops.reshape(column, (1, -1, 1)) + ops.cast(tap % kernel_size * dilation, "float32") + offsets[..., 1]
    top, left = ops.floor(y), ops.floor(x_)
    flat = ops.reshape(x, (batch, height * width, channels))
    total = 0.0
    for down in (0, 1):
        for right in (0, 1):
            i, j = top + down, left + right
            share = (1.0 - ops.abs(y - i)) * (1.0 - ops.abs(x_ - j)) * mask  # (B, h, w, taps)
            inside = (i >= 0) & (i <= ops.cast(height, "float32") - 1)
            inside = inside & (j >= 0) & (j <= ops.cast(width, "float32") - 1)
            i, j = ops.cast(ops.where(inside, i, 0.0), "int32"), ops.cast(ops.where(inside, j, 0.0), "int32")
            place = ops.reshape(i * width + j, (batch, rows * columns * taps))
            pixels = ops.reshape(take_rows(flat, place), (batch, rows, columns, taps, channels))
            total = total + pixels * ops.cast(ops.expand_dims(ops.where(inside, share, 0.0), -1), x.dtype)
    return ops.reshape(total, (batch, rows, columns, taps * channels))
