"""YOLOv6's backbone: rows of convolutions that are several side by side in training."""

from __future__ import annotations

from collections.abc import Callable

from keras import layers

from kzoo.layers.bifusion import csp_sppf
from kzoo.layers.channel_scale import LearntScale
from kzoo.layers.conv import repeats
from kzoo.layers.csp import sppf
from kzoo.layers.repvgg import rep_conv
from kzoo.layers.yolo_conv import conv

# What a block is made of: rows of double convolutions; cross-stage partial blocks of those; or of plain ones.
BLOCKS = ("row", "partial", "plain")


def rep_backbone(
    images, channels: Callable[[int], int], depth: float = 1.0, block: str = "row", share: float = 0.5
) -> list:
    """EfficientRep, or CSPBep where blocks are partial.

    Args:
        images: (B, H, W, 3) float in 0..1; H and W multiples of 32.
        channels: how wide a layer is that has so many channels at width 1.
        depth: factor of a stage's convolutions, above 0, 1 by default.
        block: "row" (default), "partial" or "plain": see `rep_block`.
        share: channels inside of partial blocks as a share of the stage's, above 0 and up to 1, 0.5 by default.

    Returns:
        Feature maps at strides 4, 8, 16 and 32, of 128, 256, 512 and 1024 channels at width 1.

    Source: Li et al. 2023, YOLOv6 v3.0, arXiv:2301.05586; Weng et al. 2023, EfficientRep, arXiv:2302.00386.
    """
    x = single(images, channels(64), "backbone_stem", 2, block)
    features = []
    for stage, count in enumerate((6, 12, 18, 6), 2):
        filters = channels(64 * 2 ** (stage - 1))
        x = single(x, filters, f"backbone_stage{stage}_down", 2, block)
        x = rep_block(x, filters, f"backbone_stage{stage}", repeats(count, depth), block, share)
        features.append(x)
    pooled = csp_sppf if block == "row" else sppf
    features[-1] = pooled(x, x.shape[-1], "backbone_spp", activation=activation(block))
    return features


def activation(block: str) -> str:
    """The activation of a network whose blocks are of this kind, by Darknet's name."""
    return "swish" if block == "plain" else "relu"


def single(x, filters: int, name: str, stride: int, block: str):
    """One 3x3 convolution, (B, H, W, C) to (B, H / stride, W / stride, filters): several side by side, or "plain"."""
    if block == "plain":
        return conv(x, filters, name, 3, stride)
    return rep_conv(x, filters, name, stride, identity=True)


def rep_block(x, filters: int, name: str, count: int, block: str, share: float):
    """A stage's block: as many convolutions in a row, or half as many pairs of them with shortcuts.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        name: prefix of the layers' names.
        count: number of convolutions, 1 or more.
        block: "row" (default): one convolution after another; "partial": a share of the channels goes through pairs,
            the same share past them; "plain": likewise, of convolutions that are one in training, too.
        share: channels inside of partial blocks as a share of `filters`.

    Returns:
        (B, H, W, filters).
    """
    if block == "row":
        for i in range(count):
            x = single(x, filters, f"{name}_row{i}", 1, block)
        return x
    style = {"activation": activation(block)}
    hidden = int(filters * share)
    through = conv(x, hidden, f"{name}_cv1", **style)
    past = conv(x, hidden, f"{name}_cv2", **style)
    for i in range(max(count // 2, 1)):
        inner = single(through, hidden, f"{name}_pair{i}_first", 1, block)
        inner = single(inner, hidden, f"{name}_pair{i}_second", 1, block)
        scaled = LearntScale(name=f"{name}_pair{i}_alpha")(through)
        through = layers.Add(name=f"{name}_pair{i}_add")([inner, scaled])
    x = layers.Concatenate(name=f"{name}_concat")([through, past])
    return conv(x, filters, f"{name}_cv3", **style)
