"""YOLOv8: no anchors, distances as distributions, and objects assigned by what is predicted of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
from keras import layers

from kzoo.backbones.c2f import c2f_darknet
from kzoo.heads.base import check_choice
from kzoo.heads.points import PointHead
from kzoo.layers.conv import repeats
from kzoo.layers.csp import c2f, sppf
from kzoo.layers.decoupled import two_branches
from kzoo.layers.yolo_conv import conv, width_of
from kzoo.model import ZooModel, check_arguments, images_input
from kzoo.models.architecture import architecture, assembled
from kzoo.models.named import named_features

STRIDES = (8, 16, 32)
# By the letter in the name: factor of blocks, factor of channels, and the most channels that the factor is taken of.
VARIANTS = {
    "n": (0.33, 0.25, 1024),
    "s": (0.33, 0.50, 1024),
    "m": (0.67, 0.75, 768),
    "l": (1.0, 1.0, 512),
    "x": (1.0, 1.25, 512),
}


@architecture(PointHead, backbones=("c2f-darknet",))
def yolov8(
    num_classes: int = 80,
    image_size: Sequence[int] = (640, 640),
    width: float = 1.0,
    depth: float = 1.0,
    variant: str = "n",
    backbone: str = "c2f-darknet",
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolov8n",
    **head,
) -> ZooModel:
    """YOLOv8: a pyramid that goes down and up again, and two branches a level, one for boxes and one for classes.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (640, 640) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels of the variant, above 0 and up to 16, 1 by default.
        depth: factor of the blocks of the variant, above 0 and up to 16, 1 by default.
        variant: "n" (default), "s", "m", "l" or "x": how wide and deep the network is.
        backbone: "c2f-darknet" (default), its own; or one of `kzoo.backbones.named.BACKBONES`.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or a state dict with YOLOv8's names
            (`.safetensors`, `.pth`, `.onnx`): see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone; of another backbone what
            `kzoo.weights.loading` takes for it. Untrained where None.
        name: name of the model, which messages and files go by, "yolov8n" by default.
        **head: further arguments of `kzoo.heads.points.PointHead`, such as `assigner`. Defaults here are
            `nms_threshold` 0.7 and `max_detections` 300.

    Source: YOLOv8, of 2023, which has no paper.
    """
    check_arguments(num_classes, image_size, names, STRIDES[-1])
    check_choice("variant", variant, VARIANTS)
    by_depth, by_width, most = VARIANTS[variant]

    def channels(filters: int) -> int:
        return width_of(min(filters, most), by_width * width)

    deep = by_depth * depth
    if backbone == "c2f-darknet":
        inputs, x = images_input()
        _, *stages = c2f_darknet(x, channels, deep)
    else:
        inputs, (_, *stages) = named_features(backbone, width, depth, backbone_weights, weights)
    fine, middle, coarse = stages
    coarse = sppf(coarse, channels(1024), "backbone_layer9" if backbone == "c2f-darknet" else "neck_layer9")

    def block(maps, filters: int, layer: int):
        return c2f(maps, channels(filters), f"neck_layer{layer}", repeats(3, deep), shortcut=False)

    levels = down_and_up((fine, middle, coarse), block, channels, first=10)
    of_boxes, of_classes = branch_widths(levels[0].shape[-1], num_classes)
    branches = []
    for stride, maps in zip(STRIDES, levels, strict=True):
        branches += two_branches(maps, f"stride{stride}", of_boxes, of_classes, light=False)
    network = keras.Model(inputs, branches, name="network")
    return point_model(network, num_classes, image_size, names, name, weights, backbone_weights, head)


yolov8s = functools.partial(yolov8, variant="s", name="yolov8s")
yolov8m = functools.partial(yolov8, variant="m", name="yolov8m")
yolov8l = functools.partial(yolov8, variant="l", name="yolov8l")
yolov8x = functools.partial(yolov8, variant="x", name="yolov8x")


def down_and_up(stages: Sequence, block, channels, first: int) -> list:
    """Coarse maps are joined with finer ones on the way down, and finer ones with coarse ones on the way back up.

    Args:
        stages: maps at strides 8, 16 and 32.
        block: what makes a level's maps of joined ones, channels at width 1, and a layer's number.
        channels: how wide a layer is that has so many channels at width 1.
        first: number of the first layer, by the published list, in which enlarging and joining count as layers.

    Returns:
        Maps at strides 8, 16 and 32.

    Source: Liu et al. 2018, Path Aggregation Network, arXiv:1803.01534, figure 1; in YOLOv8's form.
    """
    fine, middle, coarse = stages
    joined = _joined(_enlarged(coarse, first), middle, first + 1)
    middle = block(joined, 512, first + 2)
    fine = block(_joined(_enlarged(middle, first + 3), fine, first + 4), 256, first + 5)
    x = conv(fine, channels(256), f"neck_layer{first + 6}", 3, 2)
    middle = block(_joined(x, middle, first + 7), 512, first + 8)
    x = conv(middle, channels(512), f"neck_layer{first + 9}", 3, 2)
    coarse = block(_joined(x, coarse, first + 10), 1024, first + 11)
    return [fine, middle, coarse]


def _enlarged(x, layer: int):
    return layers.UpSampling2D(2, name=f"neck_layer{layer}")(x)


def _joined(a, b, layer: int):
    return layers.Concatenate(name=f"neck_layer{layer}")([a, b])


def branch_widths(finest: int, num_classes: int) -> tuple[int, int]:
    """Channels of the boxes' and of the classes' branches, which all levels share.

    Args:
        finest: channels of the maps at stride 8.
        num_classes: number of classes.
    """
    return max(16, finest // 4, 4 * 16), max(finest, min(num_classes, 100))


def point_model(network, num_classes, image_size, names, name, weights, backbone_weights, head) -> ZooModel:
    """Network and head as one model, with weights where they are given."""
    arguments = {"nms_threshold": 0.7, "max_detections": 300, **head}
    head = PointHead(num_classes, STRIDES, name="head", **arguments)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)
