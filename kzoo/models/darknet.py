"""Darknet-53 as a classifier, whose weights serve detectors as `backbone_weights`."""

from __future__ import annotations

import keras

from kzoo.backbones import darknet as backbones
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
    inputs, x = images_input()
    network = keras.Model(inputs, backbones.darknet53(x, width, depth), name="network")
    head = ClassifyHead(num_classes, label_smoothing, name="head")
    return load_weights(ZooModel(network, head, image_size, names, name="darknet53"), weights)
