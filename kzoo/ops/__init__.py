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
from kzoo.ops.nms import (
    collect,
    greedy_keep,
    greedy_nms,
    matrix_nms,
    multiclass_candidates,
    multiclass_nms,
    pair_nms,
    soft_nms,
    softer_nms,
    weighted_boxes_fusion,
)
from kzoo.ops.roi import precise_roi_pool, pyramid_levels, roi_align, roi_pool

__all__ = [
    "area",
    "center_distance",
    "collect",
    "greedy_keep",
    "greedy_nms",
    "intersection",
    "iou",
    "matrix_nms",
    "multiclass_candidates",
    "multiclass_nms",
    "pair_nms",
    "pairwise_diou",
    "pairwise_iou",
    "precise_roi_pool",
    "pyramid_levels",
    "roi_align",
    "roi_pool",
    "shape_iou",
    "soft_nms",
    "softer_nms",
    "stable_top_k",
    "take_rows",
    "weighted_boxes_fusion",
]
