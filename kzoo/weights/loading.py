"""What `weights` and `backbone_weights` of the architecture functions mean."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import keras

from kzoo.darknet.importing import blocks, read_weights
from kzoo.darknet.weights import Header, open_weights, partial_stop
from kzoo.files import refuse_address
from kzoo.model import ZooModel, backbone_layers
from kzoo.weights.applications import (
    IMAGENET,
    fetch_imagenet,
    has_imagenet,
    is_applications,
    read_applications,
)
from kzoo.weights.published import Published, fetch, find, is_published, published_epsilon
from kzoo.weights.torch import SUFFIXES, read_torch

_KERAS = (".keras", ".h5")
_FIRST_FILTERS = 64  # of VGG and the residual networks at width 1
_FORMATS = "a .keras, .weights.h5, .safetensors, .pth or Darknet's .weights file"


def load_weights(model: ZooModel, weights: str | Path | None) -> ZooModel:
    """The model with the weights of a file, or as it was where there is none.

    Args:
        model: of the same architecture and number of classes.
        weights: a `.keras`, `.weights.h5` or Darknet's `.weights` file; a state dict of torchvision or timm
            (`.safetensors`, or `.pth` where torch is installed); an `.h5` file of keras.applications; or the name of
            published weights, such as "coco".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file does not hold weights of this model.
        OSError: published weights cannot be fetched; the message says what to put where.
    """
    if weights is None:
        return model
    if is_published(weights):
        return _load_published(model, str(weights))
    path = _weights_file(weights)
    if path.suffix in SUFFIXES:
        return read_torch(model, path, epsilon=published_epsilon(path))
    if is_applications(path):
        return read_applications(model, path)
    if path.suffix not in _KERAS:
        return read_weights(model, path)
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{path}: does not hold weights of {model.name} with {model.head.num_classes} classes; "
            f"build it with the classes, width and depth it was trained with ({reason})"
        ) from error
    return model


def _load_published(model: ZooModel, name: str) -> ZooModel:
    row = find(model.name, name)
    if Path(row.file).suffix in SUFFIXES:
        return _load_torch(model, name, row)
    size = len(Header().content) + 4 * blocks(model)[0].floats
    if row.size not in (None, size):
        raise ValueError(
            f"weights={name!r}: a file of {row.size:,} bytes was published for {model.name}, this model asks for "
            f"{size:,}; leave num_classes, width and depth as they are, or use backbone_weights"
        )
    read_weights(model, fetch(row))
    model.names = model.names or row.classes or []
    return model


def _load_torch(model: ZooModel, name: str, row: Published) -> ZooModel:
    """A published state dict, refused before it is fetched where that is of no use."""
    names, first = row.names_of(model.head.num_classes), _first_convolution(model)
    if names is None or first.kernel.shape[-1] != _FIRST_FILTERS:
        raise ValueError(
            f"weights={name!r}: were published for {model.name} of {len(row.classes)} classes"
            f"{' or of 80' if row.ids else ''} and width 1, this one has {model.head.num_classes} and "
            f"{first.kernel.shape[-1]} of {_FIRST_FILTERS} first channels; leave num_classes and width as they are, "
            "or use backbone_weights"
        )
    if importlib.util.find_spec("torch") is None:
        raise ValueError(f"weights={name!r}: reading {row.file} takes torch; install it")
    read_torch(model, fetch(row), epsilon=row.epsilon)
    model.names = model.names or names
    return model


def _first_convolution(model: ZooModel) -> keras.layers.Layer:
    return next(layer for layer in model.network.layers if hasattr(layer, "kernel"))


def load_backbone(model: ZooModel, weights: str | Path | None) -> ZooModel:
    """The model with another model's backbone.

    Args:
        model: takes the weights.
        weights: a `.keras` file of a model with the same backbone, whose layers named `backbone_...` are taken; a
            file of Darknet's that holds it (`darknet53.conv.74`, or the `.weights` of a whole network that begins
            with it); a state dict of torchvision or timm (`.safetensors`, or `.pth` where torch is installed); an
            `.h5` file of keras.applications; the name of published weights, such as "imagenet"; or None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the backbones differ; the layer is named.
        OSError: published weights cannot be fetched; the message says what to put where.
    """
    if weights is None:
        return model
    if is_published(weights):
        if str(weights) == IMAGENET and has_imagenet(model):
            return read_applications(model, fetch_imagenet(model), backbone=True)
        return _darknet_backbone(model, fetch(find(model.name, str(weights), backbone=True)))
    path = _weights_file(weights)
    if path.suffix in SUFFIXES:
        return read_torch(model, path, backbone=True, epsilon=published_epsilon(path))
    if is_applications(path):
        return read_applications(model, path, backbone=True)
    if path.suffix not in _KERAS:
        return _darknet_backbone(model, path)
    source = {layer.name: layer for layer in _saved_network(path).layers}
    for layer in backbone_layers(model):
        if not layer.weights:
            continue
        given = source[layer.name].get_weights() if layer.name in source else []
        shapes, wanted = [w.shape for w in given], [tuple(w.shape) for w in layer.weights]
        if shapes != wanted:
            raise ValueError(
                f"{path}: layer {layer.name} has weights {shapes}, {model.name} wants {wanted}; "
                "use a classifier of the same backbone, width and depth"
            )
        layer.set_weights(given)
    return model


def _saved_network(path: Path) -> keras.Model:
    """The network of a `.keras` file."""
    try:
        return keras.saving.load_model(path, compile=False).network
    except (ValueError, OSError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path}: holds no model of kzoo whose backbone could be taken ({reason}); give a .keras file"
        ) from error


def _darknet_backbone(model: ZooModel, path: Path) -> ZooModel:
    """The first layers of a file of Darknet's, as many as the backbone has."""
    plan, parts = blocks(model)
    names = {layer.name for layer in backbone_layers(model)}
    own = [number for number, part in parts.items() if part.main.name in names]
    if not own:
        raise ValueError(f"{model.name}: has no backbone that {path} could be of")
    stop_at = max(own) + 1
    if (partial_stop(path) or 0) >= stop_at:
        open_weights(path, plan)  # Its name says where it ends: so much of this network it has to be.
    floats = sum(layer.floats for layer in plan.layers[:stop_at])
    held = (path.stat().st_size - len(Header.read(path).content)) // 4
    if held < floats:
        raise ValueError(
            f"{path}: holds {held:,} numbers, the backbone of {model.name} has {floats:,}; "
            "give a file that was written with at least its layers"
        )
    origin = model.origin
    read_weights(model, path, stop_at)
    model.origin = origin  # what was read is not this network's own
    return model


def _weights_file(weights: str | Path) -> Path:
    refuse_address(weights, f"download it and give {_FORMATS}")
    path = Path(weights)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file; give {_FORMATS}")
    if path.suffix not in (*_KERAS, *SUFFIXES, ".weights") and partial_stop(path) is None:
        raise ValueError(f"{path}: weights of format {path.suffix!r} are not read; give {_FORMATS}")
    return path
