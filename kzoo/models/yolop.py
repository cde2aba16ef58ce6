"""YOLOP: other cars, the drivable area and the lanes' lines of a road, from one encoder."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from kzoo.backbones.bottleneck_csp import STYLE, bottleneck_csp_darknet
from kzoo.heads.drive import CHANNELS, DriveHead
from kzoo.layers.csp import bottleneck_csp
from kzoo.layers.normalize import normalized
from kzoo.layers.yolo_conv import conv, width_of
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture, assembled
from kzoo.models.named import named_features
from kzoo.models.yolov5 import anchored_head
from kzoo.weights.reading import state_anchors

# Widths and heights of cars at 640 x 384 pixels, smallest first.
ANCHORS = ((3, 9), (5, 11), (4, 20), (7, 18), (6, 39), (12, 31), (19, 50), (38, 81), (68, 157))
STRIDES = (8, 16, 32)
# Numbers of the first layers of both branches.
_DRIVABLE, _LANES = 25, 34


@architecture(DriveHead, backbones=("bottleneck-csp",))
def yolop(
    num_classes: int = 1,
    image_size: Sequence[int] = (384, 640),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "bottleneck-csp",
    anchors: Sequence | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "yolop",
    **head,
) -> ZooModel:
    """YOLOP: YOLOv5's detector of its first versions, and on its finest map two branches that classify every pixel.

    Args:
        num_classes: number of classes of the boxes, 1 or more, 1 by default: cars of any kind.
        image_size: height and width in pixels, (384, 640) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the backbone's bottlenecks of a stage, above 0 and up to 16, 1 by default.
        backbone: "bottleneck-csp" (default), its own; or one of `kzoo.backbones.named.BACKBONES`.
        anchors: widths and heights in pixels, smallest first, three a level; where None those of the state dict that
            `weights` names, else the paper's.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or a state dict with the authors' names
            (`.safetensors` or `.pth`): see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a file of a model with the same backbone; of another backbone what `kzoo.weights.loading`
            takes for it. Untrained where None.
        name: name of the model, which messages and files go by, "yolop" by default.
        **head: further arguments of `kzoo.heads.drive.DriveHead`, such as `lane_weight`.

    Source: Wu et al. 2021, arXiv:2108.11250.
    """
    check_arguments(num_classes, image_size, names, STRIDES[-1])
    if backbone == "bottleneck-csp":
        inputs = keras.Input((None, None, 3), name="images")
        stages = bottleneck_csp_darknet(normalized(inputs), width, depth)
    else:
        inputs, (_, *stages) = named_features(backbone, width, depth, backbone_weights, weights)
    levels, fine = _neck(stages, width)
    maps = [_branch(fine, first, width) for first in (_DRIVABLE, _LANES)]
    network = keras.Model(inputs, [*levels, *maps], name="network")
    if anchors is None:
        anchors = state_anchors(weights, STRIDES) or ANCHORS
    settings = {**anchored_head(num_classes, image_size, len(STRIDES), 1.0, 0.5), **head}
    head = DriveHead(num_classes, np.asarray(anchors, float).tolist(), STRIDES, name="head", **settings)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


def _neck(stages: Sequence, width: float) -> tuple[list, object]:
    """Coarse maps join finer ones on the way down, and finer ones coarser ones on the way back up.

    Args:
        stages: maps at strides 8, 16 and 32.
        width: factor of the channels.

    Returns:
        Maps of the boxes at strides 8, 16 and 32, and the map at stride 8 that all three tasks share.
    """
    fine, middle, coarse = stages

    def joined(first: int, a, b):
        return layers.Concatenate(name=f"neck_concat{first}")([a, b])

    def csp(x, filters: int, number: int):
        return bottleneck_csp(x, width_of(filters, width), f"neck_layer{number}", 1, False, **STYLE)

    def up(x, number: int):
        return layers.UpSampling2D(2, name=f"neck_up{number}")(x)

    narrow = conv(coarse, width_of(256, width), "neck_layer10", **STYLE)
    x = csp(joined(12, up(narrow, 11), middle), 256, 13)
    narrower = conv(x, width_of(128, width), "neck_layer14", **STYLE)
    shared = joined(16, up(narrower, 15), fine)  # (B, H / 8, W / 8, 256)
    levels = [csp(shared, 128, 17)]
    for filters, lateral, number in ((128, narrower, 18), (256, narrow, 21)):
        x = conv(levels[-1], width_of(filters, width), f"neck_layer{number}", 3, 2, **STYLE)
        levels.append(csp(joined(number + 1, x, lateral), 2 * filters, number + 2))
    return levels, shared


def _branch(x, first: int, width: float):
    """Three times twice the resolution, down to two channels: (B, H / 8, W / 8, C) to (B, H, W, 2).

    The last convolution has normalisation and activation as well.

    Args:
        x: the map that all tasks share.
        first: number of the first layer, in the list that the authors write networks as.
        width: factor of the channels.
        width: factor of the channels.
    """

    def name(number: int) -> str:
        return f"branch_layer{first + number}"

    def up(x, number: int):
        return layers.UpSampling2D(2, name=f"branch_up{first + number}")(x)

    x = conv(x, width_of(128, width), name(0), 3, **STYLE)
    x = bottleneck_csp(up(x, 1), width_of(64, width), name(2), 1, False, **STYLE)
    x = conv(x, width_of(32, width), name(3), 3, **STYLE)
    x = conv(up(x, 4), width_of(16, width), name(5), 3, **STYLE)
    x = bottleneck_csp(x, width_of(8, width), name(6), 1, False, **STYLE)
    return conv(up(x, 7), CHANNELS, name(8), 3, **STYLE)
