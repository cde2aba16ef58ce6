"""What YOLO's raw x, y, w, h mean: from numbers to boxes and back."""

from __future__ import annotations

from dataclasses import dataclass

from keras import ops

SIZE_TRANSFORMS = ("exp", "square")
# Beyond it a box would be 3000 times its anchor; it keeps float32 finite whatever the network says.
LARGEST_LOG_SIZE = 8.0
# A logistic never gets to 0 or 1: what it is asked to give stays this far away.
MARGIN = 1e-4


@dataclass
class Places:
    """Where predictions sit, in pixels. The leading axes are those of the predictions: (N,), or (B, Q).

    Attributes:
        origin: (..., 2) x and y from which the centre is counted.
        reach: (..., 2) how far from there the centre may lie, along x and y.
        anchor: (..., 2) width and height.
        cell: (..., 2) width and height of a cell.
    """

    origin: object
    reach: object
    anchor: object
    cell: object

    def take(self, rows):
        """The places of some predictions out of (N, ...): (B, K) int -> (B, K, ...)."""
        return Places(
            ops.take(self.origin, rows, axis=0),
            ops.take(self.reach, rows, axis=0),
            ops.take(self.anchor, rows, axis=0),
            ops.take(self.cell, rows, axis=0),
        )


def decode_boxes(raw, places: Places, transform: str = "exp"):
    """Boxes from raw outputs.

    Args:
        raw: (..., 4 or more) x, y, w, h as logits or, for w and h under "exp", logarithms.
        places: places of these predictions, (..., 2) each.
        transform: what w and h mean: "exp" (default) is exp(t) * anchor, "square" (2 * sigmoid(t))^2 * anchor.

    Returns:
        (..., 4) xyxy pixels.

    Source: YOLOv3, arXiv:1804.02767, figure 2; "square" is Darknet's `new_coords=1`.
    """
    center = ops.sigmoid(raw[..., :2]) * places.reach + places.origin  # (..., 2)
    if transform == "exp":
        factor = ops.exp(ops.minimum(raw[..., 2:4], LARGEST_LOG_SIZE))
    else:
        factor = (2.0 * ops.sigmoid(raw[..., 2:4])) ** 2
    half = factor * places.anchor / 2  # (..., 2)
    return ops.concatenate([center - half, center + half], axis=-1)


def encode_boxes(boxes, places: Places, transform: str = "exp"):
    """What raw outputs have to become for `decode_boxes` to give these boxes, as far as they can.

    Args:
        boxes: (..., 4) xyxy pixels.
        places: places of the predictions that are to give them, (..., 2) each.
        transform: "exp" (default) or "square", as `decode_boxes` has them.

    Returns:
        The logistics of x and y (..., 2), and of w and h (..., 2) the logarithms under "exp", the logistics
        under "square".
    """
    center, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    offset = _inside((center - places.origin) / places.reach)
    factor = ops.maximum(size, 1e-3) / places.anchor
    if transform == "exp":
        return offset, ops.minimum(ops.log(factor), LARGEST_LOG_SIZE)
    return offset, _inside(ops.sqrt(factor) / 2.0)


def size_code(raw, transform: str = "exp"):
    """What `encode_boxes` compares of predictions' w and h: (..., 4 or more) raw numbers to (..., 2)."""
    return raw[..., 2:4] if transform == "exp" else ops.sigmoid(raw[..., 2:4])


def raw_boxes(offset, size, transform: str = "exp"):
    """Raw x, y, w, h (..., 4) from the offset (..., 2) and the size (..., 2) that `encode_boxes` gives."""
    return ops.concatenate([_logit(offset), size if transform == "exp" else _logit(size)], axis=-1)


def _inside(probability):
    return ops.clip(probability, MARGIN, 1 - MARGIN)


def _logit(probability):
    return ops.log(probability / (1 - probability))
