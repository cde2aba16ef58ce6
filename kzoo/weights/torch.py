"""State dicts of torchvision and timm, and of YOLOs, into our layers."""

from __future__ import annotations

import math
import re
from pathlib import Path

import keras
import numpy as np

from kzoo.model import ZooModel
from kzoo.weights import anchor_detr, convnext, deformable_detr, detr, inverted, keypoints, rt_detr, yolo
from kzoo.weights.assigning import Assignment, atrous_classifier, named_layers, subsampled
from kzoo.weights.coco import select_ids
from kzoo.weights.onnx_names import with_names
from kzoo.weights.state_dicts import opened
from kzoo.weights.torch_names import module_names
from kzoo.weights.unfolding import unfolded

EPSILON = 1e-5  # what torch's batch normalisation adds to variances, if not told otherwise

# Layers that count classes and the background of regions.
_OF_REGIONS = ("head_box_class", "head_box_box", "head_mask_class")
# What a file may have and a model may do without: counters; a second classifier, which is of training.
_IGNORED = re.compile(r"num_batches_tracked$")
_AUXILIARY = "aux_classifier."
_NO_BACKBONE = re.compile(r"^(fc|classifier|pre_logits|head|fpn|extra\.[1-9])\.|^scale_weight$")

# Our variables, and what torch calls them.
_PARAMETERS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "scale": "scale_weight",
    "offset_kernel": "conv_offset_mask.weight",
    "offset_bias": "conv_offset_mask.bias",
    "numbers": "weight",
    "slope": "weight",
    "factor": "scale",
    "shift": "bias",
}


def read_torch(model: ZooModel, path: Path, backbone: bool = False, epsilon: float | None = None) -> ZooModel:
    """Reads a state dict into a model.

    What the model does not use of the file, such as an auxiliary classifier, is told by a warning. Of a detector whose
    classes are the 91 of COCO's ids, as torchvision's are, a model of 80 classes takes those that are COCO's.

    Args:
        model: takes the weights; of torchvision's architecture, at width and depth 1 where the file is torchvision's.
        path: a `.safetensors`, `.pth` or `.onnx` file.
        backbone: whether the backbone alone is read; the file may have a classifier besides.
        epsilon: what the batch normalisation of the file's network adds to variances; torch's 1e-5 where None.

    Raises:
        ValueError: the file cannot be read; or tensors are missing, left over or of other shapes, each named.

    Example:
        >>> read_torch(kzoo.build("fcn-resnet50", auxiliary=True), Path("fcn_resnet50_coco-1167a1af.pth"))
    """
    tensors, convolutions = opened(path)
    assignment = Assignment(path, model)
    layers = named_layers(model, backbone)
    tensors = with_names(path, tensors, convolutions, model, layers)
    tables = {
        **inverted.torch_modules(layers),
        **convnext.torch_modules(layers),
        **yolo.torch_modules(layers),
        **keypoints.torch_modules(layers),
        **detr.torch_modules(layers),
        **anchor_detr.torch_modules(layers),
        **deformable_detr.torch_modules(layers),
        **rt_detr.torch_modules(layers),
    }
    tensors = detr.as_ours(tensors, layers, getattr(model.head, "class_loss", None) == "softmax")
    for kin in (anchor_detr, deformable_detr, rt_detr):
        tensors = kin.as_ours(tensors, layers)
    modules = module_names(layers, {key.rpartition(".")[0] for key in tensors}, tables)
    tensors = yolo.without_settings(path, tensors, layers, None if backbone else model.head)
    tensors = keypoints.as_ours(tensors, layers)
    _change_epsilon(tensors, layers, modules, EPSILON if epsilon is None else epsilon)
    _fold_biases(tensors, layers, modules)
    tensors = unfolded(path, tensors, model, layers, modules)
    behind = {module for name in tables if name not in layers for module in tables[name]}
    # SSD's dilated layers take every so many numbers of VGG16's classifier, and none where the file has no classifier
    # or, as torchvision's file of features alone, NaN in its place.
    partial = atrous_classifier(layers) if backbone else set()
    used = set()
    for name, layer in layers.items():
        for variable in layer.weights:
            key = f"{modules[name]}.{_PARAMETERS.get(variable.name, variable.name)}".lstrip(".")
            used.add(key)
            if name in partial and not np.isfinite(tensors.get(key, np.nan)).all():
                continue
            if key in tensors:
                assignment.put(variable, _fitted(tensors[key], variable, name, model, name in partial), key)
            else:
                assignment.missing.append(key)
    for key in tensors:
        if key not in used and not _IGNORED.search(key):
            beside = backbone and (_NO_BACKBONE.search(key) or key.rpartition(".")[0] in behind)
            beside = beside or key.startswith(_AUXILIARY) or (backbone and yolo.is_behind(key, layers))
            (assignment.unused if beside else assignment.extra).append(key)
    return assignment.finish()


