"""Residual networks as classifiers, whose weights serve detectors and segmenters as `backbone_weights`."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras

from kzoo.backbones.resnet import resnet
from kzoo.heads.classify import ClassifyHead
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading


@architecture(ClassifyHead)
def resnet50(
    num_classes: int = 1000,
    image_size: Sequence[int] = (224, 224),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "resnet50",
    label_smoothing: float = 0.0,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "resnet50",
) -> ZooModel:
    """ResNet-50 with its classifier.

    Args:
        num_classes: number of classes, 1 or more, 1000 by default.
        image_size: height and width in pixels, (224, 224) by default, multiples of 32.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the residual blocks of a stage, above 0 and up to 16, 1 by default.
        backbone: residual network, one of `kzoo.backbones.resnet.RESNETS`, "resnet50" by default.
        label_smoothing: share of the target that goes to all classes alike, 0 or more and below 1, 0 by default.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the backbone's
            weights ask for where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or torchvision's or timm's (`.pth`,
            `.safetensors`). Untrained where None.
        backbone_weights: a file of a model with the same backbone, or "imagenet": see `kzoo.weights.loading`. Untrained
            where None.
        name: name of the model, which messages and files go by, "resnet50" by default.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: He et al. 2015, arXiv:1512.03385, table 1; the stride in the 3x3 convolutions as in torchvision.
    """
    check_arguments(num_classes, image_size, names, 32)
    read = reading(backbone_weights, weights)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, normalize or read.normalize)
    features = resnet(x, backbone, width=width, depth=depth, stride_first=read.stride_first)
    network = keras.Model(inputs, features[-1:], name="network")
    head = ClassifyHead(num_classes, label_smoothing, name="head")
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)


resnet18 = functools.partial(resnet50, backbone="resnet18", name="resnet18")
resnet34 = functools.partial(resnet50, backbone="resnet34", name="resnet34")
resnet101 = functools.partial(resnet50, backbone="resnet101", name="resnet101")
resnet152 = functools.partial(resnet50, backbone="resnet152", name="resnet152")
