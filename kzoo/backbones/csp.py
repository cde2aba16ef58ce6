"""CSPDarknet as YOLOv5 and YOLOX have it: image -> feature maps, finest first."""

from __future__ import annotations

from collections.abc import Sequence

from kzoo.layers.conv import repeats
from kzoo.layers.csp import c3, separable
from kzoo.layers.focus import Focus
from kzoo.layers.spp import spatial_pyramid_pooling
from kzoo.layers.yolo_conv import conv, width_of

STEM = 64  # channels at stride 2
WIDTHS = (128, 256, 512, 1024)  # channels of the stages, which end at strides 4, 8, 16, ...
BLOCKS = (3, 6, 9, 3)  # bottlenecks of the stages
# With one stage more, down to stride 64.
WIDTHS_P6 = (128, 256, 512, 768, 1024)
BLOCKS_P6 = (3, 6, 9, 3, 3)


def csp_darknet(
    images,
    width: float = 1.0,
    depth: float = 1.0,
    widths: Sequence[int] = WIDTHS,
    blocks: Sequence[int] = BLOCKS,
    focus: bool = False,
    spp: bool = False,
    depthwise: bool = False,
    **style,
) -> list:
    """CSPDarknet: strided convolutions, each before bottlenecks that half of the channels go past.

    Layers are called `backbone_layer{i}_...`, by their place in the list that their authors write networks as.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of the last stride.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the bottlenecks of a stage, above 0, 1 by default.
        widths: channels of the stages before that factor, `WIDTHS` (default) or `WIDTHS_P6`.
        blocks: numbers of bottlenecks of the stages before that factor, as many, `BLOCKS` by default.
        focus: whether the first convolution is a 3x3 of every second pixel's four maps, as before YOLOv5 6.0 and in
            YOLOX, rather than (default) a 6x6 of stride 2, which computes the same.
        spp: whether the last stage pools at several sizes before its bottlenecks, which then add nothing (YOLOX); False
            by default.
        depthwise: whether 3x3 convolutions are depthwise ones and a 1x1 behind them (YOLOX-nano); False by default.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        Feature maps at strides 8, 16, 32 and so on, with the channels of the stages after the first.

    Source: Wang et al. 2019, CSPNet, arXiv:1911.11929; in numbers as YOLOv5 6.0, and YOLOX, arXiv:2107.08430.
    """
    filters = width_of(STEM, width)
    if focus:
        x = conv(Focus(name="backbone_focus")(images), filters, "backbone_layer0", 3, **style)
    else:
        x = conv(images, filters, "backbone_layer0", 6, 2, **style)
    features, number = [], 1
    for stage, (channels, count) in enumerate(zip(widths, blocks, strict=True)):
        pooled = spp and stage == len(widths) - 1
        filters = width_of(channels, width)
        x = downsampled(x, filters, f"backbone_layer{number}", depthwise, **style)
        if pooled:
            number += 1
            x = pooled_at_once(x, filters, f"backbone_layer{number}", **style)
        number += 1
        name = f"backbone_layer{number}"
        x = c3(x, filters, name, repeats(count, depth), not pooled, depthwise=depthwise, **style)
        features.append(x)
        number += 1
    return features[1:]


def downsampled(x, filters: int, name: str, depthwise: bool = False, **style):
    """A 3x3 convolution of stride 2: (B, H, W, C) to (B, H / 2, W / 2, filters)."""
    if depthwise:
        return separable(x, filters, name, 3, 2, **style)
    return conv(x, filters, name, 3, 2, **style)


def pooled_at_once(x, filters: int, name: str, sizes: Sequence[int] = (5, 9, 13), **style):
    """Poolings of several sizes side by side, after a convolution to half the channels, and one over all of them.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        name: prefix of the layers' names.
        sizes: sides of the pooling windows in cells, odd, 5, 9 and 13 by default.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        (B, H, W, filters).

    Source: YOLOv5 before 6.0, and YOLOX; after He et al. 2014, arXiv:1406.4729.
    """
    x = conv(x, x.shape[-1] // 2, f"{name}_cv1", **style)
    x = spatial_pyramid_pooling(x, sizes, name, smallest_first=True)
    return conv(x, filters, f"{name}_cv2", **style)
