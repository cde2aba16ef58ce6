"""State dicts of torchvision and timm into our layers, by a table of name rules."""

from __future__ import annotations

import math
import re
from pathlib import Path

import keras
import numpy as np

from kzoo.model import ZooModel
from kzoo.weights import convnext, inverted, keypoints, yolo
from kzoo.weights.assigning import Assignment, atrous_classifier, named_layers, subsampled
from kzoo.weights.coco import select_ids
from kzoo.weights.pickled import read_pickled

SUFFIXES = (".pth", ".pt", ".safetensors")
# What to do with a file that has a whole program object in it, as YOLOv5's and YOLOv7's `.pt` have.
_ANEW = (
    "save a state dict anew, where the code that wrote it is installed: torch.save(torch.load({!r}, "
    "weights_only=False)['model'].float().state_dict(), 'weights.pth')"
)
EPSILON = 1e-5  # what torch's batch normalisation adds to variances, if not told otherwise

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
# Layers that count classes and the background of regions.
_OF_REGIONS = ("head_box_class", "head_box_box", "head_mask_class")
# What stands before a residual network's names in detectors, a backbone's in whole models, all in saved replicas.
PREFIXES = ("body.", "backbone.", "module.")
# What a file may have and a model may do without: counters; a second classifier, which is of training.
_IGNORED = re.compile(r"num_batches_tracked$")
_AUXILIARY = "aux_classifier."
_NO_BACKBONE = re.compile(r"^(fc|classifier|pre_logits|head|fpn|extra\.[1-9])\.|^scale_weight$")

# Names of a module's tensors that are not torch's, and torch's.
_PARAMETER_NAMES = {"gamma": "layer_scale", "_mean": "running_mean", "_variance": "running_var"}
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
}


def read_torch(model: ZooModel, path: Path, backbone: bool = False, epsilon: float | None = None) -> ZooModel:
    """Reads a state dict into a model.

    What the model does not use of the file, such as an auxiliary classifier, is told by a warning. Of a detector whose
    classes are the 91 of COCO's ids, as torchvision's are, a model of 80 classes takes those that are COCO's.

    Args:
        model: takes the weights; of torchvision's architecture, at width and depth 1 where the file is torchvision's.
        path: a `.safetensors` or `.pth` file.
        backbone: whether the backbone alone is read; the file may have a classifier besides.
        epsilon: what the batch normalisation of the file's network adds to variances; torch's 1e-5 where None.

    Raises:
        ValueError: the file cannot be read; or tensors are missing, left over or of other shapes, each named.

    Example:
        >>> read_torch(kzoo.build("fcn-resnet50", auxiliary=True), Path("fcn_resnet50_coco-1167a1af.pth"))
    """
    tensors = {_stripped(key): value for key, value in state_dict(path).items()}
    assignment = Assignment(path, model)
    layers = named_layers(model, backbone)
    tables = {
        **inverted.torch_modules(layers),
        **convnext.torch_modules(layers),
        **yolo.torch_modules(layers),
        **keypoints.torch_modules(layers),
    }
    modules = _modules(layers, {key.rpartition(".")[0] for key in tensors}, tables)
    tensors = yolo.without_settings(path, tensors, layers, None if backbone else model.head)
    tensors = keypoints.as_ours(tensors, layers)
    _change_epsilon(tensors, layers, modules, EPSILON if epsilon is None else epsilon)
    _fold_biases(tensors, layers, modules)
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


def state_dict(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file by name.

    Args:
        path: `.safetensors`; or `.pth`, of which nothing but tensors is unpickled, by torch or, where that is not
            installed, by `kzoo.weights.pickled`.

    Raises:
        ValueError: the file is damaged, or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return load_file(path)
        return _unpickled(path)
    except Exception as error:  # Whatever the two libraries raise on bytes that they did not write.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path}: is damaged, or holds more than tensors ({reason}); {_ANEW.format(path.name)}"
        ) from error


def _unpickled(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError:
        content = read_pickled(path)
    else:
        content = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        content = content.get(key, content)
    return {key: np.asarray(value, np.float32) for key, value in _detached(content).items()}


def _detached(content: dict) -> dict[str, np.ndarray]:
    """Tensors as arrays; what is none has no business in a state dict."""
    arrays = {
        key: value.detach().float().numpy() if hasattr(value, "detach") else value
        for key, value in content.items()
    }
    others = [key for key, value in arrays.items() if not isinstance(value, np.ndarray)]
    if others:
        raise ValueError(f"{others[0]} is no tensor")
    return arrays


def tensor_names(path: Path) -> set[str]:
    """Names of the tensors of a file, as `read_torch` knows them; none of a file that cannot be read.

    Args:
        path: a `.safetensors` or `.pth` file.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, "numpy") as file:
                return {_stripped(key) for key in file.keys()}  # noqa: SIM118
        return {_stripped(key) for key in state_dict(path)}
    except Exception:  # Whatever is wrong is said when the tensors are read.
        return set()


def _stripped(key: str) -> str:
    """A tensor's name without what replicas, whole models and detectors put before it."""
    for prefix in PREFIXES[::-1]:
        key = key.removeprefix(prefix)
    # ConvNeXt's factors of channels, which torchvision has by the other name; statistics, which Paddle shortens.
    for theirs, known in (
        (r"\.gamma$", ".layer_scale"),
        (r"\._mean$", ".running_mean"),
        (r"\._variance$", ".running_var"),
    ):
        key = re.sub(theirs, known, key)
    return key


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


def _modules(
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


def _fold_biases(tensors: dict, layers: dict[str, keras.layers.Layer], modules: dict[str, str]) -> None:
    """Takes biases that a batch normalisation follows into its means: the same in what it computes."""
    for name, layer in layers.items():
        norm = modules.get(name.replace("_conv", "_bn"))
        key, mean = f"{modules[name]}.bias", f"{norm}.running_mean"
        if getattr(layer, "use_bias", True) or key not in tensors or mean not in tensors:
            continue
        if tensors[key].shape == tensors[mean].shape:
            tensors[mean] = tensors[mean] - tensors.pop(key)


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


def _fitted(
    tensor: np.ndarray, variable: keras.Variable, name: str, model: ZooModel, partial: bool
) -> np.ndarray:
    """A tensor as a variable of the layer `name` takes it, as far as that can be."""
    shape = tuple(variable.shape)
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
