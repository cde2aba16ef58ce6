"""What layers of hourglass networks, and of detectors on them, are called by their authors."""

from __future__ import annotations

import re
from collections.abc import Mapping

import keras

_ROWS = {"stay": "up1", "down": "low1", "low": "low2", "up": "low3"}
_INSIDE = {
    "downsample_conv": "skip.0",
    "downsample_bn": "skip.1",
    "squeeze_conv": "conv1",
    "squeeze_bn": "bn1",
    "point_conv": "conv_1x1",
    "depth_conv": "conv_3x3",
    "beside_bn": "bn2",
}
_BESIDE = {"before": "inters_", "after": "cnvs_"}
_POINTS = {
    "top_left": "tl", "bottom_right": "br", "center": "ct", "top": "t", "left": "l", "bottom": "b", "right": "r",
}  # fmt: skip
_IN_MODULES = {
    "first_look": "look_conv1.", "second_look": "look_conv2.", "first_looked": "P1_look_conv",
    "second_looked": "P2_look_conv", "first": "p1_conv1.", "second": "p2_conv1.", "pooled": "p_", "direct": "",
    "out": "conv2.",
}  # fmt: skip
_NUMBERED = ("pooled", "direct")  # whose convolutions and normalisations have a 1 behind their names
_ATTENTION = ("large", "medium", "small")


def torch_modules(layers: Mapping[str, keras.layers.Layer]) -> dict[str, list[str]]:
    """By our names what the modules may be called: in CornerNet, ExtremeNet and both CenterNets, or in CornerNet-Lite.

    Args:
        layers: our layers by name. Of other networks nothing is said.
    """
    if "backbone_stack0_out_conv" not in layers:
        return {}
    stacks = sum(bool(re.fullmatch(r"backbone_stack\d+_out_conv", name)) for name in layers)
    found = {
        name: _of_backbone(name) or _of_neck(name) or _of_branch(name, stacks) or _of_attention(name, stacks)
        for name in layers
    }
    return {name: modules for name, modules in found.items() if modules}


def _of_backbone(name: str) -> list[str]:
    """What is nested there is named so here: an order's next one is its "low"."""
    place = None
    if match := re.fullmatch(r"backbone_stem_(conv|bn)", name):
        place = f"pre.0.{match[1]}"
    elif match := re.fullmatch(r"backbone_stem_block(\d?)_(.+)", name):
        place = f"pre.{int(match[1] or 0) + 1}.{_inside(match[2])}"
    elif match := re.fullmatch(r"backbone_stack(\d+)_out_(conv|bn)", name):
        place = f"cnvs.{match[1]}.{match[2]}"
    elif match := re.fullmatch(r"backbone_stack(\d+)_(before|after)_(conv|bn)", name):
        place = f"{_BESIDE[match[2]]}.{match[1]}.{0 if match[3] == 'conv' else 1}"
    elif match := re.fullmatch(r"backbone_stack(\d+)_between_(.+)", name):
        place = f"inters.{match[1]}.{_inside(match[2])}"
    elif match := re.fullmatch(r"backbone_stack(\d+)((?:_low)*)_(stay|down|low|up)(\d+)_(.+)", name):
        inner = match[2].replace("_low", ".low2")
        place = f"kps.{match[1]}{inner}.{_ROWS[match[3]]}.{match[4]}.{_inside(match[5])}"
    elif match := re.fullmatch(r"backbone_stack(\d+)((?:_low)*)_enlarge", name):
        place = f"kps.{match[1]}{match[2].replace('_low', '.low2')}.up2"
    return [] if place is None else [place, f"hg.{re.sub('^kps', 'hgs', place)}"]


def _inside(part: str) -> str:
    """A layer of a residual block, or of a fire module."""
    return _INSIDE.get(part, part)


def _of_neck(name: str) -> list[str]:
    match = re.fullmatch(r"neck_stack(\d+)_(top_left|bottom_right|center)_(\w+)", name)
    if not match:
        return []
    part, _, kind = match[3].rpartition("_")
    if match[3].endswith("looked"):
        part, kind = match[3], ""
    inside = f"{_IN_MODULES[part]}{kind}{1 if part in _NUMBERED else ''}"
    point = _POINTS[match[2]]
    return [f"{point}_cnvs.{match[1]}.{inside}", f"{point}_modules.{match[1]}.{inside}"]


def _of_branch(name: str, stacks: int) -> list[str]:
    """Branches, whose stacks we count from the last one."""
    places = {"first": "0.conv", "last": "1"}
    if match := re.fullmatch(r"head_(heat|size|offset)(\d*)_(first|last)", name):
        kind = {"heat": "hm", "size": "wh", "offset": "reg"}[match[1]]
        return [f"{kind}.{stacks - 1 - int(match[2] or 0)}.{places[match[3]]}"]
    match = re.fullmatch(rf"head_({'|'.join(_POINTS)})_(heat|tag|offset)(\d*)_(first|last)", name)
    if not match:
        return []
    kinds = {"heat": ("heats",), "tag": ("tags",), "offset": ("regrs", "offs")}[match[2]]
    where = f"{stacks - 1 - int(match[3] or 0)}.{places[match[4]]}"
    return [f"{_POINTS[match[1]]}_{kind}.{where}" for kind in kinds]


def _of_attention(name: str, stacks: int) -> list[str]:
    match = re.fullmatch(rf"head_attention_({'|'.join(_ATTENTION)})(\d*)_(first|last)", name)
    if not match:
        return []
    size = _ATTENTION.index(match[1])
    place = "0.conv" if match[3] == "first" else "1"
    return [f"att_modules.{stacks - 1 - int(match[2] or 0)}.{size}.{place}"]
