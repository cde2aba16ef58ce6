"""SSD: default boxes on maps of a VGG16 and of ever coarser layers after it."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
from keras import layers

from kzoo.backbones.named import backbone_features
from kzoo.backbones.vgg import vgg16
from kzoo.heads.anchor import AnchorHead
from kzoo.layers.conv import scaled
from kzoo.layers.l2norm import L2Normalization
from kzoo.layers.normalize import normalized
from kzoo.layers.residual import batch_normalization, relu_initializer
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture
from kzoo.ops.anchors import default_boxes
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading

NORMALIZATION = "ssd"
LEAST_SIDE = 32  # pixels of an image
# Of the extra levels: channels of a 1x1 convolution and of the one after it, and that one's kernel, stride and margin.
EXTRAS_300 = ((256, 512, 3, 2, 1), (128, 256, 3, 2, 1), (128, 256, 3, 1, 0), (128, 256, 3, 1, 0))
EXTRAS_512 = ((256, 512, 3, 2, 1), *[(128, 256, 3, 2, 1)] * 3, (128, 256, 4, 1, 1))
# Default boxes' sides on the first level, on the second and on the last, as shares of the image: those for COCO.
SCALES_300 = (0.07, 0.15, 0.87)
SCALES_512 = (0.04, 0.1, 0.9)


@architecture(AnchorHead, backbones=("vgg16",))
def ssd300(
    num_classes: int = 80,
    image_size: Sequence[int] = (300, 300),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "vgg16",
    extras: Sequence[Sequence[int]] = EXTRAS_300,
    scales: Sequence[float] = SCALES_300,
    batch_norm: bool = False,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "ssd300",
    **head,
) -> ZooModel:
    """SSD300 on VGG16: default boxes on six maps, the finest at stride 8, each with convolutions of its own.

    Extra levels end with the first map of a single cell, or before one that would have none: at 300 pixels four are
    left, at 64 two. The default boxes' sizes are spread over those that there are.

    Args:
        num_classes: number of classes, 1 or more, without the background, 80 by default.
        image_size: height and width in pixels, (300, 300) by default, 32 or more. Default boxes are shares of it; other
            sizes, down to those that leave the coarsest map a cell, work at run time with boxes of as many pixels.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the convolutions of a stage, or of the blocks, above 0 and up to 16, 1 by default.
        backbone: "vgg16" (default), as in the paper; or one of `kzoo.backbones.named.BACKBONES`, whose maps at strides
            8, 16 and 32 are the first three levels, in the place of VGG16's two and the first extra one.
        extras: for each extra level the channels of its 1x1 convolution and of the one after it, and that one's
            kernel, stride and margin; the paper's four levels by default.
        scales: side of the smaller square default box as a share of the image, 0 to 1: on the first level, on the
            second, and on the last; between them in equal steps. 0.07, 0.15 and 0.87 by default.
        batch_norm: whether VGG16's convolutions and those of the extra levels are batch-normalised, which trains
            without pretrained weights; False by default.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the backbone's
            weights ask for where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; torchvision's `ssd300_vgg16` (`.pth`,
            `.safetensors`); or "coco", which fetches it, at 80 classes or at torchvision's 90. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone; torchvision's or timm's VGG16
            (`.safetensors`, `.pth`), whose fc6 and fc7 are subsampled as in the paper; or "imagenet": see
            `kzoo.weights.loading`. Untrained where None.
        name: name of the model, which messages and files go by, "ssd300" by default.
        **head: further arguments of `kzoo.heads.anchor.AnchorHead`, such as `negative_ratio`. Defaults here are
            `class_loss` "hard_negative", `box_loss` "smooth_l1", `negative_threshold` 0.5, `rescue` "best",
            `coder_weights` (10, 10, 5, 5), `normalize_by` "batch", `score_threshold` 0.01, `candidates` 1000,
            `max_detections` 200, `multiple` 1 and the `image_size` of the model.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Liu et al. 2016, arXiv:1512.02325, figure 2 and sections 3.1 and 3.4; in numbers as torchvision,
        `models/detection/ssd.py`.
    """
    check_arguments(num_classes, image_size, names, 1)
    if min(image_size) < LEAST_SIDE:
        raise ValueError(f"image_size={tuple(image_size)}: {name} takes {LEAST_SIDE} pixels a side or more")
    read = reading(backbone_weights, weights, NORMALIZATION, backbone)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, normalize or read.normalize)
    strides = level_strides(image_size, extras)
    if backbone == "vgg16":
        *_, conv4, conv5 = vgg16(x, width, depth, pooled=False, batch_norm=batch_norm)
        maps = [L2Normalization(name="neck_l2norm")(conv4), _atrous_classifier(conv5, width, batch_norm)]
    else:
        maps = backbone_features(x, backbone, 32, width, depth, **read.strides)[1:]
    # A backbone that has the first extra level's map, at stride 32, goes on with the second.
    for number in range(len(maps) - 1, len(strides) - 1):
        maps.append(_extra_level(maps[-1], number, extras[number - 1], width, batch_norm))
    maps = maps[: len(strides)]
    network = keras.Model(inputs, maps, name="network")
    # Of long sides to short ones: two more boxes a ratio, of which the first level and the last two have fewer.
    ratios = ([[2], *[[2, 3]] * (len(extras) - 1), [2], [2]])[: len(strides)]
    arguments = {
        "coder_weights": (10.0, 10.0, 5.0, 5.0),
        "negative_threshold": 0.5,
        "rescue": "best",
        "class_loss": "hard_negative",
        "box_loss": "smooth_l1",
        "normalize_by": "batch",
        "nms_threshold": 0.45,
        "score_threshold": 0.01,
        "candidates": 1000,
        "max_detections": 200,
        "multiple": 1,
        "image_size": image_size,
        **head,
    }
    boxes = default_boxes(image_size, _spread(scales, len(strides)), ratios)
    head = AnchorHead(num_classes, boxes, strides, name="head", **arguments)
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)


ssd512 = functools.partial(ssd300, image_size=(512, 512), extras=EXTRAS_512, scales=SCALES_512, name="ssd512")


def level_strides(image_size: Sequence[int], extras: Sequence[Sequence[int]]) -> list[int]:
    """Pixels between the default boxes of each level that images of a size have.

    Args:
        image_size: height and width in pixels.
        extras: for each extra level the channels of its two convolutions, and the second one's kernel, stride and
            margin.

    Returns:
        8, 16, and one number for each extra level that is used: twice the one before, or, where the convolution has
        no stride and takes cells away at the border, the image's sides over the cells that are left, the larger.
    """
    strides, cells = [8, 16], [-(-side // 16) for side in image_size]
    for *_, kernel, stride, margin in extras:
        following = [(count + 2 * margin - kernel) // stride + 1 for count in cells]
        if max(cells) == 1 or min(following) < 1:
            break
        cells = following
        spread = max(-(-side // count) for side, count in zip(image_size, cells, strict=True))
        strides.append(spread if stride == 1 else strides[-1] * stride)
    return strides


def _spread(scales: Sequence[float], levels: int) -> list[float]:
    """Scales of the levels, and the one that would follow. Source: arXiv:1512.02325, equation 4."""
    first, least, greatest = scales
    step = (greatest - least) / max(1, levels - 2)
    return [first, *(round(least + i * step, 6) for i in range(levels))]


def _atrous_classifier(x, width: float, batch_norm: bool):
    """VGG16's hidden layers as dilated convolutions, a quarter as wide, after a pooling that keeps the resolution."""
    x = layers.MaxPooling2D(3, 1, padding="same", name="backbone_pool5")(x)
    start = {"kernel_initializer": relu_initializer()}
    x = _conv(x, scaled(1024, width), 3, "backbone_fc6", batch_norm, padding="same", dilation_rate=6, **start)
    return _conv(x, scaled(1024, width), 1, "backbone_fc7", batch_norm, **start)


def _extra_level(x, number: int, extra: Sequence[int], width: float, batch_norm: bool):
    """A coarser map from the one before, by a 1x1 convolution and one of the extra level's own shape."""
    narrow, filters, kernel, stride, margin = extra
    name = f"neck_extra{number}"
    x = _conv(x, scaled(narrow, width), 1, f"{name}_1", batch_norm)
    if margin:
        x = layers.ZeroPadding2D(margin, name=f"{name}_pad")(x)
    return _conv(x, scaled(filters, width), kernel, f"{name}_2", batch_norm, strides=stride)


def _conv(x, filters: int, size: int, name: str, batch_norm: bool, **arguments):
    """Convolution, batch normalisation where wanted, ReLU."""
    x = layers.Conv2D(filters, size, use_bias=not batch_norm, name=name, **arguments)(x)
    if batch_norm:
        x = batch_normalization("trained", f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
