"""Weights of keras.applications, trained on ImageNet: backbones by name, and files of backbones and classifiers."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import keras
import numpy as np

from kzoo.backbones.resnet import RESNETS
from kzoo.backbones.vgg import VGG16_STAGES
from kzoo.layers.residual import BATCH_NORM_EPSILON
from kzoo.model import ZooModel, backbone_layers
from kzoo.options.building import IMAGENET
from kzoo.weights import convnext, inverted
from kzoo.weights.assigning import Assignment, named_layers
from kzoo.weights.published import Published, fetch, find

NORMALIZATION = "caffe"
_EPSILON = 1.001e-5  # of their batch normalisation

_ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_KERNELS = "weights_tf_dim_ordering_tf_kernels"
_EFFICIENTNET = "https://storage.googleapis.com/keras-applications/"
_LICENCE_VGG, _LICENCE_RESNET = "CC BY 4.0 (Visual Geometry Group, Oxford)", "MIT (Kaiming He)"
_LICENCE_GOOGLE = "Apache-2.0 (Google)"


def _row(place: str, licence: str, folder: str = _ADDRESS, **checksum: str) -> Published:
    checked_by = "keras.applications" if checksum else None
    return Published(f"{folder}{place}.h5", licence, checked_by=checked_by, backbone=True, **checksum)


# By backbone; of VGG16 with its classifier, too.
_FILES = {
    "vgg16": _row(f"vgg16/vgg16_{_KERNELS}_notop", _LICENCE_VGG, md5="6d6bbae143d832006294945121d1f1fc"),
    "vgg16-classifier": _row(f"vgg16/vgg16_{_KERNELS}", _LICENCE_VGG, md5="64373286793e3c8b2b4e3219cbf3544b"),
    **{
        name: _row(f"resnet/{name}_{_KERNELS}_notop", _LICENCE_RESNET, md5=md5)
        for name, md5 in (
            ("resnet50", "4d473c1dd8becc155b73f8504c6f6626"),
            ("resnet101", "88cf7a10940856eca736dc7b7e228a21"),
            ("resnet152", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
        )
    },
    **{
        f"efficientnet-b{number}": _row(
            f"efficientnetb{number}_notop", _LICENCE_GOOGLE, _EFFICIENTNET, md5=md5
        )
        for number, md5 in enumerate(
            (
                "50bc09e76180e00e4465e1a485ddc09d",
                "74c4e6b3e1f6a1eea24c589628592432",
                "111f8e2ac8aa800a7a99e3239f7bfb39",
                "af6d107764bb5b1abb91932881670226",
                "ebc24e6d6c33eaebbd558eafbeedf1ba",
                "38879255a25d3c92d5e44e04ae6cec6f",
                "9ecce42647a20130c1f39a5d4cb75743",
                "cbcfe4450ddf6f3ad90b1b398090fe4a",
            )
        )
    },
    "mobilenetv2": _row(f"mobilenet_v2/mobilenet_v2_{_KERNELS}_1.0_224_no_top", _LICENCE_GOOGLE),
    "mobilenetv3-large": _row(
        "mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2",
        _LICENCE_GOOGLE,
        md5="07fb09a5933dd0c8eaafa16978110389",
    ),
    "mobilenetv3-small": _row(
        "mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2",
        _LICENCE_GOOGLE,
        md5="d3e8ec802a04aa4fc771ee12a9a9b836",
    ),
    "convnext-tiny": _row(
        "convnext/convnext_tiny_notop",
        "MIT (Meta)",
        sha256="d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
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
# What a file may have and a model does without: normalisations, of images, and of features without a classifier.
_IGNORED = re.compile(r"(layer_)?normalization(_\d+)?$|prestem_normalization$")


def is_applications(path: str | Path) -> bool:
    """Whether a file is of keras.applications: HDF5 in the layout that Keras had before its third version."""
    path = Path(path)
    if path.suffix != ".h5" or not path.is_file() or not h5py.is_hdf5(path):
        return False
    with h5py.File(path) as file:
        return "layer_names" in _weights(file).attrs


def has_imagenet(model: ZooModel) -> bool:
    """Whether the model's backbone is one that was published by itself, trained on ImageNet."""
    return backbone_of(model)[0] is not None


def fetch_imagenet(model: ZooModel) -> Path:
    """The file of the backbone that was trained on ImageNet, fetched where it is not at hand yet.

    Raises:
        ValueError: the backbone is scaled, or was never published.
        OSError: it cannot be fetched; the message says what to put where.
    """
    kind, exact = backbone_of(model)
    if not exact:
        raise ValueError(
            f"backbone_weights={IMAGENET!r}: were published for {kind} at width 1, this one is scaled; "
            "leave width and depth as they are"
        )
    if any(layer.name == "backbone_fc6" for layer in backbone_layers(model)):
        kind = f"{kind}-classifier"
    # Of some a classifier was published, which has the backbone.
    return fetch(_FILES[kind] if kind in _FILES else find(kind, IMAGENET))


