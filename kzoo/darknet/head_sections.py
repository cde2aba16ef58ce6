"""kzoo's heads as Darknet's `[yolo]`, `[region]` and `[detection]`: the counterpart of `kzoo.darknet.heads`."""

from __future__ import annotations

from typing import Any

from kzoo.heads.grid import GridHead
from kzoo.heads.region import RegionHead
from kzoo.heads.yolo import YoloHead

_LOSSES = {"paper": "mse"}
_SCALES = ("object_scale", "noobject_scale", "class_scale", "coord_scale")


def level_section(head: YoloHead, level: int) -> tuple[str, dict[str, Any]] | None:
    """The section of one level of a head, and its keys; None where Darknet has none for it.

    Args:
        head: the head, which has its convolutions itself.
        level: number of the level, in the order of the head's strides.
    """
    if not head.project:
        return None
    if type(head) is RegionHead and head.tree is None:
        return "region", _region_keys(head)
    if type(head) is YoloHead and head.class_activation == "sigmoid":
        return "yolo", _yolo_keys(head, level)
    return None


def _yolo_keys(head: YoloHead, level: int) -> dict[str, Any]:
    used = (tuple(anchor) for one in head.anchors for anchor in one)
    shapes = list(dict.fromkeys((*used, *map(tuple, head.spare_anchors))))
    keys = {
        "mask": ",".join(str(shapes.index(tuple(anchor))) for anchor in head.anchors[level]),
        "anchors": _anchors(shapes),
        "classes": head.num_classes,
        "num": len(shapes),
        "ignore_thresh": f"{head.ignore_threshold:g}",
        "truth_thresh": f"{head.truth_threshold:g}",
        "iou_thresh": f"{head.iou_threshold:g}",
        "iou_loss": _LOSSES.get(head.box_loss, head.box_loss),
        "iou_normalizer": f"{head.box_weight:g}",
        "obj_normalizer": f"{head.objectness_weight[level]:g}",
        "cls_normalizer": f"{head.class_weight:g}",
        "label_smooth_eps": f"{head.label_smoothing:g}",
        "scale_x_y": f"{head.scale_xy[level]:g}",
    }
    if head.size_transform == "square":
        keys["new_coords"] = 1
    if head.objectness_target == "iou":
        keys["objectness_smooth"] = 1
    if head.nms_kind == "diou":
        keys |= {"nms_kind": "greedynms", "beta_nms": f"{head.nms_beta:g}"}
    return keys


def _region_keys(head: RegionHead) -> dict[str, Any]:
    (stride,), (anchors,) = head.strides, head.anchors
    return {
        "anchors": _anchors([(width / stride, height / stride) for width, height in anchors]),
        "classes": head.num_classes,
        "coords": 4,
        "num": len(anchors),
        "softmax": int(head.class_activation == "softmax"),
        "rescore": int(head.rescore),
        "bias_match": int(head.bias_match),
        "thresh": f"{head.ignore_threshold:g}",
        **{scale: f"{getattr(head, scale):g}" for scale in _SCALES},
    }


def detection_keys(head: GridHead) -> dict[str, Any]:
    """The keys of `[detection]`."""
    return {
        "classes": head.num_classes,
        "coords": 4,
        "side": head.side,
        "num": head.boxes_per_cell,
        "softmax": int(head.softmax),
        "sqrt": int(head.sqrt),
        "rescore": int(head.rescore),
        **{scale: f"{getattr(head, scale):g}" for scale in _SCALES},
    }


def _anchors(shapes) -> str:
    """Widths and heights in one line."""
    return ", ".join(f"{width:.9g},{height:.9g}" for width, height in shapes)
