"""Anchor DETR: DETR whose queries are points, and whose attention goes by columns and rows."""

from __future__ import annotations

from collections.abc import Sequence

from kzoo.heads.anchor_detr import AnchorDETRHead
from kzoo.layers.conv import repeats
from kzoo.model import ZooModel
from kzoo.models.architecture import architecture
from kzoo.models.encoded import DEPTH, encoded_model

FEEDFORWARD = 1024  # channels between a layer's dense layers


@architecture(AnchorDETRHead, own=("query_width", "dropout", "encoder_depth"), backbones=())
def anchor_detr(
    num_classes: int = 80,
    image_size: Sequence[int] = (800, 800),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "resnet50",
    dilated: bool = False,
    batch_norm: str | None = None,
    dropout: float = 0.0,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "anchor-detr-r50",
    **head,
) -> ZooModel:
    """ResNet-50, and an encoder and a decoder whose attention goes by columns and rows; 300 points of 3 patterns.

    Args:
        num_classes: number of classes, 1 or more, 80 by default. The authors have 91, the ids of COCO from 0 to 90.
        image_size: height and width in pixels, (800, 800) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default; of 256 channels and 1024 of the dense layers.
        depth: factor of the backbone's blocks of a stage and of the layers of encoder and decoder, above 0 and up to
            16, 1 by default.
        backbone: one of `kzoo.backbones.named.BACKBONES`, "resnet50" by default.
        dilated: whether the backbone's last stage dilates its kernels in the place of its stride (DC5); False by
            default.
        batch_norm: kind of the backbone's batch normalisation, as `kzoo.models.detr` has it.
        dropout: share of weights and channels that is dropped in training, 0 to below 1, 0 by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; or the authors' state dict (`.pth`,
            `.safetensors`). Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, or what `kzoo.weights.loading` takes for
            it. Untrained where None.
        name: name of the model, which messages and files go by, "anchor-detr-r50" by default.
        **head: further arguments of `kzoo.heads.anchor_detr.AnchorDETRHead`, such as `queries`.

    Source: Wang et al. 2021, arXiv:2109.07107; in numbers as the authors' code.
    """
    options = {"encoder_depth": repeats(DEPTH, depth), "dropout": dropout, **head}
    settings = {"feedforward": FEEDFORWARD, "encoder": False, "group_norm": True}
    own = (num_classes, image_size, names, name)
    load = (backbone_weights, weights)
    return encoded_model(
        AnchorDETRHead, own, width, depth, backbone, dilated, batch_norm, load, options, **settings
    )
