"""Inverted residual blocks: wide within and narrow between, around a depthwise convolution; and stages of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras import layers

from kzoo.layers.conv import repeats, scaled
from kzoo.layers.residual import batch_normalization, relu_initializer

BATCH_NORM_EPSILON = 1e-3
BATCH_NORM_MOMENTUM = 0.99
PADDINGS = ("same", "symmetric")


@dataclass(frozen=True)
class Block:
    """One inverted residual block at width 1.

    Attributes:
        hidden: channels of the depthwise convolution; None for those that come in, without an expansion.
        squeezed: channels between the two layers of squeeze and excite, 0 for none.
    """

    hidden: int | None
    squeezed: int = 0


@dataclass(frozen=True)
class Stage:
    """Blocks in a row with the same number of channels.

    Attributes:
        channels: output channels at width 1.
        kernel: side of the depthwise kernels in pixels, odd.
        stride: stride of the first block, 1 or 2.
        activation: activation within the blocks, Keras's name of it.
        blocks: the blocks.
    """

    channels: int
    kernel: int
    stride: int
    activation: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Manner:
    """What all convolutions of a network have in common.

    Attributes:
        padding: where a strided convolution's windows lie: "same" (default), as TensorFlow puts them, off the middle by
            a pixel on even sides; or "symmetric", with the same margin on every side, as torch does.
        batch_norm: kind of batch normalisation: see `kzoo.layers.residual.batch_normalization`.
        squeeze_activation: activation between the two layers of squeeze and excite, Keras's name of it.
        gate: activation that makes its factors, Keras's name of it.
    """

    padding: str = "same"
    batch_norm: str = "trained"
    squeeze_activation: str = "silu"
    gate: str = "sigmoid"

    def __post_init__(self):
        if self.padding not in PADDINGS:
            raise ValueError(f"padding={self.padding!r}; give one of {', '.join(PADDINGS)}")


def normed_conv(
    x,
    filters: int | None,
    size: int,
    name: str,
    manner: Manner,
    stride: int = 1,
    dilation: int = 1,
    activation: str | None = None,
):
    """Convolution without bias, batch normalisation, activation.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels; None for a depthwise convolution, which keeps those it gets.
        size: side of the kernel in pixels, odd.
        name: prefix of the layers' names, which end in `_conv`, `_bn` and so on.
        manner: padding and kind of batch normalisation.
        stride: pixels between neighbouring windows, 1 (default) or 2.
        dilation: pixels between neighbouring weights of the kernel; 1 (default) where the stride is not.
        activation: Keras's name of the activation; None (default) for none.

    Returns:
        (B, ceil(H / stride), ceil(W / stride), filters).
    """
    padded = stride > 1 and size > 1 and manner.padding == "symmetric"
    if padded:
        x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    arguments = {
        "strides": stride,
        "padding": "valid" if padded else "same",
        "dilation_rate": dilation,
        "use_bias": False,
        "name": f"{name}_conv",
    }
    if filters is None:
        x = layers.DepthwiseConv2D(size, depthwise_initializer=relu_initializer(), **arguments)(x)
    else:
        x = layers.Conv2D(filters, size, kernel_initializer=relu_initializer(), **arguments)(x)
    x = batch_normalization(manner.batch_norm, f"{name}_bn", BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM)(x)
    return layers.Activation(activation, name=f"{name}_act")(x) if activation else x


def squeeze_excite(x, squeezed: int, name: str, manner: Manner):
    """Weighs each channel by a factor from 0 to 1 that two small layers make of all channels' means.

    Args:
        x: (B, H, W, C) maps.
        squeezed: channels between the two layers.
        name: prefix of the layers' names.
        manner: activations of the two layers.

    Returns:
        (B, H, W, C).

    Source: Hu et al. 2018, arXiv:1709.01507, section 3.
    """
    factors = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)  # (B, 1, 1, C)
    for part, channels, activation in (
        ("reduce", squeezed, manner.squeeze_activation),
        ("excite", x.shape[-1], manner.gate),
    ):
        factors = layers.Conv2D(
            channels,
            1,
            activation=activation,
            kernel_initializer=relu_initializer(),
            name=f"{name}_{part}",
        )(factors)
    return layers.Multiply(name=f"{name}_scale")([x, factors])


def inverted_residual(
    x,
    filters: int,
    block: Block,
    kernel: int,
    activation: str,
    name: str,
    manner: Manner,
    stride: int = 1,
    dilation: int = 1,
    drop_path: float = 0.0,
):
    """A 1x1 convolution to more channels, a depthwise one, and a 1x1 one without activation to few again.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        block: hidden and squeezed channels.
        kernel: side of the depthwise kernel in pixels, odd.
        activation: Keras's name of the activation.
        name: prefix of the layers' names.
        manner: padding, batch normalisation, and activations of squeeze and excite.
        stride: stride of the depthwise convolution, 1 (default) or 2.
        dilation: dilation of the depthwise convolution; 1 (default) where the stride is not.
        drop_path: share of the images of a training batch for which the block is left out, 0 or more and below 1, 0 by
            default; where there is no shortcut, none.

    Returns:
        (B, ceil(H / stride), ceil(W / stride), filters), with a shortcut where that is the shape of x.

    Source: Sandler et al. 2018, arXiv:1801.04381, figure 3; squeeze and excite: Tan et al. 2019, arXiv:1807.11626,
    figure 7; leaving blocks out: Huang et al. 2016, arXiv:1603.09382.
    """
    inner = x
    if block.hidden is not None:
        inner = normed_conv(inner, block.hidden, 1, f"{name}_expand", manner, activation=activation)
    inner = normed_conv(inner, None, kernel, f"{name}_depthwise", manner, stride, dilation, activation)
    if block.squeezed:
        inner = squeeze_excite(inner, block.squeezed, f"{name}_se", manner)
    inner = normed_conv(inner, filters, 1, f"{name}_project", manner)
    if stride > 1 or x.shape[-1] != filters:
        return inner
    if drop_path:
        inner = layers.Dropout(drop_path, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(inner)
    return layers.Add(name=f"{name}_add")([x, inner])


def inverted_stages(
    x,
    stages: Sequence[Stage],
    manner: Manner,
    output_stride: int = 32,
    width: float = 1.0,
    depth: float = 1.0,
    drop_path: float = 0.0,
    entry: bool = False,
) -> list:
    """Stages of inverted residual blocks after a stem.

    Args:
        x: (B, H, W, C), the stem's output, at stride 2.
        stages: the stages, of which four have a stride.
        manner: what all convolutions have in common.
        output_stride: stride of the last stage, 32 (default), 16 or 8: later stages dilate their depthwise kernels in
            the place of their strides, the first block of each by as much as the stage before it.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the blocks of a stage, above 0, 1 by default.
        drop_path: `drop_path` of the last block, 0 or more and below 1, 0 by default; it grows evenly from 0 at the
            first.
        entry: whether the list has, before its last map, that behind the first block of the last stage with a stride;
            False by default.

    Returns:
        What there is at strides 2, 4, 8, 16 and 32, or less where dilated: the last map before each stride.

    Raises:
        ValueError: the output stride is not possible.
    """
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output_stride={output_stride}; give 8, 16 or 32")
    counts = [repeats(len(stage.blocks), depth) for stage in stages]
    features, reached, dilation, done = [], 2, 1, 0
    last = max(number for number, stage in enumerate(stages, 1) if stage.stride > 1)
    entries = []
    for number, (stage, count) in enumerate(zip(stages, counts, strict=True), 1):
        stride, previous = stage.stride, dilation
        if stride > 1:
            features.append(x)
        if reached * stride > output_stride:
            stride, dilation = 1, dilation * 2
        reached *= stride
        for i in range(count):
            block = stage.blocks[min(i, len(stage.blocks) - 1)]
            x = inverted_residual(
                x,
                scaled(stage.channels, width),
                _scaled_block(block, width),
                stage.kernel,
                stage.activation,
                f"backbone_stage{number}_{i}",
                manner,
                1 if i else stride,
                dilation if i else previous,
                drop_path * done / sum(counts),
            )
            done += 1
            if entry and number == last and not i:
                entries.append(x)
    return [*features, *entries, x]


def _scaled_block(block: Block, width: float) -> Block:
    """A block with `width` times the channels."""
    if width == 1.0:
        return block
    hidden = None if block.hidden is None else scaled(block.hidden, width)
    return Block(hidden, max(1, round(block.squeezed * width)) if block.squeezed else 0)


def divisible(channels: float, least: int = 8) -> int:
    """The multiple of 8 next to a number of channels, `least` or more, and no more than a tenth below it.

    Source: the rounding of MobileNets and EfficientNets, in their authors' code.
    """
    rounded = max(least, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
