"""How a point's numbers become a box, and a box its numbers."""

from __future__ import annotations

from keras import ops

from kzoo.losses.distribution import two_bins
from kzoo.ops.points import boxes_around, edge_distances, expected_distances

BOX_CODES = ("distances", "offsets")
LARGEST_LOG_SIZE = 10.0  # of width or height in strides: more is no box, and its exponential may be no number
IMPROBABLE = -30.0  # logit of a distance that is not meant


def decode_points(raw, points, strides, bins: int, box_code: str):
    """Boxes from raw numbers.

    Args:
        raw: (B, N, 4) numbers of a box, or (B, N, 4 * bins).
        points: (N, 2) x and y in pixels, the middles of cells, or (B, N, 2).
        strides: (N,) pixels a cell, or (B, N).
        bins: number of whole distances that an edge's is a distribution over; 0 where it is one number.
        box_code: "distances" from the point to the edges, or "offsets": the centre's from the cell's corner, and the
            logarithms of width and height; all in strides.

    Returns:
        (B, N, 4) xyxy pixels.

    Source: YOLOv8; "offsets": YOLOX, arXiv:2107.08430, section 2.1, "Anchor-free".
    """
    strides = ops.expand_dims(strides, -1)  # (N, 1) or (B, N, 1)
    if box_code == "distances":
        distances = expected_distances(raw, bins) if bins else raw  # (B, N, 4)
        return boxes_around(points, distances * strides)
    center = points + (raw[..., :2] - 0.5) * strides
    half = ops.exp(ops.minimum(raw[..., 2:], LARGEST_LOG_SIZE)) * strides / 2
    return ops.concatenate([center - half, center + half], axis=-1)


def encode_points(boxes, points, strides, bins: int, box_code: str):
    """What raw numbers have to become for `decode_points` to give these boxes (B, N, 4): (B, N, 4) or (B, N, 4 * bins).

    Of distributions the distances are 0 to bins - 1.
    """
    strides = ops.expand_dims(strides, -1)  # (N, 1)
    if box_code == "offsets":
        center, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
        offset = (center - points) / strides + 0.5
        return ops.concatenate([offset, ops.log(ops.maximum(size / strides, 1e-8))], axis=-1)
    distances = edge_distances(points, boxes) / strides  # (B, N, 4)
    if not bins:
        return distances
    logits = ops.maximum(
        ops.log(ops.maximum(two_bins(distances, bins), 1e-20)), IMPROBABLE
    )  # (B, N, 4, bins)
    return ops.reshape(logits, (*ops.shape(distances)[:-1], 4 * bins))
