"""What U-Nets are made of: pairs of convolutions, the way up, attention gates. All on (B, H, W, C)."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers, ops

from kzoo.layers.normalization import FusedBatchNormalization
from kzoo.layers.resizing import Enlarge

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


@keras.saving.register_keras_serializable("kzoo")
class Grey(layers.Layer):
    """Red, green and blue (B, H, W, 3) as luminance (B, H, W, 1)."""

    def call(self, images):
        return ops.sum(images * ops.convert_to_tensor(_LUMINANCE, images.dtype), axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 1)


@dataclass(frozen=True)
class Blocks:
    """How a U-Net's pairs of convolutions are made.

    Attributes:
        padding: "same" (default), or "valid", which takes a pixel off every side at each convolution.
        batch_norm: whether they are batch-normalised; False by default.
        residual: whether a shortcut leads past the pair; False by default.
    """

    padding: str = "same"
    batch_norm: bool = False
    residual: bool = False

    def __call__(self, x, filters: int, name: str):
        """Two 3x3 convolutions with ReLU: (B, H, W, filters), four pixels less in H and W where "valid"."""
        inner = self._conv(x, filters, f"{name}_conv1")
        inner = layers.ReLU(name=f"{name}_relu1")(inner)
        inner = self._conv(inner, filters, f"{name}_conv2")
        if self.residual:
            short = layers.Conv2D(filters, 1, name=f"{name}_shortcut")(x)
            short = cropped(short, 2 if self.padding == "valid" else 0, f"{name}_shortcut_crop")
            inner = layers.Add(name=f"{name}_add")([inner, short])
        return layers.ReLU(name=f"{name}_relu2")(inner)

    def _conv(self, x, filters: int, name: str):
        """A 3x3 convolution, and its batch normalisation where there is one."""
        x = layers.Conv2D(
            filters,
            3,
            padding=self.padding,
            use_bias=not self.batch_norm,
            kernel_initializer=keras.initializers.HeNormal(),
            name=name,
        )(x)
        if self.batch_norm:
            x = FusedBatchNormalization(momentum=0.9, epsilon=1e-5, name=name.replace("conv", "bn"))(x)
        return x


def cropped(x, margin: int, name: str):
    """`x` (B, H, W, C) without `margin` pixels on every side."""
    return layers.Cropping2D(margin, name=name)(x) if margin else x


def doubled(x, filters: int, up: str, name: str):
    """`x` at twice the resolution, (B, 2 H, 2 W, filters).

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        up: how it is enlarged: "transposed" for a transposed 2x2 convolution, "upsampling" for bilinear resizing and a
            2x2 convolution: both have the same parameters.
        name: prefix of the layers' names.
    """
    if up == "transposed":
        return layers.Conv2DTranspose(
            filters, 2, strides=2, kernel_initializer=keras.initializers.HeNormal(), name=f"{name}_up"
        )(x)
    x = Enlarge(2, name=f"{name}_resize")(x)
    return layers.Conv2D(
        filters, 2, padding="same", kernel_initializer=keras.initializers.HeNormal(), name=f"{name}_up"
    )(x)


def attention_gate(skip, gate, filters: int, name: str):
    """What the encoder hands over, each place weighted in 0..1 by itself and the coarser features.

    Args:
        skip: (B, 2 H, 2 W, C), a level of the encoder.
        gate: (B, H, W, D), the coarser level of the decoder.
        filters: number of channels in which the two are compared.
        name: prefix of the layers' names.

    Returns:
        (B, 2 H, 2 W, C).

    Source: Oktay et al. 2018, arXiv:1804.03999, figure 2.
    """
    own = layers.Conv2D(filters, 2, strides=2, use_bias=False, name=f"{name}_gate_skip")(skip)
    other = layers.Conv2D(filters, 1, name=f"{name}_gate_signal")(gate)
    x = layers.Add(name=f"{name}_gate_add")([own, other])
    x = layers.ReLU(name=f"{name}_gate_relu")(x)
    x = layers.Conv2D(1, 1, activation="sigmoid", name=f"{name}_gate_weight")(x)  # (B, H, W, 1)
    x = Enlarge(2, name=f"{name}_gate_resize")(x)
    return layers.Multiply(name=f"{name}_gate")([skip, x])
