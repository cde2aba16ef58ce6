"""VGG16: image -> list of feature maps, finest first; and its classifier as convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from keras import layers

from kzoo.layers.conv import repeats, scaled
from kzoo.layers.dilated import check_rates, dilated_block
from kzoo.layers.residual import relu_initializer

# Channels and convolutions of the five stages (VGG, table 1, column D).
VGG16_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
WINDOW = 7  # side of the feature map that the classifier was trained on, at 224 pixels


def vgg16(
    images,
    width: float = 1.0,
    depth: float = 1.0,
    pools: int = 5,
    pooled: bool = True,
    batch_norm: bool = False,
    hybrid: Sequence[int] | None = None,
) -> list:
    """VGG16 without its classifier: thirteen convolutions in five stages.

    Args:
        images: (B, H, W, 3) float, already normalised; other sides than multiples of 2 ** pools are rounded up.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the convolutions of a stage, above 0, 1 by default.
        pools: number of stages, 0 to 5 (default), that end in a max-pooling; after each one that does not, dilations
            double.
        pooled: whether the list holds the stages after their poolings (default), or before: without the last pooling
            then.
        batch_norm: whether convolutions are batch-normalised, which trains without pretrained weights; False by
            default.
        hybrid: dilations that the convolutions of a dilated stage take by turns, such as (1, 2, 5), in the place of
            one: see `kzoo.layers.dilated.check_rates`. None (default) for one.

    Returns:
        Five feature maps with 64, 128, 256, 512 and 512 channels at width 1; pooled, and with five poolings, at
        strides 2, 4, 8, 16 and 32.

    Raises:
        ValueError: the hybrid rates leave gaps.

    Source: Simonyan & Zisserman 2015, arXiv:1409.1556; without poolings: Yu & Koltun 2016, arXiv:1511.07122.
    """
    if hybrid is not None:
        check_rates(hybrid)
    x, features = images, []
    for stage, (filters, count) in enumerate(VGG16_STAGES):
        rates = [2 ** max(0, stage - pools)] * repeats(count, depth)
        if hybrid is not None and rates[0] > 1:
            rates = [hybrid[i % len(hybrid)] for i in range(len(rates))]
        x = dilated_block(x, scaled(filters, width), rates, f"backbone_block{stage + 1}", batch_norm)
        before = x
        if stage < pools and (pooled or stage + 1 < len(VGG16_STAGES)):
            # Odd sides are rounded up, as SSD has it; even ones are the same either way.
            x = layers.MaxPooling2D(2, padding="same", name=f"backbone_pool{stage + 1}")(x)
        features.append(x if pooled else before)
    return features


def convolutional_classifier(x, width: float = 1.0, dilation: int = 1, padding: str = "same"):
    """VGG16's two hidden layers of 4096 as convolutions of 7x7 and 1x1, with dropout.

    Args:
        x: (B, H, W, C), the last pooling's output, or what stands for it.
        width: factor of the channels, above 0, 1 by default.
        dilation: dilation of the 7x7 kernel, where poolings were left out; 1 by default.
        padding: "same" (default), or "valid" as in classification.

    Returns:
        (B, H, W, 4096) at width 1 with "same" padding.

    Source: Long et al. 2015, arXiv:1411.4038, section 3.1.
    """
    for name, size, rate in (("fc6", WINDOW, dilation), ("fc7", 1, 1)):
        x = layers.Conv2D(
            scaled(4096, width),
            size,
            padding=padding,
            dilation_rate=rate,
            activation="relu",
            kernel_initializer=relu_initializer(),
            name=f"backbone_{name}",
        )(x)
        x = layers.Dropout(0.5, name=f"backbone_{name}_dropout")(x)
    return x
