"""Non-maximum suppression on tensors: batched, of fixed output size, exact, in plain operators."""

from kzoo.ops.nms.family import (
    GUIDED,
    KINDS,
    check_kind,
    check_suppression,
    multiclass_nms,
    multiclass_pairs,
    pair_nms,
)
from kzoo.ops.nms.fusion import weighted_boxes_fusion
from kzoo.ops.nms.greedy import greedy_keep, greedy_nms
from kzoo.ops.nms.guided import guided_nms
from kzoo.ops.nms.matrix import matrix_nms
from kzoo.ops.nms.selection import collect, multiclass_candidates
from kzoo.ops.nms.soft import soft_nms, softer_nms, variance_vote

__all__ = [
    "GUIDED",
    "KINDS",
    "check_kind",
    "check_suppression",
    "collect",
    "greedy_keep",
    "greedy_nms",
    "guided_nms",
    "matrix_nms",
    "multiclass_candidates",
    "multiclass_nms",
    "multiclass_pairs",
    "pair_nms",
    "soft_nms",
    "softer_nms",
    "variance_vote",
    "weighted_boxes_fusion",
]
