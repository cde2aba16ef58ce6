"""Faster R-CNN on MobileNetV3: two maps at stride 32 and one at 64, and the dense layers of its larger relatives."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras

from kzoo.backbones.mobilenet import mobilenet
from kzoo.heads.rcnn import RCNNHead
from kzoo.layers.conv import scaled
from kzoo.layers.fpn import fpn
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture
from kzoo.models.faster_rcnn import with_regions
from kzoo.ops.anchors import retina_anchors
from kzoo.weights.reading import reading

BACKBONE = "mobilenetv3-large"
STRIDES = (32, 32, 64)
MULTIPLE = 32  # of the image's sides, for anchors to lie where torchvision has them


def mobile_anchors() -> list[list[list[float]]]:
    """Anchors of five sizes in three ratios, the same 15 on each of three levels: ratio by ratio, small ones first."""
    sizes = retina_anchors(octaves=1)  # five levels of three ratios
    return [[size[ratio] for ratio in range(3) for size in sizes]] * len(STRIDES)


@architecture(RCNNHead)
def faster_rcnn_mobilenet(
    num_classes: int = 80,
    image_size: Sequence[int] = (800, 800),
    width: float = 1.0,
    depth: float = 1.0,
    batch_norm: str | None = None,
    pyramid_width: int = 256,
    anchors: Sequence | None = None,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "faster-rcnn-mobilenet",
    **head,
) -> ZooModel:
    """Faster R-CNN on MobileNetV3-Large, in a seventh of the operations of ResNet-50's.

    Its pyramid has the map behind the first block of the last stage, that behind the last convolution, both at stride
    32, and every second place of this one. Regions are pooled from the first, where the second has been added to it;
    the other two serve the proposals alone.

    Args:
        num_classes: number of classes, 1 or more, without a background, 80 by default.
        image_size: height and width in pixels, (800, 800) by default, multiples of 32; (320, 320) of
            `faster-rcnn-mobilenet-320`. Other sizes work at run time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the backbone's blocks of a stage, above 0 and up to 16, 1 by default.
        batch_norm: kind of the backbone's batch normalisation, "trained", "frozen" or "synchronized": see
            `kzoo.layers.residual.batch_normalization`. Where None "frozen" with weights or backbone's weights, whose
            statistics are better than a small batch's, and "trained" without.
        pyramid_width: channels of the pyramid and of what looks at it, times width; 256 by default.
        anchors: for each of three levels widths and heights in pixels, equally many; where None squares of 32 to 512
            pixels, and boxes twice as high and twice as wide of the same area, all on each level.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the backbone's
            weights ask for where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; torchvision's
            `fasterrcnn_mobilenet_v3_large_fpn` or `..._320_fpn` (`.pth`, `.safetensors`); or "coco", which fetches it,
            at 80 classes or at torchvision's 90. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, such as `mobilenetv3-large`,
            torchvision's or timm's (`.pth`, `.safetensors`), or "imagenet": see `kzoo.weights.loading`. Untrained
            where None.
        name: name of the model, which messages and files go by, "faster-rcnn-mobilenet" by default.
        **head: further arguments of `kzoo.heads.rcnn.RCNNHead`, such as `region_samples`. Defaults here are
            `rpn_score_threshold` 0.05, `nms_threshold` 0.5, `score_threshold` 0.05, `candidates` 1000 and
            `max_detections` 100, and of `faster-rcnn-mobilenet-320` (2000, 150) for `anchors_kept` and `proposals`;
            and of what is computed `rpn_width` and `conv_width` the pyramid's, and `dense` (1024, 1024) times width.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Ren et al. 2015, arXiv:1506.01497; Howard et al. 2019, arXiv:1905.02244; in numbers as torchvision,
        `models/detection/faster_rcnn.py`.
    """
    check_arguments(num_classes, image_size, names, MULTIPLE)
    if batch_norm is None:
        batch_norm = "trained" if weights is None and backbone_weights is None else "frozen"
    read = reading(backbone_weights, weights, backbone=BACKBONE)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, normalize or read.normalize)
    options = {"padding": read.padding, "batch_norm": batch_norm}
    stages = mobilenet(x, BACKBONE, 32, width, depth, top=True, entry=True, **options)
    channels = scaled(pyramid_width, width)
    maps = fpn(stages[-2:], channels, first=5, extra="pool", step=1)
    arguments = {
        "pooled_levels": 1,
        "rpn_width": channels,
        "conv_width": channels,
        "rpn_score_threshold": 0.05,
        **head,
    }
    return with_regions(
        RCNNHead,
        keras.Model(inputs, maps, name="network"),
        width,
        anchors or mobile_anchors(),
        STRIDES,
        arguments,
        num_classes,
        image_size,
        names,
        name,
        load=(backbone_weights, weights),
    )


faster_rcnn_mobilenet_320 = functools.partial(
    faster_rcnn_mobilenet,
    image_size=(320, 320),
    anchors_kept=(2000, 150),
    proposals=(2000, 150),
    name="faster-rcnn-mobilenet-320",
)
