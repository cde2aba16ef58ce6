"""PP-YOLOE: blocks that are several convolutions in training and one when deployed, and classes that know the boxes."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
from keras import layers

from kzoo.backbones.csp_rep import STYLE, csp_rep_resnet, rep_block
from kzoo.heads.base import check_choice
from kzoo.heads.points import PointHead
from kzoo.layers.channel_attention import squeezed
from kzoo.layers.conv import repeats
from kzoo.layers.normalize import normalized
from kzoo.layers.spp import spatial_pyramid_pooling
from kzoo.layers.yolo_conv import conv
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture, assembled
from kzoo.models.named import named_features
from kzoo.models.yolov8 import STRIDES
from kzoo.policy import check_settings

# By the letter in the name: factor of blocks, and factor of channels.
VARIANTS = {"s": (0.33, 0.50), "m": (0.67, 0.75), "l": (1.0, 1.0), "x": (1.33, 1.25)}


@architecture(PointHead, backbones=("csp-rep-resnet",))
def pp_yoloe(
    num_classes: int = 80,
    image_size: Sequence[int] = (640, 640),
    width: float = 1.0,
    depth: float = 1.0,
    variant: str = "s",
    backbone: str = "csp-rep-resnet",
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "pp-yoloe-s",
    **head,
) -> ZooModel:
    """PP-YOLOE: a pyramid that goes down and up again, and a head in which the whole map weighs channels of each task.

    Args:
        num_classes: number of classes, 1 or more, 80 by default.
        image_size: height and width in pixels, (640, 640) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels of the variant, above 0 and up to 16, 1 by default.
        depth: factor of the blocks of the variant, above 0 and up to 16, 1 by default.
        variant: "s" (default), "m", "l" or "x": how wide and deep the network is.
        backbone: "csp-rep-resnet" (default), its own; or one of `kzoo.backbones.named.BACKBONES`.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or tensors with PP-YOLOE's names
            (`.safetensors`, `.onnx`): see `kzoo.weights.loading`. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone; of another backbone what
            `kzoo.weights.loading` takes for it. Untrained where None.
        name: name of the model, which messages and files go by, "pp-yoloe-s" by default.
        **head: further arguments of `kzoo.heads.points.PointHead`, such as `assigner="atss"`, with which the authors
            train the first epochs. Defaults here are `bins` 17, `kernel_size` 3, `prior` 0.01, `class_loss`
            "varifocal", `box_loss` "giou", the weights 2.5 of boxes, 0.5 of distributions and 1 of classes,
            `nms_threshold` 0.7 and `max_detections` 300; and of "task-aligned" `assign_best` 13, `assign_overlap`
            "iou", `score_power` 1 and `anywhere`.

    Source: Xu et al. 2022, arXiv:2203.16250.
    """
    check_arguments(num_classes, image_size, names, STRIDES[-1])
    check_choice("variant", variant, VARIANTS)
    by_depth, by_width = VARIANTS[variant]

    def channels(filters: int) -> int:
        return max(8, round(filters * by_width * width))

    deep = by_depth * depth
    if backbone == "csp-rep-resnet":
        check_settings()
        inputs = keras.Input((None, None, 3), name="images")
        _, *stages = csp_rep_resnet(normalized(inputs), channels, deep)
    else:
        inputs, (_, *stages) = named_features(backbone, width, depth, backbone_weights, weights)
    levels = _neck(stages, channels, repeats(3, deep))
    branches = []
    for stride, maps in zip(STRIDES, levels, strict=True):
        branches += _branches(maps, f"stride{stride}")
    network = keras.Model(inputs, branches, name="network")
    arguments = aligned_arguments({"bins": 17, "kernel_size": 3, **head})
    head = PointHead(num_classes, STRIDES, name="head", **arguments)
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


pp_yoloe_m = functools.partial(pp_yoloe, variant="m", name="pp-yoloe-m")
pp_yoloe_l = functools.partial(pp_yoloe, variant="l", name="pp-yoloe-l")
pp_yoloe_x = functools.partial(pp_yoloe, variant="x", name="pp-yoloe-x")


def aligned_arguments(given: dict) -> dict:
    """A head's arguments: those of the paper, which YOLOv6 has as well, where others are not given."""
    aligned = {"assign_best": 13, "assign_overlap": "iou", "score_power": 1.0, "anywhere": True}
    return {
        "prior": 0.01,
        "class_loss": "varifocal",
        "box_loss": "giou",
        "box_weight": 2.5,
        "distribution_weight": 0.5,
        "class_weight": 1.0,
        "nms_threshold": 0.7,
        "max_detections": 300,
        **(aligned if given.get("assigner", "task-aligned") == "task-aligned" else {}),
        **given,
    }


def _neck(stages: Sequence, channels, blocks: int) -> list:
    """Coarse maps join finer ones on the way down, and fine ones coarser ones on the way back up.

    Args:
        stages: maps at strides 8, 16 and 32.
        channels: how wide a layer is that has so many channels at width 1.
        blocks: number of blocks of a stage.

    Returns:
        Maps at strides 8, 16 and 32, of 192, 384 and 768 channels at width 1.
    """
    down = []
    for i, (maps, filters) in enumerate(zip(reversed(stages), (768, 384, 192), strict=True)):
        x = maps
        if down:
            x = conv(down[-1], down[-1].shape[-1] // 2, f"neck_fpn{i - 1}_route", **STYLE)
            x = layers.UpSampling2D(2, name=f"neck_fpn{i}_up")(x)
            x = layers.Concatenate(name=f"neck_fpn{i}_join")([x, maps])
        down.append(_stage(x, channels(filters), f"neck_fpn{i}", blocks, pooled=i == 0))
    up = [down[-1]]
    for i in (1, 0):
        x = conv(up[-1], up[-1].shape[-1], f"neck_pan{i}_route", 3, 2, **STYLE)
        x = layers.Concatenate(name=f"neck_pan{i}_join")([x, down[i]])
        up.append(_stage(x, down[i].shape[-1], f"neck_pan{i}", blocks, pooled=False))
    return up


def _stage(x, filters: int, name: str, blocks: int, pooled: bool):
    """Half of the channels goes through blocks, with a pyramid pooling amid them where `pooled`, half past them."""
    past = conv(x, filters // 2, f"{name}_past", **STYLE)
    through = conv(x, filters // 2, f"{name}_through", **STYLE)
    for i in range(blocks):
        through = rep_block(through, filters // 2, f"{name}_block{i}")
        if pooled and i == (blocks - 1) // 2:
            through = spatial_pyramid_pooling(through, name=f"{name}_spp", smallest_first=True)
            through = conv(through, filters // 2, f"{name}_spp", **STYLE)
    x = layers.Concatenate(name=f"{name}_concat")([past, through])
    return conv(x, filters, f"{name}_out", **STYLE)


def _branches(maps, level: str) -> list:
    """What boxes and what classes are told from, (B, H, W, C) each: channels weighed by what the whole map says.

    Source: arXiv:2203.16250, section 2.2, "Efficient Task-aligned Head".
    """
    branches = []
    for kind in ("box", "class"):
        x = squeezed(maps, f"neck_{kind}_{level}", "sigmoid")
        x = conv(x, maps.shape[-1], f"neck_{kind}_{level}", **STYLE)
        if kind == "class":
            x = layers.Add(name=f"neck_{kind}_{level}_add")([x, maps])
        branches.append(x)
    return branches
