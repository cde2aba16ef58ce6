"""YOLOv4 and its tiny ones: a cross-stage partial backbone, pooling at several sizes, and paths down and up again."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence

import keras
from keras import layers

from kzoo.backbones.cspdarknet import cspdarknet53, cspdarknet_tiny, cspresnext50
from kzoo.heads.yolo import YoloHead
from kzoo.layers.conv import ConvNamer, scaled
from kzoo.layers.spp import spatial_pyramid_pooling
from kzoo.model import ZooModel, check_arguments, images_input
from kzoo.models.architecture import architecture, assembled
from kzoo.models.named import named_features
from kzoo.models.yolo_parts import plain_anchors, upsampled_join

log = logging.getLogger("kzoo")

# Widths and heights in pixels, from Darknet's cfg files; smallest first.
ANCHORS = ((12, 16), (19, 36), (40, 28), (36, 75), (76, 55), (72, 146), (142, 110), (192, 243), (459, 401))
# The tiny one's by level; one is in both, and (10, 14) of its cfg file in none.
TINY_ANCHORS = (((23, 27), (37, 58), (81, 82)), ((81, 82), (135, 169), (344, 319)))
OWN_BACKBONES = {"cspdarknet53": cspdarknet53, "cspresnext50": cspresnext50}
# What Darknet's cfg files say of the head besides its anchors. `nms_kind` is their greedynms.
_HEAD = {
    "scale_xy": (1.2, 1.1, 1.05),
    "iou_threshold": 0.213,
    "size_weighting": False,
    "nms_kind": "diou",
}
_TINY_HEAD = {"scale_xy": 1.05, "size_weighting": False, "nms_kind": "diou"}


@architecture(YoloHead, backbones=tuple(OWN_BACKBONES))
def yolov4(
    num_classes: int = 80,
    image_size: Sequence[int] = (608, 608),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "cspdarknet53",
    anchors: Sequence = ANCHORS,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolov4",
    **head,
) -> ZooModel:
    """YOLOv4 on CSPDarknet-53: three levels, which see what coarser and then what finer ones made of it.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (608, 608) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the blocks of a stage of the backbone, above 0 and up to 16, 1 by default.
        backbone: "cspdarknet53" (default) or "cspresnext50", as in the paper; or one of
            `kzoo.backbones.named.BACKBONES`.
        anchors: nine widths and heights in pixels, smallest first, three a level; COCO's by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras`, `.weights.h5` or Darknet's `.weights` file of the same model, or the name of published
            weights: see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a `.keras` file of a trained `cspdarknet53`, or Darknet's `yolov4.conv.137`; of another
            backbone what `kzoo.weights.loading` takes for it. Untrained where None.
        name: name of the model, which messages and files go by, "yolov4" by default.
        **head: further arguments of `kzoo.heads.yolo.YoloHead`; of those that Darknet's cfg file states, `scale_xy`,
            `iou_threshold`, `size_weighting` and `nms_kind` are its by default.

    Source: arXiv:2004.10934; Darknet's yolov4.cfg.
    """
    check_arguments(num_classes, image_size, names, 32)
    if backbone in OWN_BACKBONES:
        inputs, x = images_input()
        maps = OWN_BACKBONES[backbone](x, width, depth)
    else:
        inputs, (_, *maps) = named_features(backbone, width, depth, backbone_weights, weights)
    namer = ConvNamer("neck")
    maps = [*maps[:-1], _pooled(namer, maps[-1], scaled(512, width))]
    levels = path_aggregation(namer, maps, [scaled(f, width) for f in (128, 256, 512)], _five_convolutions)
    network = keras.Model(inputs, levels, name="network")
    anchors = plain_anchors(anchors, ANCHORS, name, weights)
    head = YoloHead(num_classes, anchors, (8, 16, 32), name="head", **{**_HEAD, **head})
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


def _pooled(namer: ConvNamer, x, filters: int):
    """Poolings of several sizes between three convolutions and three: (B, H, W, C) to (B, H, W, filters)."""
    for pooled in (False, True):
        x = spatial_pyramid_pooling(x) if pooled else x
        x = namer.conv(x, filters, size=1)
        x = namer.conv(x, 2 * filters)
        x = namer.conv(x, filters, size=1)
    return x


def path_aggregation(
    namer: ConvNamer, maps: Sequence, widths: Sequence[int], block: Callable, levels_last: bool = False
) -> list:
    """PANet's two ways: from the coarsest map down to the finest, and from there up again.

    Args:
        namer: numbers the convolutions.
        maps: the backbone's, finest first, each half as large as the one before: (B, H, W, C), (B, H / 2, W / 2, D)...
            Of the coarsest the channels are already those of `widths`.
        widths: channels that each map has here, finest first.
        block: what mixes joined maps: a namer, a map and a number of channels to a map of so many.
        levels_last: whether the levels' own convolutions come after all others in Darknet's files; by default each
            stands where its map is done.

    Returns:
        A map for each level, with twice the channels, finest first.

    Source: arXiv:1803.01534, section 3.1, with concatenation as in YOLOv4, arXiv:2004.10934, figure 6.
    """
    x, going_down = maps[-1], [maps[-1]]
    for lateral, filters in zip(maps[-2::-1], widths[-2::-1], strict=True):
        up = namer.conv(x, filters, size=1)
        up = layers.UpSampling2D(2, name=f"neck_up{namer.count}")(up)
        lateral = namer.conv(lateral, filters, size=1)
        x = block(namer, _joined(namer, [lateral, up]), filters)
        going_down.append(x)
    mixed = [x]  # the finest
    levels = [] if levels_last else [namer.conv(x, 2 * widths[0])]
    for earlier, filters in zip(going_down[-2::-1], widths[1:], strict=True):
        x = namer.conv(x, filters, stride=2)
        x = block(namer, _joined(namer, [x, earlier]), filters)
        mixed.append(x)
        if not levels_last:
            levels.append(namer.conv(x, 2 * filters))
    if levels_last:
        levels = [namer.conv(x, 2 * filters) for x, filters in zip(mixed, widths, strict=True)]
    return levels


def _five_convolutions(namer: ConvNamer, x, filters: int):
    """1x1 and 3x3 convolutions by turns: (B, H, W, C) to (B, H, W, filters)."""
    for i in range(5):
        x = namer.conv(x, 2 * filters) if i % 2 else namer.conv(x, filters, size=1)
    return x


def _joined(namer: ConvNamer, maps: list):
    """The channels of several maps (B, H, W, ...), one after another."""
    return layers.Concatenate(name=f"neck_concat{namer.count}")(maps)


@architecture(YoloHead, backbones=("cspdarknet-tiny",))
def yolov4_tiny(
    num_classes: int = 80,
    image_size: Sequence[int] = (416, 416),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "cspdarknet-tiny",
    anchors: Sequence | None = None,
    levels: int = 2,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolov4-tiny",
    **head,
) -> ZooModel:
    """YOLOv4-tiny: a small cross-stage partial backbone, and two levels, or three.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (416, 416) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of another backbone's blocks of a stage, above 0 and up to 16, 1 by default; without effect on
            "cspdarknet-tiny", of which no stage repeats a block.
        backbone: "cspdarknet-tiny" (default), Darknet's own; or one of `kzoo.backbones.named.BACKBONES`.
        anchors: widths and heights in pixels, by level, finest first, or in one list that is split evenly; where None
            (default) COCO's for so many levels.
        levels: 2 (default), at strides 16 and 32, or 3, with one at stride 8.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras`, `.weights.h5` or Darknet's `.weights` file of the same model, or the name of published
            weights: see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, or Darknet's `yolov4-tiny.conv.29`; of
            another backbone what `kzoo.weights.loading` takes for it. Untrained where None.
        name: name of the model, which messages and files go by, "yolov4-tiny" by default.
        **head: further arguments of `kzoo.heads.yolo.YoloHead`; of those that Darknet's cfg file states, `scale_xy`,
            `size_weighting` and `nms_kind` are its by default.

    Source: Scaled-YOLOv4, arXiv:2011.08036, section 3.3; Darknet's yolov4-tiny.cfg and yolov4-tiny-3l.cfg.
    """
    check_arguments(num_classes, image_size, names, 32)
    if backbone == "cspdarknet-tiny":
        if depth != 1.0:
            log.warning("%s: no stage repeats a block; depth=%g changes nothing", name, depth)
        inputs, x = images_input()
        maps = cspdarknet_tiny(x, width)
    else:
        inputs, (_, *maps) = named_features(backbone, width, depth, backbone_weights, weights)
    namer = ConvNamer("neck")
    x = namer.conv(maps[-1], scaled(256, width), size=1)
    features = [namer.conv(x, scaled(512, width))]
    for lateral, filters in zip(maps[-2::-1], (128, 64)[: levels - 1], strict=False):
        x = namer.conv(upsampled_join(namer, x, lateral, scaled(filters, width)), scaled(2 * filters, width))
        features.append(x)
    network = keras.Model(inputs, features[::-1], name="network")
    own = TINY_ANCHORS if levels == 2 else ANCHORS
    anchors = plain_anchors(own if anchors is None else anchors, own, name, weights)
    head = YoloHead(num_classes, anchors, (8, 16, 32)[-levels:], name="head", **{**_TINY_HEAD, **head})
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


yolov4_tiny_3l = functools.partial(yolov4_tiny, image_size=(608, 608), levels=3, name="yolov4-tiny-3l")