def backbone_of(model: ZooModel) -> tuple[str | None, bool]:
    """The published backbone that a model has, by its layers.

    Args:
        model: any model.

    Returns:
        The backbone's name, or None; and whether it is that backbone as published, rather than one of other width or,
        of some, other depth.
    """
    layers = {layer.name: layer for layer in backbone_layers(model)}
    for known in (inverted.inverted_backbone, convnext.convnext_backbone):
        kind, exact = known(layers)
        if kind is not None:
            return kind, exact

    def count(pattern: str) -> int:
        return sum(re.fullmatch(pattern, name) is not None for name in layers)

    kind = None
    if count("backbone_bn1") and "backbone_layer1_0_conv3" in layers:
        blocks = tuple(count(rf"backbone_layer{stage}_\d+_conv3") for stage in range(1, 5))
        kind = next((kind for kind, known in RESNETS.items() if known == (True, blocks)), None)
    elif not count(r"backbone_block1_bn\d"):
        convolutions = tuple(count(rf"backbone_block{stage}_conv\d+") for stage in range(1, 6))
        kind = "vgg16" if convolutions == tuple(n for _, n in VGG16_STAGES) else None
    if kind is None:
        return None, False
    first = layers.get("backbone_conv1") or layers["backbone_block1_conv1"]
    return kind, first.kernel.shape[-1] == VGG16_STAGES[0][0]


def read_applications(model: ZooModel, path: Path, backbone: bool = False) -> ZooModel:
    """Reads a file of keras.applications into a model.

    The first kernel is turned round, for it was made for blue, green and red. A residual network's biases go into the
    means of the batch normalisation that follows, which is all the same to what it computes.

    Args:
        model: takes the weights; built as `kzoo.weights.reading` says of such files.
        path: an `.h5` file of weights or of a whole model, with the classifier or without it.
        backbone: whether the backbone alone is read.

    Raises:
        ValueError: layers are missing, left over or of other shapes, each named.
    """
    theirs = _arrays(path)
    assignment = Assignment(path, model)
    used = set()
    layers = named_layers(model, backbone)
    tables = {**inverted.applications_names(layers), **convnext.applications_names(layers)}
    for name, layer in layers.items():
        source = next((known for known in tables.get(name, ()) if known in theirs), None)
        source = source or tables.get(name, [_source(name)])[0]
        used.add(source)
        arrays = list(theirs.get(source, ()))
        if not tables and name.endswith(("_bn", "_bn1", "_bn2", "_bn3")) and len(arrays) == 4:
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
            assignment.put(variable, _in_shape_of(variable, array), source)
    behind = {source for name in tables if name not in layers for source in tables[name]}
    behind |= {"fc1", "fc2", "predictions"} if backbone else set()
    for name in theirs:
        if name not in used and not _IGNORED.match(name):
            (assignment.unused if backbone and name in behind else assignment.extra).append(name)
    return assignment.finish()


def _in_shape_of(variable: keras.Variable, array: np.ndarray) -> np.ndarray:
    """An array as a variable of as many numbers takes it, or as it is.

    A dense layer there, (places * channels, units), may be a convolution here, (height, width, channels, units), or
    the other way round; and a depthwise kernel a grouped one, (height, width, 1, channels) for (height, width,
    channels, 1).
    """
    shape = tuple(variable.shape)
    matrices = array.ndim != len(shape) and {array.ndim, len(shape)} == {2, 4}
    grouped = array.ndim == 4 and array.shape == (*shape[:2], *shape[:1:-1])
    if array.size == np.prod(shape) and (grouped or (matrices and array.shape[-1] == shape[-1])):
        return array.reshape(shape)
    return array


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
            by_layer: dict[str, list[np.ndarray]] = {}
            for key in keys:
                by_layer.setdefault(key.rpartition("/")[0], []).append(np.asarray(group[name][key]))
            if len(by_layer) == 1:
                by_layer = {name: next(iter(by_layer.values()))}
            # Of a layer that consists of layers, those; by one name, however old the file is.
            arrays_of_layers |= {_plain(key, name): arrays for key, arrays in by_layer.items()}
    return arrays_of_layers


def _plain(name: str, outer: str) -> str:
    """A layer's name in small letters, with _ for /, without the network's name or the outer layer's before it."""
    name = name.removeprefix(f"{outer}/").lower().replace("/", "_").replace("batchnorm", "bn")
    return re.sub(r"^convnext_[a-z]+_", "", name)


def _weights(file: h5py.File) -> h5py.Group:
    """Where a file has its weights: of a whole model, apart from the architecture."""
    return file.get("model_weights", file)


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
