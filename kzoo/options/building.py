"""Arguments of models and of their heads, by the names that they have everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kzoo.options.checking import ANY
from kzoo.options.forms import LOSS
from kzoo.options.kinds import Flag, Option, Special
from kzoo.options.quantities import Number, Size, Whole
from kzoo.options.words import Place, Text, Word

IMAGENET = "imagenet"  # the name of published weights of backbones
WIDTH = Number(help="Factor of the number of channels of every layer.", above=0, most=16)
DEPTH = Number(help="Factor of the number of blocks that a stage repeats.", above=0, most=16)
NUM_CLASSES = Whole(help="Number of classes.", unit="classes", least=1, most=100_000)
WEIGHTS = Place(
    help="The .keras, .weights.h5 or .weights file of the same model, hf://USER/NAME, or the name of published "
    "weights, to start from.",
    otherwise="random weights",
    what="a file of weights, or the name of published ones",
    none=True,
)


def _strings(value: Any) -> Any:
    """A list of texts, not a single one, whose letters would pass for a list."""
    if isinstance(value, str) or not all(isinstance(one, str) for one in value):
        raise TypeError(value)
    return value


def _rates(value: Any) -> Any:
    return [Whole(least=1, most=1000).sound(one) for one in value]


def _shares(value: Any) -> Any:
    return [_SHARE.sound(one) for one in _listed(value)]


def _units(value: Any) -> Any:
    return [Whole(least=1, most=1_000_000).sound(one) for one in _listed(value)]


def _ranks(value: Any) -> Any:
    return [Whole(least=0, most=1_000_000).sound(one) for one in _listed(value)]


def _listed(value: Any) -> list:
    """A list of one or more; a text, whose letters would pass for one, or a number is none."""
    if isinstance(value, str) or not len(value):
        raise TypeError(value)
    return list(value)


def _exactly(count: int, value: Any) -> list:
    """A list of so many."""
    if len(_listed(value)) != count:
        raise ValueError(value)
    return list(value)


def _weights(value: Any) -> Any:
    for one in value:
        _WEIGHT.sound(one)
    return value


def _weight(value: Any) -> Any:
    """A weight, or True for the usual one."""
    return value if isinstance(value, bool) else _WEIGHT.sound(value)


def each(option: Option) -> Callable[[Any], Any]:
    """What takes one value, or a list with one for each level of the network."""

    def takes(value: Any) -> Any:
        return [option.sound(one) for one in value] if isinstance(value, Sequence) else option.sound(value)

    return takes


_WEIGHT = Number(least=0)
_SHARE = Number(least=0, most=1)
_SMOOTHING = Number(least=0, below=1)
_COUNT = Whole(least=1, most=1_000_000)
RANKS = Special(takes=_ranks, form="whole numbers, 0 or more, one for each dense layer", none=True)
_RATES = Special(takes=_rates, form="a list of whole numbers, 1 to 1000", none=True)

# Of the architecture functions, whichever has them.
MODEL: dict[str, Option] = {
    "num_classes": NUM_CLASSES,
    "image_size": Size(),
    "width": WIDTH,
    "depth": DEPTH,
    "names": Special(takes=_strings, form="a list of class names", none=True),
    "weights": WEIGHTS,
    "backbone_weights": Place(what="a file of weights, or imagenet", none=True),
    "name": Text(),
    "pyramid_width": Whole(least=1, most=65536),
    "dropout": Number(least=0, below=1),
    "drop_path": Number(least=0, below=1),
    "label_smoothing": _SMOOTHING,
    "auxiliary": Special(takes=_weight, form="a weight, 0 or more, or True"),
    "rates": _RATES,
    "hybrid": _RATES,
    "side": Whole(least=1, most=1000, none=True),
    "boxes_per_cell": Whole(least=1, most=1000),
    "neck_width": Whole(least=1, most=65536),
    "decoder_width": WIDTH,
    "levels": Whole(least=2, most=3),
    "maps": Whole(least=4, most=5),
    "orders": Whole(least=1, most=5),
    "stacks": Whole(least=1, most=16),
    **{
        name: Flag()
        for name in (
            "spp",
            "p6",
            "deformable",
            "decoder",
            "residual",
            "attention",
            "paper",
            "dilated",
            "pre_norm",
            "refine",
            "two_stage",
        )
    },
}

DETECTION: dict[str, Option] = {
    "num_classes": NUM_CLASSES,
    "nms_threshold": _SHARE,
    "score_threshold": _SHARE,
    "max_detections": _COUNT,
    "candidates": _COUNT,
    "class_agnostic": Flag(),
    "nms_beta": _WEIGHT.but(needs={"nms_kind": ("diou",)}),
    "nms_sigma": Number(above=0, none=True, needs={"nms_kind": ("soft-gaussian", "matrix", "softer")}),
}
_FOCAL = {
    "focal_gamma": _WEIGHT,
    "focal_alpha": _SHARE.but(none=True),
    "class_weight": _WEIGHT,
}
YOLO: dict[str, Option] = {
    **DETECTION,
    **_FOCAL,
    **dict.fromkeys(("ignore_threshold", "truth_threshold"), _SHARE),
    **dict.fromkeys(("label_smoothing", "objectness_smoothing"), _SMOOTHING),
    **{name: Flag() for name in ("project", "size_weighting")},
    "scale_xy": Special(takes=each(Number(above=0)), form="a number above 0, or one a level"),
    "objectness_weight": Special(takes=each(_WEIGHT), form="a number, 0 or more, or one a level"),
    "box_weight": _WEIGHT.but(none=True),
    "iou_threshold": _SHARE.but(needs={"assigner": ("best shape",)}),
    "anchor_ratio": Number(above=1, needs={"assigner": ("ratio", "ratio-ota")}),
    "prior_objects": Number(above=0, none=True, needs={"project": (True,)}),
}
AUXILIARY_YOLO: dict[str, Option] = {**YOLO, "auxiliary_weight": _WEIGHT}
DRIVE: dict[str, Option] = {
    **YOLO,
    **dict.fromkeys(("drivable_loss", "lane_loss"), LOSS),
    **dict.fromkeys(("drivable_weight", "lane_weight"), _WEIGHT),
}
_FOCAL_CLASSES, _MINED_CLASSES = {"class_loss": ("focal",)}, {"class_loss": ("hard_negative",)}
ANCHOR: dict[str, Option] = {
    **DETECTION,
    "focal_gamma": _WEIGHT.but(needs=_FOCAL_CLASSES),
    "focal_alpha": _SHARE.but(none=True, needs=_FOCAL_CLASSES),
    "negative_ratio": Number(above=0, needs=_MINED_CLASSES),
    "smooth_l1_beta": Number(least=0, needs={"box_loss": ("smooth_l1",)}),
    "tower": Whole(least=0, most=100),
    "tower_width": Whole(least=1, most=65536),
    "positive_threshold": _SHARE,
    "negative_threshold": _SHARE,
    "class_weight": _WEIGHT,
    "box_weight": _WEIGHT,
    "multiple": Whole(least=1, most=16384, none=True),
    **{name: Flag() for name in ("shared", "fit_strides")},
}
_SIDES = Special(
    takes=lambda value: [_COUNT.sound(one) for one in _exactly(2, value)],
    form="two whole numbers above 0: in training and in inference",
)
SECOND_STAGE: dict[str, Option] = {
    **DETECTION,
    "pooled_levels": Whole(least=1, most=16),
    "proposals": _SIDES,
    "region_samples": Whole(least=2, most=1_000_000),
    **dict.fromkeys(("region_positives", "background_from"), _SHARE),
    "region_thresholds": Special(takes=_shares, form="numbers of 0 to 1, one for each stage"),
    **dict.fromkeys(("pool_size", "pool_sampling"), Whole(least=1, most=64)),
    "convs": Whole(least=0, most=100),
    "conv_width": Whole(least=1, most=65536),
    "dense": Special(takes=_units, form="a list of whole numbers above 0"),
    "ranks": RANKS,
    "dropout": _SMOOTHING,
    "focal_gamma": _WEIGHT.but(needs=_FOCAL_CLASSES),
    "smooth_l1_beta": Number(least=0, needs={"box_loss": ("smooth_l1",)}),
    **dict.fromkeys(("class_weight", "box_weight", "smallest"), _WEIGHT),
    "stage_weights": Special(takes=_weights, form="numbers, 0 or more, one for each stage", none=True),
    "multiple": Whole(least=1, most=16384),
    "seed": Whole(least=0, most=2**32 - 1, none=True),
    **{name: Flag() for name in ("pool_aligned", "agnostic")},
}
RCNN: dict[str, Option] = {
    **SECOND_STAGE,
    "rpn_tower": Whole(least=1, most=100),
    "rpn_width": Whole(least=1, most=65536),
    **dict.fromkeys(("rpn_positive_threshold", "rpn_negative_threshold", "rpn_nms_threshold"), _SHARE),
    "rpn_samples": Whole(least=2, most=1_000_000),
    "anchors_kept": _SIDES,
    "rpn_smallest": _WEIGHT,
    "rpn_score_threshold": Number(least=0, below=1),
    **{name: Flag() for name in ("joined", "fit_strides", "rpn_inside")},
}
FAST_RCNN: dict[str, Option] = {
    **SECOND_STAGE,
    "search": Word(choices=("fast", "quality", "rcnn")),
    "search_width": Whole(least=16, most=16384),
    "search_side": _WEIGHT,
}
MASK_RCNN: dict[str, Option] = {
    **RCNN,
    "mask_size": Whole(least=1, most=256),
    "mask_convs": Whole(least=0, most=100),
    "mask_width": Whole(least=1, most=65536),
    **{name: Flag() for name in ("mask_norm", "masks_aligned")},
    "mask_weight": _WEIGHT,
}
IOU_NET: dict[str, Option] = {
    **RCNN,
    "iou_dense": Special(takes=_units, form="a list of whole numbers above 0"),
    "iou_samples": Whole(least=1, most=1_000_000),
    "iou_weight": _WEIGHT,
    "refinements": Whole(least=0, most=1000),
    "refine_step": _WEIGHT,
}
SVM: dict[str, Option] = {
    **FAST_RCNN,
    "pyramid": Special(takes=_units, form="a list of whole numbers above 0", needs={"regions": ("pyramid",)}),
    "crop": Whole(least=32, most=1024, needs={"regions": ("crop",)}),
    "context": Whole(least=0, most=500, needs={"regions": ("crop",)}),
    "crop_width": WIDTH.but(needs={"regions": ("crop",)}),
    "crop_depth": DEPTH.but(needs={"regions": ("crop",)}),
    "crop_norm": Flag(),
    "at_once": Whole(least=1, most=1_000_000),
}
FCOS: dict[str, Option] = {
    **DETECTION,
    "tower": Whole(least=1, most=100),
    "tower_width": Whole(least=1, most=65536),
    "radius": Number(above=0),
    "focal_gamma": _WEIGHT,
    "focal_alpha": _SHARE.but(none=True),
    "box_loss": Word(choices=("iou", "giou", "diou", "ciou", "siou", "iou_squared")),
    "multiple": Whole(least=1, most=16384),
}
_ALIGNED = {"assigner": ("task-aligned",)}
POINTS: dict[str, Option] = {
    **DETECTION,
    "bins": Whole(least=0, most=1000),
    "kernel_size": Whole(least=1, most=31),
    "prior": Number(above=0, below=1, none=True),
    "assign_best": Whole(least=1, most=1_000_000, none=True),
    "assign_overlap": Word(choices=("ciou", "iou"), needs=_ALIGNED),
    **dict.fromkeys(("score_power", "overlap_power", "least_side"), _WEIGHT.but(needs=_ALIGNED)),
    "anywhere": Flag(needs=_ALIGNED),
    "radius": Number(above=0, needs={"assigner": ("sim-ota",)}),
    **dict.fromkeys(("box_weight", "class_weight"), _WEIGHT),
    "distribution_weight": _WEIGHT.but(needs={"bins": (ANY,)}),
    "raw_weight": _WEIGHT.but(needs={"box_code": ("offsets",)}, neutral=(None, False, 0, 0.0)),
    "objectness": Flag(),
    "objectness_weight": _WEIGHT.but(needs={"objectness": (True,)}),
}
_SCALES = dict.fromkeys(("object_scale", "noobject_scale", "class_scale", "coord_scale"), _WEIGHT)
GRID: dict[str, Option] = {
    **DETECTION,
    "side": Whole(least=1, most=1000),
    "boxes_per_cell": Whole(least=1, most=1000),
    **_SCALES,
    **{name: Flag() for name in ("sqrt", "softmax", "rescore")},
}
REGION: dict[str, Option] = {
    **YOLO,
    **_SCALES,
    "rescore": Flag(),
    "bias_match": Flag(),
    "prior_images": Whole(least=0, most=2**24),
    "tree_threshold": _SHARE,
}
GAUSSIAN: dict[str, Option] = {**YOLO, "deviation_weight": _WEIGHT}
PIXEL: dict[str, Option] = {
    "num_classes": NUM_CLASSES,  # the head itself refuses more than the 255 that a mask can tell apart
    "loss": LOSS,
    "class_weights": Special(takes=_weights, form="a list of numbers, 0 or more, one a class", none=True),
    "label_smoothing": _SMOOTHING,
    "auxiliary": _WEIGHT,
    "multiple": Whole(least=1, most=16384, none=True),
    **{name: Flag() for name in ("project", "binary")},
}
CLASSIFY: dict[str, Option] = {
    "num_classes": NUM_CLASSES,
    "label_smoothing": _SMOOTHING,
    "project": Flag(),
    "temperature": Number(above=0),
}
