"""What layers of keypoint detectors are called by their authors."""

from __future__ import annotations

import re
from collections.abc import Mapping

import keras
import numpy as np

from kzoo.weights import hourglasses

_KINDS = {"heat": "hm", "size": "wh", "offset": "reg"}
_PLACES = {"project": "proj", "node": "node", "spread": "up"}
_FIRST = ("conv1.weight", "base.base_layer.0.weight", "pre.0.conv.weight", "hg.pre.0.conv.weight")
_OURS = ("head_heat_last", "backbone_stack0_out_conv")  # of networks whose images have blue first
# Projections of DLA-34's deeper trees, whose results the authors' code throws away.
_IDLE = re.compile(r"base\.level[34]\.project\.")


def torch_modules(layers: Mapping[str, keras.layers.Layer]) -> dict[str, list[str]]:
    """By our names what the modules are called.

    Args:
        layers: our layers by name. Of other networks nothing is said.
    """
    if "head_box_centerness" in layers:
        return {name: [module] for name in layers if (module := _of_fcos(name))}
    if hourglass := hourglasses.torch_modules(layers):
        return hourglass
    if "head_heat_last" not in layers:
        return {}
    found = {name: _of_head(name) or _of_steps(name) or _of_aggregation(name) for name in layers}
    if "backbone_base_conv" in layers:
        found |= {name: _of_trees(name) for name in layers if name.startswith("backbone_")}
    return {name: [module] for name, module in found.items() if module}


def _of_fcos(name: str) -> str | None:
    """torchvision's: in its towers a convolution, its normalisation and a ReLU are three in a row."""
    kinds = {"class": "classification_head", "box": "regression_head"}
    last = {"class_logits": "cls_logits", "box_deltas": "bbox_reg", "box_centerness": "bbox_ctrness"}
    if match := re.fullmatch(r"head_(class|box)_tower(\d)(_norm)?", name):
        return f"head.{kinds[match[1]]}.conv.{3 * int(match[2]) + (1 if match[3] else 0)}"
    name = name.removeprefix("head_")
    return f"head.{kinds[name.partition('_')[0]]}.{last[name]}" if name in last else None


def _of_head(name: str) -> str | None:
    match = re.fullmatch(r"head_(heat|size|offset)_(first|last)", name)
    return match and f"{_KINDS[match[1]]}.{0 if match[2] == 'first' else 2}"


def _of_steps(name: str) -> str | None:
    """Of each step a deformable convolution, its normalisation and ReLU, and the same of the transposed one."""
    match = re.fullmatch(r"neck_up(\d)_(deform|enlarge)(_bn)?", name)
    if not match:
        return None
    return f"deconv_layers.{6 * int(match[1]) + (3 if match[2] == 'enlarge' else 0) + (1 if match[3] else 0)}"


def _of_aggregation(name: str) -> str | None:
    match = re.fullmatch(r"neck_(last|round(\d))_(project|node|spread)(\d)(?:_deform(_bn)?)?", name)
    if not match:
        return None
    where, number, place, index, norm = match.groups()
    module = "ida_up" if where == "last" else f"dla_up.ida_{number}"
    kind = "" if place == "spread" else ".conv"
    return f"{module}.{_PLACES[place]}_{index}{'.actf.0' if norm else kind}"


def _of_trees(name: str) -> str | None:
    """DLA's trees are called alike; what stands in a row is numbered there."""
    name = name.removeprefix("backbone_")
    if match := re.fullmatch(r"(base|level[01])_(conv|bn)", name):
        row = "base.base_layer" if match[1] == "base" else f"base.{match[1]}"
        return f"{row}.{0 if match[2] == 'conv' else 1}"
    name = name.replace("project_conv", "project_0").replace("project_bn", "project_1")
    return f"base.{name.replace('_', '.')}"


def as_ours(
    tensors: Mapping[str, np.ndarray], layers: Mapping[str, keras.layers.Layer]
) -> dict[str, np.ndarray]:
    """A file's tensors with the first kernel's colours turned round, for the authors' images have blue first.

    Args:
        tensors: the file's tensors by name.
        layers: our layers by name. Of other networks tensors stay as they are.
    """
    if not any(name in layers for name in _OURS):
        return dict(tensors)
    return {
        key: value[:, ::-1] if key in _FIRST else value
        for key, value in tensors.items()
        if not _IDLE.match(key)
    }
