"""Mask R-CNN: Faster R-CNN, and a mask for every object."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from kzoo.heads.mask_rcnn import MaskRCNNHead
from kzoo.layers.conv import scaled
from kzoo.model import ZooModel
from kzoo.models.architecture import architecture
from kzoo.models.faster_rcnn import two_stage
from kzoo.weights.published import is_published
from kzoo.weights.state_dicts import SUFFIXES


@architecture(MaskRCNNHead, backbones=())
def mask_rcnn(
    num_classes: int = 80,
    image_size: Sequence[int] = (800, 800),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "resnet50",
    batch_norm: str | None = None,
    pyramid_width: int = 256,
    pyramid_norm: str | None = None,
    anchors: Sequence | None = None,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "mask-rcnn",
    **head,
) -> ZooModel:
    """Mask R-CNN on ResNet-50 and a feature pyramid.

    Args:
        num_classes: number of classes, 1 or more, without a background, 80 by default.
        image_size: height and width in pixels, (800, 800) by default, multiples of 32. Other sizes work at run time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the backbone's blocks of a stage, above 0 and up to 16, 1 by default.
        backbone: one of `kzoo.backbones.named.BACKBONES`, "resnet50" by default.
        batch_norm: kind of the backbone's batch normalisation, as `kzoo.models.faster_rcnn` has it.
        pyramid_width: channels of the pyramid and of what looks at it, times width; 256 by default.
        pyramid_norm: kind of batch normalisation in the pyramid; None (default) for none.
        anchors: for each of five levels, finest first, widths and heights in pixels, as `kzoo.models.faster_rcnn` has
            them where None.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the backbone's
            weights ask for where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; torchvision's `maskrcnn_resnet50_fpn` (`.pth`,
            `.safetensors`); or "coco", which fetches it, at 80 classes or at torchvision's 90. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, such as `resnet50`, torchvision's or
            timm's (`.pth`, `.safetensors`), or "imagenet": see `kzoo.weights.loading`. Untrained where None.
        name: name of the model, which messages and files go by, "mask-rcnn" by default.
        **head: further arguments of `kzoo.heads.mask_rcnn.MaskRCNNHead`, such as `mask_weight`. Defaults are those of
            `kzoo.models.faster_rcnn`, `mask_width` that of the pyramid, and `masks_aligned` False with torchvision's
            weights.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: He et al. 2017, arXiv:1703.06870; in numbers as torchvision, `models/detection/mask_rcnn.py`.
    """
    build = functools.partial(two_stage, MaskRCNNHead, load=(backbone_weights, weights))
    own = {"num_classes": num_classes, "image_size": image_size, "names": names, "name": name}
    of_torchvision = weights is not None and (is_published(weights) or Path(weights).suffix in SUFFIXES)
    options = {"mask_width": scaled(pyramid_width, width), "masks_aligned": not of_torchvision, **head}
    return build(
        width, depth, backbone, batch_norm, pyramid_width, pyramid_norm, anchors, normalize, options, **own
    )


mask_rcnn_v2 = functools.partial(
    mask_rcnn,
    batch_norm="trained",
    pyramid_norm="trained",
    rpn_tower=2,
    convs=4,
    dense=(1024,),
    mask_norm=True,
    name="mask-rcnn-v2",
)
