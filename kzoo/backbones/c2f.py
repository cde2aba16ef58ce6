"""The backbones of YOLOv8 and YOLO11: image -> list of feature maps, finest first.

Their layers are numbered as in the published lists of layers: the second stage's block is `backbone_layer2`.
"""

from __future__ import annotations

from collections.abc import Callable

from kzoo.layers.conv import repeats
from kzoo.layers.csp import c2f, c3k2
from kzoo.layers.yolo_conv import conv

_STAGES = 4


def c2f_darknet(images, channels: Callable[[int], int], depth: float = 1.0) -> list:
    """YOLOv8's: a strided convolution and a `c2f` block a stage.

    Args:
        images: (B, H, W, 3) float in 0..1; H and W multiples of 32.
        channels: how wide a layer is that has so many channels at width 1.
        depth: factor of a stage's bottlenecks, above 0, 1 by default.

    Returns:
        Feature maps at strides 4, 8, 16 and 32, of 128, 256, 512 and 1024 channels at width 1.

    Source: YOLOv8.
    """
    x = conv(images, channels(64), "backbone_layer0", 3, 2)
    features = []
    for stage, blocks in enumerate((3, 6, 6, 3)):
        filters = channels(128 * 2**stage)
        x = conv(x, filters, f"backbone_layer{2 * stage + 1}", 3, 2)
        x = c2f(x, filters, f"backbone_layer{2 * stage + 2}", repeats(blocks, depth))
        features.append(x)
    return features


def c3k2_darknet(images, channels: Callable[[int], int], depth: float = 1.0, nested: bool = False) -> list:
    """YOLO11's: a strided convolution and a `c3k2` block a stage, of a quarter of the width inside in the first two.

    Args:
        images: (B, H, W, 3) float in 0..1; H and W multiples of 32.
        channels: how wide a layer is that has so many channels at width 1.
        depth: factor of a stage's blocks, above 0, 1 by default.
        nested: whether the blocks of all stages are nested, not those of the last two alone; False by default.

    Returns:
        Feature maps at strides 4, 8, 16 and 32, of 256, 512, 512 and 1024 channels at width 1.

    Source: YOLO11.
    """
    x = conv(images, channels(64), "backbone_layer0", 3, 2)
    features = []
    for stage, (before, filters) in enumerate(((128, 256), (256, 512), (512, 512), (1024, 1024))):
        x = conv(x, channels(before), f"backbone_layer{2 * stage + 1}", 3, 2)
        late = stage >= _STAGES // 2
        x = c3k2(
            x,
            channels(filters),
            f"backbone_layer{2 * stage + 2}",
            repeats(2, depth),
            nested or late,
            expansion=0.5 if late else 0.25,
        )
        features.append(x)
    return features
