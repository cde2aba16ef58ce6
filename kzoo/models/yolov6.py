"""YOLOv6, third version: convolutions that are several side by side in training, and maps joined from both sides."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
from keras import layers

from kzoo.backbones.rep import activation, rep_backbone, rep_block
from kzoo.heads.base import check_choice
from kzoo.heads.points import PointHead
from kzoo.layers.bifusion import bifusion
from kzoo.layers.conv import repeats
from kzoo.layers.yolo_conv import conv, width_of
from kzoo.model import ZooModel, check_arguments, images_input
from kzoo.models.architecture import architecture, assembled
from kzoo.models.named import named_features
from kzoo.models.pp_yoloe import aligned_arguments
from kzoo.models.yolov8 import STRIDES

# By the letter in the name: factor of convolutions, factor of channels, kind of block, channels inside of a block as a
# share of its own, whole distances of a distribution (0 for none), and loss of boxes.
VARIANTS = {
    "n": (0.33, 0.25, "row", 1.0, 0, "siou"),
    "s": (0.33, 0.50, "row", 1.0, 0, "giou"),
    "m": (0.60, 0.75, "partial", 2 / 3, 17, "giou"),
    "l": (1.0, 1.0, "plain", 0.5, 17, "giou"),
}


@architecture(PointHead, backbones=("rep",))
def yolov6(
    num_classes: int = 80,
    image_size: Sequence[int] = (640, 640),
    width: float = 1.0,
    depth: float = 1.0,
    variant: str = "n",
    backbone: str = "rep",
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolov6n",
    **head,
) -> ZooModel:
    """YOLOv6 v3.0: a pyramid whose levels see the finer and the coarser one, and two branches a level.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (640, 640) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels of the variant, above 0 and up to 16, 1 by default.
        depth: factor of the convolutions of the variant, above 0 and up to 16, 1 by default.
        variant: "n" (default), "s", "m" or "l": how wide and deep the network is, and of which blocks.
        backbone: "rep" (default), its own; or one of `kzoo.backbones.named.BACKBONES`.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or a state dict with YOLOv6's names
            (`.safetensors`, `.pth`, `.onnx`): see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone; of another backbone what
            `kzoo.weights.loading` takes for it. Untrained where None.
        name: name of the model, which messages and files go by, "yolov6n" by default.
        **head: further arguments of `kzoo.heads.points.PointHead`. Defaults here are `bins` 0 of "n" and "s" and 17 of
            the others, `box_loss` "siou" of "n" and "giou" of the others, `prior` 0.01, `class_loss` "varifocal", the
            weights 2.5 of boxes, 0.5 of distributions and 1 of classes, `nms_threshold` 0.65 and `max_detections` 300;
            and of "task-aligned" `assign_best` 13, `assign_overlap` "iou", `score_power` 1 and `anywhere`.

    Source: Li et al. 2023, arXiv:2301.05586.
    """
    check_arguments(num_classes, image_size, names, STRIDES[-1])
    check_choice("variant", variant, VARIANTS)
    by_depth, by_width, block, share, bins, box_loss = VARIANTS[variant]

    def channels(filters: int) -> int:
        return width_of(filters, by_width * width)

    deep = by_depth * depth
    if backbone == "rep":
        inputs, x = images_input()
        stages = rep_backbone(x, channels, deep, block, share)
    else:
        inputs, stages = named_features(backbone, width, depth, backbone_weights, weights)

    def row(maps, filters: int, prefix: str):
        return rep_block(maps, filters, prefix, repeats(12, deep), block, share)

    levels = _neck(stages, channels, row, {"activation": activation(block)})
    branches = []
    for stride, maps in zip(STRIDES, levels, strict=True):
        stem = conv(maps, maps.shape[-1], f"neck_stem_stride{stride}")
        branches += [
            conv(stem, stem.shape[-1], f"neck_{kind}_stride{stride}", 3) for kind in ("box", "class")
        ]
    network = keras.Model(inputs, branches, name="network")
    arguments = {"bins": bins, "box_loss": box_loss, "nms_threshold": 0.65, **head}
    head = PointHead(num_classes, STRIDES, name="head", **aligned_arguments(arguments))
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


yolov6s = functools.partial(yolov6, variant="s", name="yolov6s")
yolov6m = functools.partial(yolov6, variant="m", name="yolov6m")
yolov6l = functools.partial(yolov6, variant="l", name="yolov6l")


def _neck(stages: Sequence, channels, row, style: dict) -> list:
    """Maps at strides 8, 16 and 32 from those at strides 4, 8, 16 and 32.

    Args:
        stages: the backbone's maps, finest first.
        channels: how wide a layer is that has so many channels at width 1.
        row: what makes a level's maps of joined ones, a number of channels and a prefix of names.
        style: the activation of the convolutions.

    Source: arXiv:2301.05586, figure 2, "RepBi-PAN".
    """
    finest, fine, middle, coarse = stages
    wide, narrow = channels(256), channels(128)
    coarse = conv(coarse, wide, "neck_reduce0", **style)
    middle = row(bifusion(coarse, middle, fine, wide, "neck_bifusion0", **style), wide, "neck_p4")
    middle = conv(middle, narrow, "neck_reduce1", **style)
    fine = row(bifusion(middle, fine, finest, narrow, "neck_bifusion1", **style), narrow, "neck_p3")
    x = conv(fine, narrow, "neck_shrink2", 3, 2, **style)
    middle = row(layers.Concatenate(name="neck_n3_join")([x, middle]), channels(256), "neck_n3")
    x = conv(middle, wide, "neck_shrink1", 3, 2, **style)
    coarse = row(layers.Concatenate(name="neck_n4_join")([x, coarse]), channels(512), "neck_n4")
    return [fine, middle, coarse]
