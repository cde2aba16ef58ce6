"""Boxes as differences from anchors, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence

from keras import ops

# Beyond it a box would be 62 times its anchor; it keeps float32 finite whatever the network says.
LARGEST_LOG_SIZE = math.log(1000 / 16)
_SMALLEST_SIDE = 1e-3  # pixels, of what is encoded


def encode_deltas(boxes, anchors, weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0)):
    """What a network has to give for boxes: offsets of centres in sizes of the anchors, logarithms of sizes.

    Args:
        boxes: (..., 4) xyxy pixels.
        anchors: (..., 4) xyxy pixels, of positive area; broadcast against `boxes`.
        weights: four factors of the differences, 1 by default; the inverse of what SSD's code calls variances.

    Returns:
        (..., 4) x, y, width, height.

    Source: Girshick et al. 2014, arXiv:1311.2524, appendix C.
    """
    center, size = _center_size(boxes)  # (..., 2) each
    anchor_center, anchor_size = _center_size(anchors)
    size = ops.log(ops.maximum(size, _SMALLEST_SIDE) / anchor_size)
    deltas = ops.concatenate([(center - anchor_center) / anchor_size, size], axis=-1)
    return deltas * ops.convert_to_tensor(list(weights), "float32")


def decode_deltas(deltas, anchors, weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0)):
    """Boxes from what a network gives: the inverse of `encode_deltas`, up to 62 times the anchor's size.

    Args:
        deltas: (..., 4) differences of x, y, width, height.
        anchors: (..., 4) xyxy pixels, broadcast against `deltas`.
        weights: four divisors of the differences, those that `encode_deltas` multiplied them by; 1 by default.

    Returns:
        (..., 4) xyxy pixels.
    """
    deltas = deltas / ops.convert_to_tensor(list(weights), "float32")
    anchor_center, anchor_size = _center_size(anchors)
    center = deltas[..., :2] * anchor_size + anchor_center  # (..., 2)
    half = ops.exp(ops.minimum(deltas[..., 2:], LARGEST_LOG_SIZE)) * anchor_size / 2
    return ops.concatenate([center - half, center + half], axis=-1)


def encode_edges(boxes, anchors, weights: Sequence[float] = (10.0, 10.0, 10.0, 10.0)):
    """What a network has to give for boxes: offsets of the four edges in sizes of the anchors.

    Args:
        boxes: (..., 4) xyxy pixels.
        anchors: (..., 4) xyxy pixels, of positive area; broadcast against `boxes`.
        weights: four factors of the differences of left, top, right and bottom, 10 by default.

    Returns:
        (..., 4) left, top, right, bottom.

    Source: He et al. 2019, arXiv:1809.08545, equation 2.
    """
    return (boxes - anchors) / _extent(anchors) * ops.convert_to_tensor(list(weights), "float32")


def decode_edges(deltas, anchors, weights: Sequence[float] = (10.0, 10.0, 10.0, 10.0)):
    """Boxes from what a network gives: the inverse of `encode_edges`.

    Args:
        deltas: (..., 4) differences of left, top, right and bottom.
        anchors: (..., 4) xyxy pixels, broadcast against `deltas`.
        weights: four divisors of the differences, those that `encode_edges` multiplied them by; 10 by default.

    Returns:
        (..., 4) xyxy pixels.
    """
    return anchors + deltas / ops.convert_to_tensor(list(weights), "float32") * _extent(anchors)


# What the four differences of a box are of, by name: how boxes become differences, and how differences become boxes.
CODERS = {"center": (encode_deltas, decode_deltas), "edges": (encode_edges, decode_edges)}


def _extent(boxes):
    """Width, height, width, height of boxes (..., 4) xyxy: (..., 4)."""
    size = boxes[..., 2:] - boxes[..., :2]
    return ops.concatenate([size, size], axis=-1)


def _center_size(boxes):
    """Centre (..., 2) and width and height (..., 2) of boxes (..., 4) xyxy."""
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + size / 2, size
