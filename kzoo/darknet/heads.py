"""Darknet's heads: what `[yolo]`, `[region]` and `[detection]` say, as arguments of kzoo's heads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kzoo.darknet.beside import read_map, read_tree
from kzoo.darknet.cfg import Section
from kzoo.darknet.plan import MAX_SIDE, Layer, Plan, Site

MAX_CLASSES = 2**16
MAX_ANCHORS = 1024
_NMS = {"default": "greedy", "greedynms": "diou", "diounms": "diou"}
_BOX_LOSSES = {"mse": "paper", "iou": "iou", "giou": "giou", "diou": "diou", "ciou": "ciou"}


def yolo(site: Site) -> Layer:
    """`[yolo]`: anchors in pixels, of which `mask` selects this level's."""
    return _level(site, 5)


def gaussian_yolo(site: Site) -> Layer:
    """`[Gaussian_yolo]`: as `[yolo]`, with a deviation beside each coordinate."""
    if site.section.text("yolo_point", "center") != "center":
        raise site.section.fault("yolo_point", "is not built; only center is")
    site.section.number("uc_normalizer", 1.0)
    return _level(site, 9)


def _level(site: Site, fields: int) -> Layer:
    """One level of a head: `fields` numbers an anchor besides its classes, 4 coordinates and objectness or more."""
    section = site.section
    classes = section.integer("classes", 20, least=1, most=MAX_CLASSES)
    anchors = _anchors(section)
    mask = section.integers("mask") if "mask" in section else list(range(len(anchors)))
    for number in mask:
        if not 0 <= number < len(anchors):
            raise section.fault("mask", f"there is no anchor {number} of num={len(anchors)}; count from 0")
    if not mask or len(set(mask)) < len(mask):
        raise section.fault("mask", "has to name each of its anchors once")
    _check_channels(
        site, len(mask) * (fields + classes), f"{len(mask)} masks x ({fields} + {classes} classes)"
    )
    settings = {**_cells(site), "classes": classes, "all_anchors": anchors, "mask": mask}
    settings["new_coords"] = section.flag("new_coords")
    _yolo_arguments(section)  # so that what is wrong in them is told now
    for key in ("obj_normalizer", "scale_x_y"):
        section.number(key, 1.0)
    return site.layer(site.shape, **settings)


def region(site: Site) -> Layer:
    """`[region]`: anchors in cells, all of them on the one level."""
    section = site.section
    classes = section.integer("classes", 20, least=1, most=MAX_CLASSES)
    _four_coordinates(section, 4)
    anchors = _anchors(section)
    _check_channels(site, len(anchors) * (5 + classes), f"{len(anchors)} anchors x (5 + {classes} classes)")
    _region_arguments(section)  # so that what is wrong in them is told now
    return site.layer(site.shape, **_cells(site), classes=classes, all_anchors=anchors)


def detection(site: Site) -> Layer:
    """`[detection]`: one flat vector of classes, confidences and boxes."""
    section = site.section
    classes = section.integer("classes", 1, least=1, most=MAX_CLASSES)
    _four_coordinates(section, 1)
    side = section.integer("side", 7, least=1, most=MAX_SIDE)
    boxes = section.integer("num", 1, least=1, most=MAX_ANCHORS)
    size = side * side * (classes + 5 * boxes)
    if site.shape != (1, 1, size):
        raise section.fault(
            "side", f"asks for a vector of {side} x {side} x ({classes} classes + 5 x {boxes}) = {size} numbers; it is "
            f"fed with {math.prod(site.shape)}; set `output` of the [connected] before to {size}"
        )  # fmt: skip
    return site.layer(site.shape, classes=classes, side=side, boxes=boxes)


def cost(site: Site) -> Layer:
    """`[cost]`: what pjreddie's older classifiers end with; their loss, of no effect on the output."""
    if site.index + 1 < len(site.plan.cfg.sections):
        raise site.section.fault(None, "has to be the last section; take out what follows")
    return site.layer(site.shape)


