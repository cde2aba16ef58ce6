"""What layers of RT-DETR are called by its authors, and in transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping

import keras
import numpy as np

from kzoo.weights.detr import renamed, unpacked

# transformers' names, of its hub's files and of its own since version 5, and the authors' of the first version, as the
# authors' of the second; all rules that match apply, one after the other.
_NAMES = (
    (r"^model\.backbone\.model\.", r"transformers."),
    (r"^transformers\.embedder\.stem(\w+)\.", r"stem.stem\1."),
    (r"^(stem\.stem2[ab]\.conv)\.1\.", r"\1."),
    (
        r"^transformers\.encoder\.stages\.(\d)\.(downsample|blocks\.\d\.(?:layers|aggregation)[\w.]*)\.",
        r"stages.\1.\2.",
    ),
    (r"^(stem\..*|stages\..*)\.convolution\.", r"\1.conv."),
    (r"^(stem\..*|stages\..*)\.normalization\.", r"\1.bn."),
    (r"\.aggregation_squeeze_conv\.", r".aggregation.0."),
    (r"\.aggregation_excitation_conv\.", r".aggregation.1."),
    (r"(\.short)\.conv\.(conv|norm)\.", r"\1.\2."),
    (r"^model\.(enc|dec)oder_input_proj\.", r"\1oder.input_proj."),
    (r"^model\.encoder\.(?:aifi|encoder)\.", r"encoder.encoder."),
    (r"^model\.encoder\.", r"encoder."),
    (r"^(?:model\.decoder\.)?class_embed\.", r"decoder.dec_score_head."),
    (r"^(?:model\.decoder\.)?bbox_embed\.", r"decoder.dec_bbox_head."),
    (r"^model\.decoder\.layers\.", r"decoder.decoder.layers."),
    (r"^model\.decoder\.", r"decoder."),
    (r"^model\.", r"decoder."),
    (r"(\.input_proj\.\d)\.0\.", r"\1.conv."),
    (r"(\.input_proj\.\d)\.1\.", r"\1.norm."),
    (r"\.enc_output\.0\.", r".enc_output.proj."),
    (r"\.enc_output\.1\.", r".enc_output.norm."),
    (r"\.self_attn_layer_norm\.", r".norm1."),
    (r"\.encoder_attn_layer_norm\.", r".norm2."),
    (r"^(encoder\..*)\.final_layer_norm\.", r"\1.norm2."),
    (r"\.final_layer_norm\.", r".norm3."),
    (r"\.(?:mlp\.)?fc(\d)\.", r".linear\1."),
    (r"\.self_attn\.o_proj\.", r".self_attn.out_proj."),
    (r"\.encoder_attn\.", r".cross_attn."),
)
# What transformers calls otherwise in D-FINE alone.
_D_FINE = (
    (r"(_blocks\.\d)\.csp_rep1\.", r"\1.cv2.0."),
    (r"(_blocks\.\d)\.csp_rep2\.", r"\1.cv3.0."),
    (r"(_blocks\.\d)\.conv([14])\.", r"\1.cv\2."),
    (r"(_blocks\.\d)\.conv([23])\.", r"\1.cv\2.1."),
    (r"(\.downsample_convs\.\d)\.conv(\d)\.", r"\1.0.cv\2."),
    (r"\.mlp\.layers\.0\.", r".linear1."),
    (r"\.mlp\.layers\.1\.", r".linear2."),
    (r"^decoder\.lqe_layers\.", r"decoder.decoder.lqe_layers."),
)
# Of transformers' ResNet, which counts from 0, the authors' names.
_RESNET = re.compile(
    r"^transformers\.(?:embedder\.embedder\.(\d)|encoder\.stages\.(\d)\.layers\.(\d+)\.(?:layer\.(\d)|(shortcut)(?:\.1)?))"
    r"\.(convolution|normalization)\."
)
# What follows from the settings alone.
_COMPUTED = re.compile(r"\.(anchors|valid_mask|n(um)?_points_scale|up|reg_scale)$")

_CONV = r"_(conv|bn)"
_KINDS = {"conv": "conv", "bn": "norm"}
# Patterns of our layers' names, and the authors' modules; {} takes what `_KINDS` has for the last part.
_RULES = (
    (r"backbone_stem_(conv|bn)(\d)", r"conv1.conv1_\2.{}"),
    (r"backbone_layer(\d)_(\d+)_downsample" + _CONV, r"res_layers.\1.blocks.\2.short.{}"),
    (r"backbone_layer(\d)_(\d+)_(conv|bn)(\d)", r"res_layers.\1.blocks.\2.branch2\4.{}"),
    (r"backbone_stem(\d\w?)" + _CONV, r"stem.stem\1.{bn}"),
    (r"backbone_stem(\d\w?)_affine", r"stem.stem\1.lab"),
    (r"backbone_stage(\d)_down" + _CONV, r"stages.\1.downsample.{bn}"),
    (r"backbone_stage(\d)_(\d+)_layer(\d)" + _CONV, r"stages.\1.blocks.\2.layers.\3.{bn}"),
    (r"backbone_stage(\d)_(\d+)_layer(\d)_affine", r"stages.\1.blocks.\2.layers.\3.lab"),
    (r"backbone_stage(\d)_(\d+)_layer(\d)_point" + _CONV, r"stages.\1.blocks.\2.layers.\3.conv1.{bn}"),
    (r"backbone_stage(\d)_(\d+)_layer(\d)_depth" + _CONV, r"stages.\1.blocks.\2.layers.\3.conv2.{bn}"),
    (r"backbone_stage(\d)_(\d+)_layer(\d)_depth_affine", r"stages.\1.blocks.\2.layers.\3.conv2.lab"),
    (r"backbone_stage(\d)_(\d+)_squeeze" + _CONV, r"stages.\1.blocks.\2.aggregation.0.{bn}"),
    (r"backbone_stage(\d)_(\d+)_squeeze_affine", r"stages.\1.blocks.\2.aggregation.0.lab"),
    (r"backbone_stage(\d)_(\d+)_excite" + _CONV, r"stages.\1.blocks.\2.aggregation.1.{bn}"),
    (r"backbone_stage(\d)_(\d+)_excite_affine", r"stages.\1.blocks.\2.aggregation.1.lab"),
    (r"neck_input(\d)" + _CONV, r"encoder.input_proj.\1.{}"),
    (r"neck_output(\d)" + _CONV, r"decoder.input_proj.\1.{}"),
    (r"neck_lateral(\d)" + _CONV, r"encoder.lateral_convs.\1.{}"),
    (r"neck_shrink(\d)" + _CONV, r"encoder.downsample_convs.\1.{}"),
    *(
        (rf"neck_{ours}(\d)_{part}" + _CONV, rf"encoder.{theirs}_blocks.\1.{module}.{{}}")
        for ours, theirs in (("down", "fpn"), ("up", "pan"))
        for part, module in (("through", "conv1"), ("past", "conv2"), ("out", "conv3"))
    ),
    *(
        (
            rf"neck_{ours}(\d)_block(\d)_rep_(conv|bn){size}",
            rf"encoder.{theirs}_blocks.\1.bottlenecks.\2.conv{number}.{{}}",
        )
        for ours, theirs in (("down", "fpn"), ("up", "pan"))
        for size, number in ((3, 1), (1, 2))
    ),
    *(
        (rf"{ours}{part}", rf"{theirs}.layers.\1.{module}")
        for ours, theirs, norms in (
            (r"neck_encoder_layer(\d)_", "encoder.encoder.0", ("norm1", "norm2", "norm2")),
            (r"head_decoder(\d)_", "decoder.decoder", ("norm1", "norm2", "norm3")),
        )
        for part, module in (
            ("self_query", "self_attn.q_proj"),
            ("self_key", "self_attn.k_proj"),
            ("self_value", "self_attn.v_proj"),
            ("self_out", "self_attn.out_proj"),
            ("cross_offsets", "cross_attn.sampling_offsets"),
            ("cross_weights", "cross_attn.attention_weights"),
            ("cross_value", "cross_attn.value_proj"),
            ("cross_out", "cross_attn.output_proj"),
            ("feedforward_first", "linear1"),
            ("feedforward_last", "linear2"),
            ("self_norm", norms[0]),
            ("cross_norm", norms[1]),
            ("feedforward_norm", norms[2]),
        )
    ),
    *(
        (rf"neck_{ours}(\d)_{part}" + _CONV, rf"encoder.{theirs}_blocks.\1.{module}.{{}}")
        for ours, theirs in (("down", "fpn"), ("up", "pan"))
        for part, module in (
            ("split", "cv1"),
            ("part0_through", "cv2.0.conv1"),
            ("part0_past", "cv2.0.conv2"),
            ("part0_last", "cv2.1"),
            ("part1_through", "cv3.0.conv1"),
            ("part1_past", "cv3.0.conv2"),
            ("part1_last", "cv3.1"),
            ("merge", "cv4"),
        )
    ),
    *(
        (
            rf"neck_{ours}(\d)_part{part}_block(\d)_rep_(conv|bn){size}",
            rf"encoder.{theirs}_blocks.\1.cv{part + 2}.0.bottlenecks.\2.conv{number}.{{}}",
        )
        for ours, theirs in (("down", "fpn"), ("up", "pan"))
        for part in (0, 1)
        for size, number in ((3, 1), (1, 2))
    ),
    (r"neck_shrink(\d)_point" + _CONV, r"encoder.downsample_convs.\1.0.cv1.{}"),
    (r"neck_shrink(\d)_depth" + _CONV, r"encoder.downsample_convs.\1.0.cv2.{}"),
    (r"head_decoder(\d)_gate", r"decoder.decoder.layers.\1.gateway.gate"),
    (r"head_decoder(\d)_gate_norm", r"decoder.decoder.layers.\1.gateway.norm"),
    (r"head_quality(\d)_(\d)", r"decoder.decoder.lqe_layers.\1.reg_conf.layers.\2"),
    (r"head_first_box(\d)", r"decoder.pre_bbox_head.layers.\1"),
    (r"head_position(\d)", r"decoder.query_pos_head.layers.\1"),
    (r"head_labels", r"decoder.denoising_class_embed"),
    (r"head_encoder_dense", r"decoder.enc_output.proj"),
    (r"head_encoder_norm", r"decoder.enc_output.norm"),
    (r"head_encoder_class", r"decoder.enc_score_head"),
    (r"head_encoder_box(\d)", r"decoder.enc_bbox_head.layers.\1"),
    (r"head_class(\d)", r"decoder.dec_score_head.\1"),
    (r"head_box(\d)_(\d)", r"decoder.dec_bbox_head.\1.layers.\2"),
)


def is_rt_detr(layers: Mapping[str, keras.layers.Layer]) -> bool:
    """Whether layers, by name, are those of RT-DETR or one of its kin."""
    return "head_decoder0_cross_offsets" in layers and "neck_encoder_layer0_self_query" in layers


def torch_modules(layers: Mapping[str, keras.layers.Layer]) -> dict[str, list[str]]:
    """By our names what the modules are called once `as_ours` has named them.

    Args:
        layers: our layers by name. Of other networks nothing is said.
    """
    if not is_rt_detr(layers):
        return {}
    found = {}
    for name in layers:
        for pattern, module in _RULES:
            match = re.fullmatch(pattern, name)
            if match:
                found[name] = [_counted(_with_kind(match, module), name)]
                break
    return found


def _with_kind(match: re.Match, module: str) -> str:
    """A module's name with that of its convolution or normalisation."""
    kind = next((group for group in match.groups() if group in _KINDS), "")
    expanded = match.expand(module.replace("{bn}", "<bn>").replace("{}", "<>"))
    return expanded.replace("<bn>", kind).replace("<>", _KINDS.get(kind, ""))


