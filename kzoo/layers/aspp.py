"""Atrous spatial pyramid pooling: one map seen at several scales side by side."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers, ops

from kzoo.layers.residual import conv_bn


@keras.saving.register_keras_serializable("kzoo")
class SpreadLike(keras.layers.Layer):
    """Spreads one vector an image over every place of a map: (B, 1, 1, C) and (B, H, W, D) to (B, H, W, C)."""

    def call(self, inputs):
        vector, like = inputs
        return vector + ops.zeros_like(like[..., :1])

    def compute_output_shape(self, input_shape):
        vector, like = input_shape
        return (*like[:3], vector[-1])


def aspp(x, rates: Sequence[int], filters: int = 256, dropout: float = 0.5, name: str = "neck_aspp"):
    """A 1x1 convolution, dilated 3x3 ones and the whole image's mean side by side, joined by a 1x1 convolution.

    Args:
        x: (B, H, W, C) features of the backbone.
        rates: dilations of the 3x3 convolutions, one convolution each, 1 or more.
        filters: channels of each branch, and of the result, 256 by default.
        dropout: share of the result that is dropped in training, 0 to below 1, 0.5 by default.
        name: prefix of the layers' names, which go on with the branch's number; "neck_aspp" by default.

    Returns:
        (B, H, W, filters).

    Source: Chen et al. 2017, DeepLabv3, arXiv:1706.05587, section 3.3.
    """
    branches = [conv_bn(x, filters, 1, f"{name}0_{{}}")]
    for number, rate in enumerate(rates, 1):
        branches.append(conv_bn(x, filters, 3, f"{name}{number}_{{}}", dilation=rate))
    last = f"{name}{len(rates) + 1}"
    mean = layers.GlobalAveragePooling2D(keepdims=True, name=f"{last}_mean")(x)  # (B, 1, 1, C)
    mean = conv_bn(mean, filters, 1, f"{last}_{{}}")
    branches.append(SpreadLike(name=f"{last}_spread")([mean, x]))
    x = layers.Concatenate(name=f"{name}_concat")(branches)  # (B, H, W, (rates + 2) * filters)
    x = conv_bn(x, filters, 1, f"{name}_project_{{}}")
    return layers.Dropout(dropout, name=f"{name}_dropout")(x)
