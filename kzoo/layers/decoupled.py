"""Branches in which boxes and classes part ways before the last convolutions of a head."""

from __future__ import annotations

from kzoo.layers.csp import separable
from kzoo.layers.yolo_conv import conv


def two_branches(maps, level: str, box_width: int, class_width: int, light: bool, **style) -> list:
    """Two branches of two convolutions each.

    Args:
        maps: (B, H, W, C) maps of one level.
        level: the level's name, which the layers' names have: "stride8".
        box_width: channels of the boxes' branch.
        class_width: channels of the classes' branch.
        light: whether a convolution of the classes' branch is a depthwise one and a 1x1 behind it (YOLO11).
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        (B, H, W, box_width) for boxes and (B, H, W, class_width) for classes.

    Source: YOLOv8 and YOLO11; after Ge et al. 2021, YOLOX, arXiv:2107.08430, figure 2.
    """
    of_boxes = of_classes = maps
    for i in range(2):
        of_boxes = conv(of_boxes, box_width, f"neck_box_{level}_{i}", 3, **style)
        name = f"neck_class_{level}_{i}"
        of_classes = (
            separable(of_classes, class_width, name, **style)
            if light
            else conv(of_classes, class_width, name, 3, **style)
        )
    return [of_boxes, of_classes]


def stem_and_branches(maps, level: str, width: int, light: bool, **style) -> list:
    """A 1x1 convolution, and two branches of two 3x3 convolutions from there.

    Args:
        maps: (B, H, W, C) maps of one level.
        level: the level's name, which the layers' names have: "stride8".
        width: channels of all of them.
        light: whether a 3x3 convolution is a depthwise one and a 1x1 behind it (YOLOX-nano).
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        (B, H, W, width) for boxes and (B, H, W, width) for classes.

    Source: Ge et al. 2021, YOLOX, arXiv:2107.08430, figure 2.
    """
    stem = conv(maps, width, f"neck_stem_{level}", **style)
    branches = []
    for kind in ("box", "class"):
        x = stem
        for i in range(2):
            name = f"neck_{kind}_{level}_{i}"
            x = separable(x, width, name, **style) if light else conv(x, width, name, 3, **style)
        branches.append(x)
    return branches
