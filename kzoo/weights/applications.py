"""Weights of keras.applications: VGG16 and the first ResNets, trained on ImageNet."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np

from kzoo.backbones.resnet import RESNETS
from kzoo.backbones.vgg import VGG16_STAGES
from kzoo.layers.residual import BATCH_NORM_EPSILON
from kzoo.model import ZooModel, backbone_layers
from kzoo.weights.assigning import Assignment, named_layers
from kzoo.weights.published import Published, fetch

IMAGENET = "imagenet"
NORMALIZATION = "caffe"
_EPSILON = 1.001e-5  # of their batch normalisation

_ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_KERNELS = "weights_tf_dim_ordering_tf_kernels"
_LICENCE_VGG, _LICENCE_RESNET = "CC BY 4.0 (Visual Geometry Group, Oxford)", "MIT (Kaiming He)"


def _row(place: str, licence: str, md5: str) -> Published:
    return Published(
        f"{_ADDRESS}{place}.h5", licence, md5=md5, checked_by="keras.applications", backbone=True
    )


# By backbone; of VGG16 with its classifier, too.
_FILES = {
    "vgg16": _row(f"vgg16/vgg16_{_KERNELS}_notop", _LICENCE_VGG, "6d6bbae143d832006294945121d1f1fc"),
    "vgg16-classifier": _row(f"vgg16/vgg16_{_KERNELS}", _LICENCE_VGG, "64373286793e3c8b2b4e3219cbf3544b"),
    "resnet50": _row(
        f"resnet/resnet50_{_KERNELS}_notop", _LICENCE_RESNET, "4d473c1dd8becc155b73f8504c6f6626"
    ),
    "resnet101": _row(
        f"resnet/resnet101_{_KERNELS}_notop", _LICENCE_RESNET, "88cf7a10940856eca736dc7b7e228a21"
    ),
    "resnet152": _row(
        f"resnet/resnet152_{_KERNELS}_notop", _LICENCE_RESNET, "ee4c566cf9a93f14d82f913c2dc6dd0c"
    ),
}

# Parts of the names of a residual network's layers, here and there.
_RESNET_PARTS = {"conv": "conv", "bn": "bn", "downsample_conv": "0_conv", "downsample_bn": "0_bn"}
# Layers whose names are other ones altogether, here and there.
_OTHER_NAMES = {
    "backbone_conv1": "conv1_conv",
    "backbone_bn1": "conv1_bn",
    "backbone_fc6": "fc1",
    "backbone_fc7": "fc2",
    "head_classifier": "predictions",
}
_FIRST = ("conv1_conv", "block1_conv1")  # convolutions of the image


def is_applications(path: str | Path) -> bool:
    """Whether a file is of keras.applications: HDF5 in the layout that Keras had before its third version."""
    path = Path(path)
    if path.suffix != ".h5" or not path.is_file() or not h5py.is_hdf5(path):
        return False
    with h5py.File(path) as file:
        return "layer_names" in _weights(file).attrs


def has_imagenet(model: ZooModel) -> bool:
    """Whether the model's backbone is one that keras.applications has weights for."""
    return _backbone(model) is not None


def fetch_imagenet(model: ZooModel) -> Path:
    """The file of the backbone that was trained on ImageNet, fetched where it is not in the cache yet.

    Raises:
        ValueError: the backbone is scaled.
        OSError: it cannot be fetched; the message says what to put where.
    """
    names = {layer.name: layer for layer in backbone_layers(model)}
    kind = _backbone(model)
    first = names.get("backbone_conv1") or names["backbone_block1_conv1"]
    if first.kernel.shape[-1] != VGG16_STAGES[0][0]:
        raise ValueError(
            f"backbone_weights={IMAGENET!r}: were published for {kind} at width 1, this one is scaled; "
            "leave width and depth as they are"
        )
    return fetch(_FILES[f"{kind}-classifier" if "backbone_fc6" in names else kind])


