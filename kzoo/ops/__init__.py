"""Geometry, selection and suppression on tensors: pure functions of keras.ops."""

from kzoo.ops.boxes import (
    area,
    center_distance,
    intersection,
    iou,
    pairwise_diou,
    pairwise_iou,
    shape_iou,
)
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.nms import collect, greedy_keep, greedy_nms, multiclass_candidates, multiclass_nms

__all__ = [
    "area",
    "center_distance",
    "collect",
    "greedy_keep",
    "greedy_nms",
    "intersection",
    "iou",
    "multiclass_candidates",
    "multiclass_nms",
    "pairwise_diou",
    "pairwise_iou",
    "shape_iou",
    "stable_top_k",
    "take_rows",
]
