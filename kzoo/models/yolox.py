"""YOLOX: YOLOv5's network without anchors, an objectness, and objects assigned by what they cost."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras

from kzoo.backbones.csp import WIDTHS, csp_darknet, pooled_at_once
from kzoo.heads.base import check_choice
from kzoo.heads.points import PointHead
from kzoo.layers.conv import repeats
from kzoo.layers.decoupled import stem_and_branches
from kzoo.layers.pan import csp_path_aggregation
from kzoo.layers.yolo_conv import width_of
from kzoo.model import ZooModel, check_arguments, images_input
from kzoo.models.architecture import architecture, assembled
from kzoo.models.named import named_features
from kzoo.models.yolov8 import STRIDES

# Factors of depth and width, by the name's end; of the smallest, 3x3 convolutions are depthwise ones.
VARIANTS = {
    "nano": (0.33, 0.25),
    "tiny": (0.33, 0.375),
    "s": (0.33, 0.5),
    "m": (0.67, 0.75),
    "l": (1.0, 1.0),
    "x": (1.33, 1.25),
}
BLOCKS = (3, 9, 9, 3)  # bottlenecks of the stages at depth 1
_LAST = 8  # number of the backbone's first layer at stride 32, by the list that YOLOv5's layers stand in


@architecture(PointHead, backbones=("csp-darknet",))
def yolox(
    num_classes: int = 80,
    image_size: Sequence[int] = (640, 640),
    width: float = 1.0,
    depth: float = 1.0,
    variant: str = "s",
    backbone: str = "csp-darknet",
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolox-s",
    **head,
) -> ZooModel:
    """YOLOX: CSPDarknet, a path down and up again, and a stem with two branches a level.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (640, 640) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the variant's channels, above 0 and up to 16, 1 by default.
        depth: factor of the variant's bottlenecks of a stage, above 0 and up to 16, 1 by default.
        variant: the size, "nano", "tiny", "s" (default), "m", "l" or "x".
        backbone: "csp-darknet" (default), its own; or one of `kzoo.backbones.named.BACKBONES`.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or a state dict with the authors' names (`.pth`,
            `.safetensors`, `.onnx`), whose images are in 0..255, blue first: their first kernel is turned round.
            Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone; of another backbone what
            `kzoo.weights.loading` takes for it. Untrained where None.
        name: name of the model, which messages and files go by, "yolox-s" by default.
        **head: further arguments of `kzoo.heads.points.PointHead`, such as `raw_weight=1`, which the authors have in
            the last epochs. Defaults here are `bins` 0, `box_code` "offsets", `objectness`, `prior` 0.01, `assigner`
            "sim-ota", `box_loss` "iou_squared", `normalize_by` "objects", the weights 5 of boxes and 1 of classes,
            `nms_threshold` 0.65 and `max_detections` 300.

    Source: Ge et al. 2021, arXiv:2107.08430.
    """
    check_arguments(num_classes, image_size, names, STRIDES[-1])
    check_choice("variant", variant, VARIANTS)
    deep, wide = VARIANTS[variant]
    light = variant == "nano"
    filters = [width_of(channels, wide * width) for channels in WIDTHS[1:]]
    if backbone == "csp-darknet":
        inputs, x = images_input()
        stages = csp_darknet(
            x, wide * width, deep * depth, blocks=BLOCKS, focus=True, spp=True, depthwise=light
        )
    else:
        inputs, (_, *stages) = named_features(backbone, width, depth, backbone_weights, weights)
        stages[-1] = pooled_at_once(stages[-1], filters[-1], f"neck_layer{_LAST}")
    maps = csp_path_aggregation(stages, filters, repeats(3, deep * depth), _LAST + 2, light)
    branches = []
    for stride, level in zip(STRIDES, maps, strict=True):
        branches += stem_and_branches(level, f"stride{stride}", filters[0], light)
    network = keras.Model(inputs, branches, name="network")
    arguments = {
        "bins": 0,
        "box_code": "offsets",
        "objectness": True,
        "prior": 0.01,
        "assigner": "sim-ota",
        "box_loss": "iou_squared",
        "normalize_by": "objects",
        "box_weight": 5.0,
        "class_weight": 1.0,
        "nms_threshold": 0.65,
        "max_detections": 300,
        **head,
    }
    head = PointHead(num_classes, STRIDES, name="head", **arguments)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


yolox_nano = functools.partial(yolox, variant="nano", image_size=(416, 416), name="yolox-nano")
yolox_tiny = functools.partial(yolox, variant="tiny", image_size=(416, 416), name="yolox-tiny")
yolox_m = functools.partial(yolox, variant="m", name="yolox-m")
yolox_l = functools.partial(yolox, variant="l", name="yolox-l")
yolox_x = functools.partial(yolox, variant="x", name="yolox-x")
