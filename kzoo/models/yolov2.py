"""YOLOv2 and its tiny one: anchors from clusters of shapes, one level, and fine features passed through to it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import keras
from keras import layers

from kzoo.backbones.darknet import darknet19, darknet_tiny
from kzoo.heads.region import RegionHead
from kzoo.layers.conv import ConvNamer, scaled
from kzoo.layers.darknet_maps import Reorg
from kzoo.model import ZooModel, check_arguments, images_input
from kzoo.models.architecture import architecture, assembled
from kzoo.models.named import named_features
from kzoo.models.yolo_parts import plain_anchors

log = logging.getLogger("kzoo")

STRIDE = 32


def _in_pixels(*cells: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """Widths and heights that Darknet's cfg files have in cells."""
    return tuple((width * STRIDE, height * STRIDE) for width, height in cells)


# Dimension clusters: the means of the shapes of a data set's boxes, as widths and heights in pixels, smallest first;
# `kzoo anchors` finds those of other data.
ANCHORS = _in_pixels(
    (0.57273, 0.677385), (1.87446, 2.06253), (3.33843, 5.47434), (7.88282, 3.52778), (9.77052, 9.16828)
)
VOC_ANCHORS = _in_pixels(
    (1.3221, 1.73145), (3.19275, 4.00944), (5.05587, 8.09892), (9.47112, 4.84053), (11.2364, 10.0071)
)
TINY_VOC_ANCHORS = _in_pixels((1.08, 1.19), (3.42, 4.41), (6.63, 11.38), (9.42, 5.11), (16.62, 10.52))


@architecture(RegionHead, backbones=("darknet19",))
def yolov2(
    num_classes: int = 80,
    image_size: Sequence[int] = (608, 608),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "darknet19",
    anchors: Sequence = ANCHORS,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolov2",
    **head,
) -> ZooModel:
    """YOLOv2 on Darknet-19: one level at stride 32, which sees the map at stride 16 as well.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (608, 608) by default, multiples of 32; other sizes work as well at run
            time, and are trained so: 320 to 608.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the pairs of convolutions of a stage, above 0 and up to 16, 1 by default.
        backbone: "darknet19" (default), as in the paper; or one of `kzoo.backbones.named.BACKBONES`.
        anchors: widths and heights in pixels, any number, five as a rule; COCO's by default, `VOC_ANCHORS` are VOC's.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras`, `.weights.h5` or Darknet's `.weights` file of the same model, or the name of published
            weights: see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a `.keras` file of a trained `darknet19`, or a file of Darknet's that begins with its layers,
            such as `darknet19_448.conv.23`; of another backbone what `kzoo.weights.loading` takes for it. Untrained
            where None.
        name: name of the model, which messages and files go by, "yolov2" by default.
        **head: further arguments of `kzoo.heads.region.RegionHead`, such as `rescore`.

    Source: YOLO9000, arXiv:1612.08242; Darknet's yolov2.cfg.
    """
    check_arguments(num_classes, image_size, names, STRIDE)
    if backbone == "darknet19":
        inputs, x = images_input()
        _, fine, coarse = darknet19(x, width, depth)
    else:
        inputs, (*_, fine, coarse) = named_features(backbone, width, depth, backbone_weights, weights)
    namer = ConvNamer("neck")
    x = namer.conv(coarse, scaled(1024, width))
    x = namer.conv(x, scaled(1024, width))
    x = passthrough(namer, x, fine, scaled(64, width))
    x = namer.conv(x, scaled(1024, width))
    network = keras.Model(inputs, [x], name="network")
    anchors = plain_anchors(anchors, ANCHORS, name, weights)
    head = RegionHead(num_classes, anchors, (STRIDE,), name="head", **head)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


def passthrough(namer: ConvNamer, coarse, fine, filters: int):
    """Joins a map with one of twice its resolution, of which every four places become four times the channels.

    (B, H, W, C) and (B, 2 H, 2 W, D) to (B, H, W, 4 * filters + C).

    Source: YOLO9000, arXiv:1612.08242, section 2, fine-grained features; the convolution is in Darknet's cfg alone.
    """
    fine = namer.conv(fine, filters, size=1)
    fine = Reorg(2, name=f"neck_reorg{namer.count}")(fine)
    return layers.Concatenate(name=f"neck_concat{namer.count}")([fine, coarse])


@architecture(RegionHead, backbones=("darknet-tiny",))
def yolov2_tiny(
    num_classes: int = 80,
    image_size: Sequence[int] = (416, 416),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "darknet-tiny",
    anchors: Sequence = ANCHORS,
    neck_width: int = 512,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolov2-tiny",
    **head,
) -> ZooModel:
    """YOLOv2-tiny: a plain backbone, one more convolution, and one level.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (416, 416) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of another backbone's blocks of a stage, above 0 and up to 16, 1 by default; without effect on
            "darknet-tiny", of which no stage repeats a block.
        backbone: "darknet-tiny" (default), Darknet's own; or one of `kzoo.backbones.named.BACKBONES`.
        anchors: widths and heights in pixels, any number, five as a rule; COCO's by default, `TINY_VOC_ANCHORS` are
            VOC's.
        neck_width: channels of the last convolution but one at width 1, 512 by default, as for COCO; 1024 for VOC.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras`, `.weights.h5` or Darknet's `.weights` file of the same model, or the name of published
            weights: see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, or a file of Darknet's; of another
            backbone what `kzoo.weights.loading` takes for it. Untrained where None.
        name: name of the model, which messages and files go by, "yolov2-tiny" by default.
        **head: further arguments of `kzoo.heads.region.RegionHead`, such as `rescore`, which is False here by default.

    Source: Darknet's yolov2-tiny.cfg and yolov2-tiny-voc.cfg.
    """
    check_arguments(num_classes, image_size, names, STRIDE)
    if backbone == "darknet-tiny":
        if depth != 1.0:
            log.warning("%s: no stage repeats a block; depth=%g changes nothing", name, depth)
        inputs, x = images_input()
        _, coarse = darknet_tiny(x, width)
    else:
        inputs, (*_, coarse) = named_features(backbone, width, depth, backbone_weights, weights)
    x = ConvNamer("neck").conv(coarse, scaled(neck_width, width))
    network = keras.Model(inputs, [x], name="network")
    anchors = plain_anchors(anchors, ANCHORS, name, weights)
    head = RegionHead(num_classes, anchors, (STRIDE,), name="head", **{"rescore": False, **head})
    return assembled(network, head, image_size, names, name, weights, backbone_weights)
