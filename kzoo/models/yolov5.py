"""YOLOv5 in five sizes, and each with a fourth level for large images."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
import numpy as np

from kzoo.backbones.csp import BLOCKS, BLOCKS_P6, WIDTHS, WIDTHS_P6, csp_darknet, downsampled
from kzoo.heads.base import check_choice
from kzoo.heads.yolo import YoloHead
from kzoo.layers.conv import repeats
from kzoo.layers.csp import c3, sppf
from kzoo.layers.pan import csp_path_aggregation
from kzoo.layers.yolo_conv import width_of
from kzoo.model import ZooModel, check_arguments, images_input
from kzoo.models.architecture import architecture, assembled
from kzoo.models.named import named_features
from kzoo.weights.reading import state_anchors

# Widths and heights at 640 pixels, and at 1280 with a fourth level; smallest first.
ANCHORS = ((10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326))
ANCHORS_P6 = (
    *((19, 27), (44, 40), (38, 94), (96, 68), (86, 152), (180, 137)),
    *((140, 301), (303, 264), (238, 542), (436, 615), (739, 380), (925, 792)),
)
# Factors of depth and width, by the letter in the name.
VARIANTS = {"n": (0.33, 0.25), "s": (0.33, 0.5), "m": (0.67, 0.75), "l": (1.0, 1.0), "x": (1.33, 1.25)}
# Gains of objectness and classes, which small networks were trained with and larger ones.
_LOW, _HIGH = (1.0, 0.5), (0.7, 0.3)
# Factors of the levels' objectness, finest first, of three levels and of four.
_BALANCES = {3: (4.0, 1.0, 0.4), 4: (4.0, 1.0, 0.25, 0.06)}


def anchored_head(
    num_classes: int, image_size: Sequence[int], levels: int, objectness: float, classes: float
) -> dict:
    """How YOLOv5 and what was made of it train `YoloHead`, as its arguments.

    Args:
        num_classes: number of classes; where it is 1 they are not trained.
        image_size: height and width in pixels; objectness counts by the area.
        levels: number of feature maps, 3 or 4.
        objectness: gain of the objectness for images of 640 x 640 and three levels.
        classes: gain of the classes for 80 of them and three levels.
    """
    share = 3 / levels
    objectness = objectness * image_size[0] * image_size[1] / 640**2 * share
    return {
        "assigner": "ratio",
        "objectness_target": "ciou",
        "normalize_by": "levels",
        "size_transform": "square",
        "scale_xy": 2.0,
        "ignore_threshold": 1.0,
        "size_weighting": False,
        "prior_objects": 8.0,
        "box_weight": 0.05 * share,
        "class_weight": classes * num_classes / 80 * share if num_classes > 1 else 0.0,
        "objectness_weight": [objectness * balance for balance in _BALANCES[levels]],
    }


@architecture(YoloHead, backbones=("csp-darknet",))
def yolov5(
    num_classes: int = 80,
    image_size: Sequence[int] = (640, 640),
    width: float = 1.0,
    depth: float = 1.0,
    variant: str = "l",
    p6: bool = False,
    backbone: str = "csp-darknet",
    anchors: Sequence | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolov5l",
    **head,
) -> ZooModel:
    """YOLOv5: CSPDarknet, pooling at several sizes, and a path down to the finest level and up again.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (640, 640) by default, multiples of 32, of 64 with four levels; other
            sizes work as well at run time.
        width: factor of the variant's channels, above 0 and up to 16, 1 by default.
        depth: factor of the variant's bottlenecks of a stage, above 0 and up to 16, 1 by default.
        variant: the size, "n", "s", "m", "l" (default) or "x".
        p6: whether there is a fourth level, of stride 64; False by default.
        backbone: "csp-darknet" (default), its own; or one of `kzoo.backbones.named.BACKBONES`.
        anchors: widths and heights in pixels, smallest first, three a level; where None those of the state dict that
            `weights` names, else COCO's.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or a state dict with the authors' names
            (`.safetensors`, `.pth` or `.onnx`): see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a file of a model with the same backbone; of another backbone what `kzoo.weights.loading`
            takes for it. Untrained where None.
        name: name of the model, which messages and files go by, "yolov5l" by default.
        **head: further arguments of `kzoo.heads.yolo.YoloHead`, such as `anchor_ratio`.

    Source: YOLOv5 6.0 and later, https://github.com/ultralytics/yolov5, by its published descriptions and behaviour.
    """
    check_choice("variant", variant, tuple(VARIANTS))
    deep, wide = VARIANTS[variant]
    widths, blocks = (WIDTHS_P6, BLOCKS_P6) if p6 else (WIDTHS, BLOCKS)
    filters = [width_of(channels, wide * width) for channels in widths[1:]]
    first = 2 * len(widths) + 1  # the number of the layer behind the backbone
    if backbone == "csp-darknet":
        inputs, x = images_input()
        features = csp_darknet(x, wide * width, deep * depth, widths, blocks)
    else:
        inputs, (_, *features) = named_features(backbone, width, depth, backbone_weights, weights)
        if p6:  # which no other backbone has: the stage of this one's
            x = downsampled(features[-1], filters[-1], f"neck_layer{first - 2}")
            features.append(c3(x, filters[-1], f"neck_layer{first - 1}", repeats(blocks[-1], deep * depth)))
    *features, coarse = features
    features.append(sppf(coarse, filters[-1], f"neck_layer{first}"))
    levels = csp_path_aggregation(features, filters, repeats(3, deep * depth), first + 1)
    network = keras.Model(inputs, levels, name="network")
    gains = _LOW if variant in ("n", "s") else _HIGH
    settings = {**anchored_head(num_classes, image_size, len(levels), *gains), **head}
    default = ANCHORS_P6 if p6 else ANCHORS
    return anchored_model(
        network, settings, default, num_classes, image_size, anchors, names, name, weights, backbone_weights
    )


def anchored_model(
    network,
    settings,
    default,
    num_classes,
    image_size,
    anchors,
    names,
    name,
    weights,
    backbone_weights,
    head_type: type[YoloHead] = YoloHead,
    levels: int | None = None,
) -> ZooModel:
    """Network and anchored head as one model, with weights where they are given.

    Args:
        network: a functional model of images to maps at strides 8, 16 and so on.
        settings: further arguments of the head.
        default: the published anchors.
        num_classes, image_size, anchors, names, name, weights, backbone_weights: what the architecture function got.
        head_type: class of the head, `YoloHead` by default.
        levels: number of levels; as many as there are maps where None (default).
    """
    strides = [8 * 2**level for level in range(levels or len(network.outputs))]
    check_arguments(num_classes, image_size, names, strides[-1])
    if anchors is None:
        anchors = state_anchors(weights, strides) or default
    # Plain numbers, wherever the anchors come from: Keras writes constructor arguments into the model's file.
    anchors = np.asarray(anchors, float).tolist()
    head = head_type(num_classes, anchors, strides, name="head", **settings)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


yolov5n, yolov5s, yolov5m, yolov5l, yolov5x = (
    functools.partial(yolov5, variant=variant, name=f"yolov5{variant}") for variant in VARIANTS
)
yolov5n6, yolov5s6, yolov5m6, yolov5l6, yolov5x6 = (
    functools.partial(yolov5, variant=variant, p6=True, image_size=(1280, 1280), name=f"yolov5{variant}6")
    for variant in VARIANTS
)
