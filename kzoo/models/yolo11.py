"""YOLO11: YOLOv8 with smaller blocks, attention on the coarsest map, and lighter branches for classes."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras

from kzoo.backbones.c2f import c3k2_darknet
from kzoo.heads.base import check_choice
from kzoo.heads.points import PointHead
from kzoo.layers.conv import repeats
from kzoo.layers.csp import c3k2, sppf
from kzoo.layers.decoupled import two_branches
from kzoo.layers.psa import c2psa
from kzoo.layers.yolo_conv import width_of
from kzoo.model import ZooModel, check_arguments, images_input
from kzoo.models.architecture import architecture
from kzoo.models.named import named_features
from kzoo.models.yolov8 import STRIDES, branch_widths, down_and_up, point_model

# By the letter in the name: factor of blocks, factor of channels, the most channels that the factor is taken of, and
# whether all blocks are nested.
VARIANTS = {
    "n": (0.5, 0.25, 1024, False),
    "s": (0.5, 0.50, 1024, False),
    "m": (0.5, 1.0, 512, True),
    "l": (1.0, 1.0, 512, True),
    "x": (1.0, 1.5, 512, True),
}


@architecture(PointHead, backbones=("c3k2-darknet",))
def yolo11(
    num_classes: int = 80,
    image_size: Sequence[int] = (640, 640),
    width: float = 1.0,
    depth: float = 1.0,
    variant: str = "n",
    backbone: str = "c3k2-darknet",
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolo11n",
    **head,
) -> ZooModel:
    """YOLO11: as YOLOv8, of blocks of fewer operations, and with attention between the cells of the coarsest map.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (640, 640) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels of the variant, above 0 and up to 16, 1 by default.
        depth: factor of the blocks of the variant, above 0 and up to 16, 1 by default.
        variant: "n" (default), "s", "m", "l" or "x": how wide and deep the network is.
        backbone: "c3k2-darknet" (default), its own; or one of `kzoo.backbones.named.BACKBONES`.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or a state dict with YOLO11's names
            (`.safetensors`, `.pth`, `.onnx`): see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone; of another backbone what
            `kzoo.weights.loading` takes for it. Untrained where None.
        name: name of the model, which messages and files go by, "yolo11n" by default.
        **head: further arguments of `kzoo.heads.points.PointHead`, such as `assigner`. Defaults here are
            `nms_threshold` 0.7 and `max_detections` 300.

    Source: YOLO11, of 2024, which has no paper.
    """
    check_arguments(num_classes, image_size, names, STRIDES[-1])
    check_choice("variant", variant, VARIANTS)
    by_depth, by_width, most, nested = VARIANTS[variant]

    def channels(filters: int) -> int:
        return width_of(min(filters, most), by_width * width)

    deep = by_depth * depth
    own = backbone == "c3k2-darknet"
    if own:
        inputs, x = images_input()
        _, *stages = c3k2_darknet(x, channels, deep, nested)
    else:
        inputs, (_, *stages) = named_features(backbone, width, depth, backbone_weights, weights)
    prefix = "backbone" if own else "neck"
    coarse = sppf(stages[-1], channels(1024), f"{prefix}_layer9")
    coarse = c2psa(coarse, channels(1024), f"{prefix}_layer10", repeats(2, deep))

    def block(maps, filters: int, layer: int):
        return c3k2(
            maps, channels(filters), f"neck_layer{layer}", repeats(2, deep), nested or filters == 1024
        )

    levels = down_and_up((*stages[:-1], coarse), block, channels, first=11)
    of_boxes, of_classes = branch_widths(levels[0].shape[-1], num_classes)
    branches = []
    for stride, maps in zip(STRIDES, levels, strict=True):
        branches += two_branches(maps, f"stride{stride}", of_boxes, of_classes, light=True)
    network = keras.Model(inputs, branches, name="network")
    return point_model(network, num_classes, image_size, names, name, weights, backbone_weights, head)


yolo11s = functools.partial(yolo11, variant="s", name="yolo11s")
yolo11m = functools.partial(yolo11, variant="m", name="yolo11m")
yolo11l = functools.partial(yolo11, variant="l", name="yolo11l")
yolo11x = functools.partial(yolo11, variant="x", name="yolo11x")