def head_arguments(
    plan: Plan, names: Sequence[str] | None = None
) -> tuple[str, dict[str, Any], list[str] | None]:
    """The head that a plan asks for.

    Where several `[yolo]` sections state thresholds and losses the last one holds, as in Darknet for suppression.

    Args:
        plan: the network, worked out.
        names: the class names, or None where they are not known. Where a section has a `tree` and a `map`, as many
            names as the map has entries ask for the map's classes rather than for the tree's nodes.

    Returns:
        "yolo", "gaussian", "region", "grid", "classify" (the network ends in a vector) or "features" (in a map); the
        constructor's arguments; and the names, where there were none those of the tree.

    Raises:
        ValueError: the sections contradict each other, or a file that one names cannot be read.
    """
    kind, arguments = _head_without_tree(plan)
    last = plan.heads[-1].section if plan.heads else plan.last.section
    if "tree" not in last:
        return kind, arguments, names
    parents, node_names = read_tree(last)
    if len(parents) != arguments["num_classes"]:
        raise last.fault(
            "tree",
            f"has {len(parents)} nodes for {arguments['num_classes']} classes; give the tree of this network",
        )
    arguments["tree"] = parents
    if "map" in last and names and len(names) != len(parents):
        arguments["class_map"] = read_map(last, len(parents))
        arguments["num_classes"] = len(arguments["class_map"])
    return kind, arguments, names or node_names


def _head_without_tree(plan: Plan) -> tuple[str, dict[str, Any]]:
    """The kind of the head and its arguments, as far as the network's own sections state them."""
    if not plan.heads:
        last = plan.last
        if last.shape[:2] != (1, 1):
            return "features", {"num_classes": last.shape[2]}
        return "classify", {
            "num_classes": last.shape[2],
            "project": False,
            "temperature": last.settings.get("temperature", 1.0),
            "activation": "sigmoid" if last.kind == "logistic" else "softmax",
        }
    last = plan.heads[-1]
    heads = {
        "yolo": _yolo_head,
        "Gaussian_yolo": _gaussian_head,
        "region": _region_head,
        "detection": _detection_head,
    }
    return heads[last.kind](plan, last)


def _yolo_head(plan: Plan, last: Layer) -> tuple[str, dict]:
    for head in plan.heads:
        for key in ("classes", "new_coords"):
            if head.settings[key] != last.settings[key]:
                raise head.section.fault(
                    key, f"differs from that of [{last.kind}] on line {last.section.line}; give all the same"
                )
    levels = [
        [head.settings["all_anchors"][number] for number in head.settings["mask"]] for head in plan.heads
    ]
    # Anchors of no level take part in the assignment all the same: objects that they fit best are left out.
    used = [anchor for level in levels for anchor in level]
    every = {tuple(anchor) for head in plan.heads for anchor in head.settings["all_anchors"]}
    return "yolo", {
        "num_classes": last.settings["classes"],
        "anchors": levels,
        "strides": [head.settings["stride"] for head in plan.heads],
        "spare_anchors": sorted(list(anchor) for anchor in every if list(anchor) not in used),
        "scale_xy": [head.section.number("scale_x_y", 1.0) for head in plan.heads],
        "size_transform": "square" if last.settings["new_coords"] else "exp",
        "project": False,
        "normalize_by": "images",
        **_yolo_arguments(last.section),
        "objectness_weight": [head.section.number("obj_normalizer", 1.0) for head in plan.heads],
        "image_size": _image_size(plan),
    }


def _yolo_arguments(section: Section) -> dict[str, Any]:
    """What a `[yolo]` section states besides its place and its anchors."""
    box_loss = _BOX_LOSSES[section.choice("iou_loss", "mse", _BOX_LOSSES)]
    return {
        "box_loss": box_loss,
        # Darknet weighs squared errors by 1, whatever iou_normalizer says.
        "box_weight": 1.0 if box_loss == "paper" else section.number("iou_normalizer", 0.75),
        "size_weighting": box_loss == "paper",
        "class_weight": section.number("cls_normalizer", 1.0),
        "ignore_threshold": section.number("ignore_thresh", 0.5),
        "truth_threshold": section.number("truth_thresh", 1.0),
        "iou_threshold": section.number("iou_thresh", 1.0),
        "label_smoothing": section.number("label_smooth_eps", 0.0),
        "objectness_target": "iou" if section.flag("objectness_smooth") else "one",
        "nms_kind": _NMS[section.choice("nms_kind", "default", _NMS)],
        "nms_beta": section.number("beta_nms", 0.6, least=0.0),
    }


