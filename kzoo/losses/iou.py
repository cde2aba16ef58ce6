"""Box losses of the IoU family, elementwise on xyxy boxes."""

from __future__ import annotations

import math

from keras import ops

from kzoo.ops.boxes import area, center_distance, intersection

EPSILON = 1e-7


def _overlap(true, pred):
    """IoU (...), union (...) and width and height of the enclosing box (..., 2) of boxes (..., 4) xyxy."""
    overlap = intersection(true, pred)
    union = area(true) + area(pred) - overlap
    iou = overlap / ops.maximum(union, EPSILON)
    low = ops.minimum(true[..., :2], pred[..., :2])
    high = ops.maximum(true[..., 2:], pred[..., 2:])
    return iou, union, high - low


def iou_loss(true, pred):
    """1 - IoU: (..., 4), (..., 4) -> (...) in 0..1."""
    return 1.0 - _overlap(true, pred)[0]


def giou_loss(true, pred):
    """1 - generalised IoU: (..., 4), (..., 4) xyxy -> (...) in 0..2.

    Source: Rezatofighi et al. 2019, arXiv:1902.09630, algorithm 1.
    """
    iou, union, extent = _overlap(true, pred)
    enclosing = extent[..., 0] * extent[..., 1]
    return 1.0 - iou + (enclosing - union) / ops.maximum(enclosing, EPSILON)


def diou_loss(true, pred):
    """1 - distance IoU: (..., 4), (..., 4) xyxy -> (...) in 0..2.

    Source: Zheng et al. 2020, arXiv:1911.08287, equation 7.
    """
    iou = _overlap(true, pred)[0]
    return 1.0 - iou + center_distance(true, pred)


def ciou_loss(true, pred):
    """1 - complete IoU: (..., 4), (..., 4) xyxy -> (...).

    The trade-off alpha carries no gradient, as in the paper.

    Source: Zheng et al. 2020, arXiv:1911.08287, equations 8 to 11.
    """
    iou = _overlap(true, pred)[0]
    # Angles of the diagonals, (...) each, whose difference says how much the ratios of the sides differ.
    angle_true = ops.arctan2(*_width_height(true))
    angle_pred = ops.arctan2(*_width_height(pred))
    shape = (4 / math.pi**2) * (angle_true - angle_pred) ** 2
    alpha = ops.stop_gradient(shape / ops.maximum(1.0 - iou + shape, EPSILON))
    return 1.0 - iou + center_distance(true, pred) + alpha * shape


def _width_height(boxes):
    """Width and height (...) of boxes (..., 4), above 0, where the arctangent has a gradient."""
    size = ops.maximum(boxes[..., 2:] - boxes[..., :2], EPSILON)
    return size[..., 0], size[..., 1]


BOX_LOSSES = {"iou": iou_loss, "giou": giou_loss, "diou": diou_loss, "ciou": ciou_loss}
