"""EfficientNets as classifiers, whose weights serve detectors and segmenters as `backbone_weights`."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras

from kzoo.backbones import efficientnet as backbones
from kzoo.heads.classify import ClassifyHead
from kzoo.layers.normalize import normalized
from kzoo.layers.pooled import dropped, pooled
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading

LEAST = 32  # pixels of a side


@architecture(ClassifyHead)
def efficientnet(
    num_classes: int = 1000,
    image_size: Sequence[int] = (224, 224),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "efficientnet-b0",
    dropout: float = 0.2,
    drop_path: float = 0.2,
    label_smoothing: float = 0.0,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "efficientnet-b0",
) -> ZooModel:
    """EfficientNet-B0 with its classifier: inverted residual blocks, squeeze and excite, swish.

    Args:
        num_classes: number of classes, 1 or more, 1000 by default.
        image_size: height and width in pixels, 32 or more, (224, 224) by default; larger variants were published at
            larger sizes.
        width: factor of the variant's channels, above 0 and up to 16, 1 by default.
        depth: factor of the variant's blocks of a stage, above 0 and up to 16, 1 by default.
        backbone: one of `kzoo.backbones.efficientnet.EFFICIENTNETS`, "efficientnet-b0" by default.
        dropout: share of the numbers before the linear layer that training drops, 0 or more and below 1, 0.2 by default
            and up to 0.5 of larger variants.
        drop_path: share of a training batch's images for which the last block is left out, 0 or more and below 1, 0.2
            by default; it grows evenly from 0 at the first block.
        label_smoothing: share of the target that goes to all classes alike, 0 or more and below 1, 0 by default.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the weights ask for
            where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; torchvision's or timm's (`.pth`, `.safetensors`);
            keras.applications' (`.h5`); or "imagenet", where it was published. Untrained where None.
        backbone_weights: a file of a model with the same backbone, or "imagenet": see `kzoo.weights.loading`. Untrained
            where None.
        name: name of the model, which messages and files go by, "efficientnet-b0" by default.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Tan & Le 2019, arXiv:1905.11946, table 1.

    Example:
        >>> model = kzoo.build("efficientnet-lite0", weights="imagenet")
    """
    _check_size(image_size)
    check_arguments(num_classes, image_size, names, 1)
    read = reading(backbone_weights, weights, backbone=backbone)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, normalize or read.normalize)
    x = backbones.efficientnet(
        x, backbone, width=width, depth=depth, padding=read.padding, top=True, drop_path=drop_path
    )[-1]
    network = keras.Model(inputs, [dropped(pooled(x), dropout)], name="network")
    head = ClassifyHead(num_classes, label_smoothing, name="head")
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)


def _check_size(image_size: Sequence[int]) -> None:
    if min(image_size) < LEAST:
        raise ValueError(f"image_size={tuple(image_size)}: give sides of {LEAST} pixels or more")


def _variant(name: str, side: int, dropout: float):
    return functools.partial(efficientnet, image_size=(side, side), backbone=name, dropout=dropout, name=name)


efficientnet_b1 = _variant("efficientnet-b1", 240, 0.2)
efficientnet_b2 = _variant("efficientnet-b2", 260, 0.3)
efficientnet_b3 = _variant("efficientnet-b3", 300, 0.3)
efficientnet_b4 = _variant("efficientnet-b4", 380, 0.4)
efficientnet_b5 = _variant("efficientnet-b5", 456, 0.4)
efficientnet_b6 = _variant("efficientnet-b6", 528, 0.5)
efficientnet_b7 = _variant("efficientnet-b7", 600, 0.5)
# Without what small processors are slow at.
efficientnet_lite0 = _variant("efficientnet-lite0", 224, 0.2)
efficientnet_lite1 = _variant("efficientnet-lite1", 240, 0.2)
efficientnet_lite2 = _variant("efficientnet-lite2", 260, 0.3)
efficientnet_lite3 = _variant("efficientnet-lite3", 280, 0.3)
efficientnet_lite4 = _variant("efficientnet-lite4", 300, 0.3)
