"""Conditional DETR: DETR whose queries have points, and compare places apart from contents."""

from __future__ import annotations

from collections.abc import Sequence

from kzoo.heads.conditional_detr import ConditionalDETRHead
from kzoo.model import ZooModel
from kzoo.models.architecture import architecture
from kzoo.models.encoded import encoded_model


@architecture(ConditionalDETRHead, own=("query_width", "dropout"), backbones=())
def conditional_detr(
    num_classes: int = 80,
    image_size: Sequence[int] = (800, 800),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "resnet50",
    dilated: bool = False,
    batch_norm: str | None = None,
    dropout: float = 0.1,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "conditional-detr-r50",
    **head,
) -> ZooModel:
    """DETR's network on ResNet-50, and 300 queries with points of their own.

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
        dropout: share of weights and channels that is dropped in training, 0 to below 1, 0.1 by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; or the authors' state dict or transformers'
            (`.pth`, `.safetensors`). Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, or what `kzoo.weights.loading` takes for
            it. Untrained where None.
        name: name of the model, which messages and files go by, "conditional-detr-r50" by default.
        **head: further arguments of `kzoo.heads.conditional_detr.ConditionalDETRHead`, such as `queries`.

    Source: Meng et al. 2021, arXiv:2108.06152; in numbers as transformers.
    """
    both = {"dropout": dropout}
    own = (num_classes, image_size, names, name)
    load = (backbone_weights, weights)
    return encoded_model(
        ConditionalDETRHead, own, width, depth, backbone, dilated, batch_norm, load, {**both, **head}, **both
    )
