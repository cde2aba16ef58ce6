"""ConvNeXt as a classifier, whose weights serve detectors and segmenters as `backbone_weights`."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kzoo.backbones.convnext import convnext, layer_norm
from kzoo.heads.classify import ClassifyHead
from kzoo.layers.normalize import normalized
from kzoo.layers.pooled import pooled
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading


@architecture(ClassifyHead)
def convnext_tiny(
    num_classes: int = 1000,
    image_size: Sequence[int] = (224, 224),
    width: float = 1.0,
    depth: float = 1.0,
    drop_path: float = 0.1,
    label_smoothing: float = 0.0,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "convnext-tiny",
) -> ZooModel:
    """ConvNeXt-T with its classifier: a residual network built as transformers are, of depthwise 7x7 convolutions.

    Args:
        num_classes: number of classes, 1 or more, 1000 by default.
        image_size: height and width in pixels, (224, 224) by default, multiples of 32.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the blocks of a stage, above 0 and up to 16, 1 by default.
        drop_path: share of a training batch's images for which the last block is left out, 0 or more and below 1, 0.1
            by default; it grows evenly from 0 at the first block.
        label_smoothing: share of the target that goes to all classes alike, 0 or more and below 1, 0 by default.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the weights ask for
            where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; torchvision's or timm's (`.pth`, `.safetensors`);
            keras.applications' (`.h5`); or "imagenet", which fetches that. Untrained where None.
        backbone_weights: a file of a model with the same backbone, or "imagenet": see `kzoo.weights.loading`. Untrained
            where None.
        name: name of the model, which messages and files go by, "convnext-tiny" by default.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Liu et al. 2022, arXiv:2201.03545, figure 4 and table 9.

    Example:
        >>> model = kzoo.build("convnext-tiny", num_classes=5, backbone_weights="imagenet")
    """
    check_arguments(num_classes, image_size, names, 32)
    read = reading(backbone_weights, weights, backbone="convnext-tiny")
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, normalize or read.normalize)
    x = pooled(convnext(x, width=width, depth=depth, drop_path=drop_path)[-1])
    network = keras.Model(inputs, [layer_norm("neck_norm")(x)], name="network")
    head = ClassifyHead(num_classes, label_smoothing, name="head")
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)
