"""What weights ask of the network that takes them: how images are normalised, and where strides are."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from kzoo.layers.normalize import NORMALIZATIONS
from kzoo.weights.applications import IMAGENET, NORMALIZATION, is_applications


@dataclass(frozen=True)
class Reading:
    """What a backbone was trained with.

    Attributes:
        normalize: how images are normalised, one of `kzoo.layers.normalize.NORMALIZATIONS`.
        stride_first: whether the first convolution of a bottleneck has the stride, rather than the second: see
            `kzoo.backbones.resnet`.
    """

    normalize: str = "imagenet"
    stride_first: bool = False


def reading(
    backbone_weights: str | Path | None, weights: str | Path | None = None, own: str = Reading.normalize
) -> Reading:
    """What a network has to be, for these weights to mean in it what they meant where they were trained.

    Args:
        backbone_weights: what the architecture function got under this name: a file, "imagenet" or None.
        weights: what it got under this name: a file, the name of published weights or None; decides where both are
            given.
        own: the normalisation that whole models of the architecture were published with.

    Returns:
        Of keras.applications' files, by name or at hand, the first ResNets' conventions; of a `.keras` file its own;
        of other files of a whole model the architecture's; of a backbone, and of none, torchvision's.
    """
    source = backbone_weights if weights is None else weights
    if source is None:
        return Reading()
    path = Path(source)
    if (str(source) == IMAGENET and not path.is_file()) or is_applications(path):
        return Reading(NORMALIZATION, stride_first=True)
    if path.suffix == ".keras" and path.is_file():
        return _of_model(path)
    return Reading() if weights is None else Reading(own)


def _of_model(path: Path) -> Reading:
    """What a saved model's network says; a file that is none is for those to refuse who load it."""
    try:
        with zipfile.ZipFile(path) as file:
            config = json.loads(file.read("config.json"))
        layers = {
            layer["config"]["name"]: layer["config"]
            for layer in config["config"]["network"]["config"]["layers"]
        }
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return Reading()
    offset = layers.get("backbone_normalize", {}).get("offset")
    strides = layers.get("backbone_layer2_0_conv1", {}).get("strides", (1, 1))
    kinds = {_offset(kind): kind for kind in NORMALIZATIONS}
    return Reading(kinds.get(tuple(offset or ()), Reading.normalize), strides[0] > 1)


def _offset(kind: str) -> tuple[float, ...]:
    mean, deviation = NORMALIZATIONS[kind]
    return tuple(-m / d for m, d in zip(mean, deviation, strict=True))
