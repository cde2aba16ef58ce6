"""What stands between an hourglass and the maps of corners and centres: convolutions with pooling along the edges."""

from __future__ import annotations

from collections.abc import Sequence

from keras import layers

from kzoo.layers.conv import scaled
from kzoo.layers.corner_pooling import CornerPooling
from kzoo.layers.residual import conv_bn, relu_initializer

# The two directions in which each corner finds its object.
CORNERS = {"top_left": ("top", "left"), "bottom_right": ("bottom", "right")}
BRANCH = 128  # channels that are pooled


def corner_module(x, corner: str, name: str, width: float = 1.0, cascade: bool = False):
    """Features of a corner: two branches, each pooled in a direction of its own, joined.

    Args:
        x: (B, H, W, C) maps.
        corner: one of `CORNERS`.
        name: prefix of the layers' names.
        width: factor of the channels, above 0, 1 by default.
        cascade: whether a branch looks into the object before it looks along the edge: it takes what another branch,
            pooled in the other direction, sees from there. False by default.

    Returns:
        (B, H, W, C).

    Source: Law & Deng 2018, CornerNet, arXiv:1808.01244, section 3.4, figure 7; Duan et al. 2019, CenterNet: Keypoint
        Triplets, arXiv:1904.08189, section 3.3, "Cascade corner pooling".
    """
    pooled = []
    for branch, (along, other) in zip(
        ("first", "second"), (CORNERS[corner], CORNERS[corner][::-1]), strict=True
    ):
        place = f"{name}_{branch}"
        maps = conv_bn(x, scaled(BRANCH, width), 3, f"{place}_{{}}")
        if cascade:
            look = conv_bn(x, scaled(BRANCH, width), 3, f"{place}_look_{{}}")
            look = CornerPooling(other, name=f"{place}_look_pool")(look)
            maps = layers.Add(name=f"{place}_look_add")([maps, look])
            maps = layers.Conv2D(
                scaled(BRANCH, width),
                3,
                padding="same",
                use_bias=False,
                kernel_initializer=relu_initializer(),
                name=f"{place}_looked",
            )(maps)
        pooled.append(CornerPooling(along, name=f"{place}_pool")(maps))
    return _joined(pooled, x, name)


def corner_modules(features: Sequence, width: float = 1.0, cascade: bool = False) -> list:
    """Features of both corners for each of several stacks' maps.

    Args:
        features: (B, H, W, C) maps, one a stack.
        width: factor of the channels, above 0, 1 by default.
        cascade: whether branches look into the object first, as `corner_module` has it; False by default.

    Returns:
        Of each stack the maps of its top left corners and of its bottom right ones, (B, H, W, C).
    """
    return [
        [corner_module(x, corner, f"neck_stack{i}_{corner}", width, cascade) for corner in CORNERS]
        for i, x in enumerate(features)
    ]


def center_module(x, name: str, width: float = 1.0):
    """Features of a centre: the largest of its row in one branch, and of its column in another, joined.

    Args:
        x: (B, H, W, C) maps.
        name: prefix of the layers' names.
        width: factor of the channels, above 0, 1 by default.

    Returns:
        (B, H, W, C).

    Source: Duan et al. 2019, arXiv:1904.08189, section 3.3, "Center pooling".
    """
    pooled = []
    for branch, directions in (("first", ("top", "bottom")), ("second", ("left", "right"))):
        maps = conv_bn(x, scaled(BRANCH, width), 3, f"{name}_{branch}_{{}}")
        for direction in directions:
            maps = CornerPooling(direction, name=f"{name}_{branch}_{direction}")(maps)
        pooled.append(maps)
    return _joined(pooled, x, name)


def _joined(pooled: Sequence, x, name: str):
    """What was pooled, added up and to what it was made of: (B, H, W, C) as `x`."""
    channels = x.shape[-1]
    total = layers.Add(name=f"{name}_both")(pooled)
    total = conv_bn(total, channels, 3, f"{name}_pooled_{{}}", activation=False)
    direct = conv_bn(x, channels, 1, f"{name}_direct_{{}}", activation=False)
    total = layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([total, direct]))
    return conv_bn(total, channels, 3, f"{name}_out_{{}}")
