"""Steps by which CenterNet's networks go back to a quarter of the image's resolution."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from kzoo.layers.bilinear import bilinear_weights
from kzoo.layers.deformable import DeformableConv2D
from kzoo.layers.residual import batch_normalization, relu_initializer


def deformed(x, filters: int, name: str, batch_norm: str = "trained"):
    """A deformable 3x3 convolution with a bias, batch normalisation, ReLU: (B, H, W, C) to (B, H, W, filters).

    Layers are called `{name}_deform`, `{name}_deform_bn` and `{name}_deform_relu`.
    """
    x = DeformableConv2D(filters, name=f"{name}_deform")(x)
    x = batch_normalization(batch_norm, f"{name}_deform_bn")(x)
    return layers.ReLU(name=f"{name}_deform_relu")(x)


def upsampling_steps(
    x, filters: Sequence[int], name: str, deformable: bool = True, batch_norm: str = "trained"
):
    """Doubles the resolution step by step: a convolution, and a transposed one of stride 2.

    Args:
        x: (B, H, W, C) maps.
        filters: number of channels of each step.
        name: prefix of the layers' names.
        deformable: whether the convolution of each step is deformable (default); without, there is none.
        batch_norm: kind of batch normalisation, "trained" by default: see
            `kzoo.layers.residual.batch_normalization`.

    Returns:
        (B, 2^steps H, 2^steps W, the last of `filters`).

    Source: Zhou et al. 2019, Objects as Points, arXiv:1904.07850, section 5, "ResNet".
    """
    for step, count in enumerate(filters):
        if deformable:
            x = deformed(x, count, f"{name}_up{step}", batch_norm)
        x = layers.Conv2DTranspose(
            count,
            4,
            2,
            padding="same",
            use_bias=False,
            kernel_initializer=relu_initializer(),
            name=f"{name}_up{step}_enlarge",
        )(x)
        x = batch_normalization(batch_norm, f"{name}_up{step}_enlarge_bn")(x)
        x = layers.ReLU(name=f"{name}_up{step}_enlarge_relu")(x)
    return x


@keras.saving.register_keras_serializable("kzoo")
class Spread(layers.Layer):
    """Enlarges each channel by a kernel of its own, which begins as bilinear interpolation and is trained.

    It is the depthwise transposed convolution that Keras does not have: zeros are put between the pixels, and a kernel
    of twice the factor is laid on them.

    Shapes: (B, H, W, C) to (B, factor H, factor W, C).

    Args:
        factor: even number of output pixels for one of the input, each way.
        **kwargs: arguments of every Keras layer: `name`, `dtype` and `trainable`.

    Source: Yu et al. 2018, Deep Layer Aggregation, arXiv:1707.06484, section 4, "Dense prediction"; the authors' code.
    """

    def __init__(self, factor: int, **kwargs):
        super().__init__(**kwargs)
        if factor % 2:
            raise ValueError(f"factor={factor}; give an even number")
        self.factor = factor

    def build(self, input_shape):
        kernel = bilinear_weights(2 * self.factor)[..., None, None]  # (2 f, 2 f, 1, 1)
        kernel = np.repeat(kernel, input_shape[-1], axis=2)
        self.kernel = self.add_weight(
            shape=kernel.shape,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(kernel, dtype),
            name="kernel",
        )
        self.built = True

    def call(self, x):
        batch, height, width, channels = ops.shape(x)
        f = self.factor
        # Zeros after each row, then after each column: TFLite pads tensors of few axes alone.
        zeros = [[0, 0], [0, 0], [0, f - 1], [0, 0]]
        x = ops.pad(ops.reshape(x, (batch, height, 1, width * channels)), zeros)
        x = ops.pad(ops.reshape(x, (batch, height * f * width, 1, channels)), zeros)
        x = ops.reshape(x, (batch, height * f, width * f, channels))
        # A transposed convolution lays the kernel the other way round, and half a factor of it over the edge.
        margin = [2 * f - 1 - f // 2, f // 2]
        x = ops.pad(x, [[0, 0], margin, margin, [0, 0]])
        kernel = ops.cast(ops.flip(self.kernel, axis=(0, 1)), x.dtype)
        return ops.depthwise_conv(x, kernel, 1, "valid")

    def compute_output_shape(self, input_shape):
        sides = (side if side is None else side * self.factor for side in input_shape[1:3])
        return (input_shape[0], *sides, input_shape[-1])


def aggregation(maps: Sequence, filters: int, factors: Sequence[int], name: str) -> list:
    """Coarser maps are brought to the first one's size, one after another, each joined with what came of those before.

    Args:
        maps: (B, H, W, C) maps, each of a size of its own or the same.
        filters: number of output channels.
        factors: for each map but the first how much it is enlarged.
        name: prefix of the layers' names.

    Returns:
        A map (B, H, W, filters) for each but the first.

    Source: Yu et al. 2018, arXiv:1707.06484, figure 2, "iterative deep aggregation".
    """
    joined, out = maps[0], []
    for i, (x, factor) in enumerate(zip(maps[1:], factors, strict=True), 1):
        x = deformed(x, filters, f"{name}_project{i}")
        x = Spread(factor, name=f"{name}_spread{i}")(x)
        x = layers.Add(name=f"{name}_add{i}")([x, joined])
        joined = deformed(x, filters, f"{name}_node{i}")
        out.append(joined)
    return out
