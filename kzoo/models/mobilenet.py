"""MobileNets as classifiers, whose weights serve detectors and segmenters as `backbone_weights`."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
from keras import layers

from kzoo.backbones.mobilenet import mobilenet
from kzoo.heads.classify import ClassifyHead
from kzoo.layers.conv import scaled
from kzoo.layers.normalize import normalized
from kzoo.layers.pooled import dropped, pooled
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading

# Channels of the layer before the linear one, which the second version has not.
HIDDEN = {"mobilenetv3-large": 1280, "mobilenetv3-small": 1024}


@architecture(ClassifyHead)
def mobilenetv2(
    num_classes: int = 1000,
    image_size: Sequence[int] = (224, 224),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "mobilenetv2",
    dropout: float = 0.2,
    label_smoothing: float = 0.0,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "mobilenetv2",
) -> ZooModel:
    """MobileNetV2 with its classifier: inverted residual blocks with ReLU6.

    Args:
        num_classes: number of classes, 1 or more, 1000 by default.
        image_size: height and width in pixels, (224, 224) by default, multiples of 32.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the blocks of a stage, above 0 and up to 16, 1 by default.
        backbone: one of `kzoo.backbones.mobilenet.MOBILENETS`, "mobilenetv2" by default.
        dropout: share of the numbers before the linear layer that training drops, 0 or more and below 1, 0.2 by
            default.
        label_smoothing: share of the target that goes to all classes alike, 0 or more and below 1, 0 by default.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the weights ask for
            where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; torchvision's or timm's (`.pth`, `.safetensors`);
            keras.applications' (`.h5`); or "imagenet", which fetches that. Untrained where None.
        backbone_weights: a file of a model with the same backbone, or "imagenet": see `kzoo.weights.loading`. Untrained
            where None.
        name: name of the model, which messages and files go by, "mobilenetv2" by default.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Sandler et al. 2018, arXiv:1801.04381, table 2; the third version: Howard et al. 2019, arXiv:1905.02244,
    tables 1 and 2.

    Example:
        >>> model = kzoo.build("mobilenetv3-small", num_classes=5, backbone_weights="imagenet")
    """
    check_arguments(num_classes, image_size, names, 32)
    read = reading(backbone_weights, weights, backbone=backbone)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, normalize or read.normalize)
    x = pooled(mobilenet(x, backbone, width=width, depth=depth, padding=read.padding, top=True)[-1])
    if backbone in HIDDEN:
        filters = scaled(HIDDEN[backbone], width)
        x = layers.Conv2D(filters, 1, activation="hard_silu", name="neck_hidden_conv")(x)
    network = keras.Model(inputs, [dropped(x, dropout)], name="network")
    head = ClassifyHead(num_classes, label_smoothing, name="head")
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)


mobilenetv3_large = functools.partial(mobilenetv2, backbone="mobilenetv3-large", name="mobilenetv3-large")
mobilenetv3_small = functools.partial(mobilenetv2, backbone="mobilenetv3-small", name="mobilenetv3-small")
