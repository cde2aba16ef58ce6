"""What `weights` and `backbone_weights` of the architecture functions mean."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kzoo.darknet.importing import planned, read_weights
from kzoo.darknet.weights import Header, open_weights, partial_stop
from kzoo.heads.base import leaves
from kzoo.model import ZooModel, backbone_layers
from kzoo.options.building import IMAGENET
from kzoo.system.files import refuse_address
from kzoo.weights.applications import (
    backbone_of,
    fetch_imagenet,
    has_imagenet,
    is_applications,
    read_applications,
)
from kzoo.weights.archives import check_weights_file
from kzoo.weights.assigning import warn_of_unused
from kzoo.weights.classes import check_places, for_classes, old_numbers, take_head, warn_of_changes
from kzoo.weights.published import Published, fetch, find, is_published, published_epsilon, table
from kzoo.weights.reading import file_epsilon
from kzoo.weights.saved import open_saved, take_saved
from kzoo.weights.state_dicts import SUFFIXES
from kzoo.weights.torch import read_torch

log = logging.getLogger("kzoo")
# What the model that is being built was asked for with, in the place of defaults: what a file of weights says gives way
# to it, or contradicts it.
given_arguments: ContextVar[Mapping[str, Any] | None] = ContextVar("given_arguments", default=None)
_KERAS = (".keras", ".h5")
_FIRST_FILTERS = 64  # of VGG and the residual networks at width 1
_FORMATS = "a .keras, .weights.h5, .safetensors, .pth, .onnx or Darknet's .weights file"


def load_weights(model: ZooModel, weights: str | Path | None) -> ZooModel:
    """The model with the weights of a file, or as it was where there is none.

    Args:
        model: takes the weights; of the file's architecture, width and depth. Of other classes than the file's, layers
            that count them start anew, or take the rows of those that both have.
        weights: a `.keras`, `.weights.h5` or Darknet's `.weights` file; a state dict of torchvision or timm
            (`.safetensors` or `.pth`), or of a YOLO's authors, which may be an export (`.onnx`); an `.h5` file of
            keras.applications; or the name of published weights, such as "coco".

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
        return read_torch(model, path, epsilon=_epsilon(model, path))
    if path.suffix == ".h5":
        check_weights_file(path)
    if is_applications(path):
        return read_applications(model, path)
    if path.suffix == ".keras":
        return take_saved(model, path, given_arguments.get())
    if path.suffix == ".h5":
        return _load_h5(model, path)
    return _load_darknet(model, path)


def _load_h5(model: ZooModel, path: Path) -> ZooModel:
    """Numbers without settings; of other classes all but the layers that count them."""
    try:
        fresh = _load_numbers(model, path)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{path}: does not hold weights of {model.name} with {model.head.num_classes} classes; "
            f"build it with the classes, width and depth it was trained with ({reason})"
        ) from error
    if fresh:
        log.warning("%s: is of other classes: %s start anew; all else is the file's", path, ", ".join(fresh))
    if hasattr(model.head, "anchors"):
        log.warning(
            "%s: holds numbers alone, neither anchors nor names nor thresholds: those of %s are taken to be its; give "
            "the .keras file where it was trained with others",
            path,
            model.name,
        )
    return model


