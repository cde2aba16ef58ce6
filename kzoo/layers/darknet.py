"""Darknet's layers that Keras lacks. All take and give (B, H, W, C)."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers, ops

# Whoever imports this module can read saved models that have Darknet's activations, too.
from kzoo.layers.activations import activate, activation_of

__all__ = [
    "ChannelGroup",
    "Convolution",
    "First",
    "LocallyConnected",
    "Luma",
    "Pool",
    "Reorg",
    "Shortcut",
    "UnitLength",
    "activate",
    "activation_of",
]

# Darknet's divisor in weighted shortcuts begins here, so that weights of 0 divide by something.
_WEIGHTS_EPSILON = 1e-4


@keras.saving.register_keras_serializable("kzoo")
class Convolution(layers.Layer):
    """A convolution that may be called in several ways, all with the one kernel, and with stride and dilation at once.

    Args:
        filters: output channels.
        size: side of the kernel.
        groups: of channels that do not see each other.
        use_bias: whether it has one.

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
            # Backends take either strides or a dilation.
            x = x[:, :: strides[0], :: strides[1]]
        return x + self.bias if self.use_bias else x

    def compute_output_spec(self, x, strides=(1, 1), dilation=1, padding=0):
        batch, *sides, _ = x.shape
        reach = dilation * (self.size - 1) + 1
        slid = [
            None if side is None else (side + 2 * padding - reach) // step + 1
            for side, step in zip(sides, strides, strict=True)
        ]
        return keras.KerasTensor((batch, *slid, self.filters), self.compute_dtype)


