"""The model a training asks for: built for the dataset, compiled for the machine."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path

import numpy as np

from kzoo.data.anchors import input_shapes, kmeans_anchors, shape_iou
from kzoo.heads.levels import anchors_by_level
from kzoo.model import ZooModel
from kzoo.options.forms import ALL
from kzoo.policy import dtype_policy
from kzoo.registry import architecture_function, build, entry
from kzoo.training import devices
from kzoo.training.config import TrainConfig
from kzoo.training.freezing import freeze
from kzoo.training.optimizers import exclude_from_decay, hasten_statistics, make_optimizer, slow_weights
from kzoo.training.rates import LossScale
from kzoo.weights.classes import with_classes
from kzoo.weights.saved import open_saved, recast, with_options
from kzoo.weights.shipped import is_saved, model_file

log = logging.getLogger("kzoo")
_WRONG_ANCHORS = "anchors={!r}: give auto, default, or widths and heights"
UNMATCHED = 0.5  # share of the boxes that is worth a warning


def build_model(name: str, dataset, config: TrainConfig) -> ZooModel:
    """A new model for a dataset's classes, with anchors for its boxes.

    Raises:
        ValueError: an argument is wrong; TypeError's "unexpected keyword" becomes one too.
    """
    arguments = {"num_classes": len(dataset.classes), "names": dataset.classes}
    size = tuple(config.image_size or entry(name).image_size)
    if config.image_size or not is_saved(config.weights):  # a saved model brings its own input size
        arguments["image_size"] = size
    anchors = _anchors(name, dataset, config, size)
    if anchors is not None:
        arguments["anchors"] = anchors
    with dtype_policy(devices.resolve_precision(config.precision)):
        try:
            model = build(name, **arguments, **config.model_arguments())
        except TypeError as error:
            raise ValueError(f"{name}: {error}; see `kzoo info {name}` and the head's arguments") from error
    _warn_of_anchors(model, dataset, model.image_size)
    return model


def build_cfg(path: str | Path, dataset, config: TrainConfig) -> ZooModel:
    """The model that a Darknet `.cfg` describes, with the dataset's names.

    Raises:
        ValueError: an option is given that the file itself states, or it cannot be built.
    """
    from kzoo import darknet

    unfit = [name for name in _new_model_options(config) if name != "weights"]
    if unfit:
        raise ValueError(f"{', '.join(unfit)}: for a model by name only; {path} says it itself")
    with dtype_policy(devices.resolve_precision(config.precision)):
        model = darknet.load(path, config.weights, list(dataset.classes), config.stop_at)
    if config.image_size is not None:
        model.image_size = tuple(config.image_size)
    return model


def _new_model_options(config: TrainConfig) -> list[str]:
    """Names of the options in use that only a model that is built by its name takes."""
    return [*config.model_arguments(), *([] if isinstance(config.anchors, str) else ["anchors"])]


def _pairs(anchors) -> list[list[float]]:
    """Widths and heights, however they are nested, as a list of pairs."""
    return np.asarray(anchors, float).reshape(-1, 2).tolist()


def _anchors(name: str, dataset, config: TrainConfig, size: tuple[int, int]):
    """Widths and heights of the anchors to build the model with; None for the model's own."""
    if not isinstance(config.anchors, str):
        return _pairs(config.anchors)
    if config.anchors not in ("auto", "default"):
        raise ValueError(_WRONG_ANCHORS.format(config.anchors))
    own = inspect.signature(architecture_function(name)).parameters.get("anchors")
    # A model without a list of its own makes anchors by a rule, in many scales, which fit any boxes.
    if config.anchors == "default" or own is None or own.default is None or not hasattr(dataset, "record"):
        return None
    if config.weights is not None:
        log.warning("anchors: those that %s was trained with, not the dataset's own", config.weights)
        return None
    try:
        shapes, _ = kmeans_anchors(dataset, len(own.default), size, config.seed)
    except ValueError:  # too few different boxes to tell shapes from
        return None
    return shapes.round(1).tolist()


