"""Arguments of the heads whose objects are peaks of heat maps."""

from __future__ import annotations

from kzoo.options.building import DETECTION
from kzoo.options.kinds import Flag, Option
from kzoo.options.quantities import Number, Whole

_WEIGHT = Number(least=0)
_SHARE = Number(least=0, most=1)

HEAT: dict[str, Option] = {
    **DETECTION,
    "stride": Whole(least=1, most=128),
    "stacks": Whole(least=1, most=16),
    "branch_width": Whole(least=1, most=65536),
    "branch_size": Whole(least=1, most=15),
    "overlap": Number(above=0, below=1),
    "corrected": Flag(),
    "offset_weight": _WEIGHT,
    "multiple": Whole(least=1, most=16384),
}
CENTER: dict[str, Option] = {**HEAT, "size_weight": _WEIGHT}
KEYPOINTS: dict[str, Option] = {**HEAT, "peaks": Whole(least=1, most=1000)}
CORNER: dict[str, Option] = {
    **KEYPOINTS,
    **dict.fromkeys(("pull_weight", "push_weight", "tag_distance"), _WEIGHT),
    "border": Flag(),
}
SACCADE: dict[str, Option] = {
    **CORNER,
    "attention_weight": _WEIGHT,
    "attention_threshold": _SHARE,
    "looks": Whole(least=1, most=1000),
}
TRIPLET: dict[str, Option] = {**CORNER, "small_area": _WEIGHT}
EXTREME: dict[str, Option] = {
    **KEYPOINTS,
    **dict.fromkeys(("aggregation", "ghost_factor"), _WEIGHT),
    **dict.fromkeys(("point_threshold", "center_threshold", "ghost_threshold"), _SHARE),
    "pairs": Whole(least=1, most=1_000_000, none=True),
}
