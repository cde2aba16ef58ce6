"""What layers of Anchor DETR are called by its authors."""

from __future__ import annotations

import re
from collections.abc import Mapping

import keras
import numpy as np

from kzoo.weights.detr import with_classes

_SIDES = {"encoder": "encoder_layers", "decoder": "decoder_layers"}
_PARTS = ("column_query", "row_query", "column_key", "row_key", "value")  # of one matrix, in their order
_ATTENTIONS = {
    ("encoder", "self"): _PARTS,
    ("decoder", "cross"): _PARTS,
    ("decoder", "self"): ("query", "key", "value"),
}
_NORMS = {("encoder", "self"): "norm1", ("decoder", "cross"): "norm1", ("decoder", "self"): "norm2"}
_OTHERS = {
    "neck_input": "input_proj.0.0",
    "neck_input_norm": "input_proj.0.1",
    "head_class": "transformer.class_embed.0",
    **{f"head_box_{i}": f"transformer.bbox_embed.0.layers.{i}" for i in range(3)},
    "head_query_points": "transformer.position",
    "head_patterns": "transformer.pattern",
    **{f"head_placing{i}": f"transformer.adapt_pos2d.{2 * i}" for i in range(2)},
    **{f"head_lining{i}": f"transformer.adapt_pos1d.{2 * i}" for i in range(2)},
}
_COPY = re.compile(
    r"transformer\.(class|bbox)_embed\.[1-9]\d*\."
)  # a layer's own name of what all layers share
_PACKED = re.compile(r"(transformer\.(?:encoder|decoder)_layers\.\d+\.(\w+)_attn\.)in_proj_(weight|bias)")


def _is_anchor_detr(layers: Mapping[str, keras.layers.Layer]) -> bool:
    return "head_encoder0_self_column_query" in layers


def torch_modules(layers: Mapping[str, keras.layers.Layer]) -> dict[str, list[str]]:
    """By our names what the modules are called once `as_ours` has named them.

    Args:
        layers: our layers by name. Of other networks nothing is said.
    """
    if not _is_anchor_detr(layers):
        return {}
    found = {name: _module(name) for name in layers}
    return {name: [module] for name, module in found.items() if module}


def _module(name: str) -> str | None:
    match = re.fullmatch(r"head_(encoder|decoder)(\d+)_(self|cross|feedforward)_(\w+)", name)
    if match is None:
        return _OTHERS.get(name)
    side, number, place, part = match.groups()
    start = f"transformer.{_SIDES[side]}.{number}"
    if place == "feedforward":
        return f"{start}.ffn.{ {'first': 'linear1', 'last': 'linear2', 'norm': 'norm2'}[part] }"
    if part == "norm":
        return f"{start}.{_NORMS[side, place]}"
    return f"{start}.{place}_attn.{'out_proj' if part == 'out' else part}"


def as_ours(
    tensors: Mapping[str, np.ndarray], layers: Mapping[str, keras.layers.Layer]
) -> dict[str, np.ndarray]:
    """A file's tensors with projections apart, and of what layers share one; of COCO's ids those of its 80 classes.

    Args:
        tensors: the file's tensors by name.
        layers: our layers by name. Of other networks tensors stay as they are.
    """
    if not _is_anchor_detr(layers):
        return dict(tensors)
    named, classes = {}, layers["head_class"].kernel.shape[-1]
    for key, value in tensors.items():
        match = _PACKED.fullmatch(key)
        if match:
            side = "encoder" if "encoder" in key else "decoder"
            parts = _ATTENTIONS[side, match[2]]
            pieces = np.split(value, len(parts))
            named |= {f"{match[1]}{part}.{match[3]}": x for part, x in zip(parts, pieces, strict=True)}
        elif key.startswith("transformer.class_embed.0."):
            named[key] = with_classes(value, classes, no_object=False)
        elif not _COPY.match(key):
            named[key] = value
    return named
