"""What layers of YOLOs without anchors are called by their authors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

_LEVELS = ("8", "16", "32")
_BRANCH = r"neck_(stem|box|class)_stride(\d+)"
_LAST = r"head_(box|class|objectness)_stride(\d+)"
# YOLOX's modules by the number that YOLOv5's list has for the same layer.
_YOLOX = {
    **{0: "backbone.stem.conv", 8: "backbone.dark5.1", 9: "backbone.dark5.2"},
    **{2 * i - 3 + part: f"backbone.dark{i}.{part}" for i in (2, 3, 4, 5) for part in (0, 1) if i + part < 6},
    **{10: "lateral_conv0", 13: "C3_p4", 14: "reduce_conv1", 17: "C3_p3"},
    **{18: "bu_conv2", 20: "C3_n3", 21: "bu_conv1", 23: "C3_n4"},
}
_YOLOX_HEAD = {
    "neck": {"stem": "head.stems.{}", "box": "head.reg_convs.{}", "class": "head.cls_convs.{}"},
    "head": {"box": "head.reg_preds.{}", "class": "head.cls_preds.{}", "objectness": "head.obj_preds.{}"},
}
_YOLOV6_HEAD = {
    "neck": {
        "stem": "detect.stems.{}.block",
        "box": "detect.reg_convs.{}.block",
        "class": "detect.cls_convs.{}.block",
    },
    "head": {"box": "detect.reg_preds.{}", "class": "detect.cls_preds.{}"},
}


def _in_row(of: str):
    """The modules of a row of convolutions or pairs: the first has a name of its own, the others are counted."""

    def named(match: re.Match) -> str:
        stage, place, *part = match.groups()
        first = "conv1" if place == "0" else f"block.{int(place) - 1}"
        return ".".join([of.format(stage), first, *part])

    return named


# Patterns of our names, and the authors' modules.
_YOLOV6 = (
    (r"backbone_stem", r"stem"),
    (r"backbone_stage(\d)_down", r"ERBlock_\1.0"),
    (r"backbone_stage(\d)_row(\d+)", _in_row("ERBlock_{}.1")),
    (r"backbone_stage(\d)_pair(\d+)_(.+)", _in_row("ERBlock_{}.1.m")),
    (r"backbone_stage(\d)_(cv\d)", r"ERBlock_\1.1.\2.block"),
    (r"backbone_spp_(cv\d)", r"ERBlock_5.2.cspsppf.\1.block"),
    (r"neck_reduce(\d)", r"neck.reduce_layer\1.block"),
    (r"neck_bifusion(\d)_same", r"neck.Bifusion\1.cv1.block"),
    (r"neck_bifusion(\d)_fine", r"neck.Bifusion\1.cv2.block"),
    (r"neck_bifusion(\d)_out", r"neck.Bifusion\1.cv3.block"),
    (r"neck_bifusion(\d)_shrink", r"neck.Bifusion\1.downsample.block"),
    (r"neck_bifusion(\d)_enlarge", r"neck.Bifusion\1.upsample.upsample_transpose"),
    (r"neck_shrink(\d)", r"neck.downsample\1.block"),
    (r"neck_([pn]\d)_row(\d+)", _in_row("neck.Rep_{}")),
    (r"neck_([pn]\d)_pair(\d+)_(.+)", _in_row("neck.Rep_{}.m")),
    (r"neck_([pn]\d)_(cv\d)", r"neck.Rep_\1.\2.block"),
)
# What kind of layer a name ends in, and the authors' word for it.
_YOLOV6_KINDS = {"rep_conv3": "rbr_dense.conv", "rep_bn3": "rbr_dense.bn", "rep_conv1": "rbr_1x1.conv"}
_YOLOV6_KINDS |= {"rep_bn1": "rbr_1x1.bn", "rep_bn0": "rbr_identity"}
_PP_YOLOE = (
    (r"backbone_stem(\d)", r"stem.conv\1"),
    (r"backbone_stage(\d)_down", r"stages.\1.conv_down"),
    (r"backbone_stage(\d)_past", r"stages.\1.conv1"),
    (r"backbone_stage(\d)_through", r"stages.\1.conv2"),
    (r"backbone_stage(\d)_out", r"stages.\1.conv3"),
    (r"backbone_stage(\d)_attention", r"stages.\1.attn"),
    (r"backbone_stage(\d)_block(\d+)_first", r"stages.\1.blocks.\2.conv1"),
    (r"backbone_stage(\d)_block(\d+)_second", r"stages.\1.blocks.\2.conv2"),
    (r"neck_(fpn|pan)(\d)_route", r"neck.\1_routes.\2"),
    (r"neck_(fpn|pan)(\d)_past", r"neck.\1_stages.\2.0.conv1"),
    (r"neck_(fpn|pan)(\d)_through", r"neck.\1_stages.\2.0.conv2"),
    (r"neck_(fpn|pan)(\d)_out", r"neck.\1_stages.\2.0.conv3"),
    (r"neck_(fpn|pan)(\d)_spp", r"neck.\1_stages.\2.0.convs.spp.conv"),
    (r"neck_(fpn|pan)(\d)_block(\d+)_first", r"neck.\1_stages.\2.0.convs.\3.conv1"),
    (r"neck_(fpn|pan)(\d)_block(\d+)_second", r"neck.\1_stages.\2.0.convs.\3.conv2"),
)
_PP_YOLOE_KINDS = {
    "rep_conv3": "conv1.conv",
    "rep_bn3": "conv1.bn",
    "rep_conv1": "conv2.conv",
    "rep_bn1": "conv2.bn",
}
# Whole distances, which distributions are over: no weights here.
_DISTANCES = re.compile(r"(model\.\d+\.dfl\.conv\.weight|(detect|yolo_head)\.proj(_conv\.weight)?)")
_YOLOX_STEM = "backbone.stem.conv.conv.weight"


def torch_modules(layers: Mapping[str, keras.layers.Layer], head: int | None) -> dict[str, list[str]]:
    """By our names what the modules are called.

    Args:
        layers: our layers by name. Of other networks nothing is said.
        head: number of the head's module, of networks whose layers their authors number through.
    """
    if "head_objectness_stride8" in layers:
        name_of = _yolox
    elif "head_class_stride8" in layers and head is not None:
        name_of = _numbered(head)
    elif "backbone_stem1_conv" in layers:
        name_of = _pp_yoloe
    elif "backbone_stem_rep_conv3" in layers or "backbone_stage2_down_conv" in layers:
        name_of = _yolov6
    else:
        return {}
    found = {name: name_of(name) for name in layers}
    return {name: [module] for name, module in found.items() if module}


def _numbered(head: int):
    """The branches and last convolutions of YOLOv8 and YOLO11, which are parts of the module of that number."""
    kinds = {"box": "cv2", "class": "cv3"}

    def name_of(name: str) -> str | None:
        if match := re.fullmatch(rf"{_BRANCH}_(\d)(?:_(dconv|pconv))?_(conv|bn)", name):
            kind, stride, place, part, layer = match.groups()
            part = {"dconv": ".0", "pconv": ".1", None: ""}[part]
            return f"model.{head}.{kinds[kind]}.{_LEVELS.index(stride)}.{place}{part}.{layer}"
        if match := re.fullmatch(_LAST, name):
            return f"model.{head}.{kinds[match[1]]}.{_LEVELS.index(match[2])}.2"
        return None

    return name_of


def _yolox(name: str) -> str | None:
    if match := re.fullmatch(r"(?:backbone|neck)_layer(\d+)_(.*)", name):
        part = re.sub(r"(^|\.)m(\d+)", r"\1m.\2", match[2].replace("_", "."))
        return f"{_YOLOX[int(match[1])]}." + re.sub(r"cv(\d)", r"conv\1", part)
    return _of_head(name, _YOLOX_HEAD, _LEVELS)


def _of_head(name: str, modules: Mapping[str, Mapping[str, str]], levels: tuple[str, ...]) -> str | None:
    """The module of a stem, a branch or a last convolution, by the patterns of a family."""
    if match := re.fullmatch(rf"{_BRANCH}(_.*)", name):
        kind, stride, rest = match.groups()
        return modules["neck"][kind].format(levels.index(stride)) + rest.replace("_", ".")
    if match := re.fullmatch(_LAST, name):
        return modules["head"][match[1]].format(levels.index(match[2]))
    return None


def _yolov6(name: str) -> str | None:
    if found := _of_head(name, _YOLOV6_HEAD, _LEVELS):
        return found
    return _by_rule(name, _YOLOV6, _YOLOV6_KINDS)


def _pp_yoloe(name: str) -> str | None:
    coarse_first = _LEVELS[::-1]
    kinds = {"box": "reg", "class": "cls"}
    if match := re.fullmatch(rf"{_BRANCH}_(fc|conv|bn)", name):
        kind, stride, part = match.groups()
        part = part if part == "fc" else f"conv.{part}"
        return f"yolo_head.stem_{kinds[kind]}.{coarse_first.index(stride)}.{part}"
    if match := re.fullmatch(_LAST, name):
        return f"yolo_head.pred_{kinds[match[1]]}.{coarse_first.index(match[2])}"
    return _by_rule(name, _PP_YOLOE, _PP_YOLOE_KINDS)


def _by_rule(name: str, rules: Sequence, kinds: Mapping[str, str]) -> str | None:
    """The module of a layer: what a rule makes of its name, and what kind of layer it is.

    Args:
        name: our name.
        rules: patterns of names without the kind, and what the authors call that.
        kinds: the authors' words for kinds of layers, where they are others than ours.
    """
    match = re.fullmatch(r"(.*?)(?:_(rep_(?:conv|bn)\d|conv|bn|fc))?", name)
    base, kind = match[1], match[2]
    for pattern, template in rules:
        if re.fullmatch(pattern, base):
            module = re.sub(pattern, template, base)
            return f"{module}.{kinds.get(kind, kind)}" if kind else module
    return None


def is_distances(module: str) -> bool:
    """Whether a module holds nothing but the whole distances that distributions are over."""
    return bool(_DISTANCES.fullmatch(f"{module}.weight"))


def without_constants(
    path: Path, tensors: Mapping[str, np.ndarray], layers: Mapping[str, keras.layers.Layer]
) -> dict[str, np.ndarray]:
    """A file's tensors less whole distances, which are no weights here, and with YOLOX's first kernel turned round.

    YOLOX takes images in 0..255 with blue first, ours are in 0..1 with red first: a kernel of channels in the other
    order and 255 times as large computes the same of them.

    Args:
        path: the file, for messages.
        tensors: the file's tensors by name.
        layers: our layers by name.

    Raises:
        ValueError: the distances are not 0, 1, 2 and so on.
    """
    kept = {}
    for key, value in tensors.items():
        if _DISTANCES.fullmatch(key):
            if not np.allclose(np.ravel(value), np.arange(value.size)):
                raise ValueError(f"{path}: {key} is not 0, 1, 2, ...; the model's distances are whole ones")
            continue
        if key == _YOLOX_STEM and "head_objectness_stride8" in layers:
            filters, channels, *sides = value.shape  # (filters, 4 places x 3 colours, 3, 3)
            value = value.reshape(filters, channels // 3, 3, *sides)[:, :, ::-1] * np.float32(255)
            value = value.reshape(filters, channels, *sides)
        kept[key] = value
    return kept
