"""Geometry, selection and suppression on tensors: pure functions of keras.ops."""

from kzoo.ops.boxes import area, intersection, iou, pairwise_iou, shape_iou
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.nms import collect, greedy_keep, greedy_nms, multiclass_candidates

__all__ = [
    "area",
    "collect",
    "greedy_keep",
    "greedy_nms",
    "intersection",
    "iou",
    "multiclass_candidates",
    "pairwise_iou",
    "shape_iou",
    "stable_top_k",
    "take_rows",
]
