"""What layers of Deformable DETR, DAB-Deformable-DETR and DINO are called by their authors, and in transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping

import keras
import numpy as np

from kzoo.weights.detr import BACKBONE, counted_from_one, renamed, unpacked, with_classes

# transformers' names and the authors'; all rules that match apply, one after the other.
_NAMES = (
    *BACKBONE,
    (r"^(?:model|transformer)\.decoder\.(class|bbox)_embed\.", r"\1_embed."),
    (r"^model\.query_position_embeddings\.", r"query_embed."),
    (r"^model\.input_proj\.", r"input_proj."),
    (r"^model\.", r"transformer."),
    # Where queries look at the cells last, the authors count that normalisation first.
    (r"(\.decoder\.layers\.\d\.)encoder_attn_layer_norm\.", r"\1norm1."),
    (r"(\.decoder\.layers\.\d\.)self_attn_layer_norm\.", r"\1norm2."),
    (r"(\.decoder\.layers\.\d\.)final_layer_norm\.", r"\1norm3."),
    (r"(\.encoder\.layers\.\d\.)self_attn_layer_norm\.", r"\1norm1."),
    (r"(\.encoder\.layers\.\d\.)final_layer_norm\.", r"\1norm2."),
    (r"(\.layers\.\d\.)(?:mlp\.)?fc(\d)\.", r"\1linear\2."),
    (r"\.self_attn\.o_proj\.", r".self_attn.out_proj."),
    (r"\.encoder_attn\.", r".cross_attn."),
    (r"^transformer\.level_embed$", r"transformer.level_embed.weight"),
    (r"^tgt_embed\.", r"transformer.tgt_embed."),
)
# Kept twice, under the decoder and without it.
_TWICE = re.compile(r"^(?:transformer|model)\.decoder\.(?:bbox|class)_embed\.")
_LAST = re.compile(r"^(class|bbox)_embed\.(\d)\.")

_ENCODER, _DECODER = r"neck_encoder_layer(\d)_", r"head_decoder(\d)_"
_DEFORMABLE = (
    ("offsets", "sampling_offsets"),
    ("weights", "attention_weights"),
    ("value", "value_proj"),
    ("out", "output_proj"),
)
# Patterns of our layers' names, and the authors' modules.
_RULES = (
    (r"neck_input(\d)", r"input_proj.\1.0"),
    (r"neck_input(\d)_norm", r"input_proj.\1.1"),
    (r"neck_encoder_levels", r"transformer.level_embed"),
    *(
        (_ENCODER + f"self_{ours}", rf"transformer.encoder.layers.\1.self_attn.{theirs}")
        for ours, theirs in _DEFORMABLE
    ),
    *(
        (_DECODER + f"cross_{ours}", rf"transformer.decoder.layers.\1.cross_attn.{theirs}")
        for ours, theirs in _DEFORMABLE
    ),
    *(
        (_DECODER + f"self_{ours}", rf"transformer.decoder.layers.\1.self_attn.{theirs}")
        for ours, theirs in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), ("out", "out_proj"))
    ),
    (_ENCODER + r"self_norm", r"transformer.encoder.layers.\1.norm1"),
    (_ENCODER + r"feedforward_norm", r"transformer.encoder.layers.\1.norm2"),
    (_DECODER + r"cross_norm", r"transformer.decoder.layers.\1.norm1"),
    (_DECODER + r"self_norm", r"transformer.decoder.layers.\1.norm2"),
    (_DECODER + r"feedforward_norm", r"transformer.decoder.layers.\1.norm3"),
    *(
        (f"{ours}feedforward_{part}", rf"transformer.{theirs}.layers.\1.{module}")
        for ours, theirs in ((_ENCODER, "encoder"), (_DECODER, "decoder"))
        for part, module in (("first", "linear1"), ("last", "linear2"))
    ),
    (r"head_norm", r"transformer.decoder.norm"),
    (r"head_position(\d)", r"transformer.decoder.ref_point_head.layers.\1"),
    (r"head_position", r"transformer.pos_trans"),
    (r"head_position_norm", r"transformer.pos_trans_norm"),
    (r"head_queries", r"query_embed"),
    (r"head_content", r"transformer.tgt_embed"),
    (r"head_scale(\d)", r"transformer.decoder.query_scale.layers.\1"),
    (r"head_query_boxes", r"refpoint_embed"),
    (r"head_labels", r"label_enc"),
    (r"head_reference", r"transformer.reference_points"),
    (r"head_encoder_dense", r"transformer.enc_output"),
    (r"head_encoder_norm", r"transformer.enc_output_norm"),
    (r"head_encoder_class", r"transformer.enc_out_class_embed"),
    (r"head_encoder_box(\d)", r"transformer.enc_out_bbox_embed.layers.\1"),
    (r"head_class(\d?)", r"class_embed.\1"),
    (r"head_box(\d?)_(\d)", r"bbox_embed.\1.layers.\2"),
)


def is_deformable(layers: Mapping[str, keras.layers.Layer]) -> bool:
    """Whether layers, by name, are those of Deformable DETR or DINO."""
    return "head_decoder0_cross_offsets" in layers and "neck_encoder_layer0_self_offsets" in layers


def torch_modules(layers: Mapping[str, keras.layers.Layer]) -> dict[str, list[str]]:
    """By our names what the modules are called once `as_ours` has named them.

    Args:
        layers: our layers by name. Of other networks nothing is said.
    """
    if not is_deformable(layers):
        return {}
    found = {}
    for name in layers:
        for pattern, module in _RULES:
            if match := re.fullmatch(pattern, name):
                # One layer for all of the decoder's is there as often as it is used, and the first is taken.
                found[name] = [re.sub(r"(class|bbox)_embed\.(?=\.|$)", r"\1_embed.0", match.expand(module))]
                break
    return found


def as_ours(
    tensors: Mapping[str, np.ndarray], layers: Mapping[str, keras.layers.Layer]
) -> dict[str, np.ndarray]:
    """A file's tensors by their authors' names, with projections apart, and each layer once.

    Args:
        tensors: the file's tensors by name.
        layers: our layers by name. Of other networks tensors stay as they are.
    """
    if not is_deformable(layers):
        return dict(tensors)
    depth = sum(name.endswith("_cross_offsets") for name in layers)
    shared, classes = (
        "head_class" in layers,
        layers.get("head_class", layers.get("head_class0")).kernel.shape[-1],
    )
    named = {}
    for key, value in tensors.items():
        if _TWICE.match(key) and re.sub(r".*\.decoder\.", "", key) in tensors:
            continue
        key = counted_from_one(renamed(key, _NAMES))
        if match := _LAST.match(key):
            number = int(match[2])
            if shared and 0 < number < depth:
                continue  # the same as the first
            if number == depth:  # what Deformable DETR's cells are told apart by
                key = _LAST.sub(r"transformer.enc_out_\1_embed.", key)
            if match[1] == "class":
                value = with_classes(value, classes, False)
        named |= unpacked(key, value)
    if "label_enc.weight" in named:  # theirs has none of the classes last
        named["label_enc.weight"] = np.roll(named["label_enc.weight"], 1, axis=0)
    return named
