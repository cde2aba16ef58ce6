"""Which registered names stand for the others in a test of models; `tests/README.md` has the plan."""

from collections.abc import Iterable, Iterator

import keras
import pytest

import kzoo
from kzoo.models.yolov5 import ANCHORS_P6
from kzoo.registry import entry

# Name -> one that at the tests' small depth is built of the same kinds of layers, or of more; the contract checks it.
TWINS = {
    "deeplabv3-resnet101": "deeplabv3",
    "deeplabv3plus-resnet101": "deeplabv3plus",
    **{f"efficientnet-b{i}": "efficientnet-b0" for i in range(1, 8)},
    **{f"efficientnet-lite{i}": "efficientnet-lite0" for i in range(1, 5)},
    "cascade-rcnn": "faster-rcnn",
    "detr-r101": "detr-r50",
    "detr-r101-dc5": "detr-r50-dc5",
    "fcn16": "fcn8",
    "fcn32": "fcn8",
    "fcn-resnet101": "fcn-resnet50",
    "resnet34": "resnet18",
    "resnet101": "resnet50",
    "resnet152": "resnet50",
    "retinanet": "retinanet-v2",
    "retinanet-resnet18": "retinanet-v2",
    "retinanet-resnet101": "retinanet-v2",
    "d-fine-s": "d-fine-m",
    "d-fine-x": "d-fine-l",
    "rt-detr-r34": "rt-detr-r18",
    **{f"rt-detr-{size}": "rt-detr-r50" for size in ("r50m", "r101")},
    "rt-detr-x": "rt-detr-l",
    **{f"rt-detr-v2-{size}": "rt-detr-r18" for size in ("r18", "r34")},
    **{f"rt-detr-v2-{size}": "rt-detr-r50" for size in ("r50m", "r50", "r101")},
    **{f"rt-detr-v2-{size}": "rt-detr-l" for size in "lx"},
    "softer-rcnn": "faster-rcnn",
    "faster-rcnn-mobilenet-320": "faster-rcnn-mobilenet",
    "ssd512": "ssd300",
    **{f"yolo11{size}": "yolo11n" for size in "smlx"},
    "yolov3": "yolov3-spp",
    **{f"yolov8{size}": "yolov8n" for size in "smlx"},
    **{f"yolov5{size}": "yolov5n" for size in "smlx"},
    **{f"yolov5{size}6": "yolov5n6" for size in "smlx"},
    "yolov7x": "yolov7",
    **{f"yolov7-{size}6": "yolov7-e6e" for size in "ed"},
    **{f"yolox-{size}": "yolox-s" for size in ("tiny", "m", "l", "x")},
    **{f"pp-yoloe-{size}": "pp-yoloe-s" for size in "mlx"},
    "yolov6s": "yolov6n",
    "yolov4-csp-x-swish": "yolov4-csp-swish",
    "yolov4-p5": "yolov4-csp",
    "yolov4x-mish": "yolov4-csp",
}

# Kind of head, with its loss of classes where it has several -> its name that is trained soonest; the contract checks
# that every head has one.
HEADS = {
    "AnchorHead focal": "retinanet-resnet18",
    "AnchorHead hard_negative": "ssd300",
    "CenterHead": "centernet-resnet18",
    "ClassifyHead": "resnet18",
    "CornerHead": "cornernet-squeeze",
    "ExtremeHead": "extremenet",
    "AnchorDETRHead focal": "anchor-detr-r50",
    "ConditionalDETRHead focal": "conditional-detr-r50",
    "DABDETRHead focal": "dab-detr-r50",
    "DABDeformableDETRHead focal": "dab-deformable-detr-r50",
    "DETRHead softmax": "detr-r50",
    "SMCADETRHead focal": "smca-detr-r50",
    "DNDETRHead focal": "dn-detr-r50",
    "IoUNetHead softmax": "iou-net",
    "FCOSHead": "fcos",
    "DriveHead": "yolop",
    "FastRCNNHead softmax": "fast-rcnn",
    "MaskRCNNHead softmax": "mask-rcnn",
    "GridHead": "yolov1-tiny",
    "PixelHead": "unet",
    "PointHead cross_entropy": "yolov8n",
    "PointHead varifocal": "yolov6n",
    "RCNNHead softmax": "faster-rcnn",
    "DFineHead varifocal": "d-fine-n",
    "DINOHead focal": "efficient-detr-r50",
    "DeformableDETRHead focal": "deformable-detr-r50-two-stage",
    "RTDETRHead varifocal": "rt-detr-r18",
    "RegionHead": "yolov2-tiny",
    "SVMHead softmax": "spp-net",
    "SaccadeHead": "cornernet-saccade",
    "TripletHead": "centernet-triplet",
    "YoloHead": "yolov3-tiny",
    "AuxiliaryYoloHead": "yolov7-w6",
}


# Kinds of heads whose names show by default what takes seconds. They stay as many when families are registered: for all
# other names these promises are `slow`, which CI deals out.
ARCHETYPES = ("ClassifyHead", "GridHead", "PixelHead", "RegionHead", "YoloHead")

