"""State dicts of YOLOs whose layers are numbered: `model.{i}...`, as YOLOv5, v7, v8, 11 and YOLOP have them."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from kzoo.weights import yolo_tables

log = logging.getLogger("kzoo")
_LAYER = re.compile(r"(backbone|neck|branch)_layer(\d+)_((?!\d+_).+)")
_LEVEL = re.compile(r"head_stride\d+(?:_\d+)?")
_SECOND = re.compile(r"head_auxiliary_stride\d+")  # of YOLOv7's largest sizes
_NUMBERED = re.compile(r"model\.(\d+)\.")
_ANCHORS = re.compile(r"model\.\d+\.anchors")
_ANCHOR_GRID = re.compile(r"model\.\d+\.anchor_grid")
_HEAD = re.compile(r"model\.(\d+)\.m\.(\d+)\.(weight|bias)")
_IMPLICIT = re.compile(r"model\.\d+\.i[am]\.\d+\.implicit")
_SETTINGS = re.compile(r"model\.\d+\.anchor(s|_grid)")  # the grid has them once more, in pixels
# Of branches that are added: a convolution and its normalisation are a pair.
_BRANCH = re.compile(r"rep_(conv|bn)([13])")
_BRANCHES = {"3": "dense", "1": "1x1"}
_PLACES = {"conv": ".0", "bn": ".1"}
# The second behind YOLOP's `Focus`; that of YOLOv7's largest sizes is a layer of its own.
_FIRST = ("backbone_layer0_conv", "backbone_layer0_conv_conv", "backbone_layer1_conv")
FIRST_NORMS = (
    "backbone_layer0_bn",
    "backbone_layer0_conv_bn",
    "backbone_stem_rep",
    "backbone_stem1_bn",
    "backbone_layer1_bn",
)
LICENCE = (
    "weights as the authors of YOLOv5, v8 and 11 publish them are under AGPL-3.0, and those of YOLOv7 under GPL-3.0; "
    "what is trained from them stays under it"
)


def is_numbered(layers: Mapping[str, keras.layers.Layer]) -> bool:
    """Whether these are the layers of a network that its authors number through."""
    return any(first in layers for first in _FIRST)


def torch_modules(layers: Mapping[str, keras.layers.Layer]) -> dict[str, list[str]]:
    """By our names what the modules are called.

    The head is the module behind the last layer of the neck, wherever that is; branches of other tasks come later.

    Args:
        layers: our layers by name. Of other networks nothing is said.
    """
    if not is_numbered(layers):
        return yolo_tables.torch_modules(layers, None)
    modules, last = {}, 0
    for name in layers:
        if match := _LAYER.fullmatch(name):
            part, number, module = match.groups()
            last = last if part == "branch" else max(last, int(number))
            modules[name] = [f"model.{number}.{_module(module)}"]
    levels = [name for name in layers if _LEVEL.fullmatch(name)]
    of_head = {name: [f"model.{last + 1}.m.{level}"] for level, name in enumerate(levels)}
    second = [name for name in layers if _SECOND.fullmatch(name)]
    of_head |= {name: [f"model.{last + 1}.m2.{level}"] for level, name in enumerate(second)}
    return {**modules, **of_head, **yolo_tables.torch_modules(layers, last + 1)}


def _module(name: str) -> str:
    """What a part of a layer is called: `cv1_conv` is `cv1.conv`, `m0_cv2_bn` is `m.0.cv2.bn`."""
    if match := _BRANCH.fullmatch(name):
        return f"rbr_{_BRANCHES[match[2]]}{_PLACES[match[1]]}"
    return re.sub(r"(?:^|(?<=\.))(m|ffn)(\d+)(?=\.|$)", r"\1.\2", name.replace("_", "."))


def is_behind(key: str, layers: Mapping[str, keras.layers.Layer]) -> bool:
    """Whether a tensor is of a module behind the backbone, whose layers these are."""
    numbers = [int(match[2]) for name in layers if (match := _LAYER.fullmatch(name))]
    match = _NUMBERED.match(key)
    return bool(numbers and match and int(match[1]) > max(numbers))


def without_settings(
    path: Path, tensors: Mapping[str, np.ndarray], layers: Mapping[str, keras.layers.Layer], head
) -> dict[str, np.ndarray]:
    """A file's tensors less its anchors, which are settings of the head; says whose licence the weights may be under.

    Args:
        path: the file, for messages.
        tensors: the file's tensors by name.
        layers: our layers by name. Of other networks tensors stay as they are.
        head: the model's head, whose anchors are to be the file's; None where the backbone alone is read.

    Raises:
        ValueError: the anchors differ; the message has those of the file.
    """
    tensors = yolo_tables.without_constants(path, tensors, layers)
    if not is_numbered(layers) or "head_objectness_stride8" in layers:
        return tensors
    if _FIRST[1] not in layers:  # those of YOLOP are under MIT
        log.warning("%s: licence of the weights: %s", path, LICENCE)
    anchored = hasattr(head, "anchors")
    found = pixel_anchors(tensors, head.strides) if anchored else None
    if anchored and found is None:
        log.warning(
            "%s: has no anchors of %d levels: the model's are taken to be its", path, len(head.strides)
        )
    if found is not None:
        ours = [np.asarray(level, float) for level in head.anchors]
        alike = [a.shape == b.shape and np.allclose(a, b, 1e-3) for a, b in zip(found, ours, strict=False)]
        if len(found) != len(ours) or not all(alike):
            theirs = [np.round(level, 2).tolist() for level in found]
            raise ValueError(
                f"{path}: was trained with other anchors than the model's; give anchors={theirs}"
            )
    return _without_implicit({key: value for key, value in tensors.items() if not _SETTINGS.fullmatch(key)})


def _without_implicit(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors less what YOLOv7's head learns to add before, and to multiply behind, each level's convolution.

    i (W (x + a) + b) is a convolution of its own, with i W and i (W a + b).
    """
    found = {}
    for key, value in tensors.items():
        if match := _HEAD.fullmatch(key):
            number, level, kind = match.groups()
            added, factor = (tensors.get(f"model.{number}.{part}.{level}.implicit") for part in ("ia", "im"))
            if added is not None and factor is not None:
                kernel = tensors[f"model.{number}.m.{level}.weight"]  # (filters, C, 1, 1)
                factor = factor.reshape(-1)
                if kind == "bias":
                    value = factor * (value + kernel[..., 0, 0] @ added.reshape(-1))
                else:
                    value = value * factor[:, None, None, None]
        if not _IMPLICIT.fullmatch(key):
            found[key] = value
    return found


def pixel_anchors(tensors: Mapping[str, np.ndarray], strides: Sequence[int]) -> list[np.ndarray] | None:
    """Anchors (A, 2) in pixels of each level; None without, or of other levels.

    State dicts have them in cells, (L, A, 2), exports in pixels, (L, 1, A, 1, 1, 2).
    """
    for key, value in tensors.items():
        found = np.asarray(value, float)
        if _ANCHORS.fullmatch(key) and found.ndim == 3 and len(found) == len(strides):
            return list(found * np.reshape(strides, (-1, 1, 1)))
        if _ANCHOR_GRID.fullmatch(key) and found.ndim == 6 and len(found) == len(strides):
            return list(found.reshape(len(found), -1, 2))
    return None
