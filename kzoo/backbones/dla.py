"""Deep layer aggregation: trees of residual blocks whose outputs are joined at roots."""

from __future__ import annotations

from keras import layers

from kzoo.layers.conv import repeats, scaled
from kzoo.layers.residual import conv_bn

CHANNELS = (16, 32, 64, 128, 256, 512)
DEPTHS = (1, 1, 1, 2, 2, 1)  # of the trees of levels 2 to 5; before, numbers of convolutions


def dla34(images, width: float = 1.0, depth: float = 1.0) -> list:
    """DLA-34 without its classifier.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of 32.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the trees' depths, above 0, 1 by default.

    Returns:
        Feature maps at strides 4, 8, 16 and 32, with 64, 128, 256 and 512 channels at width 1.

    Source: Yu et al. 2018, arXiv:1707.06484, figures 2 and 3. The authors' code has two projections more, of the trees
        of depth 2, whose results nobody takes.
    """
    channels = [scaled(count, width) for count in CHANNELS]
    x = conv_bn(images, channels[0], 7, "backbone_base_{}")
    x = conv_bn(x, channels[0], 3, "backbone_level0_{}")
    x = conv_bn(x, channels[1], 3, "backbone_level1_{}", 2)
    features = []
    for level in range(2, 6):
        name = f"backbone_level{level}"
        x = _tree(x, channels[level], name, repeats(DEPTHS[level], depth), 2, level > 2, [])
        features.append(x)
    return features


def _tree(x, filters: int, name: str, depth: int, stride: int, keeps_input: bool, children: list):
    """Two blocks, or two trees, and the root that joins what they gave.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        name: prefix of the layers' names.
        depth: 1 for two blocks, more for two trees of one less.
        stride: stride of the first block, 1 or 2.
        keeps_input: whether the root joins the shrunk input, too.
        children: what else the root joins, from trees before.

    Returns:
        (B, H / stride, W / stride, filters).
    """
    bottom = layers.MaxPooling2D(stride, stride, name=f"{name}_pool")(x) if stride > 1 else x
    children = [*children, bottom] if keeps_input else list(children)
    if depth > 1:
        first = _tree(x, filters, f"{name}_tree1", depth - 1, stride, False, [])
        return _tree(first, filters, f"{name}_tree2", depth - 1, 1, False, [*children, first])
    shortcut = bottom
    if bottom.shape[-1] != filters:
        shortcut = conv_bn(bottom, filters, 1, f"{name}_project_{{}}", activation=False)
    first = _block(x, shortcut, filters, f"{name}_tree1", stride)
    second = _block(first, first, filters, f"{name}_tree2", 1)
    joined = layers.Concatenate(name=f"{name}_join")([second, first, *children])
    return conv_bn(joined, filters, 1, f"{name}_root_{{}}")


def _block(x, shortcut, filters: int, name: str, stride: int):
    """Two 3x3 convolutions of x and a shortcut: (B, H, W, C) to (B, H / stride, W / stride, filters)."""
    inner = conv_bn(x, filters, 3, f"{name}_{{}}1", stride)
    inner = conv_bn(inner, filters, 3, f"{name}_{{}}2", activation=False)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([inner, shortcut]))
