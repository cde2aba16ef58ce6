"""Layers that slide a window over (B, H, W, C) as Darknet does and Keras does not: its strides, paddings, kernels."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("kzoo")
class Convolution(layers.Layer):
    """A convolution that may be called in several ways, all with the one kernel, and with stride and dilation at once.

    Args:
        filters: output channels, a multiple of `groups`.
        size: side of the square kernel in pixels.
        groups: how many equal groups the channels fall into, each convolved by itself; 1 (default) is all together.
        use_bias: whether a bias is added to each output channel (default).

    Shapes: (B, H, W, C) to (B, (H + 2 padding - dilation (size - 1) - 1) // stride + 1, likewise of W, filters).

    Source: Darknet's `share_index`, which TridentNet (arXiv:1901.01892) needs.
    """

    def __init__(self, filters: int, size: int, groups: int = 1, use_bias: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.size, self.groups, self.use_bias = filters, size, groups, use_bias

    def build(self, input_shape):
        shape = (self.size, self.size, input_shape[-1] // self.groups, self.filters)
        self.kernel = self.add_weight(shape, initializer="he_normal", name="kernel")
        if self.use_bias:
            self.bias = self.add_weight((self.filters,), initializer="zeros", name="bias")

    def call(self, x, strides: Sequence[int] = (1, 1), dilation: int = 1, padding: int = 0):
        if padding:
            x = ops.pad(x, [[0, 0], [padding] * 2, [padding] * 2, [0, 0]])
        dilated = dilation > 1
        x = ops.conv(x, self.kernel, (1, 1) if dilated else tuple(strides), "valid", dilation_rate=dilation)
        if dilated and max(strides) > 1:
            # Backends take strides or a dilation, not both: convolve every place, and keep every so many.
            x = x[:, :: strides[0], :: strides[1]]
        return x + self.bias if self.use_bias else x

    def compute_output_spec(self, x, strides=(1, 1), dilation=1, padding=0):
        batch, *sides, _ = x.shape
        reach = dilation * (self.size - 1) + 1
        cells = [
            None if side is None else (side + 2 * padding - reach) // step + 1
            for side, step in zip(sides, strides, strict=True)
        ]
        return keras.KerasTensor((batch, *cells, self.filters), self.compute_dtype)


@keras.saving.register_keras_serializable("kzoo")
class LocallyConnected(layers.Layer):
    """A convolution with a kernel of its own at every place (Darknet's `[local]`). The input's sides are fixed.

    Args:
        filters: output channels.
        size: side of the square window in pixels.
        stride: pixels between neighbouring windows, the same along y and x; 1 is the default.
        padding: zeros on each of the four sides, in pixels; 0 is the default.

    Shapes: (B, H, W, C) to (B, (H + 2 padding - size) // stride + 1, likewise of W, filters).
    """

    def __init__(self, filters: int, size: int, stride: int = 1, padding: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.size, self.stride, self.padding = filters, size, stride, padding

    def build(self, input_shape):
        _, rows, columns, _ = self.compute_output_shape(input_shape)
        window = self.size * self.size * input_shape[-1]
        self.kernel = self.add_weight(
            (rows * columns, window, self.filters),
            initializer=keras.initializers.RandomNormal(stddev=(2 / window) ** 0.5),
            name="kernel",
        )
        self.bias = self.add_weight((rows, columns, self.filters), initializer="zeros", name="bias")

    def call(self, x):
        around = [[0, 0], [self.padding] * 2, [self.padding] * 2, [0, 0]]
        x = ops.pad(x, around) if self.padding else x
        rows, columns, _ = self.bias.shape
        height, width = ((count - 1) * self.stride + 1 for count in (rows, columns))
        # The pixel (dy, dx) of every window at once: size * size maps (B, rows, columns, C).
        pixels = [
            x[:, dy : dy + height : self.stride, dx : dx + width : self.stride]
            for dy in range(self.size)
            for dx in range(self.size)
        ]
        windows = ops.reshape(ops.concatenate(pixels, axis=-1), (-1, rows * columns, self.kernel.shape[1]))
        # One product a place: (places, B, window) @ (places, window, filters) = (places, B, filters).
        out = ops.transpose(ops.matmul(ops.transpose(windows, (1, 0, 2)), self.kernel), (1, 0, 2))
        return ops.reshape(out, (-1, rows, columns, self.filters)) + self.bias

    def compute_output_shape(self, input_shape):
        batch, *sides, _ = input_shape
        cells = [(side + 2 * self.padding - self.size) // self.stride + 1 for side in sides]
        return (batch, *cells, self.filters)


@keras.saving.register_keras_serializable("kzoo")
class Pool(layers.Layer):
    """Pooling with Darknet's padding, the smaller half of it first.

    Args:
        kind: "max", or "average", which is taken of those pixels of a window that lie in the image.
        size: side of the square window in pixels.
        strides: pixels between neighbouring windows along y and along x.
        padding: pixels that height and width grow by, each at both ends together; 0 or more.

    Shapes: (B, H, W, C) to (B, (H + padding - size) // strides[0] + 1, (W + padding - size) // strides[1] + 1, C).
    """

    def __init__(self, kind: str, size: int, strides: Sequence[int], padding: int, **kwargs):
        super().__init__(**kwargs)
        self.kind, self.size, self.strides, self.padding = kind, size, tuple(strides), padding

    def call(self, x):
        window = (self.size, self.size)
        around = [[0, 0], *[[self.padding // 2, self.padding - self.padding // 2]] * 2, [0, 0]]
        if self.kind == "max":
            # The least number there is, so that what lies outside is never the largest.
            lowest = -65504.0 if keras.backend.standardize_dtype(x.dtype) == "float16" else -3.0e38
            padded = ops.pad(x, around, constant_values=lowest) if self.padding else x
            return ops.max_pool(padded, window, self.strides, "valid")
        if not self.padding:
            return ops.average_pool(x, window, self.strides, "valid")
        # Zeros in the padding lower the means (B, h, w, C); divided by the share (1, h, w, 1) of each window that is
        # image, they are those of the pixels that are there.
        mean, share = (
            ops.average_pool(ops.pad(part, around), window, self.strides, "valid")
            for part in (x, ops.ones_like(x[:1, :, :, :1]))
        )
        return mean / share

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        cells = [
            None if side is None else (side + self.padding - self.size) // stride + 1
            for side, stride in zip(sides, self.strides, strict=True)
        ]
        return (batch, *cells, channels)
