"""PP-YOLOE's backbone: cross-stage partial stages of residual blocks whose second convolution is two side by side."""

from __future__ import annotations

from collections.abc import Callable

from keras import layers

from kzoo.layers.channel_attention import squeezed
from kzoo.layers.conv import repeats
from kzoo.layers.repvgg import rep_conv
from kzoo.layers.yolo_conv import conv

# As Paddle has them, unlike torch's later YOLOs.
STYLE = {"epsilon": 1e-5, "momentum": 0.9}


def csp_rep_resnet(images, channels: Callable[[int], int], depth: float = 1.0) -> list:
    """CSPRepResNet without a classifier.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of 32.
        channels: how wide a layer is that has so many channels at width 1.
        depth: factor of a stage's blocks, above 0, 1 by default.

    Returns:
        Feature maps at strides 4, 8, 16 and 32, of 128, 256, 512 and 1024 channels at width 1.

    Source: Xu et al. 2022, PP-YOLOE, arXiv:2203.16250, section 2.2, "Backbone".
    """
    stem = channels(64)
    x = conv(images, stem // 2, "backbone_stem1", 3, 2, **STYLE)
    x = conv(x, stem // 2, "backbone_stem2", 3, **STYLE)
    x = conv(x, stem, "backbone_stem3", 3, **STYLE)
    features = []
    for stage, blocks in enumerate((3, 6, 6, 3)):
        x = _stage(x, channels(128 * 2**stage), f"backbone_stage{stage}", repeats(blocks, depth))
        features.append(x)
    return features


def _stage(x, filters: int, name: str, blocks: int):
    """Halves the resolution; half of the channels goes through blocks, half past them; channels weigh each other."""
    middle = (x.shape[-1] + filters) // 2
    x = conv(x, middle, f"{name}_down", 3, 2, **STYLE)
    past = conv(x, middle // 2, f"{name}_past", **STYLE)
    through = conv(x, middle // 2, f"{name}_through", **STYLE)
    for i in range(blocks):
        inner = rep_block(through, middle // 2, f"{name}_block{i}")
        through = layers.Add(name=f"{name}_block{i}_add")([through, inner])
    x = layers.Concatenate(name=f"{name}_concat")([past, through])
    return conv(squeezed(x, f"{name}_attention", "hard_sigmoid"), filters, f"{name}_out", **STYLE)


def rep_block(x, filters: int, name: str):
    """A 3x3 convolution, and one that is a 3x3 and a 1x1 side by side: (B, H, W, C) to (B, H, W, filters)."""
    x = conv(x, filters, f"{name}_first", 3, **STYLE)
    return rep_conv(x, filters, f"{name}_second", activation="swish", **STYLE)
