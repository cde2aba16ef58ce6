"""What weights ask of the network that takes them: how images are normalised, and where strides and windows are."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kzoo.layers.normalize import NORMALIZATIONS
from kzoo.model import ZooModel
from kzoo.options.building import IMAGENET
from kzoo.weights.applications import NORMALIZATION, backbone_of, is_applications
from kzoo.weights.archives import read_json_member
from kzoo.weights.state_dicts import SUFFIXES, state_dict, tensor_names
from kzoo.weights.yolo import FIRST_NORMS, pixel_anchors


@dataclass(frozen=True)
class Reading:
    """What a backbone was trained with.

    Attributes:
        normalize: how images are normalised, one of `kzoo.layers.normalize.NORMALIZATIONS`.
        stride_first: whether the first convolution of a bottleneck has the stride, rather than the second: see
            `kzoo.backbones.resnet`.
        padding: where strided windows lie, of EfficientNets and MobileNets: see `kzoo.layers.inverted.Manner`.
        epsilon: what the batch normalisation adds to variances, where the file is not of torch's default.
    """

    normalize: str = "imagenet"
    stride_first: bool = False
    padding: str = "same"
    epsilon: float | None = None

    @property
    def strides(self) -> dict[str, bool | str]:
        """Where strides and windows are, as `kzoo.backbones.named.backbone_features` takes it."""
        return {"stride_first": self.stride_first, "padding": self.padding}


_TF, _TORCH = Reading(epsilon=1e-3), Reading(padding="symmetric")
_INCEPTION, _LITE = Reading("inception", epsilon=1e-3), Reading("lite", epsilon=1e-3)
# By how a backbone's name begins: what its weights were trained with, by who published them; under None what it has
# untrained. "timm-tf" are networks of TensorFlow's authors as timm has them.
_CONVENTIONS = {
    "efficientnet-b": {"torchvision": _TORCH, "timm": _TORCH, None: _TF},
    "efficientnet-lite": {"timm": _TORCH, "timm-tf": _INCEPTION, None: _LITE},
    "mobilenetv2": {"applications": _INCEPTION, "torchvision": _TORCH, "timm": _TORCH, None: _TF},
    "mobilenetv3": {
        "applications": _INCEPTION,
        "torchvision": Reading(padding="symmetric", epsilon=1e-3),
        "torchvision-detector": _TORCH,
        "timm": _TORCH,
        "timm-tf": _INCEPTION,
        None: _TF,
    },
    "convnext": {None: Reading()},
}
# torchvision's larger EfficientNets keep TensorFlow's epsilon.
_KEEP_EPSILON = ("efficientnet-b5", "efficientnet-b6", "efficientnet-b7")
# A tensor by whose name a publisher is known.
_MARKS = {
    "conv_stem.weight": "timm",
    "features.0.0.weight": "torchvision",
    "0.0.weight": "torchvision-detector",
}
_TF_NAME = re.compile(r"(?<![a-z])tf_(efficientnet|mobilenet)")


def reading(
    backbone_weights: str | Path | None,
    weights: str | Path | None = None,
    own: str = Reading.normalize,
    backbone: str | None = None,
) -> Reading:
    """What a network has to be, for these weights to mean in it what they meant where they were trained.

    Args:
        backbone_weights: what the architecture function got under this name: a file, "imagenet" or None.
        weights: what it got under this name: a file, the name of published weights or None; decides where both are
            given.
        own: the normalisation that whole models of the architecture were published with.
        backbone: name of the backbone, where that is an EfficientNet, a MobileNet or a ConvNeXt, for what it was
            trained with depends on who did. timm's ports of TensorFlow's are known by a `tf_` in the path, as their
            names have it.

    Returns:
        Of keras.applications' files, by name or at hand, the first ResNets' conventions; of a `.keras` file its own;
        of other files of a whole model the architecture's; of a backbone, and of none, torchvision's.
    """
    source = backbone_weights if weights is None else weights
    if _family(backbone) is not None:
        path = None if source is None else Path(source)
        if path is not None and path.suffix == ".keras" and path.is_file():
            return _of_model(path)
        return _convention(backbone, source)
    if source is None:
        return Reading()
    path = Path(source)
    if (str(source) == IMAGENET and not path.is_file()) or is_applications(path):
        return Reading(NORMALIZATION, stride_first=True)
    if path.suffix == ".keras" and path.is_file():
        return _of_model(path)
    return Reading() if weights is None else Reading(own)


def file_epsilon(model: ZooModel, path: Path) -> float | None:
    """What the batch normalisation of a state dict's network adds to variances, where it is not torch's default.

    Args:
        model: the model that takes the file.
        path: the state dict's file.
    """
    kind, _ = backbone_of(model)
    first = next((layer for layer in model.network.layers if layer.name in FIRST_NORMS), None)
    if first is not None:  # a YOLO, whose layers have what its authors' have
        return first.epsilon
    return None if _family(kind) is None else _convention(kind, path).epsilon


def state_anchors(weights: str | Path | None, strides: Sequence[int]) -> list | None:
    """The anchors that a state dict was trained with, by level; None where it is another file, or does not say.

    Args:
        weights: what an architecture function got under this name.
        strides: pixels a cell of each level.
    """
    if weights is None or Path(weights).suffix not in SUFFIXES or not Path(weights).is_file():
        return None
    found = pixel_anchors(state_dict(Path(weights)), strides)
    return None if found is None else [np.round(level, 4).tolist() for level in found]


def _family(backbone: str | None) -> str | None:
    """How the names of a backbone's family begin, if there are conventions for it."""
    return next((family for family in _CONVENTIONS if (backbone or "").startswith(family)), None)


def _convention(backbone: str, source: str | Path | None) -> Reading:
    """What weights of a backbone were trained with."""
    known, publisher = _CONVENTIONS[_family(backbone)], _publisher(source)
    if publisher == "torchvision" and backbone in _KEEP_EPSILON:
        return Reading(padding="symmetric", epsilon=_TF.epsilon)
    return known.get(publisher, known[None])


def _publisher(source: str | Path | None) -> str | None:
    """Who published a file, or whose "imagenet" is; None where there is none, or it is not known."""
    if source is None:
        return None
    path = Path(source)
    if (str(source) == IMAGENET and not path.is_file()) or is_applications(path):
        return "applications"
    if path.suffix not in SUFFIXES or not path.is_file():
        return None
    names = tensor_names(path)
    publisher = next((publisher for mark, publisher in _MARKS.items() if mark in names), None)
    return f"{publisher}-tf" if publisher == "timm" and _TF_NAME.search(str(path)) else publisher


def _of_model(path: Path) -> Reading:
    """What a saved model's network says; a file that is none is for those to refuse who load it."""
    try:
        config = read_json_member(path)
        layers = {
            layer["config"]["name"]: layer["config"]
            for layer in config["config"]["network"]["config"]["layers"]
        }
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return Reading()
    offset = layers.get("backbone_normalize", {}).get("offset")
    strides = layers.get("backbone_layer2_0_conv1", {}).get("strides", (1, 1))
    kinds = {_offset(kind): kind for kind in NORMALIZATIONS}
    padding = "symmetric" if "backbone_stem_pad" in layers else "same"
    return Reading(kinds.get(tuple(offset or ()), Reading.normalize), strides[0] > 1, padding)


def _offset(kind: str) -> tuple[float, ...]:
    mean, deviation = NORMALIZATIONS[kind]
    return tuple(-m / d for m, d in zip(mean, deviation, strict=True))
