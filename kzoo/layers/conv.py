"""Darknet's convolution blocks as functions of the functional API; layers are numbered for weight files."""

from __future__ import annotations

import keras
from keras import layers

from kzoo.layers.activations import activate
from kzoo.layers.normalization import FusedBatchNormalization

BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_MOMENTUM = 0.99


def scaled(filters: int, width: float) -> int:
    """A number of channels, `filters` times `width`: at least 8 and a multiple of 8; unchanged at width 1."""
    return filters if width == 1.0 else max(8, round(filters * width / 8) * 8)


def repeats(count: int, depth: float) -> int:
    """A number of repeated blocks, `count` times `depth`, at least 1."""
    return max(1, round(count * depth))


class ConvNamer:
    """Numbers the convolutions of one part of a network: `backbone_conv1`, `backbone_bn1`, ...

    The order is Darknet's own, so that its weight files can be read in sequence; equal names mark the layers
    that a pretrained backbone hands over.

    Args:
        prefix: what the names begin with: "backbone" or "neck".
        activation: Darknet's name of what follows each convolution, "leaky" by default: see
            `kzoo.layers.activations`.
        normalize: whether batch normalisation follows each convolution (default); if not it has a bias.

    Attributes:
        count: convolutions so far, and other layers that were numbered.
    """

    def __init__(self, prefix: str, activation: str = "leaky", normalize: bool = True):
        self.prefix = prefix
        self.activation = activation
        self.normalize = normalize
        self.count = 0

    def name(self, kind: str) -> str:
        """The name of a further layer, which takes the next number: `neck_local25` for "local"."""
        self.count += 1
        return f"{self.prefix}_{kind}{self.count}"

    def conv(
        self,
        x,
        filters: int,
        size: int = 3,
        stride: int = 1,
        groups: int = 1,
        activation: str | None = None,
    ):
        """Convolution, batch normalisation, activation: Darknet's `[convolutional]`.

        Args:
            x: (B, H, W, C) maps.
            filters: number of output channels.
            size: side of the kernel in pixels, odd, 3 by default; padded by size // 2 on every side, unlike
                TensorFlow's "same" at stride 2.
            stride: pixels between neighbouring windows, 1 (default) or 2.
            groups: how many equal groups the channels fall into, each convolved by itself; 1 (default) is all together.
            activation: Darknet's name of the activation, such as "linear"; the namer's where None.

        Returns:
            (B, H // stride, W // stride, filters) for even H and W.
        """
        self.count += 1
        name = f"{self.prefix}_{{}}{self.count}".format
        if stride > 1 and size > 1:
            x = layers.ZeroPadding2D(size // 2, name=name("pad"))(x)
        x = layers.Conv2D(
            filters,
            size,
            stride,
            padding="valid" if stride > 1 and size > 1 else "same",
            groups=groups,
            use_bias=not self.normalize,
            kernel_initializer=keras.initializers.HeNormal(),
            name=name("conv"),
        )(x)
        if self.normalize:
            x = FusedBatchNormalization(
                momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON, name=name("bn")
            )(x)
        return activate(x, activation or self.activation, name("act"))
