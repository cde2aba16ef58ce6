"""Path aggregation: coarse maps go down to the finest level, and what comes of them goes up again."""

from __future__ import annotations

from collections.abc import Sequence

from keras import layers

from kzoo.layers.csp import c3, separable
from kzoo.layers.yolo_conv import conv


def csp_path_aggregation(
    features: Sequence, filters: Sequence[int], blocks: int, first: int, depthwise: bool = False, **style
) -> list:
    """YOLOv5's neck: bottlenecks that half of the channels go past after each meeting of two levels.

    Layers are called `neck_layer{i}_...`, by their place in the list that their authors write networks as.

    Args:
        features: maps (B, H, W, C) of two levels or more, finest first, each half as large as the one before.
        filters: number of channels of each level's output.
        blocks: number of bottlenecks at each meeting, 1 or more.
        first: number of the first layer.
        depthwise: whether 3x3 convolutions are depthwise ones and a 1x1 behind them (YOLOX-nano); False by default.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        (B, H, W, filters) of each level, finest first.

    Source: Liu et al. 2018, PANet, arXiv:1803.01534; in numbers as YOLOv5 6.0, and YOLOX, arXiv:2107.08430.
    """
    number = first

    def met(a, b, channels):
        """Two maps of a level together: layers `number`, which concatenates, and the next."""
        x = layers.Concatenate(name=f"neck_concat{number}")([a, b])
        return c3(x, channels, f"neck_layer{number + 1}", blocks, False, depthwise=depthwise, **style)

    # Down to the finest level: narrowed to its channels, enlarged, and met with the backbone's.
    x, narrowed = features[-1], []
    for level in range(len(features) - 2, -1, -1):
        x = conv(x, filters[level], f"neck_layer{number}", **style)
        narrowed.append(x)
        x = layers.UpSampling2D(2, name=f"neck_up{number + 1}")(x)
        number += 2
        # The finest level's output has its own channels, those before it are narrowed next.
        x = met(x, features[level], filters[level])
        number += 2

    # Up again: halved, and met with what was narrowed on the way down.
    outputs = [x]
    for level in range(1, len(features)):
        size = filters[level - 1]
        if depthwise:
            x = separable(x, size, f"neck_layer{number}", 3, 2, **style)
        else:
            x = conv(x, size, f"neck_layer{number}", 3, 2, **style)
        number += 1
        x = met(x, narrowed[-level], filters[level])
        number += 2
        outputs.append(x)
    return outputs
