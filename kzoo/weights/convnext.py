"""What ConvNeXt's layers are called by those who published weights."""

from __future__ import annotations

import re
from collections.abc import Mapping

import keras

from kzoo.backbones.convnext import CONVNEXTS

_BLOCK = re.compile(r"backbone_stage(\d+)_(\d+)_depthwise_conv")
# Parts of a block: ours, torchvision's, timm's, the authors', and keras.applications'.
_PARTS = (
    ("depthwise_conv", "block.0", "conv_dw", "dwconv", "depthwise_conv"),
    ("norm", "block.2", "norm", "norm", "layernorm"),
    ("expand_conv", "block.3", "mlp.fc1", "pwconv1", "pointwise_conv_1"),
    ("project_conv", "block.5", "mlp.fc2", "pwconv2", "pointwise_conv_2"),
    ("scale", "", "", "", "layer_scale"),
)


def convnext_backbone(layers: Mapping[str, keras.layers.Layer]) -> tuple[str | None, bool]:
    """Which ConvNeXt a backbone is, by its layers.

    Args:
        layers: layers by name; the backbone's among them.

    Returns:
        The variant's name, or None of another backbone; and whether it is that variant as published.
    """
    if "backbone_stem_norm" not in layers:
        return None, False
    shape = {name: [0] * 4 for name in ("blocks", "channels")}
    for name in layers:
        if match := _BLOCK.fullmatch(name):
            stage = int(match[1]) - 1
            shape["blocks"][stage] += 1
            shape["channels"][stage] = int(layers[name].kernel.shape[2])
    found = (tuple(shape["blocks"]), tuple(shape["channels"]))
    exact = next((name for name, known in CONVNEXTS.items() if known == found), None)
    return exact or next(iter(CONVNEXTS)), bool(exact)


def torch_modules(layers: Mapping[str, keras.layers.Layer]) -> dict[str, list[str]]:
    """By our names what the modules are called by torchvision, timm, and the authors.

    Args:
        layers: our layers by name. Of other networks nothing is said.
    """
    if "backbone_stem_norm" not in layers:
        return {}
    modules = {
        "backbone_stem_conv": ["features.0.0", "stem.0", "downsample_layers.0.0"],
        "backbone_stem_norm": ["features.0.1", "stem.1", "downsample_layers.0.1"],
        "neck_norm": ["classifier.0", "head.norm", "norm"],
        "head_classifier": ["classifier.2", "head.fc", "head"],
    }
    for stage in range(2, 5):
        for index, part in enumerate(("norm", "conv")):
            modules[f"backbone_stage{stage}_downsample_{part}"] = [
                f"features.{2 * (stage - 1)}.{index}",
                f"stages.{stage - 1}.downsample.{index}",
                f"downsample_layers.{stage - 1}.{index}",
            ]
    for stage, block in _blocks(layers):
        for ours, vision, timm, authors, _ in _PARTS:
            modules[f"backbone_stage{stage}_{block}_{ours}"] = [
                f"features.{2 * stage - 1}.{block}.{vision}".rstrip("."),
                f"stages.{stage - 1}.blocks.{block}.{timm}".rstrip("."),
                f"stages.{stage - 1}.{block}.{authors}".rstrip("."),
            ]
    return modules


def applications_names(layers: Mapping[str, keras.layers.Layer]) -> dict[str, list[str]]:
    """By our names what keras.applications calls the layers, without the network's name before it.

    Args:
        layers: our layers by name. Of other networks nothing is said.
    """
    if "backbone_stem_norm" not in layers:
        return {}
    names = {
        "backbone_stem_conv": ["stem_conv"],
        "backbone_stem_norm": ["stem_layernorm"],
        "neck_norm": ["head_layernorm"],
        "head_classifier": ["head_dense"],
    }
    for stage in range(2, 5):
        for ours, theirs in (("norm", "layernorm"), ("conv", "conv")):
            names[f"backbone_stage{stage}_downsample_{ours}"] = [f"downsampling_{theirs}_{stage - 2}"]
    for stage, block in _blocks(layers):
        for ours, *_, theirs in _PARTS:
            names[f"backbone_stage{stage}_{block}_{ours}"] = [f"stage_{stage - 1}_block_{block}_{theirs}"]
    return names


def _blocks(layers: Mapping[str, keras.layers.Layer]) -> list[tuple[int, int]]:
    """Stage and number of each block."""
    return [(int(match[1]), int(match[2])) for name in layers if (match := _BLOCK.fullmatch(name))]