def _change_epsilon(
    tensors: dict, layers: dict[str, keras.layers.Layer], modules: dict[str, str], epsilon: float
) -> None:
    """Scales the batch normalisations so that with our epsilons they compute what they did with another."""
    for name, layer in layers.items():
        variance, scale = f"{modules[name]}.running_var", f"{modules[name]}.weight"
        ours = getattr(layer, "epsilon", epsilon)
        if ours == epsilon or variance not in tensors or scale not in tensors:
            continue
        spread = tensors[variance].astype(np.float64)
        if spread.shape == tensors[scale].shape:
            tensors[scale] = tensors[scale] * np.sqrt((spread + ours) / (spread + epsilon))


def _fold_biases(tensors: dict, layers: dict[str, keras.layers.Layer], modules: dict[str, str]) -> None:
    """Takes biases that a batch normalisation follows into its means: the same in what it computes."""
    for name, layer in layers.items():
        norm = modules.get(name.replace("_conv", "_bn"))
        key, mean = f"{modules[name]}.bias", f"{norm}.running_mean"
        if getattr(layer, "use_bias", True) or key not in tensors or mean not in tensors:
            continue
        if tensors[key].shape == tensors[mean].shape:
            tensors[mean] = tensors[mean] - tensors.pop(key)


def _fitted(
    tensor: np.ndarray, variable: keras.Variable, name: str, model: ZooModel, partial: bool
) -> np.ndarray:
    """A tensor as a variable of the layer `name` takes it, as far as that can be."""
    shape = tuple(variable.shape)
    if variable.name == "numbers":  # rows are rows, in both
        return tensor
    if (
        name == "head_box_box" and tensor.shape[0] % 4 == 0
    ):  # class by class; ours go coordinate by coordinate
        tensor = tensor.reshape(-1, 4, *tensor.shape[1:]).swapaxes(0, 1).reshape(tensor.shape)
    if name == "head_box_dense0" and tensor.ndim == 2 and tensor.shape[1] % model.head.channels == 0:
        side = math.isqrt(tensor.shape[1] // model.head.channels)  # channels first; ours are last
        grid = tensor.reshape(len(tensor), model.head.channels, side, side)
        tensor = grid.transpose(0, 2, 3, 1).reshape(tensor.shape)
    if name.startswith("head_class_") or name in _OF_REGIONS:
        num_classes = model.head.num_classes
        background = name in _OF_REGIONS or model.head.fields > num_classes
        tensor = select_ids(tensor, shape[-1], num_classes, background)
    array = _in_keras_order(tensor, shape)
    return subsampled(array, shape) if partial else array


def _in_keras_order(tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor in Keras's order of axes.

    Args:
        tensor: torch's tensor: a kernel (out, in, height, width), a matrix (out, in), or a vector.
        shape: the shape of the variable that takes it. Where that is a kernel of more than one place, a matrix is a
            flattened kernel with as many inputs.
    """
    if tensor.ndim == 3 and len(shape) == 1:
        return tensor.reshape(-1)  # factors of channels (C, 1, 1)
    if tensor.ndim == 4 and tensor.shape[1] == shape[-1] == 1 and tensor.shape[0] == shape[-2]:
        return tensor.transpose(2, 3, 0, 1)  # a depthwise kernel (C, 1, height, width)
    if tensor.ndim == 2 and len(shape) == 4:
        inputs = shape[2] if shape[0] > 1 else tensor.shape[1]
        side = math.isqrt(tensor.shape[1] // inputs)
        if tensor.shape[1] == inputs * side * side:
            tensor = tensor.reshape(-1, inputs, side, side)
    if tensor.ndim == 4:
        return tensor.transpose(2, 3, 1, 0)
    return tensor.T if tensor.ndim == 2 else tensor
