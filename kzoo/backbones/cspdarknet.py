"""Cross-stage partial networks: of every stage one half of the channels goes through its blocks, one past them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from keras import layers

from kzoo.backbones.darknet import DARKNET53_BLOCKS
from kzoo.layers.activations import activate
from kzoo.layers.conv import ConvNamer, repeats, scaled
from kzoo.layers.darknet_maps import ChannelGroup, Shortcut

# Blocks of CSPResNeXt-50's four stages; the widths of stage i are 128 * 2 ** i, twice that at its end.
CSPRESNEXT50_BLOCKS = (3, 3, 5, 2)
_GROUPS = 32


def cspdarknet53(
    images,
    width: float = 1.0,
    depth: float = 1.0,
    blocks: Sequence[int] = DARKNET53_BLOCKS,
    first: str = "whole",
    activation: str = "mish",
    stem_width: float | None = None,
) -> list:
    """CSPDarknet-53 without its classifier: Darknet-53, whose stages are cross-stage partial ones.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of the last map's stride.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the residual blocks of a stage, above 0, 1 by default.
        blocks: residual blocks of each stage at depth 1, Darknet-53's by default; stages past the fifth are as wide
            as that.
        first: what the first stage is: "whole" (default), each of its parts as wide as the stage, as in YOLOv4; "half",
            like the others, as in YOLOv4-P5; or "plain", Darknet-53's own, as in YOLOv4-CSP.
        activation: Darknet's name of what follows each convolution, "mish" by default.
        stem_width: factor of the first convolution's channels; that of all others where None.

    Returns:
        Feature maps at strides 8, 16, 32 and so on, with 256, 512, 1024, 1024 ... channels at width 1.

    Source: YOLOv4, arXiv:2004.10934; CSPNet, arXiv:1911.11929; Scaled-YOLOv4, arXiv:2011.08036, section 3.1.
    """
    namer = ConvNamer("backbone", activation)
    x = namer.conv(images, scaled(32, stem_width or width))
    features = []
    for stage, count in enumerate(blocks):
        filters = min(64 * 2**stage, 1024)
        kind = "half" if stage else first
        widths = scaled(filters // 2 if kind == "half" else filters, width), scaled(filters // 2, width)
        x = namer.conv(x, scaled(filters, width), stride=2)
        if kind == "plain":
            x = _residual_blocks(namer, x, *widths, repeats(count, depth))
        else:
            x = _partial_stage(namer, x, scaled(filters, width), *widths, repeats(count, depth))
        features.append(x)
    return features[2:]


def _partial_stage(namer: ConvNamer, x, filters: int, partial: int, inner: int, count: int):
    """Residual blocks for one part of the channels, (B, H, W, C) to (B, H, W, filters).

    Args:
        namer: numbers the convolutions.
        x: the maps.
        filters: channels of the stage.
        partial: channels of each of its parts.
        inner: channels within a residual block.
        count: number of residual blocks.
    """
    past = namer.conv(x, partial, size=1)
    through = namer.conv(x, partial, size=1)
    through = _residual_blocks(namer, through, partial, inner, count)
    through = namer.conv(through, partial, size=1)
    return namer.conv(_joined(namer, [through, past]), filters, size=1)


def _residual_blocks(namer: ConvNamer, x, filters: int, inner: int, count: int):
    """Pairs of a 1x1 and a 3x3 convolution, what goes in added to what comes out: (B, H, W, filters)."""
    for _ in range(count):
        block = namer.conv(namer.conv(x, inner, size=1), filters)
        x = layers.Add(name=f"{namer.prefix}_add{namer.count}")([x, block])
    return x


def _joined(namer: ConvNamer, maps: list):
    """The channels of several maps (B, H, W, ...), one after another."""
    return layers.Concatenate(name=f"{namer.prefix}_concat{namer.count}")(maps)


def cspdarknet_tiny(images, width: float = 1.0) -> list:
    """YOLOv4-tiny's extractor: three blocks, each of which sends half its channels through two convolutions more.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of 32.
        width: factor of the channels, above 0, 1 by default.

    Returns:
        Feature maps at strides 8, 16 and 32, with 128, 256 and 512 channels at width 1.

    Source: Darknet's yolov4-tiny.cfg, sections 0 to 26; Scaled-YOLOv4, arXiv:2011.08036, section 3.3.
    """
    namer = ConvNamer("backbone")
    x = namer.conv(images, scaled(32, width), stride=2)
    x = namer.conv(x, scaled(64, width), stride=2)
    features = []
    for stage in range(3):
        filters, half = scaled(64 * 2**stage, width), scaled(32 * 2**stage, width)
        first = namer.conv(x, filters)
        second_half = ChannelGroup(2, 1, name=f"backbone_group{stage + 1}")(first)
        a = namer.conv(second_half, half)
        b = namer.conv(a, half)
        mixed = namer.conv(_joined(namer, [b, a]), filters, size=1)
        features.append(mixed)
        x = _joined(namer, [first, mixed])
        x = layers.MaxPooling2D(2, 2, padding="same", name=f"backbone_pool{stage + 1}")(x)
    return [*features[1:], namer.conv(x, scaled(512, width))]


def cspresnext50(images, width: float = 1.0, depth: float = 1.0, activation: str = "leaky") -> list:
    """CSPResNeXt-50 without its classifier: bottlenecks whose 3x3 convolutions are in 32 groups.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of 32.
        width: factor of the channels, above 0, 1 by default; where 32 groups do not divide them there are fewer.
        depth: factor of the bottlenecks of a stage, above 0, 1 by default.
        activation: Darknet's name of what follows each convolution, "leaky" by default.

    Returns:
        Feature maps at strides 8, 16 and 32, with 512, 1024 and 2048 channels at width 1.

    Source: CSPNet, arXiv:1911.11929; Darknet's csresnext50-panet-spp-original-optimal.cfg.
    """
    namer = ConvNamer("backbone", activation)
    x = namer.conv(images, scaled(64, width), size=7, stride=2)
    x = layers.MaxPooling2D(2, 2, padding="same", name="backbone_pool1")(x)
    features = []
    for stage, count in enumerate(CSPRESNEXT50_BLOCKS):
        filters = scaled(128 * 2**stage, width)
        if stage:
            x = namer.conv(x, filters, stride=2, groups=math.gcd(_GROUPS, filters))
        # In Darknet's cfg both ways of the middle stages begin without an activation.
        begin = "linear" if stage in (1, 2) else activation
        past = namer.conv(x, filters, size=1, activation=begin)
        through = namer.conv(x, filters if stage else scaled(64, width), size=1, activation=begin)
        for _ in range(repeats(count, depth)):
            through = _bottleneck(namer, through, filters)
        through = namer.conv(through, filters, size=1)
        x = namer.conv(_joined(namer, [through, past]), scaled(256 * 2**stage, width), size=1)
        features.append(x)
    return features[1:]


def _bottleneck(namer: ConvNamer, x, filters: int):
    """1x1, 3x3 in groups, 1x1, and what goes in added before the last activation: (B, H, W, filters)."""
    block = namer.conv(x, filters, size=1)
    block = namer.conv(block, filters, groups=math.gcd(_GROUPS, filters))
    block = namer.conv(block, filters, size=1, activation="linear")
    name = f"{namer.prefix}_add{namer.count}"
    # Where a stage begins narrower, what goes in is added to as many channels as it has.
    add = layers.Add(name=name) if x.shape[-1] == filters else Shortcut([1], name=name)
    x = add([block, x])
    return activate(x, namer.activation, f"{namer.prefix}_add_act{namer.count}")
