"""What layers of DETR and its successors are called by their authors, and in transformers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from kzoo.weights.coco import HIGHEST, IDS

# The backbone's names in transformers, and torchvision's, but for where counting begins.
BACKBONE = (
    (r"^0\.body\.", r""),
    (r"^model\.backbone\.(?:conv_encoder\.)?model\.", r""),
    (r"^embedder\.embedder\.convolution\.", r"conv1."),
    (r"^embedder\.embedder\.normalization\.", r"bn1."),
    (r"^encoder\.stages\.(\d)\.layers\.(\d+)\.shortcut\.convolution", r"stage\1.\2.downsample.0"),
    (r"^encoder\.stages\.(\d)\.layers\.(\d+)\.shortcut\.normalization", r"stage\1.\2.downsample.1"),
    (r"^encoder\.stages\.(\d)\.layers\.(\d+)\.layer\.(\d)\.convolution", r"stage\1.\2.conv\3"),
    (r"^encoder\.stages\.(\d)\.layers\.(\d+)\.layer\.(\d)\.normalization", r"stage\1.\2.bn\3"),
)
# transformers' names, of its hub's files and of its own since version 5, and the authors'; all rules that match apply,
# one after the other.
_TRANSFORMERS = (
    *BACKBONE,
    (r"^model\.(encoder|decoder)\.", r"transformer.\1."),
    (r"^model\.input_projection\.", r"input_proj."),
    (r"^model\.query_position_embeddings\.", r"query_embed."),
    (r"^model\.query_refpoint_embeddings\.", r"refpoint_embed."),
    (r"^class_labels_classifier\.", r"class_embed."),
    (r"^bbox_predictor\.", r"bbox_embed."),
    (r"^transformer\.decoder\.layernorm\.", r"transformer.decoder.norm."),
    (r"(\.encoder\.layers\.\d\.)final_layer_norm\.", r"\1norm2."),
    (r"(\.decoder\.layers\.\d\.)(?:mlp\.)?final_layer_norm\.", r"\1norm3."),
    (r"(\.layers\.\d\.)(?:self_attn\.)?self_attn_layer_norm\.", r"\1norm1."),
    (r"(\.layers\.\d\.)(?:cross_attn\.cross_attn|encoder_attn)_layer_norm\.", r"\1norm2."),
    (r"(\.layers\.\d\.)(?:mlp\.)?fc(\d)\.", r"\1linear\2."),
    (r"(\.layers\.\d\.)(?:mlp\.)?activation_fn\.", r"\1activation."),
    (r"\.self_attn\.self_attn\.output_proj\.", r".self_attn.out_proj."),
    (r"\.cross_attn\.cross_attn\.output_proj\.", r".cross_attn.out_proj."),
    (r"\.(self_attn|encoder_attn)\.o_proj\.", r".\1.out_proj."),
    (r"\.(s)elf_attn\.self_attn_(query|key|value)_", r".\1a_\2_"),
    (r"\.(c)ross_attn\.cross_attn_(query|key|value)_", r".\1a_\2_"),
    (r"\.([sc]a)_query_pos_sine_proj\.", r".\1_qpos_sine_proj."),
    (r"\.([sc]a)_([qk])(?:uery|ey)_(content|pos)_proj\.", r".\1_\2\3_proj."),
    (r"\.([sc]a)_value_proj\.", r".\1_v_proj."),
    (r"\.self_attn\.([qk])_(content|pos)_proj\.", r".sa_\1\2_proj."),
    (r"\.encoder_attn\.([qk])_(content|pos)_proj\.", r".ca_\1\2_proj."),
    (r"\.encoder_attn\.q_pos_sine_proj\.", r".ca_qpos_sine_proj."),
)
# What means something else where content and position have projections of their own.
_OF_DETR = ((r"\.encoder_attn\.", r".multihead_attn."),)
_OF_CONDITIONAL = (
    (r"(\.decoder\.layers\.\d\.)self_attn\.v_proj\.", r"\1sa_v_proj."),
    (r"\.encoder_attn\.v_proj\.", r".ca_v_proj."),
    (r"\.encoder_attn\.", r".cross_attn."),
)
_SHARED = re.compile(
    r"^transformer\.decoder\.(bbox_embed|class_embed)\."
)  # kept twice, under the decoder and without
_PACKED = re.compile(r"(.*\.)in_proj_(weight|bias)$")

_ENCODER = r"neck_encoder_layer(\d)_"
_DECODER = r"head_decoder(\d)_"
# Patterns of our layers' names, and the authors' modules.
_RULES = (
    (r"neck_input", r"input_proj"),
    (r"neck_encoder_scale(\d)", r"transformer.encoder.query_scale.layers.\1"),
    (_ENCODER + r"self_(query|key|value)", r"transformer.encoder.layers.\1.self_attn.\2"),
    (_ENCODER + r"self_out", r"transformer.encoder.layers.\1.self_attn.out_proj"),
    (_ENCODER + r"self_norm", r"transformer.encoder.layers.\1.norm1"),
    (_ENCODER + r"feedforward_norm", r"transformer.encoder.layers.\1.norm2"),
    (r"neck_encoder_norm", r"transformer.encoder.norm"),
    (_DECODER + r"self_(query|key|value)", r"transformer.decoder.layers.\1.self_attn.\2"),
    (_DECODER + r"self_out", r"transformer.decoder.layers.\1.self_attn.out_proj"),
    (_DECODER + r"cross_(query|key|value|out)", r"transformer.decoder.layers.\1.multihead_attn.\2"),
    (_DECODER + r"self_norm", r"transformer.decoder.layers.\1.norm1"),
    (_DECODER + r"cross_norm", r"transformer.decoder.layers.\1.norm2"),
    (_DECODER + r"feedforward_norm", r"transformer.decoder.layers.\1.norm3"),
    *(
        (f"{ours}feedforward_{part}", rf"transformer.{theirs}.layers.\1.{module}")
        for ours, theirs in ((_ENCODER, "encoder"), (_DECODER, "decoder"))
        for part, module in (("first", "linear1"), ("last", "linear2"), ("slope", "activation"))
    ),
    (_DECODER + r"point_norm", r"transformer.decoder.layers.\1.norm4"),
    (_DECODER + r"offsets", r"transformer.decoder.layers.\1.point2"),
    (_DECODER + r"scales", r"transformer.decoder.layers.\1.point3"),
    (r"head_norm", r"transformer.decoder.norm"),
    (r"head_queries", r"query_embed"),
    (r"head_class", r"class_embed"),
    (r"head_box_(\d)", r"bbox_embed.layers.\1"),
    (r"head_points(\d)", r"transformer.decoder.ref_point_head.layers.\1"),
    (r"head_placing(\d)", r"transformer.decoder.ref_point_head.layers.\1"),
    (r"head_scale(\d)", r"transformer.decoder.query_scale.layers.\1"),
    (r"head_extent(\d)", r"transformer.decoder.ref_anchor_head.layers.\1"),
    (r"head_query_boxes", r"refpoint_embed"),
    (r"head_labels", r"label_enc"),
)
# The same where content and position have projections of their own; these come before the others.
_CONDITIONAL = (
    *(
        (rf"{_DECODER}{ours}_{part}", rf"transformer.decoder.layers.\1.{theirs}_{module}_proj")
        for ours, theirs in (("self", "sa"), ("cross", "ca"))
        for part, module in (
            ("query", "qcontent"),
            ("query_position", "qpos"),
            ("key", "kcontent"),
            ("key_position", "kpos"),
            ("value", "v"),
            ("query_waves", "qpos_sine"),
        )
    ),
    (_DECODER + r"cross_out", r"transformer.decoder.layers.\1.cross_attn.out_proj"),
)
# SMCA-DETR's points, which its first layer makes.
_SMCA = ((r"head_points(\d)", r"transformer.decoder.layers.0.point1.layers.\1"),)
_THIRDS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "out_proj"}


def is_detr(layers: Mapping[str, keras.layers.Layer]) -> bool:
    """Whether layers, by name, are those of DETR or of one of its successors with ordinary attention."""
    ordinary = {"head_decoder0_self_query", "head_decoder0_cross_out", "neck_encoder_layer0_self_query"}
    return ordinary <= set(layers) and "head_decoder0_cross_offsets" not in layers


def _is_conditional(layers: Mapping[str, keras.layers.Layer]) -> bool:
    return "head_decoder0_self_query_position" in layers


def torch_modules(layers: Mapping[str, keras.layers.Layer]) -> dict[str, list[str]]:
    """By our names what the modules are called once `as_ours` has named them.

    Args:
        layers: our layers by name. Of other networks nothing is said.
    """
    if not is_detr(layers):
        return {}
    rules = (*_CONDITIONAL, *_RULES) if _is_conditional(layers) else _RULES
    if "head_decoder0_offsets" in layers:
        rules = (*_SMCA, *_RULES)
    found = {}
    for name in layers:
        pattern, module = next((rule for rule in rules if re.fullmatch(rule[0], name)), (None, ""))
        if pattern is not None:
            module = re.fullmatch(pattern, name).expand(module)
            place, _, last = module.rpartition(".")
            found[name] = [f"{place}.{_THIRDS[last]}" if last in _THIRDS else module]
    return found


def as_ours(
    tensors: Mapping[str, np.ndarray], layers: Mapping[str, keras.layers.Layer], no_object: bool
) -> dict[str, np.ndarray]:
    """A file's tensors by their authors' names, with projections apart and no object as the first class.

    Args:
        tensors: the file's tensors by name.
        layers: our layers by name. Of other networks tensors stay as they are.
        no_object: whether the classes' layer tells no object besides, as the last class of the file.
    """
    if not is_detr(layers):
        return dict(tensors)
    rules = (*_TRANSFORMERS, *(_OF_CONDITIONAL if _is_conditional(layers) else _OF_DETR))
    named = {}
    for key, value in tensors.items():
        key = counted_from_one(renamed(key, rules))
        if not _SHARED.match(key):
            named |= unpacked(key, value)
    classes = layers["head_class"].kernel.shape[-1] - no_object
    for name in ("class_embed.weight", "class_embed.bias"):
        if name in named:
            named[name] = with_classes(named[name], classes, no_object)
    if "label_enc.weight" in named:  # whose last row is of no label
        named["label_enc.weight"] = with_classes(named["label_enc.weight"], classes, True)
    return named


def renamed(key: str, rules: Iterable[tuple[str, str]]) -> str:
    """A name after all rules, patterns with what stands in their place, one after the other."""
    for pattern, name in rules:
        key = re.sub(pattern, name, key)
    return key


def counted_from_one(key: str) -> str:
    """A name of the backbone after `BACKBONE`, with stages and convolutions counted from 1; others as they are."""
    return re.sub(r"^stage(\d)\.(.*?)(conv|bn)?(\d?)(\.[a-z_]+)$", _one_more, key)


def _one_more(match: re.Match) -> str:
    """Stages and convolutions counted from 1, where transformers counts from 0."""
    stage, block, kind, number, rest = match.groups()
    counted = f"{kind}{int(number) + 1}" if kind else number
    return f"layer{int(stage) + 1}.{block}{counted}{rest}"


def unpacked(key: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """Projections of queries, keys and values, each by itself where they are one tensor."""
    match = _PACKED.fullmatch(key)
    if match is None:
        return {key: value}
    thirds = np.split(value, 3)
    return {f"{match[1]}{part}_proj.{match[2]}": third for part, third in zip("qkv", thirds, strict=True)}


def with_classes(tensor: np.ndarray, classes: int, no_object: bool) -> np.ndarray:
    """Rows of classes, with that of no object first, where there is one; of COCO's 91 ids those of its 80 classes.

    Args:
        tensor: (K, ...) of classes, or (K + 1, ...) with no object as the last row.
        classes: how many classes the model has; where these are not COCO's 80, all rows are given.
        no_object: whether there is a row of no object.
    """
    rows = np.roll(tensor, 1, axis=0) if no_object else tensor
    if classes != len(IDS) or len(rows) != HIGHEST + 1 + no_object:
        return rows
    return rows[[*range(no_object), *(no_object + number for number in IDS)]]
