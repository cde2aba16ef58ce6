"""Faster R-CNN: a network that proposes regions on a feature pyramid, and a branch that looks at each."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras

from kzoo.backbones.convnext import CONVNEXTS
from kzoo.backbones.named import backbone_features
from kzoo.heads.rcnn import RCNNHead
from kzoo.layers.conv import scaled
from kzoo.layers.fpn import fpn
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture
from kzoo.ops.anchors import retina_anchors
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading

STRIDES = (4, 8, 16, 32, 64)
MULTIPLE = 32  # of the image's sides, for anchors to lie where torchvision has them


@architecture(RCNNHead, backbones=())
def faster_rcnn(
    num_classes: int = 80,
    image_size: Sequence[int] = (800, 800),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "resnet50",
    batch_norm: str | None = None,
    pyramid_width: int = 256,
    pyramid_norm: str | None = None,
    anchors: Sequence | None = None,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "faster-rcnn",
    **head,
) -> ZooModel:
    """Faster R-CNN on ResNet-50 and a feature pyramid of five levels, of which the coarsest serves the proposals alone.

    Args:
        num_classes: number of classes, 1 or more, without a background, 80 by default.
        image_size: height and width in pixels, (800, 800) by default, multiples of 32. Other sizes work at run time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the backbone's blocks of a stage, above 0 and up to 16, 1 by default.
        backbone: one of `kzoo.backbones.named.BACKBONES`, "resnet50" by default.
        batch_norm: kind of the backbone's batch normalisation, "trained", "frozen" or "synchronized": see
            `kzoo.layers.residual.batch_normalization`. Where None "frozen" with weights or backbone's weights, whose
            statistics are better than a small batch's, and "trained" without. A ConvNeXt has none.
        pyramid_width: channels of the pyramid and of what looks at it, times width; 256 by default.
        pyramid_norm: kind of batch normalisation in the pyramid; None (default) for none.
        anchors: for each of five levels, finest first, widths and heights in pixels, equally many; where None squares
            of 32 to 512 pixels, one size a level, and boxes twice as high and twice as wide of the same area.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the backbone's
            weights ask for where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; torchvision's `fasterrcnn_resnet50_fpn` (`.pth`,
            `.safetensors`); or "coco", which fetches it, at 80 classes or at torchvision's 90. Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, such as `resnet50`, torchvision's or
            timm's (`.pth`, `.safetensors`), or "imagenet": see `kzoo.weights.loading`. Untrained where None.
        name: name of the model, which messages and files go by, "faster-rcnn" by default.
        **head: further arguments of `kzoo.heads.rcnn.RCNNHead`, such as `region_samples`. Defaults here are
            `nms_threshold` 0.5, `score_threshold` 0.05, `candidates` 1000 and `max_detections` 100; and of what is
            computed `rpn_width` and `conv_width` the pyramid's, and `dense` (1024, 1024) times width.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Ren et al. 2015, arXiv:1506.01497; pyramid: Lin et al. 2017, arXiv:1612.03144; in numbers as torchvision,
        `models/detection/faster_rcnn.py`.
    """
    build = functools.partial(two_stage, RCNNHead, load=(backbone_weights, weights))
    own = {"num_classes": num_classes, "image_size": image_size, "names": names, "name": name}
    return build(
        width, depth, backbone, batch_norm, pyramid_width, pyramid_norm, anchors, normalize, head, **own
    )


faster_rcnn_v2 = functools.partial(
    faster_rcnn,
    batch_norm="trained",
    pyramid_norm="trained",
    rpn_tower=2,
    convs=4,
    dense=(1024,),
    name="faster-rcnn-v2",
)

# A second and a third branch begin with the boxes of the one before, and ask for more overlap.
cascade_rcnn = functools.partial(
    faster_rcnn,
    region_thresholds=(0.5, 0.6, 0.7),
    coder_weights=((10.0, 10.0, 5.0, 5.0), (20.0, 20.0, 10.0, 10.0), (30.0, 30.0, 15.0, 15.0)),
    stage_weights=(1.0, 0.5, 0.25),
    agnostic=True,
    name="cascade-rcnn",
)
# Each edge of a box comes with its uncertainty, by which boxes that overlap vote for where it is.
softer_rcnn = functools.partial(
    faster_rcnn,
    coder="edges",
    coder_weights=((10.0, 10.0, 10.0, 10.0),),
    box_loss="kl",
    nms_kind="softer",
    name="softer-rcnn",
)


def two_stage(
    head_type: type[RCNNHead],
    width: float,
    depth: float,
    backbone: str,
    batch_norm: str | None,
    pyramid_width: int,
    pyramid_norm: str | None,
    anchors: Sequence | None,
    normalize: str | None,
    options: dict,
    num_classes: int,
    image_size: Sequence[int],
    names: Sequence[str] | None,
    name: str,
    load: tuple[str | None, str | None],
) -> ZooModel:
    """A pyramid and a head that looks at regions; what `faster_rcnn` and the models made of it share.

    Args:
        head_type: class of the head.
        width: factor of the channels, above 0.
        depth: factor of the backbone's blocks of a stage, above 0.
        backbone: one of `kzoo.backbones.named.BACKBONES`.
        batch_norm: kind of the backbone's batch normalisation, as `faster_rcnn` has it.
        pyramid_width: channels of the pyramid at width 1.
        pyramid_norm: kind of batch normalisation in the pyramid, or None.
        anchors: widths and heights of each level's anchors, or None for the usual ones.
        normalize: normalisation of the images, or None for the weights' own.
        options: further arguments of the head.
        num_classes: number of classes.
        image_size: height and width in pixels.
        names: class names, or None.
        name: name of the model.
        load: backbone's weights and weights, or None.
    """
    backbone_weights, weights = load
    check_arguments(num_classes, image_size, names, MULTIPLE)
    if batch_norm is None and backbone not in CONVNEXTS:
        batch_norm = "trained" if weights is None and backbone_weights is None else "frozen"
    read = reading(backbone_weights, weights, backbone=backbone)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, normalize or read.normalize)
    stages = backbone_features(x, backbone, 32, width, depth, batch_norm=batch_norm, **read.strides)
    channels = scaled(pyramid_width, width)
    maps = fpn(stages, channels, first=2, extra="pool", batch_norm=pyramid_norm)
    network = keras.Model(inputs, maps, name="network")
    options = {"rpn_width": channels, "conv_width": channels, **options}
    anchors = anchors or retina_anchors(octaves=1)
    own = {"num_classes": num_classes, "image_size": image_size, "names": names, "name": name}
    return with_regions(head_type, network, width, anchors, STRIDES, options, **own, load=load)


def with_regions(
    head_type: type[RCNNHead],
    network: keras.Model,
    width: float,
    anchors: Sequence,
    strides: Sequence[int],
    options: dict,
    num_classes: int,
    image_size: Sequence[int],
    names: Sequence[str] | None,
    name: str,
    load: tuple[str | None, str | None],
) -> ZooModel:
    """A network of maps under a head that looks at regions, with its weights.

    Args:
        head_type: class of the head.
        network: the model that makes maps of images, finest first.
        width: factor of the dense layers' units, above 0.
        anchors: widths and heights of each level's anchors.
        strides: pixels a cell of each map.
        options: further arguments of the head; those of the suppression are torchvision's where they are not there.
        num_classes: number of classes.
        image_size: height and width in pixels.
        names: class names, or None.
        name: name of the model.
        load: backbone's weights and weights, or None.
    """
    backbone_weights, weights = load
    dense = [scaled(units, width) for units in options.pop("dense", (1024, 1024))]
    arguments = {
        "nms_threshold": 0.5,
        "score_threshold": 0.05,
        "candidates": 1000,
        "max_detections": 100,
        "dense": dense,
        **options,
    }
    head = head_type(num_classes, anchors, strides, name="head", **arguments)
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)
