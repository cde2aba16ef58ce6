"""RetinaNet: anchors on a feature pyramid, and the focal loss."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras

from kzoo.backbones.convnext import CONVNEXTS
from kzoo.backbones.named import backbone_features
from kzoo.heads.anchor import AnchorHead
from kzoo.layers.conv import scaled
from kzoo.layers.fpn import fpn
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture
from kzoo.ops.anchors import retina_anchors
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading

STRIDES = (8, 16, 32, 64, 128)
MULTIPLE = 32  # of the image's sides, for anchors to lie where torchvision has them
TOWER = 4  # convolutions of a subnet


@architecture(AnchorHead, backbones=())
def retinanet(
    num_classes: int = 80,
    image_size: Sequence[int] = (800, 800),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "resnet50",
    batch_norm: str | None = None,
    extra: str = "p5",
    anchors: Sequence | None = None,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "retinanet",
    **head,
) -> ZooModel:
    """RetinaNet on ResNet-50: a feature pyramid of five levels, on each of which the same two subnets look at anchors.

    Args:
        num_classes: number of classes, 1 or more, without a background, 80 by default.
        image_size: height and width in pixels, (800, 800) by default, multiples of 32. Other sizes work at run time;
            where they are no multiples of 32, the coarser levels' anchors lie a little off their cells.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the backbone's blocks of a stage, above 0 and up to 16, 1 by default.
        backbone: one of `kzoo.backbones.named.BACKBONES`, "resnet50" by default.
        batch_norm: kind of the backbone's batch normalisation, "trained", "frozen" or "synchronized": see
            `kzoo.layers.residual.batch_normalization`. Where None "frozen" with weights or backbone's weights, whose
            statistics are better than a small batch's, and "trained" without. A ConvNeXt has none.
        extra: what the two coarsest levels are made from, "p5" (default) or "c5": see `kzoo.layers.fpn.fpn`.
        anchors: for each of five levels, finest first, widths and heights in pixels, equally many;
            `kzoo.ops.anchors.retina_anchors()` where None.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the backbone's
            weights ask for where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; torchvision's `retinanet_resnet50_fpn` (`.pth`,
            `.safetensors`); or "coco", which fetches it, at 80 classes or at torchvision's 91. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, such as `resnet50`, torchvision's or
            timm's (`.pth`, `.safetensors`), or "imagenet": see `kzoo.weights.loading`. Untrained where None.
        name: name of the model, which messages and files go by, "retinanet" by default.
        **head: further arguments of `kzoo.heads.anchor.AnchorHead`, such as `box_loss="giou"`. Defaults here are
            `nms_threshold` 0.5, `score_threshold` 0.05, `candidates` 1000 and `max_detections` 300, and of what is
            computed `tower` 4, `tower_width` 256 (times width), `shared` True, `offset` 0, `fit_strides` True and
            `multiple` 32.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Lin et al. 2017, arXiv:1708.02002; in numbers as torchvision, `models/detection/retinanet.py`.
    """
    check_arguments(num_classes, image_size, names, MULTIPLE)
    if batch_norm is None and backbone not in CONVNEXTS:
        batch_norm = "trained" if weights is None and backbone_weights is None else "frozen"
    read = reading(backbone_weights, weights, backbone=backbone)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, normalize or read.normalize)
    stages = backbone_features(x, backbone, 32, width, depth, batch_norm=batch_norm, **read.strides)
    channels = scaled(256, width)
    network = keras.Model(inputs, fpn(stages[1:], channels, extra=extra), name="network")
    arguments = {
        "tower": TOWER,
        "tower_width": channels,
        "shared": True,
        "offset": 0.0,
        "fit_strides": True,
        "nms_threshold": 0.5,
        "score_threshold": 0.05,
        "candidates": 1000,
        "max_detections": 300,
        "multiple": MULTIPLE,
        **head,
    }
    head = AnchorHead(num_classes, anchors or retina_anchors(), STRIDES, name="head", **arguments)
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)


retinanet_resnet101 = functools.partial(retinanet, backbone="resnet101", name="retinanet-resnet101")
retinanet_resnet18 = functools.partial(retinanet, backbone="resnet18", name="retinanet-resnet18")
# torchvision's second: with the paper's P6, which the first has not, group normalisation in the subnets, and a batch
# normalisation that is trained.
retinanet_v2 = functools.partial(
    retinanet, batch_norm="trained", extra="c5", tower_norm="group", box_loss="giou", name="retinanet-v2"
)
