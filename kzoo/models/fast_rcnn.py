"""Fast R-CNN: one pass of VGG16 over the image, and its hidden layers over the features under each proposal."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kzoo.backbones.vgg import vgg16
from kzoo.heads.fast_rcnn import FastRCNNHead
from kzoo.layers.conv import scaled
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading

STRIDE = 16


@architecture(FastRCNNHead)
def fast_rcnn(
    num_classes: int = 20,
    image_size: Sequence[int] = (608, 800),
    width: float = 1.0,
    depth: float = 1.0,
    batch_norm: bool = False,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "fast-rcnn",
    **head,
) -> ZooModel:
    """Fast R-CNN on VGG16: proposals come with the image, and are pooled by their maxima from the map at stride 16.

    Args:
        num_classes: number of classes, 1 or more, without a background, 20 by default.
        image_size: height and width in pixels, (608, 800) by default, multiples of 16. Other sizes work at run time.
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
        name: name of the model, which messages and files go by, "fast-rcnn" by default.
        **head: further arguments of `kzoo.heads.fast_rcnn.FastRCNNHead`. Defaults here are the paper's: `pool` "max",
            `region_samples` 64, `background_from` 0.1, `smooth_l1_beta` 1, `dropout` 0.5, `nms_threshold` 0.3,
            `score_threshold` 0.05, `candidates` 1000, and `dense` (4096, 4096) times width.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Girshick 2015, arXiv:1504.08083; in numbers as the author's code.
    """
    check_arguments(num_classes, image_size, names, STRIDE)
    read = reading(backbone_weights, weights, "caffe", "vgg16")
    inputs = keras.Input((None, None, 3), name="images")
    proposals = keras.Input((None, 4), name="proposals")
    x = normalized(inputs, normalize or read.normalize)
    features = vgg16(x, width, depth, pooled=False, batch_norm=batch_norm)[-1]
    network = keras.Model([inputs, proposals], [features, proposals], name="network")
    arguments = {
        "region_samples": 64,
        "background_from": 0.1,
        "pool": "max",
        "smooth_l1_beta": 1.0,
        "dropout": 0.5,
        "nms_threshold": 0.3,
        "score_threshold": 0.05,
        "candidates": 1000,
        "multiple": STRIDE,
        **head,
        "dense": [scaled(units, width) for units in head.get("dense", (4096, 4096))],
    }
    head = FastRCNNHead(num_classes, (STRIDE,), name="head", **arguments)
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)
