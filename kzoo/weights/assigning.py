"""Arrays of a file into a model's variables, each by its name; what does not fit is said in one line."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from kzoo.heads.base import leaves
from kzoo.model import ZooModel, backbone_layers

log = logging.getLogger("kzoo")
_SHOWN = 10
# VGG16's hidden layers, which SSD has as dilated convolutions of fewer channels.
_CLASSIFIER = ("backbone_fc6", "backbone_fc7")


def named_layers(model: ZooModel, backbone: bool) -> dict[str, keras.layers.Layer]:
    """Layers with weights by name: the backbone's, or all of the network's and the head's, called `head_...`.

    What is made of others is there by its parts: `..._rep_conv3`.
    """
    network = {}
    for layer in backbone_layers(model) if backbone else model.network.layers:
        parts = {f"{layer.name}_{part.name}": part for part in leaves(layer)}
        network |= parts or {layer.name: layer}
    head = {} if backbone else {f"head_{layer.name}": layer for layer in leaves(model.head)}
    return {name: layer for name, layer in {**network, **head}.items() if layer.weights}


def atrous_classifier(layers: dict[str, keras.layers.Layer]) -> set[str]:
    """Names of the layers of an SSD's backbone that stand for VGG16's classifier.

    They take a part of its numbers, and none where a file has no classifier, or one that was not trained.
    """
    first = layers.get(_CLASSIFIER[0])
    if first is None or first.dilation_rate[0] == 1:
        return set()
    return {name for name in layers if name.startswith(_CLASSIFIER)}


def subsampled(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Every so many numbers along each axis of an array, as many as a smaller one of `shape` takes.

    Source: Liu et al. 2016, SSD, arXiv:1512.02325, section 3; Chen et al. 2014, arXiv:1412.7062, section 3.1.
    """
    if array.ndim != len(shape) or any(old < new for old, new in zip(array.shape, shape, strict=True)):
        return array
    steps = (-(-old // new) for old, new in zip(array.shape, shape, strict=True))
    return array[tuple(slice(None, None, step) for step in steps)]


@dataclass
class Assignment:
    """What goes from a file into a model, gathered first, so that a model is changed as a whole or not at all.

    Attributes:
        file: the file that is read, for messages.
        model: the model that takes its weights.
        values: variables, and the arrays that they take.
        missing: names of arrays that the model needs and the file does not have.
        extra: names of arrays that the file has and the model does not need.
        misshapen: names and both shapes of arrays that do not fit.
        fresh: names of arrays that are of other classes, in layers that count the model's classes: there the model
            keeps what it has.
        unused: names of arrays that the file has and may have, and nobody takes: beside the backbone, where that alone
            is taken, or of an auxiliary classifier.
    """

    file: Path
    model: ZooModel
    values: list[tuple[keras.Variable, np.ndarray]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def put(self, variable: keras.Variable, array: np.ndarray, name: str) -> None:
        """Notes that a variable takes an array.

        Args:
            variable: a variable of the model.
            array: the file's array, its axes in the variable's order.
            name: what the file calls the array.
        """
        if array.shape == tuple(variable.shape):
            self.values.append((variable, array))
        elif array.shape[:-1] == tuple(variable.shape)[:-1] and self._counts_classes(variable):
            self.fresh.append(name)
        else:
            self.misshapen.append(
                f"{name} {array.shape} for {tuple(variable.shape)} (in Keras's order of axes)"
            )

    def _counts_classes(self, variable: keras.Variable) -> bool:
        layers = [layer for layer, *_ in self.model.head.class_outputs()]
        return any(variable is each for layer in layers for each in layer.weights)

    def finish(self) -> ZooModel:
        """The model with the file's weights.

        Raises:
            ValueError: something is missing, left over or of another shape; each is named.
        """
        faults = [
            f"{what} {_listed(names)}"
            for what, names in (
                ("lacks", self.missing),
                ("has what the model has not:", self.extra),
                ("has other shapes:", self.misshapen),
            )
            if names
        ]
        if faults:
            raise ValueError(
                f"{self.file}: does not fit {self.model.name}: {'; '.join(faults)}; "
                "build it with the architecture, classes, width and depth of the file"
            )
        if self.fresh:
            log.warning(
                "%s: is of other classes: %s start anew; all else is the file's",
                self.file,
                _listed(self.fresh),
            )
        warn_of_unused(self.file, self.model, self.unused)
        for variable, array in self.values:
            variable.assign(np.asarray(array, np.float32))
        return self.model


def warn_of_unused(file: Path, model: ZooModel, names: Sequence[str]) -> None:
    """Says in one line what of a file a model does not use; nothing where it uses all.

    Args:
        file: the file that is read.
        model: the model that takes its weights.
        names: names of the arrays, or of the layers, that are left out.
    """
    if names:
        log.warning("%s: %s does not use %s", file, model.name, _listed(names))


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
