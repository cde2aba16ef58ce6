"""YOLOv7, its large and its tiny variant."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from kzoo.backbones.elan import STAGES, STAGES_X, elan_network, elan_tiny
from kzoo.heads.base import check_choice
from kzoo.heads.yolo import YoloHead
from kzoo.layers.conv import repeats
from kzoo.layers.elan import Numbered, elan, pooled_partly, transition
from kzoo.layers.repvgg import rep_conv
from kzoo.layers.yolo_conv import width_of
from kzoo.model import ZooModel, images_input
from kzoo.models.architecture import architecture
from kzoo.models.named import named_features
from kzoo.models.yolov5 import ANCHORS as TINY_ANCHORS
from kzoo.models.yolov5 import anchored_head, anchored_model

# Widths and heights at 640 pixels, smallest first: YOLOv4's.
ANCHORS = ((12, 16), (19, 36), (40, 28), (36, 75), (76, 55), (72, 146), (142, 110), (192, 243), (459, 401))


@dataclass(frozen=True)
class Variant:
    """What tells the sizes apart.

    Attributes:
        filters: channels of the neck's levels, finest first; those before the head are twice as wide.
        inner: channels of a block's 3x3 convolutions in the neck, as a share of its output's.
        groups: groups of a block in the neck.
        length: convolutions of a group.
        gains: gains of objectness and classes.
        anchors: published widths and heights in pixels.
    """

    filters: Sequence[int] = (128, 256, 512)
    inner: float = 0.5
    groups: int = 4
    length: int = 1
    gains: Sequence[float] = (0.7, 0.3)
    anchors: Sequence = ANCHORS


VARIANTS = {
    "tiny": Variant((64, 128, 256), groups=2, gains=(1.0, 0.5), anchors=TINY_ANCHORS),
    "base": Variant(),
    "x": Variant((160, 320, 640), inner=0.8, groups=3, length=2),
}


@architecture(YoloHead, backbones=("elan",))
def yolov7(
    num_classes: int = 80,
    image_size: Sequence[int] = (640, 640),
    width: float = 1.0,
    depth: float = 1.0,
    variant: str = "base",
    backbone: str = "elan",
    anchors: Sequence | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolov7",
    **head,
) -> ZooModel:
    """YOLOv7: blocks that join several lengths of a chain, on the way down to the finest level and up again.

    What the authors' head learns to add before and to multiply behind its convolution is in that convolution. The sizes
    for large images are in `kzoo.models.yolov7_large`.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (640, 640) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the variant's channels, above 0 and up to 16, 1 by default.
        depth: factor of the parts of a block, above 0 and up to 16, 1 by default.
        variant: the size, "tiny", "base" (default) or "x".
        backbone: "elan" (default), the variant's own; or one of `kzoo.backbones.named.BACKBONES`.
        anchors: widths and heights in pixels, smallest first, three a level; where None those of the state dict that
            `weights` names, else COCO's.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or a state dict with the authors' names
            (`.safetensors`, `.pth` or `.onnx`): see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a file of a model with the same backbone; of another backbone what `kzoo.weights.loading`
            takes for it. Untrained where None.
        name: name of the model, which messages and files go by, "yolov7" by default.
        **head: further arguments of `kzoo.heads.yolo.YoloHead`, such as `anchor_ratio`.

    Source: Wang et al. 2022, arXiv:2207.02696.
    """
    check_choice("variant", variant, tuple(VARIANTS))
    style = {"activation": "leaky"} if variant == "tiny" else {}
    if backbone == "elan":
        inputs, x = images_input()
        features = _backbone(x, variant, width, depth, style)
    else:
        inputs, (_, *features) = named_features(backbone, width, depth, backbone_weights, weights)
    settings = VARIANTS[variant]
    net = Numbered("neck", {"tiny": 29, "base": 51, "x": 59}[variant], **style)
    levels = _neck(net, features, settings, variant == "tiny", width, depth)
    levels = [_last(net, x, 2 * x.shape[-1], variant == "base") for x in levels]
    network = keras.Model(inputs, levels, name="network")
    for_head = {
        **anchored_head(num_classes, image_size, len(levels), *settings.gains),
        "assigner": "ratio-ota",
        **head,
    }
    return anchored_model(
        *(network, for_head, settings.anchors, num_classes, image_size, anchors, names, name),
        *(weights, backbone_weights),
    )


def _backbone(images, variant: str, width: float, depth: float, style: dict) -> list:
    """The variant's own maps at strides 8, 16 and 32."""
    if variant == "tiny":
        return elan_tiny(images, width, depth, **style)
    if variant == "x":
        return elan_network(images, width, depth, 40, STAGES_X, 3, **style)
    return elan_network(images, width, depth, 32, STAGES, 2, **style)


def _neck(net: Numbered, features: list, settings: Variant, plain: bool, width: float, depth: float) -> list:
    """Down to the finest level and up again: maps of all levels, finest first.

    Args:
        net: names the layers.
        features: maps at strides 8, 16 and 32.
        settings: the variant.
        plain: whether pooling is written layer by layer, and sides are halved by one strided convolution, as in tiny.
        width: factor of the channels.
        depth: factor of the groups of a block.
    """
    filters = [width_of(channels, width) for channels in settings.filters]
    groups = repeats(settings.groups, depth)

    def block(x, level):
        inner = width_of(settings.filters[level] * settings.inner, width)
        entry = inner if settings.inner != 0.5 or plain else filters[level]
        return elan(net, x, entry, inner, filters[level], groups, settings.length)

    if plain:
        x = _pooled(net, features[-1], filters[-1])
    else:
        x = pooled_partly(features[-1], filters[-1], net.name(), **net.style)
    narrowed = [x]
    for level in (1, 0):
        x = net.up(net.conv(x, filters[level]))
        lateral = net.conv(features[level], filters[level])
        x = block(net.concat([lateral, x]), level)
        narrowed.append(x)
    outputs = [x]
    for level in (1, 2):
        beside = [narrowed[2 - level]]
        if plain:
            x = net.concat([net.conv(x, filters[level], 3, 2), *beside])
        else:
            x = transition(net, x, filters[level - 1], beside)
        x = block(x, level)
        outputs.append(x)
    return outputs


def _pooled(net: Numbered, x, filters: int):
    """As `kzoo.layers.elan.pooled_partly` with fewer convolutions, layer by layer."""
    past, through = net.conv(x, filters), net.conv(x, filters)
    pools = [net.pool(through, size, 1) for size in (5, 9, 13)]
    through = net.conv(net.concat([*pools[::-1], through]), filters)
    return net.conv(net.concat([through, past]), filters)


def _last(net: Numbered, x, filters: int, branched: bool):
    """The convolution before the head: (B, H, W, C) to (B, H, W, filters)."""
    return rep_conv(x, filters, net.name(), activation="swish") if branched else net.conv(x, filters, 3)


yolov7_tiny = functools.partial(yolov7, variant="tiny", name="yolov7-tiny")
yolov7x = functools.partial(yolov7, variant="x", name="yolov7x")
