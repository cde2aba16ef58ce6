"""Feature pyramid network: maps that see as far as the coarsest and as sharp as the finest."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
from keras import layers, ops

from kzoo.layers.residual import batch_normalization

# What the levels coarser than the network's own are made from.
EXTRAS = ("p5", "c5", "pool")


@keras.saving.register_keras_serializable("kzoo")
class CropLike(keras.layers.Layer):
    """Cuts maps (B, H, W, C) on the right and below to the size of others: [maps, (B, h, w, D)] to (B, h, w, C)."""

    def call(self, inputs):
        x, like = inputs
        height, width = ops.shape(like)[1:3]
        if x.shape[1:3] == (height, width):
            return x
        return x[:, :height, :width]

    def compute_output_shape(self, input_shape):
        x, like = input_shape
        return (*like[:3], x[-1])


def fpn(
    features: Sequence,
    filters: int = 256,
    first: int = 3,
    extra: str | None = "p5",
    name: str = "neck",
    batch_norm: str | None = None,
    step: int = 2,
) -> list:
    """A feature pyramid: each map plus all coarser ones, enlarged.

    A map is half the finer one's size, rounded up, as residual networks have it. Enlarged to twice its size it is cut
    to the finer one's, which is what torch's nearest interpolation to that size gives. So an image may have any size;
    where sides are multiples of 32 nothing has to be cut.

    Args:
        features: maps of the backbone, finest first: each (B, H, W, C) at half the resolution of the one before, or at
            the same, see `step`.
        filters: channels of the result, 256 by default.
        first: level of the first map, whose stride is 2 ** first; 3 by default.
        extra: further levels: "p5" (default): two more by 3x3 convolutions of stride 2 from the pyramid's coarsest map
            (torchvision's RetinaNet), "c5": from the backbone's coarsest (the paper's, and torchvision's second),
            "pool": one more, every second place of the pyramid's coarsest (for two-stage detectors); None for none.
        name: prefix of the layers' names, which go on with the level: neck_lateral3, neck_smooth3, neck_p6; "neck" by
            default.
        batch_norm: kind of batch normalisation after the lateral and the smoothing convolutions, which have no biases
            then: see `kzoo.layers.residual.batch_normalization`; None (default) for none.
        step: how many times as large a map's sides are as the next one's: 2 (default), or 1 where all are of one size.

    Returns:
        Maps of `filters` channels, finest first: of the features' sizes, and of the further levels, each half the one
        before, rounded up.

    Raises:
        ValueError: there is no such `extra`.

    Source: Lin et al. 2017, arXiv:1612.03144, figure 3; extra levels: Lin et al. 2017, arXiv:1708.02002, section 4.

    Example:
        >>> fpn(resnet(images)[1:])   # P3 to P7
    """
    if extra not in (*EXTRAS, None):
        raise ValueError(f"extra={extra!r}: no such levels; give one of {', '.join(EXTRAS)}, or None")
    last = first + len(features) - 1
    conv = functools.partial(_conv_bn, batch_norm=batch_norm)
    # From the coarsest map down: `x` sums up what all coarser levels have seen.
    x = conv(features[-1], filters, 1, f"{name}_lateral{last}")
    maps = [conv(x, filters, 3, f"{name}_smooth{last}")]
    for level in reversed(range(first, last)):
        lateral = conv(features[level - first], filters, 1, f"{name}_lateral{level}")
        if step > 1:
            x = layers.UpSampling2D(step, name=f"{name}_up{level}")(x)
            x = CropLike(name=f"{name}_crop{level}")([x, lateral])
        x = layers.Add(name=f"{name}_add{level}")([lateral, x])
        maps.insert(0, conv(x, filters, 3, f"{name}_smooth{level}"))
    if extra == "pool":
        maps.append(layers.MaxPooling2D(1, 2, name=f"{name}_p{last + 1}")(maps[-1]))
    elif extra:
        x = _halved(maps[-1] if extra == "p5" else features[-1], filters, f"{name}_p{last + 1}")
        maps.append(x)
        x = layers.ReLU(name=f"{name}_p{last + 1}_relu")(x)
        maps.append(_halved(x, filters, f"{name}_p{last + 2}"))
    return maps


def _conv_bn(x, filters: int, size: int, name: str, batch_norm: str | None):
    """A convolution of the pyramid, and batch normalisation where there is to be one."""
    x = _conv(x, filters, size, name, use_bias=batch_norm is None)
    return x if batch_norm is None else batch_normalization(batch_norm, f"{name}_bn")(x)


def _conv(
    x, filters: int, size: int, name: str, stride: int = 1, padding: str = "same", use_bias: bool = True
):
    """A convolution of the pyramid, without an activation."""
    return layers.Conv2D(
        filters,
        size,
        stride,
        padding=padding,
        use_bias=use_bias,
        kernel_initializer=keras.initializers.LecunUniform(),  # no ReLU follows
        name=name,
    )(x)


def _halved(x, filters: int, name: str):
    """A 3x3 convolution of stride 2, padded alike on every side."""
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return _conv(x, filters, 3, name, 2, "valid")
