"""Layers that join, split and rescale whole maps (B, H, W, C) between Darknet's convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers, ops

# Darknet's divisor in weighted shortcuts begins here, so that weights of 0 divide by something.
_WEIGHTS_EPSILON = 1e-4


@keras.saving.register_keras_serializable("kzoo")
class First(layers.Layer):
    """The first of its inputs. The others are of no use, but their layers belong to the network, and to its files."""

    def call(self, inputs):
        return inputs[0]

    def compute_output_shape(self, input_shape):
        return input_shape[0]


@keras.saving.register_keras_serializable("kzoo")
class ChannelGroup(layers.Layer):
    """One of several equal groups of channels (`groups` and `group_id` of Darknet's `[route]`).

    Args:
        groups: how many groups the channels fall into.
        group: number of the group that is taken, 0 to groups - 1.

    Shapes: (B, H, W, C) to (B, H, W, C / groups).
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
class Reorg(layers.Layer):
    """Trades resolution for channels, as YOLOv2's passthrough does.

    Args:
        stride: divisor of height and width, which are multiples of it.
        true: whether each channel's square of pixels becomes channels, space-to-depth (`[reorg3d]`); if not (default)
            it is YOLOv2's `[reorg]`, which reads the memory of its input as if it were a map of fewer channels and
            larger sides, and so mixes pixels that lie far apart. Trained weights have got used to it.

    Shapes: (B, H, W, C) to (B, H / stride, W / stride, C * stride^2).
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
        # Darknet's memory (B, C, H, W), read as (B, C / s^2, H s, W s), of which s x s pixels become s^2 channels.
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
        full = ops.cast(x, "float32")  # (B, H, W, C)
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
class Shortcut(layers.Layer):
    """Adds maps to the first one, over the channels they share.

    Args:
        steps: one number for each further map, which says how its pixels meet the first one's: 1, each its own; 2,
            every second pixel of it is taken, for its sides are twice as large; -2, its pixels are added to every
            second of the first's, for its sides are half as large.
        weights: how many factors a map is multiplied by: 0 (default, none), 1, or one for each channel of the first.
        normalization: what makes the factors of all maps sum up to 1: "none" (default, nothing), "relu" (their
            positive parts over the sum of those) or "softmax".

    Shapes: the first map (B, H, W, C), which is the result's, and further ones (B, h, w, c) of any number of channels.

    Source: Darknet's `[shortcut]`; the weights are EfficientDet's, arXiv:1911.09070, section 3.3.
    """

    def __init__(self, steps: Sequence[int], weights: int = 0, normalization: str = "none", **kwargs):
        super().__init__(**kwargs)
        self.steps = list(steps)
        self.count = weights
        self.normalization = normalization

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
        maps = [first, *fitted]  # each (B, H, W, C)
        if self.count:
            maps = [one * scale for one, scale in zip(maps, self._scales(len(maps)), strict=True)]
        return sum(maps[1:], maps[0])

    def _scales(self, count: int) -> list:
        """The factors of each map, normalised: `count` of (1,) or (C,)."""
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
    """`x` (B, h, w, c) as (B, H, W, channels): every `step`-th pixel, or -step times as many with zeros between."""
    if step > 1:
        x = x[:, ::step, ::step]
    elif step < -1:
        x = _spread(_spread(x, 1, -step), 2, -step)
    missing = channels - x.shape[-1]
    return ops.pad(x, [[0, 0], [0, 0], [0, 0], [0, missing]]) if missing > 0 else x[..., :channels]


def _spread(x, axis: int, stride: int):
    """`stride` - 1 zeros behind every pixel along axis 1 or 2 of (B, H, W, C), which becomes so many times as long."""
    pixels = ops.expand_dims(x, axis + 1)
    around = [[0, 0] for _ in range(5)]
    around[axis + 1][1] = stride - 1
    shape = list(ops.shape(x))
    shape[axis] *= stride
    return ops.reshape(ops.pad(pixels, around), shape)
