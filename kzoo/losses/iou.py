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


def siou_loss(true, pred):
    """1 - SIoU, which also weighs the direction in which the box lies off: (..., 4), (..., 4) xyxy -> (...).

    Source: Gevorgyan 2022, arXiv:2205.12740, equations 1 to 9.
    """
    iou, _, extent = _overlap(true, pred)
    # Axis by axis, (...) each: how far the centres are apart, and what that is of the box around both.
    offsets = [(true[..., i] + true[..., i + 2] - pred[..., i] - pred[..., i + 2]) / 2 for i in (0, 1)]
    x, y = offsets
    # The sine of twice the angle of the centres' line: 0 along an axis, 1 along a diagonal.
    angle = 2.0 * ops.abs(x * y) / ops.maximum(x * x + y * y, EPSILON)
    distance = shape = 0.0
    for axis, (own, other) in enumerate(zip(_width_height(true), _width_height(pred), strict=True)):
        share = offsets[axis] / ops.maximum(extent[..., axis], EPSILON)
        distance = distance + 1.0 - ops.exp((angle - 2.0) * share * share)
        shape = shape + (1.0 - ops.exp(-ops.abs(own - other) / ops.maximum(own, other))) ** 4
    return 1.0 - iou + (distance + shape) / 2.0


def squared_iou_loss(true, pred):
    """1 - IoU^2: (..., 4), (..., 4) -> (...) in 0..1.

    Source: Ge et al. 2021, YOLOX, arXiv:2107.08430; in the authors' code.
    """
    return 1.0 - _overlap(true, pred)[0] ** 2


def _width_height(boxes):
    """Width and height (...) of boxes (..., 4), above 0, where the arctangent has a gradient."""
    size = ops.maximum(boxes[..., 2:] - boxes[..., :2], EPSILON)
    return size[..., 0], size[..., 1]


BOX_LOSSES = {
    "iou": iou_loss,
    "giou": giou_loss,
    "diou": diou_loss,
    "ciou": ciou_loss,
    "siou": siou_loss,
    "iou_squared": squared_iou_loss,
}
