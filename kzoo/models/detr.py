"""DETR: cells of a map that look at each other, and queries that look at them; nothing else finds objects."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from kzoo.heads.detr import DETRHead
from kzoo.model import ZooModel
from kzoo.models.architecture import architecture
from kzoo.models.encoded import encoded_model


@architecture(DETRHead, own=("query_width", "pre_norm", "dropout"), backbones=())
def detr(
    num_classes: int = 80,
    image_size: Sequence[int] = (800, 800),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "resnet50",
    dilated: bool = False,
    batch_norm: str | None = None,
    pre_norm: bool = False,
    dropout: float = 0.1,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "detr-r50",
    **head,
) -> ZooModel:
    """DETR on ResNet-50: six layers of an encoder on its coarsest map, and six of a decoder with 100 queries.

    Args:
        num_classes: number of classes, 1 or more, 80 by default. The authors have 91,
            the ids of COCO from 0 to 90.
        image_size: height and width in pixels, (800, 800) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default; of 256 channels and 2048 of the dense layers.
        depth: factor of the backbone's blocks of a stage and of the layers of encoder and decoder, above 0 and up to
            16, 1 by default.
        backbone: one of `kzoo.backbones.named.BACKBONES`, "resnet50" by default.
        dilated: whether the backbone's last stage dilates its kernels in the place of its stride (DC5), so that its map
            has four times the cells; False by default.
        batch_norm: kind of the backbone's batch normalisation, "trained", "frozen" or "synchronized": see
            `kzoo.layers.residual.batch_normalization`. Where None "frozen" with weights or backbone's weights, and
            "trained" without. A ConvNeXt has none.
        pre_norm: whether normalisation comes before attention and dense layers rather than after; False by default.
        dropout: share of weights and channels that is dropped in training, 0 to below 1, 0.1 by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; the authors' state dict or transformers' (`.pth`,
            `.safetensors`); or "coco", which fetches the authors', at 80 classes or at their 91. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, or what `kzoo.weights.loading` takes for
            it. Untrained where None.
        name: name of the model, which messages and files go by, "detr-r50" by default.
        **head: further arguments of `kzoo.heads.detr.DETRHead`, such as `queries`.

    Source: Carion et al. 2020, arXiv:2005.12872; in numbers as the authors' code and transformers.
    """
    both = {"pre_norm": pre_norm, "dropout": dropout}
    own = (num_classes, image_size, names, name)
    load = (backbone_weights, weights)
    return encoded_model(
        DETRHead, own, width, depth, backbone, dilated, batch_norm, load, {**both, **head}, **both
    )


detr_r101 = functools.partial(detr, backbone="resnet101", name="detr-r101")
detr_r50_dc5 = functools.partial(detr, dilated=True, name="detr-r50-dc5")
detr_r101_dc5 = functools.partial(detr, backbone="resnet101", dilated=True, name="detr-r101-dc5")