def _load_numbers(model: ZooModel, path: Path) -> list[str]:
    """Loads a file of numbers alone; gives the names of the layers that stay as they were, for they count classes.

    Raises:
        ValueError: other layers do not fit either.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras lists its objects; `_load_h5` says what is new
        try:
            model.load_weights(path)
        except ValueError:
            fresh = _load_what_fits(model, path)
            if not fresh:
                raise
            return fresh
    return []


def _load_what_fits(model: ZooModel, path: Path) -> list[str]:
    """As `_load_numbers`, of a file that does not fit as a whole; no names where other layers do not fit either.

    Keras passes over layers of other shapes and does not say which, so kernels are filled with NaN before: those that
    have it still were passed over.
    """
    layers = [*model.network.layers, *leaves(model.head)]
    layers = [layer for layer in layers if hasattr(layer, "kernel")]
    kernels = [(layer, layer.kernel, keras.ops.convert_to_numpy(layer.kernel)) for layer in layers]
    for _, kernel, value in kernels:
        kernel.assign(np.full_like(value, np.nan))
    model.load_weights(path, skip_mismatch=True)
    counting = [layer for layer, *_ in model.head.class_outputs()]
    fresh = []
    for layer, kernel, value in kernels:
        if np.isnan(keras.ops.convert_to_numpy(kernel)).all():
            kernel.assign(value)
            fresh.append(layer)
    fits = all(layer in counting for layer in fresh)
    return [f"head/{layer.name}" for layer in fresh] if fits else []


def _load_darknet(model: ZooModel, path: Path, names: Sequence[str] = ()) -> ZooModel:
    """A file of Darknet's; of other classes all but the rows that are theirs.

    Args:
        model: takes the weights.
        path: the `.weights` file.
        names: the names of the file's classes; empty where they are not known.
    """
    classes = _classes_of(model, _floats_in(path))
    origins = old_numbers(names, model.names, (classes or 0, model.head.num_classes))
    if classes is None or origins == list(range(classes)):
        return read_weights(model, path)  # which says what else is wrong
    check_places(model.head, origins, names, path)
    # A twin that shares the network reads the file whole; its head then hands over the rows that both have.
    other = model.head.altered(**for_classes(model.head, classes))
    twin = read_weights(model.remade(model.network, other), path)
    take_head(model.head, other, origins)
    warn_of_changes(path, model.head, origins, model.names, names)
    model.origin = {**(model.origin or {}), **(twin.origin or {})}
    return model


def _classes_of(model: ZooModel, floats: int) -> int | None:
    """How many classes a file of so many numbers is of; None where it is of another network."""
    own = model.head.num_classes
    a_class = sum(  # numbers that one class more takes: in each group a column of the kernel, and a bias
        groups * (math.prod(layer.kernel.shape[:-1]) + 1) for layer, groups, _ in model.head.class_outputs()
    )
    surplus = floats - planned(model)[0].floats
    if surplus == 0:
        return own
    if a_class == 0 or surplus % a_class:
        return None
    classes = own + surplus // a_class
    return classes if classes > 0 else None


def _floats_in(path: Path) -> int:
    """How many numbers a `.weights` file holds behind its header."""
    return (path.stat().st_size - len(Header.read(path).content)) // 4


def _epsilon(model: ZooModel, path: Path) -> float | None:
    """What the batch normalisation of a state dict's network adds to variances, where it is not 1e-5."""
    known = published_epsilon(path)
    return file_epsilon(model, path) if known is None else known


