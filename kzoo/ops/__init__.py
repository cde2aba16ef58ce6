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
    guided_nms,
    matrix_nms,
    multiclass_candidates,
    multiclass_nms,
    pair_nms,
    soft_nms,
    softer_nms,
    weighted_boxes_fusion,
)
from kzoo.ops.roi import (
    longer_side_levels,
    precise_roi_pool,
    precise_roi_slopes,
    precise_roi_windows,
    pyramid_levels,
    roi_align,
    roi_pool,
)

__all__ = [
    "area",
    "center_distance",
    "collect",
    "greedy_keep",
    "greedy_nms",
    "guided_nms",
    "intersection",
    "iou",
    "longer_side_levels",
    "matrix_nms",
    "multiclass_candidates",
    "multiclass_nms",
    "pair_nms",
    "pairwise_diou",
    "pairwise_iou",
    "precise_roi_pool",
    "precise_roi_slopes",
    "precise_roi_windows",
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
