"""Faster R-CNN as it was published: on VGG16's last map, from which regions are pooled by their maxima."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kzoo.backbones.vgg import vgg16
from kzoo.heads.rcnn import RCNNHead
from kzoo.layers.conv import scaled
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading

STRIDE = 16
# Widths and heights in pixels: three areas, each lying, square and standing, in the whole pixels of the authors' code.
ANCHORS = (
    (
        (184, 96),
        (368, 192),
        (736, 384),
        (128, 128),
        (256, 256),
        (512, 512),
        (88, 176),
        (176, 352),
        (352, 704),
    ),
)


@architecture(RCNNHead)
def faster_rcnn_vgg16(
    num_classes: int = 20,
    image_size: Sequence[int] = (608, 800),
    width: float = 1.0,
    depth: float = 1.0,
    batch_norm: bool = False,
    anchors: Sequence = ANCHORS,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "faster-rcnn-vgg16",
    **head,
) -> ZooModel:
    """Faster R-CNN on VGG16: nine anchors a cell at stride 16, and VGG16's hidden layers for each region.

    Args:
        num_classes: number of classes, 1 or more, without a background, 20 by default.
        image_size: height and width in pixels, (608, 800) by default, multiples of 16. Other sizes work at run time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the convolutions of a stage, above 0 and up to 16, 1 by default.
        batch_norm: whether VGG16's convolutions are batch-normalised, which trains without pretrained weights; False by
            default.
        anchors: widths and heights in pixels of the only level; the paper's nine by default.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the backbone's
            weights ask for where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone; torchvision's or timm's VGG16
            (`.safetensors`, `.pth`), of which its convolutions are taken; or "imagenet": see `kzoo.weights.loading`.
            Untrained where None.
        name: name of the model, which messages and files go by, "faster-rcnn-vgg16" by default.
        **head: further arguments of `kzoo.heads.rcnn.RCNNHead`. Defaults here are the paper's: `pool` "max",
            `anchors_kept` (12000, 6000), `proposals` (2000, 300), `region_samples` 128, `smooth_l1_beta` 1,
            `rpn_inside` True, `rpn_smallest` 16, `nms_threshold` 0.3, `score_threshold` 0.05, `candidates` 1000; and
            of what is computed `dense` (4096, 4096) and `rpn_width` 512, times width, `dropout` 0.5 and `offset` 0.5.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Ren et al. 2015, arXiv:1506.01497; in numbers as the authors' code.
    """
    check_arguments(num_classes, image_size, names, STRIDE)
    read = reading(backbone_weights, weights, "caffe", "vgg16")
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, normalize or read.normalize)
    features = vgg16(x, width, depth, pooled=False, batch_norm=batch_norm)[-1]
    network = keras.Model(inputs, [features], name="network")
    arguments = {
        "pooled_levels": 1,
        "rpn_width": scaled(512, width),
        "rpn_inside": True,
        "rpn_smallest": 16.0,
        "anchors_kept": (12000, 6000),
        "proposals": (2000, 300),
        "offset": 0.5,
        "fit_strides": False,
        "region_samples": 128,
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
    head = RCNNHead(num_classes, anchors, (STRIDE,), name="head", **arguments)
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)