def _load_published(model: ZooModel, name: str) -> ZooModel:
    """Published weights by name, refused by their size before they are fetched where they cannot fit."""
    row = find(model.name, name)
    if Path(row.file).suffix in (*SUFFIXES, ".h5"):
        return _load_at_width_one(model, name, row)
    size = len(Header().content) + 4 * planned(model)[0].floats
    names = row.classes or []
    # What a file may hold, whose header is of 20 bytes, or of the older 16.
    held = () if row.size is None else [(row.size - header) // 4 for header in (20, 16)]
    wanted = {model.head.num_classes, len(names)}
    if row.size is not None and not any(_classes_of(model, floats) in wanted for floats in held):
        raise ValueError(
            f"weights={name!r}: a file of {row.size:,} bytes was published for {model.name}, this model asks for "
            f"{size:,}; leave width and depth as they are, or use backbone_weights"
        )
    _load_darknet(model, fetch(row), names)
    if model.head.num_classes == len(names):
        model.names = model.names or names
    return model


def _load_at_width_one(model: ZooModel, name: str, row: Published) -> ZooModel:
    """A published state dict, or a file of keras.applications, refused before it is fetched where that is of no use."""
    names, filters = row.names_of(model.head.num_classes), _first_convolution(model).kernel.shape[-1]
    kind, exact = backbone_of(model)
    if not (exact if kind else filters == _FIRST_FILTERS):
        of_first = filters != _FIRST_FILTERS and kind not in table()
        found = (
            f"has {filters} of {_FIRST_FILTERS} first channels; leave width"
            if of_first
            else "is scaled; leave it"
        )
        raise ValueError(
            f"weights={name!r}: were published for {model.name} of width 1, this one {found} as it is, or use "
            "backbone_weights"
        )
    path = fetch(row)
    if path.suffix == ".h5":
        read_applications(model, path)
    else:
        read_torch(model, path, epsilon=row.epsilon)
    model.names = model.names or names or []
    return model


def _first_convolution(model: ZooModel) -> keras.layers.Layer:
    """The convolution of the image, whose filters tell the width."""
    return next(layer for layer in model.network.layers if hasattr(layer, "kernel"))


def load_backbone(model: ZooModel, weights: str | Path | None) -> ZooModel:
    """The model with another model's backbone.

    Args:
        model: takes the weights.
        weights: a `.keras` file of a model with the same backbone, whose layers named `backbone_...` are taken; a
            file of Darknet's that holds it (`darknet53.conv.74`, or the `.weights` of a whole network that begins
            with it); a state dict of torchvision or timm (`.safetensors` or `.pth`), or an export (`.onnx`); an
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
            path = fetch_imagenet(model)
            read = read_torch if path.suffix in SUFFIXES else read_applications
            extra = {"epsilon": _epsilon(model, path)} if path.suffix in SUFFIXES else {}
            return read(model, path, backbone=True, **extra)
        return _darknet_backbone(model, fetch(find(model.name, str(weights), backbone=True)))
    path = _weights_file(weights)
    if path.suffix in SUFFIXES:
        return read_torch(model, path, backbone=True, epsilon=_epsilon(model, path))
    if path.suffix == ".h5":
        check_weights_file(path)
    if is_applications(path):
        return read_applications(model, path, backbone=True)
    if path.suffix not in _KERAS:
        return _darknet_backbone(model, path)
    saved = open_saved(path)
    source = {layer.name: layer for layer in saved.network.layers}
    for layer in backbone_layers(model):
        if not layer.weights:
            continue
        trained = source[layer.name].get_weights() if layer.name in source else []
        shapes, wanted = [w.shape for w in trained], [tuple(w.shape) for w in layer.weights]
        if shapes != wanted:
            raise ValueError(
                f"{path}: layer {layer.name} has weights {shapes}, {model.name} wants {wanted}; "
                "use a classifier of the same backbone, width and depth"
            )
        layer.set_weights(trained)
    taken = {layer.name for layer in backbone_layers(model)}
    left = [name for name, layer in source.items() if layer.weights and name not in taken]
    warn_of_unused(path, model, [*left, saved.head.name])
    return model


def _darknet_backbone(model: ZooModel, path: Path) -> ZooModel:
    """The first layers of a file of Darknet's, as many as the backbone has."""
    plan, keras_layers = planned(model)
    names = {layer.name for layer in backbone_layers(model)}
    own = [number for number, layer in keras_layers.items() if layer.main.name in names]
    if not own:
        raise ValueError(f"{model.name}: has no backbone that {path} could be of")
    stop_at = max(own) + 1
    if (partial_stop(path) or 0) >= stop_at:
        open_weights(path, plan)  # Its name says where it ends: so much of this network it has to be.
    floats = sum(layer.floats for layer in plan.layers[:stop_at])
    held = _floats_in(path)
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
    """The path of a file that is there and of a format that is read."""
    refuse_address(weights, f"download it and give {_FORMATS}")
    path = Path(weights)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file; give {_FORMATS}")
    if path.suffix not in (*_KERAS, *SUFFIXES, ".weights") and partial_stop(path) is None:
        raise ValueError(f"{path}: weights of format {path.suffix!r} are not read; give {_FORMATS}")
    return path
