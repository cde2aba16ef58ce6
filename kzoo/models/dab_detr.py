"""DAB-DETR: DETR whose queries are boxes, which each layer moves."""

from __future__ import annotations

from collections.abc import Sequence

from kzoo.heads.dab_detr import DABDETRHead
from kzoo.model import ZooModel
from kzoo.models.architecture import architecture
from kzoo.models.encoded import encoded_model

# Positions count by what the cell holds.
ENCODER = {"activation": "prelu", "position": "sine-20", "scaled": True}


@architecture(DABDETRHead, own=("query_width", "dropout"), backbones=())
def dab_detr(
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
    name: str = "dab-detr-r50",
    **head,
) -> ZooModel:
    """DETR's network on ResNet-50, whose positions count by what cells hold, and 300 queries that are boxes.

    Args:
        num_classes: number of classes, 1 or more, 80 by default. The authors have 91, the ids of COCO from 0 to 90.
        image_size: height and width in pixels, (800, 800) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default; of 256 channels and 2048 of the dense layers.
        depth: factor of the backbone's blocks of a stage and of the layers of encoder and decoder, above 0 and up to
            16, 1 by default.
        backbone: one of `kzoo.backbones.named.BACKBONES`, "resnet50" by default.
        dilated: whether the backbone's last stage dilates its kernels in the place of its stride (DC5); False by
            default.
        batch_norm: kind of the backbone's batch normalisation, as `kzoo.models.detr` has it.
        dropout: share of weights and channels that is dropped in training, 0 to below 1, 0.0 by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; or the authors' state dict or transformers'
            (`.pth`, `.safetensors`). Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, or what `kzoo.weights.loading` takes for
            it. Untrained where None.
        name: name of the model, which messages and files go by, "dab-detr-r50" by default.
        **head: further arguments of `kzoo.heads.dab_detr.DABDETRHead`, such as `queries`.

    Source: Liu et al. 2022, arXiv:2201.12329; in numbers as transformers.
    """
    options = {"dropout": dropout, **head}
    own = (num_classes, image_size, names, name)
    load = (backbone_weights, weights)
    return encoded_model(
        DABDETRHead,
        own,
        width,
        depth,
        backbone,
        dilated,
        batch_norm,
        load,
        options,
        dropout=dropout,
        **ENCODER,
    )
