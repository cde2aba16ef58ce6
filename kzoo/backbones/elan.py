"""YOLOv7's backbones: image -> feature maps, finest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kzoo.layers.conv import repeats
from kzoo.layers.elan import Numbered, elan, elan_sum, transition, transition_at_once
from kzoo.layers.focus import Focus
from kzoo.layers.yolo_conv import width_of

# Channels inside of a stage's block and behind it; stages end at strides 4, 8, 16 and 32.
STAGES = ((64, 256), (128, 512), (256, 1024), (256, 1024))
STAGES_X = ((64, 320), (128, 640), (256, 1280), (256, 1280))
STAGES_TINY = ((32, 64), (64, 128), (128, 256), (256, 512))
INNER_LARGE = (64, 128, 256, 384, 512)  # of the largest networks, whose stages end at strides 4 to 64


@dataclass(frozen=True)
class Large:
    """What tells the networks of five stages apart.

    Attributes:
        stem: channels of the first convolution; stages have 2, 4, 8, 12 and 16 times as many.
        groups: groups of two convolutions in a block.
        pooled: whether sides are halved by a pooling and a strided convolution, rather than by the latter alone.
        blocks: number of blocks side by side, whose sum a stage is.
    """

    stem: int = 64
    groups: int = 2
    pooled: bool = False
    blocks: int = 1


LARGE = {"w6": Large(), "e6": Large(80, 3, True), "d6": Large(96, 4, True), "e6e": Large(80, 3, True, 2)}


def elan_network(
    images,
    width: float = 1.0,
    depth: float = 1.0,
    stem: int = 32,
    stages: Sequence = STAGES,
    groups: int = 2,
    **style,
) -> list:
    """YOLOv7's backbone: blocks that join several lengths of a chain, halved between by two ways.

    Layers are called `backbone_layer{i}_...`, by their place in the list that their authors write networks as.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of 32.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the groups of a block, above 0, 1 by default.
        stem: channels of the first convolution, 32 by default, 40 in the large network.
        stages: channels inside and behind of each stage's block, `STAGES` (default) or `STAGES_X`.
        groups: groups of two convolutions in a block, 2 by default, 3 in the large network.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        Feature maps at strides 8, 16 and 32.

    Source: Wang et al. 2022, YOLOv7, arXiv:2207.02696.
    """
    net, x = Numbered("backbone", **style), images
    for factor, stride in ((1, 1), (2, 2), (2, 1), (4, 2)):
        x = net.conv(x, width_of(factor * stem, width), 3, stride)
    features = []
    for inner, filters in stages:
        if features:
            x = transition(net, x, features[-1].shape[-1] // 2)
        inner, filters = width_of(inner, width), width_of(filters, width)
        x = elan(net, x, inner, inner, filters, repeats(groups, depth), 2)
        features.append(x)
    return features[1:]


def elan_large(images, size: Large, width: float = 1.0, depth: float = 1.0, **style) -> list:
    """The backbone of YOLOv7's largest sizes: every second pixel of every second row first, and a stage more.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of 64.
        size: one of `LARGE`'s values.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the groups of a block, above 0, 1 by default.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        Feature maps at strides 8, 16, 32 and 64, with 8, 16, 24 and 32 times half the stem's channels.

    Source: YOLOv7.
    """
    net = Numbered("backbone", **style)
    x = Focus(name=net.name())(images)
    x = net.conv(x, width_of(size.stem, width), 3)
    features = []
    for factor, inner in zip((2, 4, 8, 12, 16), INNER_LARGE, strict=True):
        filters, inner = width_of(factor * size.stem, width), width_of(inner, width)
        x = transition_at_once(net, x, filters) if size.pooled else net.conv(x, filters, 3, 2)
        x = elan_sum(net, x, size.blocks, inner, inner, filters, repeats(size.groups, depth), 2)
        features.append(x)
    return features[1:]


def elan_tiny(images, width: float = 1.0, depth: float = 1.0, **style) -> list:
    """The backbone of yolov7-tiny: shorter blocks, halved between by poolings.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of 32.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the convolutions of a block, above 0, 1 by default.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        Feature maps at strides 8, 16 and 32, with 128, 256 and 512 channels at width 1.

    Source: YOLOv7.
    """
    net, x = Numbered("backbone", **style), images
    for filters in (32, 64):
        x = net.conv(x, width_of(filters, width), 3, 2)
    features = []
    for inner, filters in STAGES_TINY:
        x = net.pool(x) if features else x
        inner, filters = width_of(inner, width), width_of(filters, width)
        x = elan(net, x, inner, inner, filters, repeats(2, depth), 1)
        features.append(x)
    return features[1:]
