"""YOLOv3, its SPP variant and its tiny one."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence

import keras

from kzoo.backbones.darknet import darknet53, darknet_tiny
from kzoo.heads.yolo import YoloHead
from kzoo.layers.conv import ConvNamer, scaled
from kzoo.layers.spp import spatial_pyramid_pooling
from kzoo.model import ZooModel, check_arguments, images_input
from kzoo.models.architecture import architecture, assembled
from kzoo.models.named import named_features
from kzoo.models.yolo_parts import plain_anchors, upsampled_join

log = logging.getLogger("kzoo")

# Widths and heights at 416 pixels, from Darknet's cfg files; smallest first.
ANCHORS = ((10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326))
TINY_ANCHORS = ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319))


@architecture(YoloHead, backbones=("darknet53",))
def yolov3(
    num_classes: int = 80,
    image_size: Sequence[int] = (416, 416),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "darknet53",
    anchors: Sequence = ANCHORS,
    spp: bool = False,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolov3",
    **head,
) -> ZooModel:
    """YOLOv3 on Darknet-53: three levels, from the coarsest to finer ones, which see what the coarser ones made of it.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (416, 416) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the residual blocks of a stage, above 0 and up to 16, 1 by default.
        backbone: "darknet53" (default), as in the paper; or one of `kzoo.backbones.named.BACKBONES`.
        anchors: nine widths and heights in pixels, smallest first, three a level; COCO's at 416 pixels by default.
        spp: whether the coarsest level pools at several sizes first; False by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras`, `.weights.h5` or Darknet's `.weights` file of the same model, or the name of published
            weights: see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a `.keras` file of a trained `darknet53`, Darknet's `darknet53.conv.74`, or "imagenet"; of
            another backbone what `kzoo.weights.loading` takes for it. Untrained where None.
        name: name of the model, which messages and files go by, "yolov3" by default.
        **head: further arguments of `kzoo.heads.yolo.YoloHead`, such as `box_loss`.

    Source: arXiv:1804.02767.
    """
    if backbone == "darknet53":
        inputs, x = images_input()
        fine, middle, coarse = darknet53(x, width, depth)
    else:
        inputs, (_, fine, middle, coarse) = named_features(backbone, width, depth, backbone_weights, weights)
    namer = ConvNamer("neck")
    levels = []
    x = coarse
    for filters, lateral in ((512, middle), (256, fine), (128, None)):
        x = _five_convolutions(namer, x, scaled(filters, width), spp and lateral is middle)
        levels.append(namer.conv(x, scaled(2 * filters, width)))
        if lateral is not None:
            x = upsampled_join(namer, x, lateral, scaled(filters // 2, width))
    network = keras.Model(inputs, levels[::-1], name="network")
    check_arguments(num_classes, image_size, names, 32)
    anchors = plain_anchors(anchors, ANCHORS, name, weights)
    head = YoloHead(num_classes, anchors, (8, 16, 32), name="head", **head)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


@architecture(YoloHead, backbones=("darknet-tiny",))
def yolov3_tiny(
    num_classes: int = 80,
    image_size: Sequence[int] = (416, 416),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "darknet-tiny",
    anchors: Sequence = TINY_ANCHORS,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolov3-tiny",
    **head,
) -> ZooModel:
    """YOLOv3-tiny: a plain backbone, and two levels.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (416, 416) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of another backbone's blocks of a stage, above 0 and up to 16, 1 by default; without effect on
            "darknet-tiny", of which no stage repeats a block.
        backbone: "darknet-tiny" (default), Darknet's own; or one of `kzoo.backbones.named.BACKBONES`.
        anchors: six widths and heights in pixels, smallest first, three a level; COCO's at 416 pixels by default.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras`, `.weights.h5` or Darknet's `.weights` file of the same model, or the name of published
            weights: see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, or a file of Darknet's; of another
            backbone what `kzoo.weights.loading` takes for it. Untrained where None.
        name: name of the model, which messages and files go by, "yolov3-tiny" by default.
        **head: further arguments of `kzoo.heads.yolo.YoloHead`, such as `box_loss`.

    Source: Darknet's yolov3-tiny.cfg.
    """
    if backbone == "darknet-tiny":
        if depth != 1.0:
            log.warning("%s: no stage repeats a block; depth=%g changes nothing", name, depth)
        inputs, x = images_input()
        middle, coarse = darknet_tiny(x, width)
    else:
        inputs, (*_, middle, coarse) = named_features(backbone, width, depth, backbone_weights, weights)
    namer = ConvNamer("neck")
    x = namer.conv(coarse, scaled(256, width), size=1)
    low = namer.conv(x, scaled(512, width))
    high = namer.conv(upsampled_join(namer, x, middle, scaled(128, width)), scaled(256, width))
    network = keras.Model(inputs, [high, low], name="network")
    check_arguments(num_classes, image_size, names, 32)
    anchors = plain_anchors(anchors, TINY_ANCHORS, name, weights)
    head = YoloHead(num_classes, anchors, (16, 32), name="head", **head)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


yolov3_spp = functools.partial(yolov3, image_size=(608, 608), spp=True, name="yolov3-spp")


def _five_convolutions(namer: ConvNamer, x, filters: int, spp: bool):
    """Alternating 1x1 and 3x3 convolutions; with pooling, after the third, one more to mix what was pooled.

    (B, H, W, C) to (B, H, W, filters).
    """
    for i in range(5):
        x = namer.conv(x, filters if i % 2 == 0 else 2 * filters, size=1 if i % 2 == 0 else 3)
        if spp and i == 2:
            x = namer.conv(spatial_pyramid_pooling(x), filters, size=1)
    return x