def _backbone(model: ZooModel) -> str | None:
    """The published backbone that a model has, by its layers."""
    names = {layer.name for layer in backbone_layers(model)}

    def count(pattern: str) -> int:
        return sum(re.fullmatch(pattern, name) is not None for name in names)

    if count("backbone_bn1") and "backbone_layer1_0_conv3" in names:
        blocks = tuple(count(rf"backbone_layer{stage}_\d+_conv3") for stage in range(1, 5))
        return next((kind for kind, known in RESNETS.items() if known == (True, blocks)), None)
    convolutions = tuple(count(rf"backbone_block{stage}_conv\d+") for stage in range(1, 6))
    plain = convolutions == tuple(n for _, n in VGG16_STAGES) and not count(r"backbone_block1_bn\d")
    return "vgg16" if plain else None


def read_applications(model: ZooModel, path: Path, backbone: bool = False) -> ZooModel:
    """Reads a file of keras.applications into a model.

    The first kernel is turned round, for it was made for blue, green and red. A residual network's biases go into the
    means of the batch normalisation that follows, which is all the same to what it computes.

    Args:
        model: takes the weights; its images are normalised as "caffe", and its bottlenecks have `stride_first`.
        path: an `.h5` file of weights or of a whole model, with the classifier or without it.
        backbone: whether the backbone alone is read.

    Raises:
        ValueError: layers are missing, left over or of other shapes, each named.
    """
    theirs = _arrays(path)
    assignment = Assignment(path, model)
    used = set()
    for name, layer in named_layers(model, backbone).items():
        source = _source(name)
        used.add(source)
        arrays = list(theirs.get(source, ()))
        if name.endswith(("_bn", "_bn1", "_bn2", "_bn3")) and len(arrays) == 4:
            gamma, beta, mean, variance = arrays
            conv = theirs.get(source.replace("bn", "conv"), [None])
            mean = mean - conv[1] if len(conv) > 1 else mean
            # Their epsilon is another: what is added to the variance in all stays the same.
            arrays = [gamma, beta, mean, variance + (_EPSILON - BATCH_NORM_EPSILON)]
        elif source in _FIRST and arrays:
            arrays[0] = arrays[0][:, :, ::-1]
        if len(arrays) < len(layer.weights):
            assignment.missing.append(source)
            continue
        for variable, array in zip(layer.weights, arrays, strict=False):
            # A dense layer there, (places * channels, units), is a convolution here, (height, width, channels, units).
            dense = array.ndim == 2 and len(variable.shape) == 4 and array.size == np.prod(variable.shape)
            assignment.put(variable, array.reshape(variable.shape) if dense else array, source)
    classifier = ("fc1", "fc2", "predictions") if backbone else ()
    assignment.extra += [name for name in theirs if name not in used and name not in classifier]
    return assignment.finish()


def _source(name: str) -> str:
    """What keras.applications calls one of our layers."""
    if name in _OTHER_NAMES:
        return _OTHER_NAMES[name]
    if match := re.fullmatch(r"backbone_layer(\d)_(\d+)_(conv|bn|downsample_conv|downsample_bn)(\d?)", name):
        stage, block, part, number = match.groups()
        part = f"{number}_{part}" if number else _RESNET_PARTS[part]
        # There stages are counted from 2, blocks from 1.
        return f"conv{int(stage) + 1}_block{int(block) + 1}_{part}"
    return name.removeprefix("backbone_")


def _arrays(path: Path) -> dict[str, list[np.ndarray]]:
    """Layers with weights, by name: kernel and bias; or scale, offset, mean and variance."""
    arrays_of_layers = {}
    with h5py.File(path) as file:
        group = _weights(file)
        for name in map(_text, group.attrs["layer_names"]):
            keys = map(_text, group[name].attrs["weight_names"])
            arrays = [np.asarray(group[name][key]) for key in keys]
            if arrays:
                arrays_of_layers[name] = arrays
    return arrays_of_layers


def _weights(file: h5py.File) -> h5py.Group:
    """Where a file has its weights: of a whole model, apart from the architecture."""
    return file.get("model_weights", file)


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
