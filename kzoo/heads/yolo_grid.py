"""Where YOLO's predictions sit, and which of them takes an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras import ops

from kzoo.ops.boxes import shape_iou


@dataclass
class Match:
    """Objects and the predictions that take them; Q = M objects x the anchors that may take each.

    Attributes:
        index: (B, Q) int32, row of the prediction.
        weight: (B, Q) float, 1 where this pair counts; of several objects on one prediction the last does.
        boxes: (B, Q, 4) xyxy pixels of the object.
        labels: (B, Q) int32.
        cell: (B, Q, 2) column and row of the cell.
        stride: (B, Q, 1).
        anchor: (B, Q, 2) width and height in pixels.
        taken: (B, N) float, 1 for predictions that take an object.
        owner: (B, N) int32, which of the Q takes it; meaningless where not taken.
    """

    index: object
    weight: object
    boxes: object
    labels: object
    cell: object
    stride: object
    anchor: object
    taken: object
    owner: object


def sound_boxes(boxes):
    """Boxes (..., 4) in float32, with zeros for those without area, inverted, or with NaN or infinity."""
    boxes = ops.cast(boxes, "float32")
    sound = ops.logical_and(boxes[..., 2:] > boxes[..., :2], ops.isfinite(boxes[..., 2:] - boxes[..., :2]))
    return ops.where(ops.all(sound, axis=-1, keepdims=True), boxes, 0.0)


class YoloGrid:
    """The N predictions of all levels in one row: level by level, cell by cell, anchor by anchor.

    Args:
        sizes: height and width of each feature map in cells: ints, or scalars where not known before running.
        strides: pixels a cell, one a level.
        anchors: (levels, A, 2) widths and heights in pixels.

    Attributes:
        counts: predictions of each level.
        cell: (N, 2) column and row.
        stride: (N, 1).
        anchor: (N, 2).
        image_size: width and height of the input in pixels.
    """

    def __init__(self, sizes: Sequence, strides: Sequence[int], anchors: Sequence):
        self.sizes, self.strides, self.anchors = sizes, strides, anchors
        self.per_cell = len(anchors[0])
        self.counts = [height * width * self.per_cell for height, width in sizes]
        self.image_size = tuple(
            ops.cast(extent * strides[0], "float32") for extent in (sizes[0][1], sizes[0][0])
        )
        places = [self._level(*level) for level in zip(sizes, strides, anchors, strict=True)]
        self.cell, self.stride, self.anchor = (
            ops.concatenate(part, axis=0) for part in zip(*places, strict=True)
        )

    def _level(self, size, stride, anchors):
        height, width = size
        rows = ops.reshape(ops.arange(height, dtype="float32"), (-1, 1, 1, 1))
        columns = ops.reshape(ops.arange(width, dtype="float32"), (1, -1, 1, 1))
        blank = ops.zeros((height, width, self.per_cell, 1), "float32")
        cell = ops.concatenate([columns + blank, rows + blank], axis=-1)
        anchor = ops.convert_to_tensor(anchors, "float32") + blank
        flat = [ops.reshape(part, (-1, part.shape[-1])) for part in (cell, blank + stride, anchor)]
        return tuple(flat)

    def match(self, boxes, labels, iou_threshold: float = 1.0) -> Match:
        """Gives every object to the anchor of the most similar shape, in the cell of its centre.

        Args:
            boxes: (B, M, 4) xyxy pixels, as `sound_boxes` leaves them.
            labels: (B, M) int, -1 for none; boxes of zeros are none too.
            iou_threshold: further anchors whose shape IoU is above it take the object as well.

        Source: YOLOv3, arXiv:1804.02767, section 2.1.
        """
        valid = ops.logical_and(labels >= 0, ops.any(boxes != 0, axis=-1))
        similar = self._shape_similarity(boxes)
        best = ops.argmax(similar, axis=-1)
        shapes = similar.shape[-1]
        if iou_threshold < 1:
            choice = ops.broadcast_to(ops.arange(shapes, dtype="int32"), ops.shape(similar))
            takes = ops.logical_or(similar > iou_threshold, ops.one_hot(best, shapes) > 0)
        else:
            choice = ops.expand_dims(ops.cast(best, "int32"), -1)
            takes = ops.ones_like(choice) > 0
        takes = ops.logical_and(takes, ops.expand_dims(valid, -1))
        return self._resolve(boxes, labels, choice, takes)

    def _shape_similarity(self, boxes):
        """IoU of shapes: (B, M, levels * A)."""
        shapes = ops.reshape(ops.convert_to_tensor(self.anchors, "float32"), (-1, 2))
        return shape_iou(ops.expand_dims(boxes[..., 2:] - boxes[..., :2], -2), shapes)

    def _resolve(self, boxes, labels, choice, takes) -> Match:
        """From chosen anchors (B, M, P) to rows, one object a row."""
        columns = choice.shape[-1]
        level = choice // self.per_cell
        starts = [0]
        for count in self.counts[:-1]:
            starts.append(starts[-1] + count)
        start, height, width = (
            ops.take(ops.stack([ops.cast(v, "int32") for v in values]), level, axis=0)
            for values in (starts, *zip(*self.sizes, strict=True))
        )
        stride = ops.take(ops.convert_to_tensor(self.strides, "float32"), level, axis=0)
        center = ops.expand_dims((boxes[..., :2] + boxes[..., 2:]) / 2, 2) / ops.expand_dims(stride, -1)
        center = ops.cast(ops.floor(ops.clip(center, 0.0, 1e6)), "int32")
        column = ops.minimum(center[..., 0], width - 1)
        row = ops.minimum(center[..., 1], height - 1)
        index = start + (row * width + column) * self.per_cell + choice % self.per_cell

        batch, pairs = ops.shape(boxes)[0], boxes.shape[1] * columns
        index, takes = ops.reshape(index, (batch, pairs)), ops.reshape(takes, (batch, pairs))
        last, taken, owner = self._last_owner(index, takes)
        shapes = ops.reshape(ops.convert_to_tensor(self.anchors, "float32"), (-1, 2))
        return Match(
            index=index,
            weight=last,
            boxes=ops.repeat(boxes, columns, axis=1),
            labels=ops.cast(ops.repeat(ops.maximum(labels, 0), columns, axis=1), "int32"),
            cell=ops.reshape(ops.cast(ops.stack([column, row], axis=-1), "float32"), (batch, pairs, 2)),
            stride=ops.reshape(stride, (batch, pairs, 1)),
            anchor=ops.reshape(ops.take(shapes, choice, axis=0), (batch, pairs, 2)),
            taken=taken,
            owner=owner,
        )

    def _last_owner(self, index, takes):
        """Of several pairs on one row the last stays, as Darknet's loop over objects overwrites."""
        batch, pairs = ops.shape(index)[0], index.shape[1]
        total = sum(self.counts)
        offset = ops.expand_dims(ops.arange(batch, dtype="int32") * total, -1)
        # Pairs that do not count go to one row behind the last.
        flat = ops.where(takes, index + offset, batch * total)
        order = ops.broadcast_to(ops.arange(1, pairs + 1, dtype="int32"), ops.shape(flat))
        owner = ops.segment_max(
            ops.reshape(order, (-1,)), ops.reshape(flat, (-1,)), num_segments=batch * total + 1
        )
        last = ops.logical_and(takes, ops.equal(ops.take(owner, flat, axis=0), order))
        owner = ops.reshape(owner[: batch * total], (batch, total))
        taken = owner > 0
        return ops.cast(last, "float32"), ops.cast(taken, "float32"), ops.where(taken, owner - 1, 0)
