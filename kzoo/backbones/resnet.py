"""Residual networks: image -> list of feature maps, finest first."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from keras import layers

from kzoo.layers.conv import repeats, scaled
from kzoo.layers.dilated import check_rates
from kzoo.layers.residual import basic_block, bottleneck, conv_bn

# Whether the blocks are bottlenecks, and how many the four stages have (ResNet, table 1).
_PLAIN = {
    "resnet18": (False, (2, 2, 2, 2)),
    "resnet34": (False, (3, 4, 6, 3)),
    "resnet50": (True, (3, 4, 6, 3)),
    "resnet101": (True, (3, 4, 23, 3)),
    "resnet152": (True, (3, 8, 36, 3)),
}
# The same with three small kernels for the first large one, and shortcuts that average where they shrink.
DEEP_STEMMED = {f"{name}d": _PLAIN[name] for name in ("resnet18", "resnet34", "resnet50", "resnet101")}
RESNETS = {**_PLAIN, **DEEP_STEMMED}
OUTPUT_STRIDES = (8, 16, 32)


def resnet(
    images,
    variant: str = "resnet50",
    output_stride: int = 32,
    width: float = 1.0,
    depth: float = 1.0,
    stride_first: bool = False,
    hybrid: Sequence[int] | None = None,
    stem: bool = False,
    batch_norm: str = "trained",
) -> list:
    """A residual network without its classifier.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of the output stride.
        variant: "resnet18", "resnet34", "resnet50" (default), "resnet101" or "resnet152"; or "resnet18d", "resnet34d",
            "resnet50d" or "resnet101d", with three 3x3 convolutions for the 7x7 one, and shortcuts that take the mean
            of four pixels where they shrink; each stage's first has a convolution, also where none is needed.
        output_stride: stride of the last stage: 32 (default); or 16 or 8: the last stages dilate their kernels in the
            place of their strides, the first block of each by as much as the stage before it.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the blocks of a stage, above 0, 1 by default.
        stride_first: whether a bottleneck's stride is in its first convolution, as in the paper and in the weights of
            keras.applications, or in the 3x3 one, as everywhere since (default).
        hybrid: dilations that the blocks of a dilated stage take by turns, such as (1, 2, 5), in the place of one:
            see `kzoo.layers.dilated.check_rates`. None (default) for one.
        stem: whether the list begins with what goes into the first pooling, 64 channels at stride 2; False by default.
        batch_norm: kind of batch normalisation, "trained" (default), "frozen" or "synchronized": see
            `kzoo.layers.residual.batch_normalization`.

    Returns:
        The outputs of the four stages: strides 4, 8, 16 and 32, or less where dilated; with 256, 512, 1024 and 2048
        channels of bottlenecks at width 1, 64, 128, 256 and 512 of others.

    Raises:
        ValueError: the variant, the output stride, the hybrid rates or the batch normalisation are not possible.

    Source: He et al. 2015, arXiv:1512.03385; dilated: Chen et al. 2017, arXiv:1706.05587, section 3.1; "d": He et al.
        2018, arXiv:1812.01187, section 4.2, as RT-DETR has it.
    """
    if variant not in RESNETS:
        raise ValueError(f"backbone={variant!r}: no such residual network; give one of {', '.join(RESNETS)}")
    if output_stride not in OUTPUT_STRIDES:
        raise ValueError(f"output_stride={output_stride}; give 8, 16 or 32")
    if hybrid is not None:
        check_rates(hybrid)
    deep, blocks = RESNETS[variant]
    residual = functools.partial(bottleneck, stride_first=stride_first) if deep else basic_block
    first = _stem(images, scaled(64, width), variant in DEEP_STEMMED, batch_norm)
    # Zeros do as margin: nothing is below them after the ReLU.
    x = layers.ZeroPadding2D(1, name="backbone_pool_pad")(first)
    x = layers.MaxPooling2D(3, 2, name="backbone_pool")(x)
    features = [first] if stem else []
    reached, dilation = (
        4,
        1,
    )  # the stride so far, and the dilation that makes up for strides that were left out
    for stage, count in enumerate(blocks):
        stride = 2 if stage else 1
        previous = dilation
        if reached * stride > output_stride:
            stride, dilation = 1, dilation * 2
        reached *= stride
        for block in range(repeats(count, depth)):
            rate = dilation if block else previous
            if hybrid is not None and dilation > 1:
                rate = hybrid[block % len(hybrid)]
            filters, name = scaled(64 * 2**stage, width), f"backbone_layer{stage + 1}_{block}"
            pooled = variant in DEEP_STEMMED and block == 0
            x = residual(x, filters, name, 1 if block else stride, rate, batch_norm=batch_norm, pooled=pooled)
        features.append(x)
    return features


def _stem(images, filters: int, deep: bool, batch_norm: str):
    """The first convolution, or the first three, at stride 2: (B, H, W, 3) to (B, H / 2, W / 2, filters)."""
    if not deep:
        return conv_bn(images, filters, 7, "backbone_{}1", stride=2, batch_norm=batch_norm)
    x, half = images, max(filters // 2, 4)
    for number, (channels, stride) in enumerate(((half, 2), (half, 1), (filters, 1)), 1):
        x = conv_bn(x, channels, 3, f"backbone_stem_{{}}{number}", stride, batch_norm=batch_norm)
    return x
