"""Torch's names for tensors of an ONNX file that has none, by the place of each convolution in the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from kzoo.model import ZooModel
from kzoo.weights import yolo
from kzoo.weights.assigning import named_layers
from kzoo.weights.matching import Convolution, matched, own_convolutions
from kzoo.weights.onnx_file import is_anonymous
from kzoo.weights.torch_names import module_names

_MERGED = ".rbr_reparam"  # what branches are called that were joined to one convolution


def with_names(
    path: Path,
    tensors: Mapping[str, np.ndarray],
    convolutions: Sequence[Convolution],
    model: ZooModel,
    wanted: Mapping[str, keras.layers.Layer],
) -> dict[str, np.ndarray]:
    """A file's tensors by the names that a state dict would have.

    Where all that is wanted is there by name, or nothing has a name that could be any layer's, they stay as they are.

    Args:
        path: the file, for messages.
        tensors: the file's tensors by name.
        convolutions: the file's convolutions.
        model: the model that takes them.
        wanted: the layers that take them, by name: all of the model's, or the backbone's.

    Raises:
        ValueError: the file's convolutions are not those of the model, or the model is no YOLO.
    """
    nameless = {each.name for each in convolutions if is_anonymous(each.name) or each.name.endswith(_MERGED)}
    layers = named_layers(model, False)
    modules = module_names(
        layers, {each.name for each in convolutions} - nameless, yolo.torch_modules(layers)
    )
    there = {each.name for each in convolutions}
    if not nameless or all(modules[name] in there for name in wanted if hasattr(wanted[name], "kernel")):
        return dict(tensors)
    try:
        pairs = _matched(tensors, convolutions, model, modules)
    except ValueError as error:
        raise ValueError(
            f"{path}: has convolutions without names, which do not fit {model.name} by their places: {error}; build it "
            "with the architecture, width and depth of the file, or export it with names, or give a state dict"
        ) from error
    ours = {theirs: module for module, theirs in pairs.items()}
    named = {}
    for key, value in tensors.items():
        module, _, part = key.rpartition(".")
        named[f"{ours.get(module, module)}.{part}"] = value
    return named


def _matched(
    tensors: Mapping[str, np.ndarray],
    convolutions: Sequence[Convolution],
    model: ZooModel,
    modules: Mapping[str, str],
) -> dict[str, str]:
    """Their names of our modules."""
    if not yolo.torch_modules(named_layers(model, False)):
        raise ValueError("places are known of YOLOs from YOLOv5 on alone")
    apart = [key for key in tensors if key.endswith(".running_mean")]
    if apart:
        raise ValueError("its batch normalisation is apart; export it in evaluation mode")
    own = own_convolutions(model)
    names = {each.name: modules.get(each.name) or modules[f"{each.name}_conv3"] for each in own}
    counting = {names[f"head_{layer.name}"] for layer, *_ in model.head.class_outputs()}
    return matched(convolutions, [each.renamed(names) for each in own], counting)
