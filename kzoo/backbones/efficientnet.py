"""EfficientNets and EfficientNet-Lites: image -> list of feature maps, finest first."""

from __future__ import annotations

import math

from kzoo.layers.conv import scaled
from kzoo.layers.inverted import Block, Manner, Stage, divisible, inverted_stages, normed_conv

# Factors of channels and of blocks, and whether it is a Lite, which takes ReLU6 for swish and has no squeeze and excite
# (EfficientNet's and EfficientNet-Lite's own code; B0: table 1).
EFFICIENTNETS = {
    "efficientnet-b0": (1.0, 1.0, False),
    "efficientnet-b1": (1.0, 1.1, False),
    "efficientnet-b2": (1.1, 1.2, False),
    "efficientnet-b3": (1.2, 1.4, False),
    "efficientnet-b4": (1.4, 1.8, False),
    "efficientnet-b5": (1.6, 2.2, False),
    "efficientnet-b6": (1.8, 2.6, False),
    "efficientnet-b7": (2.0, 3.1, False),
    "efficientnet-lite0": (1.0, 1.0, True),
    "efficientnet-lite1": (1.0, 1.1, True),
    "efficientnet-lite2": (1.1, 1.2, True),
    "efficientnet-lite3": (1.2, 1.4, True),
    "efficientnet-lite4": (1.4, 1.8, True),
}
# Blocks, kernel, stride, factor of the hidden channels, and channels of B0's stages.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _TOP = 32, 1280
_SQUEEZE = 0.25  # of the channels that come into the block


def efficientnet(
    images,
    variant: str = "efficientnet-b0",
    output_stride: int = 32,
    width: float = 1.0,
    depth: float = 1.0,
    padding: str = "same",
    stem: bool = False,
    top: bool = False,
    batch_norm: str = "trained",
    drop_path: float = 0.0,
) -> list:
    """An EfficientNet without its classifier.

    Args:
        images: (B, H, W, 3) float, already normalised; other sides than multiples of 32 are rounded up.
        variant: one of `EFFICIENTNETS`, "efficientnet-b0" by default.
        output_stride: stride of the last stage, 32 (default), 16 or 8: see `kzoo.layers.inverted.inverted_stages`.
        width: factor of the variant's channels, above 0, 1 by default.
        depth: factor of the variant's blocks of a stage, above 0, 1 by default.
        padding: where strided convolutions lie, "same" (default) or "symmetric": see `kzoo.layers.inverted.Manner`.
        stem: whether the list begins with the first stage's output, at stride 2; False by default.
        top: whether the last map is that of the 1x1 convolution before the classifier, 1280 channels of B0 and of all
            Lites; False by default.
        batch_norm: kind of batch normalisation, "trained" by default: see `kzoo.layers.residual.batch_normalization`.
        drop_path: share of the images of a training batch for which the last block is left out, 0 by default.

    Returns:
        Feature maps at strides 4, 8, 16 and 32, or less where dilated; of B0 and Lite0 with 24, 40, 112 and 320
        channels at width 1.

    Raises:
        ValueError: the variant, the output stride, the padding or the batch normalisation are not possible.

    Source: Tan & Le 2019, arXiv:1905.11946, table 1 and section 3.3.

    Example:
        >>> features = efficientnet(keras.Input((224, 224, 3)), "efficientnet-lite0")
    """
    activation = activation_of(variant)
    manner = Manner(padding, batch_norm)
    first, last = _ends(variant)
    x = normed_conv(images, scaled(first, width), 3, "backbone_stem", manner, 2, activation=activation)
    features = inverted_stages(x, stages(variant), manner, output_stride, width, depth, drop_path)
    if top:
        features[-1] = normed_conv(
            features[-1], scaled(last, width), 1, "backbone_top", manner, activation=activation
        )
    return features if stem else features[1:]


def activation_of(variant: str) -> str:
    """Keras's name of a variant's activation.

    Raises:
        ValueError: there is no such variant.
    """
    if variant not in EFFICIENTNETS:
        raise ValueError(
            f"backbone={variant!r}: no such EfficientNet; give one of {', '.join(EFFICIENTNETS)}"
        )
    return "relu6" if EFFICIENTNETS[variant][2] else "silu"


def stages(variant: str) -> tuple[Stage, ...]:
    """The stages of a variant. A Lite's first and last stage keep B0's number of blocks.

    Args:
        variant: one of `EFFICIENTNETS`.
    """
    wider, deeper, lite = EFFICIENTNETS[variant]
    found, inputs = [], _ends(variant)[0]
    for number, (count, kernel, stride, factor, channels) in enumerate(_STAGES):
        fixed = lite and number in (0, len(_STAGES) - 1)
        channels = divisible(channels * wider)
        blocks = []
        for _ in range(count if fixed else math.ceil(count * deeper)):
            hidden = inputs * factor if factor > 1 else None
            blocks.append(Block(hidden, 0 if lite else max(1, int(inputs * _SQUEEZE))))
            inputs = channels
        found.append(Stage(channels, kernel, stride, activation_of(variant), tuple(blocks)))
    return tuple(found)


def _ends(variant: str) -> tuple[int, int]:
    """Channels of the first convolution and of the last, which all Lites share."""
    wider, _, lite = EFFICIENTNETS[variant]
    return (_STEM, _TOP) if lite else (divisible(_STEM * wider), divisible(_TOP * wider))
