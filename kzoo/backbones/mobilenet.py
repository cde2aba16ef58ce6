"""MobileNets of the second and third version: image -> list of feature maps, finest first."""

from __future__ import annotations

from kzoo.layers.conv import scaled
from kzoo.layers.inverted import Block, Manner, Stage, divisible, inverted_stages, normed_conv


def _second() -> tuple[Stage, ...]:
    """MobileNetV2's stages (arXiv:1801.04381, table 2): factor of the hidden channels, channels, blocks, stride."""
    stages, inputs = [], 32
    for factor, channels, count, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        hidden = [inputs * factor, *[channels * factor] * (count - 1)]
        blocks = tuple(Block(each if factor > 1 else None) for each in hidden)
        stages.append(Stage(channels, 3, stride, "relu6", blocks))
        inputs = channels
    return tuple(stages)


def _third(*rows: tuple) -> tuple[Stage, ...]:
    """MobileNetV3's stages: channels, kernel, stride, squeeze and excite, activation, each block's hidden channels.

    The first block, whose hidden channels are those that come in, has no expansion.
    """
    return tuple(
        Stage(
            channels,
            kernel,
            stride,
            activation,
            tuple(
                Block(count if number else None, divisible(count / 4) if squeezes else 0) for count in hidden
            ),
        )
        for number, (channels, kernel, stride, squeezes, activation, hidden) in enumerate(rows)
    )


# The first convolution's channels and activation, the stages, and the last convolution's channels (arXiv:1905.02244,
# tables 1 and 2).
MOBILENETS = {
    "mobilenetv2": (32, "relu6", _second(), 1280),
    "mobilenetv3-large": (
        16,
        "hard_silu",
        _third(
            (16, 3, 1, False, "relu", (16,)),
            (24, 3, 2, False, "relu", (64, 72)),
            (40, 5, 2, True, "relu", (72, 120, 120)),
            (80, 3, 2, False, "hard_silu", (240, 200, 184, 184)),
            (112, 3, 1, True, "hard_silu", (480, 672)),
            (160, 5, 2, True, "hard_silu", (672, 960, 960)),
        ),
        960,
    ),
    "mobilenetv3-small": (
        16,
        "hard_silu",
        _third(
            (16, 3, 2, True, "relu", (16,)),
            (24, 3, 2, False, "relu", (72, 88)),
            (40, 5, 2, True, "hard_silu", (96, 240, 240)),
            (48, 5, 1, True, "hard_silu", (120, 144)),
            (96, 5, 2, True, "hard_silu", (288, 576, 576)),
        ),
        576,
    ),
}


def mobilenet(
    images,
    variant: str = "mobilenetv2",
    output_stride: int = 32,
    width: float = 1.0,
    depth: float = 1.0,
    padding: str = "same",
    stem: bool = False,
    top: bool = False,
    batch_norm: str = "trained",
    entry: bool = False,
) -> list:
    """A MobileNet without its classifier.

    Args:
        images: (B, H, W, 3) float, already normalised; other sides than multiples of 32 are rounded up.
        variant: "mobilenetv2" (default), "mobilenetv3-large" or "mobilenetv3-small".
        output_stride: stride of the last stage, 32 (default), 16 or 8: see `kzoo.layers.inverted.inverted_stages`.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the blocks of a stage, above 0, 1 by default.
        padding: where strided convolutions lie, "same" (default) or "symmetric": see `kzoo.layers.inverted.Manner`.
        stem: whether the list begins with what there is at stride 2; False by default.
        top: whether the last map is that of the 1x1 convolution behind the stages, 1280, 960 or 576 channels at width
            1; False by default.
        batch_norm: kind of batch normalisation, "trained" by default: see `kzoo.layers.residual.batch_normalization`.
        entry: whether the list has, before its last map, that behind the first block of the last stage with a stride,
            160 channels of the third's large one; False by default.

    Returns:
        Feature maps at strides 4, 8, 16 and 32, or less where dilated, at width 1 with 24, 32, 96 and 320 channels of
        the second version, 24, 40, 112 and 160 of the third's large one, 16, 24, 48 and 96 of its small one.

    Raises:
        ValueError: the variant, the output stride, the padding or the batch normalisation are not possible.

    Source: Sandler et al. 2018, arXiv:1801.04381, table 2; Howard et al. 2019, arXiv:1905.02244, tables 1 and 2.

    Example:
        >>> features = mobilenet(keras.Input((224, 224, 3)), "mobilenetv3-small")
    """
    if variant not in MOBILENETS:
        raise ValueError(f"backbone={variant!r}: no such MobileNet; give one of {', '.join(MOBILENETS)}")
    first, activation, stages, last = MOBILENETS[variant]
    manner = Manner(padding, batch_norm, squeeze_activation="relu", gate="hard_sigmoid")
    x = normed_conv(images, scaled(first, width), 3, "backbone_stem", manner, 2, activation=activation)
    features = inverted_stages(x, stages, manner, output_stride, width, depth, entry=entry)
    if top:
        features[-1] = normed_conv(
            features[-1], scaled(last, width), 1, "backbone_top", manner, activation=activation
        )
    return features if stem else features[1:]
