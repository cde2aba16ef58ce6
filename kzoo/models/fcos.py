"""FCOS: a feature pyramid whose places tell how far a box's edges are."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kzoo.backbones.convnext import CONVNEXTS
from kzoo.backbones.named import backbone_features
from kzoo.heads.fcos import FCOSHead
from kzoo.layers.conv import scaled
from kzoo.layers.fpn import fpn
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture, assembled
from kzoo.weights.reading import reading

STRIDES = (8, 16, 32, 64, 128)
MULTIPLE = 32  # of the image's sides


@architecture(FCOSHead, own=("tower_width", "tower_norm", "shared"), backbones=())
def fcos(
    num_classes: int = 80,
    image_size: Sequence[int] = (800, 800),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "resnet50",
    batch_norm: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "fcos",
    **head,
) -> ZooModel:
    """FCOS on ResNet-50: a pyramid of five levels, and two towers that all of them go through.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (800, 800) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the backbone's blocks of a stage, above 0 and up to 16, 1 by default.
        backbone: one of `kzoo.backbones.named.BACKBONES`, "resnet50" by default.
        batch_norm: kind of the backbone's batch normalisation, "trained", "frozen" or "synchronized": see
            `kzoo.layers.residual.batch_normalization`. Where None "frozen" with weights or backbone's weights, and
            "trained" without. A ConvNeXt has none.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or torchvision's `fcos_resnet50_fpn` (`.pth`,
            `.safetensors`). Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, or what `kzoo.weights.loading` takes for
            it. Untrained where None.
        name: name of the model, which messages and files go by, "fcos" by default.
        **head: further arguments of `kzoo.heads.fcos.FCOSHead`, such as `radius`. Defaults here are `nms_threshold`
            0.6, `score_threshold` 0.2 and `candidates` 1000.

    Source: Tian et al. 2019, arXiv:1904.01355; in numbers as torchvision, `models/detection/fcos.py`.
    """
    check_arguments(num_classes, image_size, names, MULTIPLE)
    if batch_norm is None and backbone not in CONVNEXTS:
        batch_norm = "trained" if weights is None and backbone_weights is None else "frozen"
    read = reading(backbone_weights, weights, backbone=backbone)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, read.normalize)
    stages = backbone_features(x, backbone, 32, width, depth, batch_norm=batch_norm, **read.strides)
    channels = scaled(256, width)
    network = keras.Model(inputs, fpn(stages[1:], channels, extra="p5"), name="network")
    arguments = {"nms_threshold": 0.6, "score_threshold": 0.2, "candidates": 1000, **head}
    head = FCOSHead(num_classes, STRIDES, tower_width=channels, name="head", **arguments)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)