# What keeps models small besides width and depth, by the module that builds them.
_FEW_REGIONS = {"region_samples": 32, "rpn_samples": 64, "anchors_kept": (100, 60), "proposals": (60, 40)}
_FEW_QUERIES = {"queries": 8, "dropout": 0.0}
_FEW_GIVEN = {"region_samples": 32, "proposals": (60, 40), "search_side": 4.0}
_SMALL = {
    # Of images of 1280 pixels: on small ones hardly an object has their shapes.
    "kzoo.models.yolov7_large": {"anchors": [[width / 4, height / 4] for width, height in ANCHORS_P6]},
    "kzoo.models.anchor_detr": {**_FEW_QUERIES, "patterns": 2},
    "kzoo.models.smca_detr": _FEW_QUERIES,
    "kzoo.models.centernet_hourglass": {"orders": 3},
    "kzoo.models.centernet_triplet": {"orders": 3},
    "kzoo.models.cornernet": {"orders": 3},
    "kzoo.models.cornernet_squeeze": {"orders": 3},
    "kzoo.models.extremenet": {"orders": 3},
    "kzoo.models.conditional_detr": {**_FEW_QUERIES, "decoder_depth": 2},
    "kzoo.models.dab_deformable_detr": {"queries": 20},
    "kzoo.models.dab_detr": {**_FEW_QUERIES, "decoder_depth": 2},
    "kzoo.models.detr": _FEW_QUERIES,
    "kzoo.models.dn_detr": {**_FEW_QUERIES, "denoising": 10, "decoder_depth": 2},
    "kzoo.models.fast_rcnn": _FEW_GIVEN,
    "kzoo.models.faster_rcnn": _FEW_REGIONS,
    "kzoo.models.faster_rcnn_vgg": {
        **_FEW_REGIONS,
        "anchors": [[[16, 16], [24, 24]]],
        "rpn_inside": False,
        "rpn_smallest": 1.0,
        "batch_norm": True,
        "dropout": 0.0,
    },
    "kzoo.models.iou_net": {**_FEW_REGIONS, "iou_samples": 32, "candidates": 60, "max_detections": 20},
    "kzoo.models.mask_rcnn": _FEW_REGIONS,
    "kzoo.models.r_cnn": {**_FEW_GIVEN, "crop": 32, "context": 4},
    "kzoo.models.d_fine": {"queries": 20, "denoising": 8},
    "kzoo.models.deformable_detr": {"queries": 20},
    "kzoo.models.dino": {"queries": 20, "denoising": 8},
    "kzoo.models.efficient_detr": {"queries": 20},
    "kzoo.models.rt_detr": {"queries": 20, "denoising": 8},
    "kzoo.models.spp_net": _FEW_GIVEN,
    "kzoo.models.yolov1": {"side": 7},  # the grid of 448 pixels, on 64
    # Shapes that tell objects in one of few cells apart.
    "kzoo.models.yolov2": {"anchors": [[10, 17], [17, 10], [11, 11], [14, 14], [17, 17]]},
}


def small(name: str) -> dict:
    """Further arguments of a registered model with which it is small enough for tests."""
    return _SMALL.get(entry(name).target.partition(":")[0], {})


def convolutions_beyond_memory(model) -> Iterator[str]:
    """Names of a model's layers whose gradients oneDNN computes wrongly: see `kzoo.layers.strided`."""
    for layer in model._flatten_layers():
        pointwise = type(layer) is keras.layers.Conv2D and layer.kernel_size == (1, 1)
        if pointwise and max(layer.strides) > 1 and layer.kernel.shape[2] < 16:
            yield layer.name


def families() -> dict[str, list[str]]:
    """Module that builds them -> registered names, those of the fewest published parameters first."""
    found: dict[str, list[str]] = {}
    for name in sorted(kzoo.list_models(), key=lambda name: entry(name).parameters):
        found.setdefault(entry(name).target.partition(":")[0], []).append(name)
    return found


def smallest_of_each_family(names: Iterable[str]) -> list:
    """Parameters of a test that takes about a second a name: by default for the smallest of each family.

    Args:
        names: registered ones.
    """
    quick = {family[0] for family in families().values()}
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


def of_archetypes(names: Iterable[str], shown: Iterable[str] = ()) -> list:
    """Parameters of a test that takes seconds a name: by default for one name of each of a few heads.

    The others are `slow`; those with a twin are `exhaustive`, too, which CI leaves out, but for a head's own name and a
    family's smallest.

    Args:
        names: registered ones.
        shown: kinds of heads, as `HEADS` has them, of which other quick tests show the same.
    """
    quick = {HEADS[head] for head in ARCHETYPES if head not in shown}
    in_ci = {*HEADS.values(), *(family[0] for family in families().values())}

    def marks(name):
        if name in quick:
            return ()
        if name in TWINS and name not in in_ci:
            return [pytest.mark.slow, pytest.mark.exhaustive]
        return pytest.mark.slow

    return [pytest.param(name, marks=marks(name)) for name in names]
