"""The model a training asks for: built for the dataset, compiled for the machine."""

from __future__ import annotations

import importlib
import inspect
import logging
from pathlib import Path

import numpy as np

from kzoo.data.anchors import input_shapes, kmeans_anchors, shape_iou
from kzoo.model import ZooModel, backbone_layers
from kzoo.policy import dtype_policy
from kzoo.registry import build, entry
from kzoo.training import devices
from kzoo.training.config import TrainConfig
from kzoo.training.optimizers import exclude_from_decay, hasten_statistics, make_optimizer

log = logging.getLogger("kzoo")
UNMATCHED = 0.5  # share of the boxes that is worth a warning


def build_model(name: str, dataset, config: TrainConfig) -> ZooModel:
    """A new model for a dataset's classes, with anchors for its boxes.

    Raises:
        ValueError: an argument is wrong; TypeError's "unexpected keyword" becomes one too.
    """
    size = tuple(config.image_size or entry(name).image_size)
    arguments = {"num_classes": len(dataset.classes), "names": dataset.classes, "image_size": size}
    anchors = _anchors(name, dataset, config, size)
    if anchors is not None:
        arguments["anchors"] = anchors
    with dtype_policy(devices.resolve_precision(config.precision)):
        try:
            model = build(name, **arguments, **config.model_arguments())
        except TypeError as error:
            raise ValueError(f"{name}: {error}; see `kzoo info {name}` and the head's arguments") from error
    _warn_of_anchors(model, dataset, size)
    return model


def build_cfg(path: str | Path, dataset, config: TrainConfig) -> ZooModel:
    """The model that a Darknet `.cfg` describes, with the dataset's names.

    Raises:
        ValueError: an option is given that the file itself states, or it cannot be built.
    """
    from kzoo import darknet

    given = {**config.model_arguments(), **({} if isinstance(config.anchors, str) else {"anchors": 0})}
    given.pop("weights", None)
    if given:
        raise ValueError(f"{', '.join(given)}: for a model by name only; {path} says it itself")
    with dtype_policy(devices.resolve_precision(config.precision)):
        model = darknet.load(path, config.weights, list(dataset.classes), config.stop_at)
    if config.image_size is not None:
        model.image_size = tuple(config.image_size)
    return model


def _anchors(name: str, dataset, config: TrainConfig, size: tuple[int, int]):
    """Shapes to pass on, or None for the model's own."""
    if not isinstance(config.anchors, str):
        return np.asarray(config.anchors, float).reshape(-1, 2).tolist()
    if config.anchors not in ("auto", "default"):
        raise ValueError(f"anchors={config.anchors!r}: give auto, default, or widths and heights")
    module, function = entry(name).target.split(":")
    own = inspect.signature(getattr(importlib.import_module(module), function)).parameters.get("anchors")
    # A model without a list of its own makes anchors by a rule, in many scales, which fit any boxes.
    if config.anchors == "default" or own is None or own.default is None or not hasattr(dataset, "record"):
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
    shapes = input_shapes(dataset, size)
    anchors = np.array([pair for level in model.head.anchors for pair in level])
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
    """A model that is there already, if it fits the dataset and the options.

    Raises:
        ValueError: it has other classes or another precision, or options are given that only a new model takes.
    """
    if model.head.num_classes != len(dataset.classes):
        raise ValueError(
            f"{model.name} has {model.head.num_classes} classes, the dataset has {len(dataset.classes)}; "
            f"build it with num_classes={len(dataset.classes)}"
        )
    given = {**config.model_arguments(), **({} if isinstance(config.anchors, str) else {"anchors": 0})}
    if given:
        raise ValueError(f"{', '.join(given)}: for a model by name only; this one is built already")
    policy = model.dtype_policy.name
    if config.precision not in ("auto", policy):
        raise ValueError(
            f"precision={config.precision!r}: the model was built in {policy}; build it in the other"
        )
    model.names = list(dataset.classes)
    if config.image_size is not None:
        model.image_size = tuple(config.image_size)
    return model


def compile_model(model: ZooModel, config: TrainConfig, steps_per_epoch: int) -> ZooModel:
    """The model with optimizer, frozen layers and compilation as the options have them."""
    if config.freeze_backbone:
        frozen = backbone_layers(model)
        if not frozen:
            raise ValueError(f"{model.name}: has no backbone to freeze")
        for layer in frozen:
            layer.trainable = False
    hasten_statistics(model, config.epochs * steps_per_epoch)
    optimizer = make_optimizer(config, steps_per_epoch)
    model.compile(optimizer, jit_compile=devices.resolve_jit(config.multi_scale or bool(config.sizes)))
    exclude_from_decay(model)
    model.optimizer.build(model.trainable_variables)
    return model
