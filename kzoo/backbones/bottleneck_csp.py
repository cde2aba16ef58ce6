"""CSPDarknet as YOLOP has it: image -> feature maps, finest first."""

from __future__ import annotations

from kzoo.backbones.csp import downsampled, pooled_at_once
from kzoo.layers.conv import repeats
from kzoo.layers.csp import bottleneck_csp
from kzoo.layers.focus import Focus
from kzoo.layers.yolo_conv import conv, width_of

STEM = 32  # channels at stride 2
WIDTHS = (64, 128, 256, 512)  # channels of the stages, which end at strides 4, 8, 16 and 32
BLOCKS = (1, 3, 3, 1)  # bottlenecks of the stages
STYLE = {"activation": "hardswish"}


def bottleneck_csp_darknet(images, width: float = 1.0, depth: float = 1.0) -> list:
    """CSPDarknet of YOLOv5's first versions: a stage's halves are convolved once more before they are joined.

    Layers are called `backbone_layer{i}_...`, by their place in the list that their authors write networks as.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of 32.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the bottlenecks of a stage, above 0, 1 by default.

    Returns:
        Feature maps at strides 8, 16 and 32, with 128, 256 and 512 channels at width 1.

    Source: Wang et al. 2019, CSPNet, arXiv:1911.11929; in numbers as YOLOP, arXiv:2108.11250.
    """
    x = conv(Focus(name="backbone_focus")(images), width_of(STEM, width), "backbone_layer0_conv", 3, **STYLE)
    features, number = [], 1
    for stage, (channels, count) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
        last = stage == len(WIDTHS) - 1
        filters = width_of(channels, width)
        x = downsampled(x, filters, f"backbone_layer{number}", **STYLE)
        if last:
            number += 1
            x = pooled_at_once(x, filters, f"backbone_layer{number}", **STYLE)
        x = bottleneck_csp(
            x, filters, f"backbone_layer{number + 1}", repeats(count, depth), not last, **STYLE
        )
        features.append(x)
        number += 2
    return features[1:]
