"""Darknet's backbones as classifiers, whose weights serve detectors as `backbone_weights`."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras

from kzoo.backbones import cspdarknet as partial_backbones
from kzoo.backbones import darknet as backbones
from kzoo.heads.base import check_choice
from kzoo.heads.classify import ClassifyHead
from kzoo.model import ZooModel, images_input
from kzoo.models.architecture import architecture
from kzoo.weights.loading import load_weights


@architecture(ClassifyHead)
def darknet53(
    num_classes: int = 1000,
    image_size: tuple[int, int] = (256, 256),
    width: float = 1.0,
    depth: float = 1.0,
    label_smoothing: float = 0.0,
    names: list[str] | None = None,
    weights: str | None = None,
) -> ZooModel:
    """Darknet-53 with its classifier.

    Args:
        num_classes: number of classes, 1 or more, 1000 by default.
        image_size: height and width in pixels, (256, 256) by default, multiples of 32.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the residual blocks of a stage, above 0 and up to 16, 1 by default.
        label_smoothing: share of the target that goes to all classes alike, 0 or more and below 1, 0 by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras`, `.weights.h5` or Darknet's `.weights` file of the same model, or the name of published
            weights: see `kzoo.weights.loading`. Untrained where None.

    Source: YOLOv3, arXiv:1804.02767, table 1.
    """
    features = functools.partial(backbones.darknet53, width=width, depth=depth)
    return _classifier("darknet53", features, num_classes, image_size, label_smoothing, names, weights)


@architecture(ClassifyHead)
def darknet19(
    num_classes: int = 1000,
    image_size: tuple[int, int] = (224, 224),
    width: float = 1.0,
    depth: float = 1.0,
    label_smoothing: float = 0.0,
    names: list[str] | None = None,
    weights: str | None = None,
) -> ZooModel:
    """Darknet-19 with its classifier.

    Args:
        num_classes: number of classes, 1 or more, 1000 by default.
        image_size: height and width in pixels, (224, 224) by default, multiples of 32. Before it becomes a detector's
            backbone YOLOv2 trains it for 10 epochs more at (448, 448).
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the pairs of convolutions of a stage, above 0 and up to 16, 1 by default.
        label_smoothing: share of the target that goes to all classes alike, 0 or more and below 1, 0 by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras`, `.weights.h5` or Darknet's `.weights` file of the same model, or the name of published
            weights: see `kzoo.weights.loading`. Untrained where None.

    Source: YOLO9000, arXiv:1612.08242, table 6, where the linear layer comes before the mean, which gives the same.
    """
    features = functools.partial(backbones.darknet19, width=width, depth=depth)
    return _classifier("darknet19", features, num_classes, image_size, label_smoothing, names, weights)


@architecture(ClassifyHead)
def cspdarknet53(
    num_classes: int = 1000,
    image_size: tuple[int, int] = (256, 256),
    width: float = 1.0,
    depth: float = 1.0,
    label_smoothing: float = 0.0,
    names: list[str] | None = None,
    weights: str | None = None,
) -> ZooModel:
    """CSPDarknet-53 with its classifier.

    Args:
        num_classes: number of classes, 1 or more, 1000 by default.
        image_size: height and width in pixels, (256, 256) by default, multiples of 32.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the residual blocks of a stage, above 0 and up to 16, 1 by default.
        label_smoothing: share of the target that goes to all classes alike, 0 or more and below 1, 0 by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras`, `.weights.h5` or Darknet's `.weights` file of the same model, or the name of published
            weights: see `kzoo.weights.loading`. Untrained where None.

    Source: YOLOv4, arXiv:2004.10934; Darknet's csdarknet53-omega.cfg.
    """
    features = functools.partial(partial_backbones.cspdarknet53, width=width, depth=depth)
    return _classifier("cspdarknet53", features, num_classes, image_size, label_smoothing, names, weights)


@architecture(ClassifyHead)
def cspresnext50(
    num_classes: int = 1000,
    image_size: tuple[int, int] = (256, 256),
    width: float = 1.0,
    depth: float = 1.0,
    activation: str = "leaky",
    label_smoothing: float = 0.0,
    names: list[str] | None = None,
    weights: str | None = None,
) -> ZooModel:
    """CSPResNeXt-50 with its classifier.

    Args:
        num_classes: number of classes, 1 or more, 1000 by default.
        image_size: height and width in pixels, (256, 256) by default, multiples of 32.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the bottlenecks of a stage, above 0 and up to 16, 1 by default.
        activation: what follows the convolutions, by Darknet's name: "leaky" (default), "mish" or "swish".
        label_smoothing: share of the target that goes to all classes alike, 0 or more and below 1, 0 by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras`, `.weights.h5` or Darknet's `.weights` file of the same model, or the name of published
            weights: see `kzoo.weights.loading`. Untrained where None.

    Source: CSPNet, arXiv:1911.11929; Darknet's csresnext50-omega.cfg, whose activation is "mish".
    """
    check_choice("activation", activation, ("leaky", "mish", "swish"))
    features = functools.partial(
        partial_backbones.cspresnext50, width=width, depth=depth, activation=activation
    )
    return _classifier("cspresnext50", features, num_classes, image_size, label_smoothing, names, weights)


def _classifier(
    name: str, features: Callable, num_classes, image_size, label_smoothing, names, weights
) -> ZooModel:
    """A backbone, given as a function of normalised images, and the classifier behind its last map."""
    inputs, x = images_input()
    network = keras.Model(inputs, features(x), name="network")
    head = ClassifyHead(num_classes, label_smoothing, name="head")
    return load_weights(ZooModel(network, head, image_size, names, name=name), weights)
