"""Arguments of the heads whose queries look at the network's maps."""

from __future__ import annotations

from kzoo.options.building import DETECTION, each
from kzoo.options.checking import ANY
from kzoo.options.kinds import Flag, Option, Special
from kzoo.options.quantities import Number, Whole
from kzoo.options.words import Word

_WEIGHT = Number(least=0)
_SPOILT = {"denoising": (ANY,)}
_POINTS = Special(takes=each(Whole(least=1, most=1000)), form="a whole number above 0, or one for each map")

QUERY: dict[str, Option] = {
    **DETECTION,
    "queries": Whole(least=1, most=100_000),
    "decoder_depth": Whole(least=1, most=100),
    "decoder_layers": Whole(least=1, most=100, none=True),
    "query_width": Whole(least=4, most=65536),
    "heads": Whole(least=1, most=1024),
    "feedforward": Whole(least=1, most=1_000_000),
    "dropout": Number(least=0, below=1),
    "no_object_weight": _WEIGHT.but(needs={"class_loss": ("softmax",)}),
    "focal_gamma": _WEIGHT.but(needs={"class_loss": ("focal", "varifocal")}),
    "focal_alpha": Number(least=0, most=1, none=True, needs={"class_loss": ("focal", "varifocal")}),
    **dict.fromkeys(
        ("class_weight", "box_weight", "giou_weight", "class_cost", "box_cost", "giou_cost", "auxiliary"),
        _WEIGHT,
    ),
}
DETR: dict[str, Option] = {**QUERY, "pre_norm": Flag()}
SMCA_DETR: dict[str, Option] = {**DETR, "spread": Word(choices=("fixed", "heads", "axes"))}
ANCHOR_DETR: dict[str, Option] = {
    **QUERY,
    "patterns": Whole(least=1, most=1000),
    "encoder_depth": Whole(least=1, most=100),
}
DEFORMABLE_DETR: dict[str, Option] = {
    **QUERY,
    "points": Whole(least=1, most=1000),
    **{name: Flag() for name in ("refine", "two_stage")},
}
DAB_DEFORMABLE_DETR: dict[str, Option] = {**QUERY, "points": Whole(least=1, most=1000)}
# Heads with further queries in training, made of the truth and spoilt.
DENOISING: dict[str, Option] = {
    **QUERY,
    "denoising": Whole(least=0, most=1_000_000),
    **dict.fromkeys(("label_noise", "box_noise"), Number(least=0, most=1, needs=_SPOILT)),
    "seed": Whole(least=0, most=2**32 - 1, none=True, needs=_SPOILT),
}
DN_DETR: dict[str, Option] = {**DENOISING, "denoising_groups": Whole(least=1, most=1000, needs=_SPOILT)}
DINO: dict[str, Option] = {
    **DENOISING,
    "points": Whole(least=1, most=1000),
    **{name: Flag() for name in ("learnt_content", "shared")},
}
RT_DETR: dict[str, Option] = {
    **DENOISING,
    "points": _POINTS,
    "offset_scale": Number(above=0),
    "method": Word(choices=("bilinear", "discrete")),
}
D_FINE: dict[str, Option] = {
    **RT_DETR,
    **dict.fromkeys(("reach", "scale"), Number(above=0)),
    **dict.fromkeys(("sides_weight", "teacher_weight"), _WEIGHT),
}