def _gaussian_head(plan: Plan, last: Layer) -> tuple[str, dict]:
    _, arguments = _yolo_head(plan, last)
    del arguments["size_transform"]
    return "gaussian", {
        **arguments,
        "box_weight": last.section.number("iou_normalizer", 0.75),
        "deviation_weight": last.section.number("uc_normalizer", 1.0),
    }


def _region_arguments(section: Section) -> dict[str, Any]:
    """What a `[region]` section states besides its place and its anchors."""
    scales = ("object_scale", "noobject_scale", "class_scale", "coord_scale")
    return {
        "class_activation": "softmax" if section.flag("softmax") else "sigmoid",
        "ignore_threshold": section.number("thresh", 0.5),
        "rescore": section.flag("rescore"),
        "bias_match": section.flag("bias_match"),
        **{scale: section.number(scale, 1.0) for scale in scales},
    }


def _region_head(plan: Plan, last: Layer) -> tuple[str, dict]:
    width, height = last.settings["cell"]  # pixels; [region] has its anchors in cells, kzoo's heads in pixels
    return "region", {
        "num_classes": last.settings["classes"],
        "anchors": [[[w * width, h * height] for w, h in last.settings["all_anchors"]]],
        "strides": [last.settings["stride"]],
        "image_size": _image_size(plan),
        "project": False,
        **_region_arguments(last.section),
    }


def _detection_head(plan: Plan, last: Layer) -> tuple[str, dict]:
    section, settings = last.section, last.settings
    scales = ("object_scale", "noobject_scale", "class_scale", "coord_scale")
    return "grid", {
        "num_classes": settings["classes"],
        "side": settings["side"],
        "boxes_per_cell": settings["boxes"],
        "image_size": list(plan.shape[:2]),
        "sqrt": section.flag("sqrt"),
        "softmax": section.flag("softmax"),
        "rescore": section.flag("rescore"),
        **{scale: section.number(scale, 1.0) for scale in scales},
    }


def _anchors(section: Section) -> list[list[float]]:
    """The `num` first pairs of widths and heights."""
    count = section.integer("num", 1, least=1, most=MAX_ANCHORS)
    sides = section.numbers("anchors")
    if len(sides) < 2 * count:
        raise section.fault("anchors", f"has {len(sides)} numbers, num={count} asks for {2 * count}")
    if min(sides[: 2 * count]) <= 0:
        raise section.fault("anchors", "widths and heights have to be above 0")
    return [sides[i : i + 2] for i in range(0, 2 * count, 2)]


def _four_coordinates(section: Section, default: int) -> None:
    if section.integer("coords", default) != 4:
        raise section.fault("coords", "only 4 is built")


def _check_channels(site: Site, wanted: int, sum_of: str) -> None:
    """Whether the layer before gives as many channels as the head's anchors and classes ask for."""
    if site.shape[2] == wanted:
        return
    before = site.plan.layers[site.before].section if site.before >= 0 else site.section
    raise before.fault(
        "filters" if before.kind == "convolutional" else None,
        f"gives {site.shape[2]} channels to [{site.section.kind}] on line {site.section.line}, which has {sum_of} = "
        f"{wanted}; set filters={wanted}",
    )


def _cells(site: Site) -> dict[str, Any]:
    """Width and height of a cell in pixels, and the stride, which names it; whether the cells divide the image."""
    (height, width, _), (rows, columns, _) = site.plan.shape, site.shape
    divide = not (height % rows or width % columns) and height // rows == width // columns
    return {
        "cell": (width / columns, height / rows),
        "stride": max(1, round(width / columns)),
        "divide": divide,
    }


def _image_size(plan: Plan) -> list[int] | None:
    """The height and width that a network is bound to because its cells do not divide them; None where it is free."""
    return None if all(head.settings["divide"] for head in plan.heads) else list(plan.shape[:2])