@keras.saving.register_keras_serializable("kzoo")
class Pool(layers.Layer):
    """Pooling with Darknet's padding, the smaller half of it first.

    Args:
        kind: "max", or "average" of the pixels that are there.
        size: side of the window.
        strides: along y and x.
        padding: pixels a side is widened by, both ends together.
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
        mean, share = (
            ops.average_pool(ops.pad(part, around), window, self.strides, "valid")
            for part in (x, ops.ones_like(x[:1, :, :, :1]))
        )
        return mean / share

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        slid = [
            None if side is None else (side + self.padding - self.size) // stride + 1
            for side, stride in zip(sides, self.strides, strict=True)
        ]
        return (batch, *slid, channels)


@keras.saving.register_keras_serializable("kzoo")
class First(layers.Layer):
    """The first of its inputs. The others are of no use, but their layers belong to the network, and to its files."""

    def call(self, inputs):
        return inputs[0]

    def compute_output_shape(self, input_shape):
        return input_shape[0]


@keras.saving.register_keras_serializable("kzoo")
class Reorg(layers.Layer):
    """Trades resolution for channels.

    Args:
        stride: by which the sides become smaller.
        true: whether it is space-to-depth (`[reorg3d]`), or YOLOv2's `[reorg]`, which takes the memory of its
            input for that of a map of less channels and larger sides.
    """

    def __init__(self, stride: int, true: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.stride, self.true = stride, true

    def call(self, x):
        batch, height, width, channels = ops.shape(x)
        s, rows, columns = self.stride, height // self.stride, width // self.stride
        if self.true:
            x = ops.reshape(x, (batch, rows, s, columns, s * channels))
            return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4)), (batch, rows, columns, s * s * channels))
        x = ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, channels // s // s, height, s, width, s))
        x = ops.reshape(ops.transpose(x, (0, 3, 5, 1, 2, 4)), (batch, channels * s * s, rows, columns))
        return ops.transpose(x, (0, 2, 3, 1))

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        return (
            batch,
            *(None if side is None else side // self.stride for side in sides),
            channels * self.stride**2,
        )


@keras.saving.register_keras_serializable("kzoo")
class UnitLength(layers.Layer):
    """Divides the channels of each place by their length; a place of zeros stays (`[l2norm]`)."""

    def call(self, x):
        # In float32 whatever the policy: half precision's squares soon overflow.
        full = ops.cast(x, "float32")
        length = ops.sqrt(ops.sum(full * full, axis=-1, keepdims=True))
        return ops.cast(full / ops.where(length > 0, length, 1.0), x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable("kzoo")
class Luma(layers.Layer):
    """The grey picture that networks of one channel see: (B, H, W, 3) RGB -> (B, H, W, 1)."""

    def call(self, x):
        red, green, blue = (x[..., i : i + 1] for i in range(3))
        return 0.299 * red + 0.587 * green + 0.114 * blue

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 1)


@keras.saving.register_keras_serializable("kzoo")
class ChannelGroup(layers.Layer):
    """One of several equal groups of channels.

    Args:
        groups: how many there are.
        group: which of them, from 0.
    """

    def __init__(self, groups: int, group: int, **kwargs):
        super().__init__(**kwargs)
        self.groups, self.group = groups, group

    def call(self, x):
        count = x.shape[-1] // self.groups
        return x[..., self.group * count : (self.group + 1) * count]

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // self.groups)


@keras.saving.register_keras_serializable("kzoo")
class LocallyConnected(layers.Layer):
    """A convolution with a kernel of its own at every place. The input's sides are fixed.

    Args:
        filters: output channels.
        size: side of the window.
        stride: the same along y and x.
        padding: pixels at every side.
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
        reach = [(side - 1) * self.stride + 1 for side in (rows, columns)]
        parts = [
            x[:, dy : dy + reach[0] : self.stride, dx : dx + reach[1] : self.stride]
            for dy in range(self.size)
            for dx in range(self.size)
        ]
        windows = ops.reshape(ops.concatenate(parts, axis=-1), (-1, rows * columns, self.kernel.shape[1]))
        # One product a place: (places, B, window) @ (places, window, filters).
        out = ops.transpose(ops.matmul(ops.transpose(windows, (1, 0, 2)), self.kernel), (1, 0, 2))
        return ops.reshape(out, (-1, rows, columns, self.filters)) + self.bias

    def compute_output_shape(self, input_shape):
        batch, *sides, _ = input_shape
        slid = [(side + 2 * self.padding - self.size) // self.stride + 1 for side in sides]
        return (batch, *slid, self.filters)


@keras.saving.register_keras_serializable("kzoo")
class Shortcut(layers.Layer):
    """Adds maps to the first one, over the channels they share.

    Args:
        steps: of each further map, how its places meet the first one's: 1, each its own; 2, every second pixel of it
            is taken, for its sides are twice as large; -2, its pixels are added to every second of the first's.
        weights: how many a map has: 0, 1, or as many as the first has channels.
        normalization: of the weights: "none", "relu" (their positive parts, by their sum) or "softmax".

    Source: Darknet's `[shortcut]`; the weights are EfficientDet's, arXiv:1911.09070, section 3.3.
    """

    def __init__(self, steps: Sequence[int], weights: int = 0, normalization: str = "none", **kwargs):
        super().__init__(**kwargs)
        self.steps, self.count, self.normalization = list(steps), weights, normalization

    def get_config(self):
        own = {"steps": list(self.steps), "weights": self.count, "normalization": self.normalization}
        return {**super().get_config(), **own}

    def build(self, input_shape):
        if self.count:
            self.scales = self.add_weight((len(input_shape), self.count), initializer="ones", name="scales")

    def call(self, inputs):
        first, *others = inputs
        fitted = (
            _fitted(other, step, first.shape[-1]) for other, step in zip(others, self.steps, strict=True)
        )
        parts = [first, *fitted]
        if self.count:
            parts = [part * scale for part, scale in zip(parts, self._scales(len(parts)), strict=True)]
        return sum(parts[1:], parts[0])

    def _scales(self, count: int) -> list:
        scales = ops.convert_to_tensor(self.scales)
        if self.normalization == "relu":
            scales = ops.relu(scales)
        elif self.normalization == "softmax":
            scales = ops.exp(scales - ops.max(scales, axis=0, keepdims=True))
        if self.normalization != "none":
            scales = scales / (_WEIGHTS_EPSILON + ops.sum(scales, axis=0, keepdims=True))
        return [scales[i] for i in range(count)]

    def compute_output_shape(self, input_shape):
        return input_shape[0]


def _fitted(x, step: int, channels: int):
    """`x` with the sides that a step makes of its own, and so many channels."""
    if step > 1:
        x = x[:, ::step, ::step]
    elif step < -1:
        x = _spread(_spread(x, 1, -step), 2, -step)
    missing = channels - x.shape[-1]
    return ops.pad(x, [[0, 0], [0, 0], [0, 0], [0, missing]]) if missing > 0 else x[..., :channels]


def _spread(x, axis: int, stride: int):
    """Zeros behind every pixel along an axis."""
    parts = ops.expand_dims(x, axis + 1)
    around = [[0, 0] for _ in range(5)]
    around[axis + 1][1] = stride - 1
    shape = list(ops.shape(x))
    shape[axis] *= stride
    return ops.reshape(ops.pad(parts, around), shape)