def _counted(module: str, name: str) -> str:
    """Stages counted from 0, where ours are from 1, and branches by letters."""
    if not name.startswith("backbone_"):
        return module
    module = re.sub(r"^(res_layers|stages)\.(\d)", lambda found: f"{found[1]}.{int(found[2]) - 1}", module)
    return re.sub(r"branch2(\d)", lambda found: f"branch2{'abc'[int(found[1]) - 1]}", module)


def as_ours(
    tensors: Mapping[str, np.ndarray], layers: Mapping[str, keras.layers.Layer]
) -> dict[str, np.ndarray]:
    """A file's tensors by the names of RT-DETRv2's authors, with projections apart.

    Args:
        tensors: the file's tensors by name.
        layers: our layers by name. Of other networks tensors stay as they are.
    """
    if not is_rt_detr(layers):
        return dict(tensors)
    named, rules = {}, (*_NAMES, *(_D_FINE if "head_decoder0_gate" in layers else ()))
    for key, value in tensors.items():
        key = _RESNET.sub(_as_authors, renamed(key, rules))
        if not _COMPUTED.search(key):
            named |= unpacked(key, value)
    book = "decoder.denoising_class_embed.weight"
    if book in named:  # theirs has none of the classes last
        named[book] = np.roll(named[book], 1, axis=0)
    return named


def _as_authors(match: re.Match) -> str:
    stem, stage, block, number, shortcut, kind = match.groups()
    kind = "conv" if kind == "convolution" else "norm"
    if stem is not None:
        return f"conv1.conv1_{int(stem) + 1}.{kind}."
    place = "short" if shortcut else f"branch2{'abc'[int(number)]}"
    return f"res_layers.{stage}.blocks.{block}.{place}.{kind}."
