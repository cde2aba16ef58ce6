"""ConvNeXt: image -> list of feature maps, finest first."""

from __future__ import annotations

from keras import initializers, layers

from kzoo.layers.channel_scale import ChannelScale
from kzoo.layers.conv import repeats, scaled

# Blocks and channels of the four stages (arXiv:2201.03545, section 3.1).
CONVNEXTS = {"convnext-tiny": ((3, 3, 9, 3), (96, 192, 384, 768))}
EPSILON = 1e-6  # of the layer normalisation
OUTPUT_STRIDES = (8, 16, 32)


def convnext(
    images,
    variant: str = "convnext-tiny",
    output_stride: int = 32,
    width: float = 1.0,
    depth: float = 1.0,
    drop_path: float = 0.0,
) -> list:
    """A ConvNeXt without its classifier.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of 32.
        variant: one of `CONVNEXTS`, "convnext-tiny" by default.
        output_stride: stride of the last stage, 32 (default), 16 or 8: the last stages dilate their kernels in the
            place of their strides.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the blocks of a stage, above 0, 1 by default.
        drop_path: share of the images of a training batch for which the last block is left out, 0 or more and below 1,
            0 by default; it grows evenly from 0 at the first block.

    Returns:
        Feature maps at strides 4, 8, 16 and 32, or less where dilated; with 96, 192, 384 and 768 channels of the tiny
        one at width 1.

    Raises:
        ValueError: the variant or the output stride are not possible.

    Source: Liu et al. 2022, arXiv:2201.03545, figure 4 and table 9.

    Example:
        >>> features = convnext(keras.Input((224, 224, 3)))
    """
    if variant not in CONVNEXTS:
        raise ValueError(f"backbone={variant!r}: no such ConvNeXt; give one of {', '.join(CONVNEXTS)}")
    if output_stride not in OUTPUT_STRIDES:
        raise ValueError(f"output_stride={output_stride}; give 8, 16 or 32")
    counts, channels = CONVNEXTS[variant]
    counts = [repeats(count, depth) for count in counts]
    x = _conv(images, scaled(channels[0], width), 4, "backbone_stem_conv", strides=4)
    x = layer_norm("backbone_stem_norm")(x)
    features, reached, dilation, done = [], 4, 1, 0
    for number, (count, filters) in enumerate(zip(counts, channels, strict=True), 1):
        filters, name = scaled(filters, width), f"backbone_stage{number}"
        if number > 1:
            strided = reached * 2 <= output_stride
            x = layer_norm(f"{name}_downsample_norm")(x)
            where = {"strides": 2} if strided else {"padding": "same", "dilation_rate": dilation}
            x = _conv(x, filters, 2, f"{name}_downsample_conv", **where)
            reached, dilation = (reached * 2, dilation) if strided else (reached, dilation * 2)
        for i in range(count):
            x = _block(x, f"{name}_{i}", dilation, drop_path * done / sum(counts))
            done += 1
        features.append(x)
    return features


def layer_norm(name: str) -> layers.LayerNormalization:
    """Normalisation of each place over its channels.

    Args:
        name: the layer's name.
    """
    return layers.LayerNormalization(epsilon=EPSILON, name=name)


def _block(x, name: str, dilation: int, drop_path: float):
    """A depthwise 7x7 convolution, and two 1x1 ones with four times the channels in between, with a shortcut.

    (B, H, W, C) to the same.
    """
    filters = x.shape[-1]
    inner = layers.DepthwiseConv2D(
        7,
        padding="same",
        dilation_rate=dilation,
        depthwise_initializer=_initializer(),
        name=f"{name}_depthwise_conv",
    )(x)
    inner = layer_norm(f"{name}_norm")(inner)
    inner = _conv(inner, 4 * filters, 1, f"{name}_expand_conv", activation="gelu")
    inner = _conv(inner, filters, 1, f"{name}_project_conv")
    inner = ChannelScale(name=f"{name}_scale")(inner)
    if drop_path:
        inner = layers.Dropout(drop_path, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(inner)
    return layers.Add(name=f"{name}_add")([x, inner])


def _conv(x, filters: int, size: int, name: str, **arguments):
    return layers.Conv2D(filters, size, kernel_initializer=_initializer(), name=name, **arguments)(x)


def _initializer():
    """The paper's, table 5."""
    return initializers.TruncatedNormal(stddev=0.02)
