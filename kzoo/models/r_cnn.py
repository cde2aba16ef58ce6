"""R-CNN: each proposal a picture of its own, which VGG16 looks at, and a support vector machine a class."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kzoo.backbones.vgg import vgg16
from kzoo.heads.features import FeatureHead
from kzoo.heads.svm import SVMHead
from kzoo.layers.conv import scaled
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading


@architecture(SVMHead)
def r_cnn(
    num_classes: int = 20,
    image_size: Sequence[int] = (500, 500),
    width: float = 1.0,
    depth: float = 1.0,
    batch_norm: bool = False,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "r-cnn",
    **head,
) -> ZooModel:
    """R-CNN on VGG16: each proposal is warped to 224 pixels, 16 of them on each side context.

    Args:
        num_classes: number of classes, 1 or more, without a background, 20 by default.
        image_size: height and width in pixels, (500, 500) by default; of any size.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the convolutions of a stage, above 0 and up to 16, 1 by default.
        batch_norm: whether VGG16's convolutions are batch-normalised, which trains without pretrained weights; False by
            default.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the backbone's
            weights ask for where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone; torchvision's or timm's VGG16
            (`.safetensors`, `.pth`), of which its convolutions are taken; or "imagenet": see `kzoo.weights.loading`.
            Untrained where None.
        name: name of the model, which messages and files go by, "r-cnn" by default.
        **head: further arguments of `kzoo.heads.svm.SVMHead`, such as `crop`. Defaults here are `region_samples` 64,
            `at_once` 32, `nms_threshold` 0.3, `score_threshold` 0.05, `candidates` 1000, and `dense` (4096, 4096) times
            width.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Girshick et al. 2014, arXiv:1311.2524; on VGG16: Girshick et al. 2016, IEEE PAMI 38(1).
    """
    check_arguments(num_classes, image_size, names, 1)
    read = reading(backbone_weights, weights, "caffe", "vgg16")
    inputs = keras.Input((None, None, 3), name="images")
    proposals = keras.Input((None, 4), name="proposals")
    x = normalized(inputs, normalize or read.normalize)
    network = keras.Model([inputs, proposals], [x, proposals], name="network")
    arguments = {
        "region_samples": 64,
        "at_once": 32,
        "nms_threshold": 0.3,
        "score_threshold": 0.05,
        "candidates": 1000,
        "multiple": 1,
        **head,
        "dense": [scaled(units, width) for units in head.get("dense", (4096, 4096))],
    }
    crops = {"crop_width": width, "crop_depth": depth, "crop_norm": batch_norm}
    head = SVMHead(num_classes, (1,), regions="crop", **crops, name="head", **arguments)
    model = ZooModel(network, head, image_size, names, name=name)
    if backbone_weights is not None:
        _load_crops(head.branches[0].crops, backbone_weights, width, depth, batch_norm)
    return load_weights(model, weights)


def _load_crops(crops: keras.Model, weights: str, width: float, depth: float, batch_norm: bool) -> None:
    """Puts a backbone's weights into the crops' network, by way of a model that has the same one before its head."""
    images = keras.Input((None, None, 3), name="images")
    maps = vgg16(images, width, depth, batch_norm=batch_norm)[-1]
    head = FeatureHead(maps.shape[-1], name="head")
    source = ZooModel(keras.Model(images, maps, name="network"), head, (224, 224), name="r-cnn")
    crops.set_weights(load_backbone(source, weights).network.get_weights())
