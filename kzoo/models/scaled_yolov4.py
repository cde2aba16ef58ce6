"""Scaled-YOLOv4: YOLOv4 whose neck is of cross-stage partial blocks, too, in several sizes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import keras
from keras import layers

from kzoo.backbones.cspdarknet import cspdarknet53
from kzoo.heads.base import check_choice
from kzoo.heads.yolo import YoloHead
from kzoo.layers.conv import ConvNamer, scaled
from kzoo.layers.spp import spatial_pyramid_pooling
from kzoo.model import ZooModel, check_arguments, images_input
from kzoo.models.architecture import architecture, assembled
from kzoo.models.named import named_features
from kzoo.models.yolo_parts import plain_anchors
from kzoo.models.yolov4 import ANCHORS, path_aggregation


@dataclass(frozen=True)
class Scale:
    """What one size of the family is made of.

    Attributes:
        width: factor of the channels.
        blocks: residual blocks of the backbone's stages.
        pairs: pairs of a 1x1 and a 3x3 convolution in the neck's blocks.
        pooled_pairs: pairs of convolutions behind the pooling, of which the first 1x1 takes what was pooled.
        objectness: weights of the levels' objectness, finest first.
        first: what the backbone's first stage is: see `kzoo.backbones.cspdarknet.cspdarknet53`.
        widths: channels of the neck's maps, finest first, at stride 8.
        levels_last: whether the levels' own convolutions come last in Darknet's files.
        anchors: widths and heights in pixels, smallest first, as many a level.
    """

    width: float
    blocks: tuple[int, ...]
    pairs: int
    pooled_pairs: int
    objectness: tuple[float, ...]
    first: str = "plain"
    widths: tuple[int, ...] = (128, 256, 512)
    levels_last: bool = False
    anchors: tuple = ANCHORS


# Four anchors a level; from P6 on some are in two levels.
_P5_ANCHORS = (
    ((13, 17), (31, 25), (24, 51), (61, 45)),
    ((48, 102), (119, 96), (97, 189), (217, 184)),
    ((171, 384), (324, 451), (616, 618), (800, 800)),
)
_P6_ANCHORS = (
    ((13, 17), (31, 25), (24, 51), (61, 45)),
    ((61, 45), (48, 102), (119, 96), (97, 189)),
    ((97, 189), (217, 184), (171, 384), (324, 451)),
    ((324, 451), (545, 357), (616, 618), (1024, 1024)),
)
SCALES = {
    "csp": Scale(1.0, (1, 2, 8, 8, 4), 2, 1, (4.0, 1.0, 0.4)),
    "x": Scale(1.25, (1, 3, 10, 10, 5), 3, 2, (4.0, 1.0, 0.4)),
    "p5": Scale(1.0, (1, 3, 15, 15, 7), 3, 1, (1.0,) * 3, "half", levels_last=True, anchors=_P5_ANCHORS),
    "p6": Scale(
        1.0, (1, 3, 15, 15, 7, 7), 3, 1, (1.0,) * 4, "half", (128, 256, 512, 512), True, anchors=_P6_ANCHORS
    ),
}
# What Darknet's cfg files say of the head besides its anchors; `nms_kind` is their diounms.
_HEAD = {
    "scale_xy": 2.0,
    "size_transform": "square",
    "iou_threshold": 0.2,
    "class_weight": 0.5,
    "size_weighting": False,
    "nms_kind": "diou",
}


@architecture(YoloHead, backbones=("cspdarknet53",))
def yolov4_csp(
    num_classes: int = 80,
    image_size: Sequence[int] = (512, 512),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "cspdarknet53",
    anchors: Sequence | None = None,
    scale: str = "csp",
    activation: str = "mish",
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolov4-csp",
    **head,
) -> ZooModel:
    """YOLOv4-CSP: YOLOv4 with cross-stage partial blocks throughout, and sizes that end at four times an anchor's.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (512, 512) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels of the scale, above 0 and up to 16, 1 by default.
        depth: factor of the blocks of a stage of the backbone, above 0 and up to 16, 1 by default.
        backbone: "cspdarknet53" (default), whose first stage is that of the scale; or one of
            `kzoo.backbones.named.BACKBONES`.
        anchors: widths and heights in pixels, smallest first, as many a level; where None (default) the scale's,
            which are COCO's.
        scale: one of `SCALES`, "csp" by default; "x" is wider and deeper, "p5" deeper, "p6" has a level at stride 64.
        activation: what follows each convolution, by Darknet's name: "mish" (default), or "swish".
        names: class names, in the order of the labels; none where None.
        weights: a `.keras`, `.weights.h5` or Darknet's `.weights` file of the same model, or the name of published
            weights: see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a file of Darknet's, such as `yolov4-csp.conv.142`, or a `.keras` file of this model; of
            another backbone what `kzoo.weights.loading` takes for it. Untrained where None.
        name: name of the model, which messages and files go by, "yolov4-csp" by default.
        **head: further arguments of `kzoo.heads.yolo.YoloHead`; of those that Darknet's cfg file states, `scale_xy`,
            `size_transform`, `iou_threshold`, `objectness_weight`, `class_weight`, `size_weighting` and `nms_kind` are
            its by default.

    Source: arXiv:2011.08036; Darknet's yolov4-csp.cfg and yolov4x-mish.cfg.
    """
    check_choice("scale", scale, tuple(SCALES))
    check_choice("activation", activation, ("mish", "swish", "leaky"))
    size, factor = SCALES[scale], SCALES[scale].width * width
    strides = [8 * 2**level for level in range(len(size.widths))]
    check_arguments(num_classes, image_size, names, strides[-1])
    if backbone == "cspdarknet53":
        inputs, x = images_input()
        # The first convolution is as wide in all sizes.
        maps = cspdarknet53(x, factor, depth, size.blocks, size.first, activation, stem_width=width)
    elif strides[-1] > 32:
        raise ValueError(
            f"backbone={backbone!r} ends at stride 32, scale={scale!r} at {strides[-1]}; leave one of them"
        )
    else:
        inputs, (_, *maps) = named_features(backbone, factor, depth, backbone_weights, weights)
    namer = ConvNamer("neck", activation)
    widths = [scaled(filters, factor) for filters in size.widths]
    maps = [*maps[:-1], _pooled(namer, maps[-1], widths[-1], size.pooled_pairs)]
    block = functools.partial(_partial_block, pairs=size.pairs)
    levels = path_aggregation(namer, maps, widths, block, size.levels_last)
    network = keras.Model(inputs, levels, name="network")
    anchors = plain_anchors(size.anchors if anchors is None else anchors, size.anchors, name, weights)
    options = {**_HEAD, "objectness_weight": size.objectness, **head}
    head = YoloHead(num_classes, anchors, strides, name="head", **options)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


yolov4_csp_swish = functools.partial(
    yolov4_csp, image_size=(640, 640), activation="swish", name="yolov4-csp-swish"
)
yolov4x_mish = functools.partial(yolov4_csp, image_size=(640, 640), scale="x", name="yolov4x-mish")
yolov4_csp_x_swish = functools.partial(
    yolov4_csp, image_size=(640, 640), scale="x", activation="swish", name="yolov4-csp-x-swish"
)

yolov4_p5 = functools.partial(yolov4_csp, image_size=(896, 896), scale="p5", name="yolov4-p5")
yolov4_p6 = functools.partial(yolov4_csp, image_size=(1280, 1280), scale="p6", name="yolov4-p6")


def _partial_block(namer: ConvNamer, x, filters: int, pairs: int):
    """Half the channels through pairs of convolutions, half past them: (B, H, W, C) to (B, H, W, filters)."""
    x = namer.conv(x, filters, size=1)
    past = namer.conv(x, filters, size=1)
    for _ in range(pairs):
        x = namer.conv(namer.conv(x, filters, size=1), filters)
    return namer.conv(_joined(namer, [x, past]), filters, size=1)


def _pooled(namer: ConvNamer, x, filters: int, pairs: int):
    """The pyramid's poolings in a cross-stage partial block: (B, H, W, C) to (B, H, W, filters).

    Args:
        namer: numbers the convolutions.
        x: the coarsest map.
        filters: channels of all convolutions.
        pairs: pairs of a 1x1 and a 3x3 convolution behind the pooling.
    """
    past = namer.conv(x, filters, size=1)
    x = namer.conv(x, filters, size=1)
    x = namer.conv(x, filters)
    x = namer.conv(x, filters, size=1)
    x = spatial_pyramid_pooling(x)
    for _ in range(pairs):
        x = namer.conv(namer.conv(x, filters, size=1), filters)
    return namer.conv(_joined(namer, [x, past]), filters, size=1)


def _joined(namer: ConvNamer, maps: list):
    """The channels of several maps (B, H, W, ...), one after another."""
    return layers.Concatenate(name=f"neck_concat{namer.count}")(maps)
