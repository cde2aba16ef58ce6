"""YOLOv7 for large images: four levels, and a second head that helps to train them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from kzoo.backbones.elan import INNER_LARGE, LARGE, Large, elan_large
from kzoo.heads.auxiliary_yolo import AUXILIARY_WEIGHT, AuxiliaryYoloHead
from kzoo.heads.base import check_choice
from kzoo.heads.yolo import YoloHead
from kzoo.layers.conv import repeats
from kzoo.layers.elan import Numbered, elan_sum, pooled_partly, transition_at_once
from kzoo.layers.yolo_conv import width_of
from kzoo.model import ZooModel, images_input
from kzoo.models.architecture import architecture
from kzoo.models.named import named_features
from kzoo.models.yolov5 import ANCHORS_P6, anchored_head, anchored_model

GAINS = (0.7, 0.3)  # of objectness and classes


@dataclass(frozen=True)
class Variant:
    """What tells the sizes apart behind the backbone.

    Attributes:
        filters: channels of the neck's levels, finest first.
        convolutions: 3x3 convolutions of a block in the neck.
        second: channels before the second head, finest first.
        first_layer: number of the neck's first layer in the list that the authors write networks as.
    """

    filters: Sequence[int]
    convolutions: int
    second: Sequence[int]
    first_layer: int


VARIANTS = {
    "w6": Variant((128, 256, 384, 512), 4, (320, 640, 960, 1280), 47),
    "e6": Variant((160, 320, 480, 640), 6, (320, 640, 960, 1280), 57),
    "d6": Variant((192, 384, 576, 768), 8, (384, 768, 1152, 1536), 67),
    "e6e": Variant((160, 320, 480, 640), 6, (320, 640, 960, 1280), 112),
}


@architecture(AuxiliaryYoloHead, own=("auxiliary_weight", "project"), backbones=("elan",))
def yolov7_large(
    num_classes: int = 80,
    image_size: Sequence[int] = (1280, 1280),
    width: float = 1.0,
    depth: float = 1.0,
    variant: str = "w6",
    auxiliary: float = AUXILIARY_WEIGHT,
    backbone: str = "elan",
    anchors: Sequence | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolov7-w6",
    **head,
) -> ZooModel:
    """YOLOv7's largest sizes: a fourth level, of stride 64, and a second head on earlier maps while it is trained.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (1280, 1280) by default, multiples of 64; other sizes work as well at
            run time.
        width: factor of the variant's channels, above 0 and up to 16, 1 by default.
        depth: factor of the parts of a block, above 0 and up to 16, 1 by default.
        variant: the size, "w6" (default), "e6", "d6" or "e6e".
        auxiliary: weight of the second head's loss, 0 or more; True is 0.25 (default). 0 builds the network without a
            second head, as files of the authors' deployed networks have it.
        backbone: "elan" (default), the variant's own; or one of `kzoo.backbones.named.BACKBONES`.
        anchors: widths and heights in pixels, smallest first, three a level; where None those of the state dict that
            `weights` names, else COCO's.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or a state dict with the authors' names
            (`.safetensors`, `.pth` or `.onnx`): see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a file of a model with the same backbone; of another backbone what `kzoo.weights.loading`
            takes for it. Untrained where None.
        name: name of the model, which messages and files go by, "yolov7-w6" by default.
        **head: further arguments of `kzoo.heads.auxiliary_yolo.AuxiliaryYoloHead`, such as `anchor_ratio`.

    Source: Wang et al. 2022, arXiv:2207.02696, section 4.3; in numbers as the authors' configurations.

    Example:
        >>> kzoo.build("yolov7-w6", num_classes=3, image_size=128, width=0.25).head.auxiliary_weight
        0.25
    """
    check_choice("variant", variant, tuple(VARIANTS))
    settings, size = VARIANTS[variant], LARGE[variant]
    auxiliary = AUXILIARY_WEIGHT if auxiliary is True else float(auxiliary)
    if backbone == "elan":
        inputs, x = images_input()
        features = elan_large(x, size, width, depth)
    else:
        inputs, (_, *features) = named_features(backbone, width, depth, backbone_weights, weights)
        features.append(_stage(Numbered("neck"), features[-1], size, width, depth))
    net = Numbered("neck", settings.first_layer)
    narrowed, levels = _neck(net, features, settings, size, width, depth)
    levels = [net.conv(x, 2 * x.shape[-1], 3) for x in levels]
    if auxiliary:
        second = zip(narrowed, settings.second, strict=True)
        levels += [net.conv(x, width_of(filters, width), 3) for x, filters in second]
    network = keras.Model(inputs, levels, name="network")
    for_head = {
        **anchored_head(num_classes, image_size, len(narrowed), *GAINS),
        "assigner": "ratio-ota",
        **({"auxiliary_weight": auxiliary} if auxiliary else {}),
        **head,
    }
    return anchored_model(
        *(network, for_head, ANCHORS_P6, num_classes, image_size, anchors, names, name),
        *(weights, backbone_weights, AuxiliaryYoloHead if auxiliary else YoloHead, len(narrowed)),
    )


def _stage(net: Numbered, x, size: Large, width: float, depth: float):
    """The last stage of the network's own backbone on another's map: (B, H, W, C) to (B, H / 2, W / 2, 16 stems)."""
    inner, filters = width_of(INNER_LARGE[-1], width), width_of(16 * size.stem, width)
    x = _halved(net, x, filters, size)
    return elan_sum(net, x, size.blocks, inner, inner, filters, repeats(size.groups, depth), 2)


def _halved(net: Numbered, x, filters: int, size: Large):
    """Half the sides, by the way of the variant: (B, H, W, C) to (B, H / 2, W / 2, filters)."""
    return transition_at_once(net, x, filters) if size.pooled else net.conv(x, filters, 3, 2)


def _neck(net: Numbered, features: list, settings: Variant, size: Large, width: float, depth: float):
    """Down to the finest level and up again.

    Args:
        net: names the layers.
        features: maps at strides 8, 16, 32 and 64.
        settings: the variant.
        size: the variant's backbone.
        width: factor of the channels.
        depth: factor of the convolutions of a block.

    Returns:
        Maps of all levels on the way down, and on the way up; finest first both.
    """
    filters = [width_of(channels, width) for channels in settings.filters]
    convolutions = repeats(settings.convolutions, depth)

    def block(x, level):
        # Ways into a block are as wide as in the smallest size, the levels themselves as wide as the variant's.
        entry = width_of(VARIANTS["w6"].filters[level], width)
        inner = width_of(VARIANTS["w6"].filters[level] / 2, width)
        return elan_sum(net, x, size.blocks, entry, inner, filters[level], convolutions, 1)

    x = pooled_partly(features[-1], filters[-1], net.name(), **net.style)
    narrowed = [x]
    for level in (2, 1, 0):
        x = net.up(net.conv(x, filters[level]))
        lateral = net.conv(features[level], filters[level])
        x = block(net.concat([lateral, x]), level)
        narrowed.insert(0, x)
    outputs = [x]
    for level in (1, 2, 3):
        x = net.concat([_halved(net, x, filters[level], size), narrowed[level]])
        x = block(x, level)
        outputs.append(x)
    return narrowed, outputs


yolov7_e6 = functools.partial(yolov7_large, variant="e6", name="yolov7-e6")
yolov7_d6 = functools.partial(yolov7_large, variant="d6", name="yolov7-d6")
yolov7_e6e = functools.partial(yolov7_large, variant="e6e", name="yolov7-e6e")
