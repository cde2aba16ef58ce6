"""Geometry of boxes: pure functions on tensors, xyxy pixels, right and bottom edges exclusive."""

from __future__ import annotations

import math

from keras import ops


def area(boxes):
    """Areas of (..., 4) boxes: (...). Inverted boxes have none."""
    return ops.maximum(boxes[..., 2] - boxes[..., 0], 0.0) * ops.maximum(boxes[..., 3] - boxes[..., 1], 0.0)


def intersection(a, b):
    """Overlap areas of two arrays of boxes, broadcast against each other: (..., 4), (..., 4) -> (...)."""
    width = ops.minimum(a[..., 2], b[..., 2]) - ops.maximum(a[..., 0], b[..., 0])
    height = ops.minimum(a[..., 3], b[..., 3]) - ops.maximum(a[..., 1], b[..., 1])
    return ops.maximum(width, 0.0) * ops.maximum(height, 0.0)


def iou(a, b):
    """Intersection over union of boxes, broadcast against each other; 0 where both are empty.

    Args:
        a: (..., 4) xyxy.
        b: (..., 4) xyxy, broadcast against `a`.

    Returns:
        (...) in 0..1.
    """
    overlap = intersection(a, b)
    union = area(a) + area(b) - overlap
    return overlap / ops.maximum(union, 1e-7)


def pairwise_iou(a, b):
    """IoU of every box of `a` with every box of `b`: (..., N, 4), (..., M, 4) -> (..., N, M)."""
    return iou(ops.expand_dims(a, -2), ops.expand_dims(b, -3))


def center_boxes(boxes):
    """Boxes (..., 4) xyxy as centre and size: x, y, width and height."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return ops.concatenate([(low + high) / 2, high - low], axis=-1)


def corner_boxes(boxes):
    """Boxes (..., 4) of centre and size, x, y, width and height, as xyxy."""
    center, half = boxes[..., :2], boxes[..., 2:] / 2
    return ops.concatenate([center - half, center + half], axis=-1)


def within(boxes, height, width):
    """Boxes (..., 4) xyxy cut to an image of so many pixels, whose sides may be known only when it runs."""
    limit = ops.cast(ops.stack([width, height, width, height]), "float32")
    return ops.minimum(ops.maximum(boxes, 0.0), limit)


def center_distance(a, b):
    """Squared distance of the centres over the squared diagonal of the box around both.

    Args:
        a: (..., 4) xyxy.
        b: (..., 4) xyxy, broadcast against `a`.

    Returns:
        (...) in 0..1; 0 where both are one point.

    Source: Zheng et al. 2020, arXiv:1911.08287, equation 6.
    """
    # Axis by axis: sums over a last axis of two take several times as long on a processor.
    offsets = [(a[..., i] + a[..., i + 2] - b[..., i] - b[..., i + 2]) / 2 for i in (0, 1)]
    extents = [ops.maximum(a[..., i + 2], b[..., i + 2]) - ops.minimum(a[..., i], b[..., i]) for i in (0, 1)]
    return _squared(*offsets) / ops.maximum(_squared(*extents), 1e-7)


def _squared(x, y):
    """The squared length of a vector."""
    return x * x + y * y


def pairwise_diou(a, b, power: float = 1.0):
    """Distance IoU of every box of `a` with every box of `b`: (..., N, 4), (..., M, 4) -> (..., N, M).

    Args:
        a: (..., N, 4) xyxy.
        b: (..., M, 4) xyxy.
        power: exponent of the distance before it is taken off the IoU, 0 or more: 1 (default) in the paper, Darknet's
            `beta_nms` (0.6) in its suppression.

    Source: Zheng et al. 2020, arXiv:1911.08287, section 3.3.
    """
    a, b = ops.expand_dims(a, -2), ops.expand_dims(b, -3)  # (..., N, 1, 4), (..., 1, M, 4)
    # A power by logarithms takes half the time; what stands in for zero vanishes beside any IoU.
    distance = ops.log(ops.maximum(center_distance(a, b), 1e-30))
    return iou(a, b) - ops.exp(power * distance)


def pairwise_ciou(a, b):
    """Complete IoU of every box of `a` with every box of `b`: (..., N, 4), (..., M, 4) -> (..., N, M), up to 1.

    Source: Zheng et al. 2020, arXiv:1911.08287, equations 8 to 11.
    """
    # Angles of the diagonals, a box each, (..., N, 1) and (..., 1, M): their difference is all that pairs need.
    angles = [
        ops.arctan2(*(ops.maximum(boxes[..., i + 2] - boxes[..., i], 1e-7) for i in (0, 1)))
        for boxes in (a, b)
    ]
    shape = (4 / math.pi**2) * (ops.expand_dims(angles[0], -1) - ops.expand_dims(angles[1], -2)) ** 2
    a, b = ops.expand_dims(a, -2), ops.expand_dims(b, -3)  # (..., N, 1, 4), (..., 1, M, 4)
    overlap = iou(a, b)
    return overlap - center_distance(a, b) - shape * shape / ops.maximum(1.0 - overlap + shape, 1e-7)


def shape_iou(a, b):
    """IoU of widths and heights alone, as if both boxes shared a centre.

    Args:
        a: (..., 2) widths and heights.
        b: (..., 2) widths and heights, broadcast against `a`.

    Returns:
        (...) in 0..1.

    Source: YOLO9000, arXiv:1612.08242, section 2, "Dimension Clusters".
    """
    overlap = ops.minimum(a[..., 0], b[..., 0]) * ops.minimum(a[..., 1], b[..., 1])
    union = a[..., 0] * a[..., 1] + b[..., 0] * b[..., 1] - overlap
    return overlap / ops.maximum(union, 1e-7)
