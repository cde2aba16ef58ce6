"""Backbones by name, as detectors and segmenters take them: image -> feature maps, finest first."""

from __future__ import annotations

from collections.abc import Sequence

from kzoo.backbones.convnext import CONVNEXTS, convnext
from kzoo.backbones.efficientnet import EFFICIENTNETS, efficientnet
from kzoo.backbones.hgnet import HGNETS, hgnet
from kzoo.backbones.mobilenet import MOBILENETS, mobilenet
from kzoo.backbones.resnet import DEEP_STEMMED, RESNETS, resnet

_LITES = tuple(name for name in EFFICIENTNETS if "lite" in name)
# Backbones of one line, the smallest first, and all of them in one row.
FAMILIES = (
    tuple(name for name in RESNETS if name not in DEEP_STEMMED),
    tuple(DEEP_STEMMED),
    tuple(name for name in EFFICIENTNETS if name not in _LITES),
    _LITES,
    tuple(MOBILENETS),
    tuple(CONVNEXTS),
    tuple(HGNETS),
)
BACKBONES = tuple(name for family in FAMILIES for name in family)


def check_backbone(backbone: str, own: Sequence[str] = ()) -> None:
    """Refuses the name of a backbone that an architecture cannot be built on.

    Args:
        backbone: the name.
        own: further backbones that the architecture takes, its own first.

    Raises:
        ValueError: there is no such backbone; the message has those that fit.
    """
    if backbone not in (*own, *BACKBONES):
        known = ", ".join((*own, *BACKBONES))
        raise ValueError(f"backbone={backbone!r}: this model is not built on that; give one of {known}")


def backbone_features(
    images,
    backbone: str,
    output_stride: int = 32,
    width: float = 1.0,
    depth: float = 1.0,
    stride_first: bool = False,
    padding: str = "same",
    stem: bool = False,
    hybrid: Sequence[int] | None = None,
    batch_norm: str | None = None,
) -> list:
    """The feature maps of a backbone without its classifier.

    Args:
        images: (B, H, W, 3) float, already normalised as the backbone's weights ask: see `kzoo.weights.reading`.
        backbone: one of `BACKBONES`.
        output_stride: stride of the last map, 32 (default), 16 or 8: later stages then dilate in the place of strides.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the blocks of a stage, above 0, 1 by default.
        stride_first: where the bottlenecks of residual networks have their stride: see `kzoo.backbones.resnet`; False
            by default, and without effect on other backbones, whose weights never ask for it.
        padding: where strided windows of EfficientNets and MobileNets lie, "same" (default) or "symmetric": see
            `kzoo.layers.inverted.Manner`; without effect on other backbones.
        stem: whether the list begins with a map at stride 2, which ConvNeXts do not have; False by default.
        hybrid: dilations that the blocks of a residual network's dilated stage take by turns; None (default) for one.
        batch_norm: kind of batch normalisation, "trained" where None (default): see
            `kzoo.layers.residual.batch_normalization`. ConvNeXts have none.

    Returns:
        Maps at strides 4, 8, 16 and 32, or less where dilated; before them one at stride 2 where asked for.

    Raises:
        ValueError: there is no such backbone, or an argument is not for it.

    Example:
        >>> fpn(backbone_features(keras.Input((224, 224, 3)), "efficientnet-lite0")[1:])
    """
    check_backbone(backbone)
    if hybrid is not None and backbone not in RESNETS:
        raise ValueError(f"hybrid={hybrid}: for residual networks; leave it out with backbone={backbone!r}")
    if backbone in CONVNEXTS:
        if batch_norm is not None:
            raise ValueError(f"batch_norm={batch_norm!r}: backbone={backbone!r} has none; leave it out")
        return convnext(images, backbone, output_stride, width, depth)
    common = {"stem": stem, "batch_norm": batch_norm or "trained"}
    if backbone in RESNETS:
        return resnet(images, backbone, output_stride, width, depth, stride_first, hybrid, **common)
    if backbone in HGNETS:
        return hgnet(images, backbone, output_stride, width, depth, **common)
    function = efficientnet if backbone in EFFICIENTNETS else mobilenet
    return function(images, backbone, output_stride, width, depth, padding, **common)
