"""A detector small enough to be trained within a test."""

import keras
import numpy as np

from kzoo.heads.yolo import YoloHead
from kzoo.layers.conv import ConvNamer
from kzoo.layers.regularization import DropBlock
from kzoo.model import ZooModel, images_input

SIDE = 64


def tiny_detector(classes: int = 3, policy: str = "float32", dropping: bool = False) -> ZooModel:
    """Strided convolutions, one more as a neck, and YOLO's head on the only level; with layers that drop, if asked."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    try:
        return _build(classes, dropping)
    finally:
        keras.config.set_dtype_policy("float32")


def _build(classes: int, dropping: bool, channels: int = 8, stages: int = 5) -> ZooModel:
    inputs, x = images_input()
    backbone = ConvNamer("backbone")
    for _ in range(stages):
        x = backbone.conv(x, channels, stride=2)
    if dropping:
        x = keras.layers.Dropout(0.2)(DropBlock(0.8, size=2)(x))
    network = keras.Model(inputs, [ConvNamer("neck").conv(x, channels)], name="network")
    head = YoloHead(classes, [[8, 8], [14, 14], [22, 22]], [2**stages], name="head")
    names = ["circle", "rectangle", "triangle"][:classes]
    return ZooModel(network, head, (SIDE, SIDE), names, name="tiny")


def flat(weights) -> np.ndarray:
    """All weights in one row."""
    return np.concatenate([np.ravel(keras.ops.convert_to_numpy(weight)) for weight in weights])