def _warn_of_anchors(model: ZooModel, dataset, size: tuple[int, int]) -> None:
    """Says where most objects cannot reach the overlap that an anchor has to have with them, wherever it lies."""
    threshold = getattr(model.head, "positive_threshold", None)
    if threshold is None or not hasattr(dataset, "record"):
        return
    shapes = input_shapes(dataset, size)  # (N, 2) of the boxes
    anchors = np.array([pair for level in model.head.anchors for pair in level])  # (A, 2)
    unmatched = float(np.mean(shape_iou(shapes, anchors).max(axis=1) < threshold)) if len(shapes) else 0.0
    if unmatched > UNMATCHED:
        log.warning(
            "%s: no anchor has the size of %.0f %% of the boxes (IoU of %g or more); train at another image_size "
            "(--image-size), or give anchors like them: kzoo anchors --data PATH",
            model.name,
            100 * unmatched,
            threshold,
        )


def adopt_model(model: ZooModel, dataset, config: TrainConfig) -> ZooModel:
    """A model that is there already, if it fits dataset and options. Classes in another order follow their names.

    Raises:
        ValueError: it has other classes or another precision, or options are given that only a new model takes.
    """
    if model.head.num_classes != len(dataset.classes):
        raise ValueError(
            f"{model.name} has {model.head.num_classes} classes, the dataset has {len(dataset.classes)}; "
            f"build it with num_classes={len(dataset.classes)}, or give the path of its .keras file, of which all but "
            "the rows of other classes is taken"
        )
    unfit = _new_model_options(config)
    if unfit:
        raise ValueError(f"{', '.join(unfit)}: for a model by name only; this one is built already")
    policy = model.dtype_policy.name
    if config.precision not in ("auto", policy):
        raise ValueError(
            f"precision={config.precision!r}: the model was built in {policy}; build it in the other"
        )
    other = with_classes(model, dataset.classes, model.name)
    if other is not model:
        model.head.set_weights(other.head.get_weights())
        model.names = other.names
    if config.devices not in (ALL, devices.replicas(model)):
        raise ValueError(
            f"devices={config.devices}: the model was built for {devices.replicas(model)}; leave it out, or build the "
            "model within the scope of a strategy of so many"
        )
    devices.check_accumulation(config.accumulate, devices.replicas(model))
    if config.image_size is not None:
        model.image_size = tuple(config.image_size)
    return model


def build_saved(path: str | Path, dataset, config: TrainConfig) -> ZooModel:
    """The model of a `.keras` file for a dataset's classes: as `build_model` with the file as `weights`.

    Raises:
        ValueError: an option is given that only a new model takes, or that contradicts the weights.
    """
    options = config.model_arguments()
    if config.pretrain is not None:
        raise ValueError(f"pretrain={config.pretrain!r}: all of {path} is trained already; leave it out")
    for name in ("width", "depth", "backbone", "weights", "backbone_weights"):
        if name in options:
            raise ValueError(f"{name}={options[name]!r}: for a model by name only; {path} is built already")
    model = open_saved(model_file(path))
    if not isinstance(config.anchors, str):
        levels = len(getattr(model.head, "strides", (1,)))
        options["anchors"] = anchors_by_level(_pairs(config.anchors), levels)
    elif config.anchors not in ("auto", "default"):
        raise ValueError(_WRONG_ANCHORS.format(config.anchors))
    model = with_options(recast(model, devices.resolve_precision(config.precision)), options, path)
    model = with_classes(model, dataset.classes, path)
    if config.image_size is not None:
        model.image_size = model.check_size(config.image_size)
    _warn_of_anchors(model, dataset, model.image_size)
    return model


def compile_model(model: ZooModel, config: TrainConfig, steps_per_epoch: int) -> ZooModel:
    """The model with optimizer, frozen layers and compilation as the options have them."""
    freeze(model, config)
    model.checkpoint_gradients = config.checkpoint_gradients
    hasten_statistics(model, config.epochs * steps_per_epoch)
    devices.synchronize(model)
    optimizer = make_optimizer(config, steps_per_epoch, slow_weights(model))
    if model.dtype_policy.name == "mixed_float16":
        optimizer = LossScale(optimizer)
    model.compile(optimizer, jit_compile=devices.resolve_jit(config.multi_scale or bool(config.sizes)))
    exclude_from_decay(model)
    model.optimizer.build(model.trainable_variables)
    return model
