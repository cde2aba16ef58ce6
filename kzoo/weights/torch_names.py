"""What torchvision and timm call our layers, by a table of name rules."""

from __future__ import annotations

import re

import keras

_SUBNETS = (("class", "classification"), ("box", "regression"))  # ours and torchvision's
# Patterns of our layers' names, and what torch's modules are called: the first of several that the file has counts.
RULES = (
    (r"backbone_(conv|bn)1", (r"\g<1>1",)),
    (r"backbone_layer(\d)_(\d+)_(conv|bn)(\d)", (r"layer\1.\2.\3\4",)),
    (r"backbone_layer(\d)_(\d+)_downsample_conv", (r"layer\1.\2.downsample.0",)),
    (r"backbone_layer(\d)_(\d+)_downsample_bn", (r"layer\1.\2.downsample.1",)),
    (r"backbone_fc6", ("classifier.0", "pre_logits.fc1", "extra.0.7.1")),
    (r"backbone_fc7", ("classifier.3", "pre_logits.fc2", "extra.0.7.3")),
    (r"neck_conv", ("classifier.0",)),
    (r"neck_bn", ("classifier.1",)),
    # The branch of the image's mean has its pooling before the convolution, and so other numbers.
    (r"neck_aspp(\d)_conv", (r"classifier.0.convs.\1.0", r"classifier.0.convs.\1.1")),
    (r"neck_aspp(\d)_bn", (r"classifier.0.convs.\1.2", r"classifier.0.convs.\1.1")),
    (r"neck_aspp_project_conv", ("classifier.0.project.0",)),
    (r"neck_aspp_project_bn", ("classifier.0.project.1",)),
    (r"neck_head_conv", ("classifier.1",)),
    (r"neck_head_bn", ("classifier.2",)),
    (r"neck_auxiliary_conv", ("aux_classifier.0",)),
    (r"neck_auxiliary_bn", ("aux_classifier.1",)),
    # Detectors, as they are written since 2022 and as they were before.
    (r"neck_(p\d)", (r"fpn.extra_blocks.\1",)),
    (r"neck_l2norm", ("",)),
    (r"neck_extra(\d)_1", (r"extra.\1.0",)),
    (r"neck_extra(\d)_2", (r"extra.\1.2",)),
    *(
        (f"head_{ours}_tower{i}", (f"head.{theirs}_head.conv.{i}.0", f"head.{theirs}_head.conv.{2 * i}"))
        for ours, theirs in _SUBNETS
        for i in range(4)
    ),
    *((rf"head_{ours}_tower(\d)_norm", (rf"head.{theirs}_head.conv.\1.1",)) for ours, theirs in _SUBNETS),
    (r"head_class_logits", ("head.classification_head.cls_logits",)),
    (r"head_box_deltas", ("head.regression_head.bbox_reg",)),
    (r"head_rpn_conv(\d)", (r"rpn.head.conv.\1.0", "rpn.head.conv")),
    (r"head_rpn_class", ("rpn.head.cls_logits",)),
    (r"head_rpn_box", ("rpn.head.bbox_pred",)),
    (r"head_box_tower(\d)_conv", (r"roi_heads.box_head.\1.0",)),
    (r"head_box_tower(\d)_bn", (r"roi_heads.box_head.\1.1",)),
    (r"head_box_dense0", ("roi_heads.box_head.fc6", "roi_heads.box_head.5")),
    (r"head_box_dense1", ("roi_heads.box_head.fc7",)),
    (r"head_box_class", ("roi_heads.box_predictor.cls_score",)),
    (r"head_box_box", ("roi_heads.box_predictor.bbox_pred",)),
    *(
        (f"head_mask_tower{i}_conv", (f"roi_heads.mask_head.{i}.0", f"roi_heads.mask_head.mask_fcn{i + 1}"))
        for i in range(4)
    ),
    (r"head_mask_tower(\d)_bn", (r"roi_heads.mask_head.\1.1",)),
    (r"head_mask_finer", ("roi_heads.mask_predictor.conv5_mask",)),
    (r"head_mask_class", ("roi_heads.mask_predictor.mask_fcn_logits",)),
    (r"head_classifier", ("fc", "classifier.4", "classifier.6", "head.fc")),
    (r"head_auxiliary_classifier", ("aux_classifier.4",)),
)


def module_names(
    layers: dict[str, keras.layers.Layer], known: set[str], tables: dict[str, list[str]]
) -> dict[str, str]:
    """The module of the file that each of our layers is, by name; where there is none, what it would be called.

    Args:
        layers: our layers with weights, by name.
        known: names of the modules in the file.
        tables: for layers that no rule is for, what they may be called.
    """
    modules = {}
    numbered = {**_vgg_modules(layers), **_level_modules(layers), **_pyramid_modules(layers), **tables}
    for name in layers:
        candidates = numbered.get(name)
        if candidates is None:
            pattern, templates = next(
                (rule for rule in RULES if re.fullmatch(rule[0], name)), (name, (name,))
            )
            candidates = [re.fullmatch(pattern, name).expand(template) for template in templates]
        modules[name] = next((candidate for candidate in candidates if candidate in known), candidates[0])
    return modules


def _vgg_modules(layers: dict[str, keras.layers.Layer]) -> dict[str, list[str]]:
    """What the modules of VGG's layers may be called, by our name.

    They are numbered through with ReLUs and poolings; in SSD, whose features end before the last stage, that stage is
    numbered by itself.
    """
    modules, number = {}, 0
    for stage in range(1, 6):
        start = number - 1
        for conv in range(1, sum(name.startswith(f"backbone_block{stage}_conv") for name in layers) + 1):
            for kind in ("conv", "bn"):
                name = f"backbone_block{stage}_{kind}{conv}"
                if name in layers:
                    modules[name] = [f"features.{number}"]
                    modules[name] += [f"extra.0.{number - start}"] if stage == 5 else []
                    number += 1
            number += 1  # the ReLU
        number += 1  # the pooling
    return modules


def _level_modules(layers: dict[str, keras.layers.Layer]) -> dict[str, list[str]]:
    """What the modules of an SSD's last layers are called, by our name: they are numbered by level."""
    modules = {}
    for ours, theirs in _SUBNETS:
        levels = [name for name in layers if name.startswith(f"head_{ours}_stride")]
        modules |= {name: [f"head.{theirs}_head.module_list.{i}"] for i, name in enumerate(levels)}
    return modules


def _pyramid_modules(layers: dict[str, keras.layers.Layer]) -> dict[str, list[str]]:
    """What the modules of a feature pyramid may be called, by our name: from 0, where ours have their levels."""
    modules = {}
    for ours, theirs in (("lateral", "inner_blocks"), ("smooth", "layer_blocks")):
        levels = sorted(name for name in layers if re.fullmatch(rf"neck_{ours}\d", name))
        for i, name in enumerate(levels):
            modules[name] = [f"fpn.{theirs}.{i}.0", f"fpn.{theirs}.{i}"]
            modules[f"{name}_bn"] = [f"fpn.{theirs}.{i}.1"]
    return modules
