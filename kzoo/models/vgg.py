"""VGG16 as a classifier, whose weights serve detectors and segmenters as `backbone_weights`."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from kzoo.backbones import vgg as backbones
from kzoo.heads.classify import ClassifyHead
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading


@architecture(ClassifyHead)
def vgg16(
    num_classes: int = 1000,
    image_size: Sequence[int] = (224, 224),
    width: float = 1.0,
    depth: float = 1.0,
    batch_norm: bool = False,
    label_smoothing: float = 0.0,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "vgg16",
) -> ZooModel:
    """VGG16 with its classifier.

    The hidden layers are convolutions, and larger images are classified by the mean over all places.

    Args:
        num_classes: number of classes, 1 or more, 1000 by default.
        image_size: height and width in pixels, (224, 224) by default, multiples of 32; below 224 the last feature map
            is padded to what the classifier takes. Larger sizes work as well at run time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the convolutions of a stage, above 0 and up to 16, 1 by default.
        batch_norm: whether the convolutions are batch-normalised, which trains without pretrained weights; False by
            default.
        label_smoothing: share of the target that goes to all classes alike, 0 or more and below 1, 0 by default.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the backbone's
            weights ask for where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or torchvision's or timm's (`.pth`,
            `.safetensors`). Untrained where None.
        backbone_weights: a file of a model with the same backbone, or "imagenet": see `kzoo.weights.loading`. Untrained
            where None.
        name: name of the model, which messages and files go by, "vgg16" by default.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Simonyan & Zisserman 2015, arXiv:1409.1556, table 1, column D; dense evaluation: section 3.2.
    """
    check_arguments(num_classes, image_size, names, 32)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, normalize or reading(backbone_weights, weights).normalize)
    x = backbones.vgg16(x, width, depth, batch_norm=batch_norm)[-1]
    lacking = [max(0, backbones.WINDOW - side // 32) for side in image_size]
    if any(lacking):
        margins = [(n // 2, n - n // 2) for n in lacking]
        x = layers.ZeroPadding2D(margins, name="backbone_fc6_pad")(x)
    x = backbones.convolutional_classifier(x, width, padding="valid")
    network = keras.Model(inputs, [x], name="network")
    head = ClassifyHead(num_classes, label_smoothing, name="head")
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)
