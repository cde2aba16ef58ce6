"""Where YOLO's predictions sit, and which of them takes an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keras import ops

from kzoo.heads.yolo_boxes import LARGEST_LOG_SIZE, Places
from kzoo.heads.yolo_match import Match
from kzoo.ops.assign import CELLS, PointAssignment, last_of_rank, last_owner, ratio_match
from kzoo.ops.boxes import shape_iou
from kzoo.ops.gather import take_rows


class YoloGrid:
    """The N predictions of all levels in one row: level by level, cell by cell, anchor by anchor.

    Args:
        sizes: height and width of each feature map in cells: ints, or scalars where not known before running.
        strides: pixels a cell, one a level.
        anchors: for each level its widths and heights in pixels.
        scale_xy: how far a centre reaches in cells, one number a level.
        spare_anchors: widths and heights that compete for objects and have no predictions; none by default.
        image_size: height and width of the input in pixels, where it is not that many cells of that many pixels: cells
            are then as large as the input over their number. None (default) where it is.

    Attributes:
        slots: width and height of every anchor of every level, level by level: a slot is a place for one of a cell's
            predictions.
        shapes: the different ones among the slots' and the spare anchors' widths and heights, which compete.
        counts: number of predictions of each level.
        places: (N, 2) each, where the predictions sit.
        levels: (N,) int32, the predictions' levels.
        image_size: width and height of the input in pixels.
    """

    def __init__(
        self,
        sizes: Sequence,
        strides: Sequence[int],
        anchors: Sequence,
        scale_xy: Sequence,
        spare_anchors=(),
        image_size: Sequence[int] | None = None,
    ):
        self.sizes = sizes
        self.anchors = anchors
        # Width and height of a cell, one a level.
        self.cells = [[float(stride)] * 2 for stride in strides]
        if image_size is not None:
            self.cells = [[image_size[1] / columns, image_size[0] / rows] for rows, columns in sizes]
        scaled = list(zip(scale_xy, self.cells, strict=True))
        self.reaches = [[scale * side for side in cell] for scale, cell in scaled]
        # The reach is as wide to the left of the cell as to its right.
        self.margins = [[(scale - 1) / 2 * side for side in cell] for scale, cell in scaled]
        self.slots = [tuple(shape) for level in anchors for shape in level]
        self.shapes = list(dict.fromkeys([*self.slots, *map(tuple, spare_anchors)]))
        self.counts = [
            height * width * len(level) for (height, width), level in zip(sizes, anchors, strict=True)
        ]
        extents = (
            (sizes[0][1] * strides[0], sizes[0][0] * strides[0]) if image_size is None else image_size[::-1]
        )
        self.image_size = tuple(ops.cast(extent, "float32") for extent in extents)
        levels = [self._level(level) for level in range(len(sizes))]
        origins, reaches, shapes, cells = zip(*levels, strict=True)
        self.places = Places(
            ops.concatenate(origins, axis=0),
            ops.concatenate(reaches, axis=0),
            ops.concatenate(shapes, axis=0),
            ops.concatenate(cells, axis=0),
        )
        self.levels = ops.concatenate(
            [ops.full((count,), level, "int32") for level, count in enumerate(self.counts)], axis=0
        )

    def _level(self, level: int):
        """Origin, reach, anchor and cell of one level's predictions, each (H * W * A, 2)."""
        height, width = self.sizes[level]
        rows = ops.reshape(ops.arange(height, dtype="float32"), (-1, 1, 1, 1))  # (H, 1, 1, 1)
        columns = ops.reshape(ops.arange(width, dtype="float32"), (1, -1, 1, 1))  # (1, W, 1, 1)
        # Zeros: what has fewer axes is spread over all of them by addition.
        blank = ops.zeros((height, width, len(self.anchors[level]), 1), "float32")  # (H, W, A, 1)
        cell, reach, margin = (
            ops.convert_to_tensor(values[level], "float32")
            for values in (self.cells, self.reaches, self.margins)
        )
        origin = ops.concatenate([columns + blank, rows + blank], axis=-1) * cell  # (H, W, A, 2)
        anchor = ops.convert_to_tensor(self.anchors[level], "float32") + blank  # (H, W, A, 2)
        places = (origin - margin, blank + reach, anchor, blank + cell)
        return tuple(ops.reshape(place, (-1, place.shape[-1])) for place in places)

    @property
    def centers(self):
        """Where the predictions' cells have their centres, x and y in pixels: (N, 2)."""
        return self.places.origin + self.places.reach / 2

    def by_level(self, values) -> list:
        """Values of all predictions (B, N, ...) as one tensor a level, (B, H * W * A, ...)."""
        starts = self._starts()
        return [values[:, start : start + count] for start, count in zip(starts, self.counts, strict=True)]

    def _starts(self) -> list:
        """The first row of each level."""
        return [sum(self.counts[:level]) for level in range(len(self.counts))]

    def match(self, boxes, labels, iou_threshold: float = 1.0) -> Match:
        """Gives every object to the anchor of the most similar shape, in the cell of its centre.

        A shape that stands in several levels takes the object in each of them; a spare one in none.

        Args:
            boxes: (B, M, 4) xyxy pixels, as `sound_boxes` leaves them.
            labels: (B, M) int, -1 for none; boxes of zeros are none too.
            iou_threshold: IoU of shapes above which further anchors take the object as well, 0 to 1; 1 (default) for
                the best alone.

        Source: YOLOv3, arXiv:1804.02767, section 2.1.
        """
        valid = ops.logical_and(labels >= 0, ops.any(boxes != 0, axis=-1))  # (B, M)
        shapes = ops.convert_to_tensor(self.shapes, "float32")  # (S, 2)
        similar = shape_iou(ops.expand_dims(boxes[..., 2:] - boxes[..., :2], -2), shapes)  # (B, M, S)
        best = ops.argmax(similar, axis=-1)  # (B, M)
        # Of each object P slots that may take it, (B, M, P), and whether they do.
        if iou_threshold < 1:  # any slot may: P is their number
            shape = ops.convert_to_tensor([self.shapes.index(slot) for slot in self.slots], "int32")  # (P,)
            similar = ops.take(similar, shape, axis=-1)
            choice = ops.broadcast_to(ops.arange(len(self.slots), dtype="int32"), ops.shape(similar))
            is_best = ops.equal(shape, ops.expand_dims(ops.cast(best, "int32"), -1))
            takes = ops.logical_or(similar > iou_threshold, is_best)
        else:  # only those of the best shape, which are as many as levels that have it
            choice = ops.take(ops.convert_to_tensor(self._slots_of_shapes(), "int32"), best, axis=0)
            takes = choice >= 0
            choice = ops.maximum(choice, 0)
        takes = ops.logical_and(takes, ops.expand_dims(valid, -1))
        return self._resolve(boxes, labels, choice, takes)

    def match_by_ratio(self, boxes, labels, ratio: float = 4.0, cells: int = CELLS) -> Match:
        """Gives every object to all anchors of about its shape, in its centre's cell and the nearest neighbours.

        All pairs are kept: a prediction may have to find several objects, of which the last written owns it.

        Args:
            boxes: (B, M, 4) xyxy pixels, as `sound_boxes` leaves them.
            labels: (B, M) int, -1 for none.
            ratio: see `kzoo.ops.assign.ratio.ratio_match`.
            cells: see there.
        """
        per_cell = [len(level) for level in self.anchors]
        level = [i for i, count in enumerate(per_cell) for _ in range(count)]  # of each of the P slots
        sides = ops.convert_to_tensor([self.cells[i] for i in level], "float32")  # (P, 2)
        extents = ops.stack([ops.cast(side, "float32") for i in level for side in self.sizes[i][::-1]])
        center = ops.expand_dims((boxes[..., :2] + boxes[..., 2:]) / 2, 2) / sides  # (B, M, P, 2)
        size = boxes[..., 2:] - boxes[..., :2]  # (B, M, 2)
        slots = ops.convert_to_tensor(self.slots, "float32")  # (P, 2)
        shift, takes, order = ratio_match(center, size, slots, ops.reshape(extents, (-1, 2)), ratio, cells)
        valid = ops.logical_and(labels >= 0, ops.any(boxes != 0, axis=-1))  # (B, M)
        takes = ops.logical_and(takes, valid[:, :, None, None])
        # Of each object P x K places, (B, M, P * K).
        flat = (-1, boxes.shape[1], len(self.slots) * takes.shape[-1])
        choice = ops.repeat(ops.arange(len(self.slots), dtype="int32"), takes.shape[-1])
        takes, order = ops.reshape(takes, flat), ops.reshape(order, flat)
        choice = ops.broadcast_to(choice, ops.shape(takes))
        return self._resolve(boxes, labels, choice, takes, ops.reshape(shift, (*flat, 2)), order)

    def match_of_points(self, boxes, labels, assignment: PointAssignment) -> Match:
        """Gives every prediction the object that an assignment of points has for it: Q is N.

        Args:
            boxes: (B, M, 4) xyxy pixels.
            labels: (B, M) int, -1 for none.
            assignment: what each of the N predictions is to find.
        """
        taken = ops.cast(assignment.positive, "float32")  # (B, N)
        rows = ops.broadcast_to(ops.arange(sum(self.counts), dtype="int32"), ops.shape(assignment.owner))
        return Match(
            boxes=take_rows(boxes, assignment.owner),
            labels=ops.cast(take_rows(ops.maximum(labels, 0), assignment.owner), "int32"),
            places=self.places,
            weight=taken,
            level=self.levels,
            index=rows,
            taken=taken,
            owner=rows,
            source=assignment.owner,
        )

    def match_of_pairs(self, boxes, labels, pairs: Match, assignment: PointAssignment) -> Match:
        """Gives predictions that objects may take to other objects: all pairs are kept, as in `match_by_ratio`.

        Args:
            boxes: (B, M, 4) xyxy pixels.
            labels: (B, M) int, -1 for none.
            pairs: the Q pairs that there may be.
            assignment: the object that each of the Q predictions is to find, if it is to find one.
        """
        _, taken, owner = last_owner(pairs.index, assignment.positive, sum(self.counts))
        return replace(
            pairs,
            boxes=take_rows(boxes, assignment.owner),
            labels=ops.cast(take_rows(ops.maximum(labels, 0), assignment.owner), "int32"),
            weight=ops.cast(assignment.positive, "float32"),
            taken=taken,
            owner=owner,
            source=assignment.owner,
        )

    def match_by_prediction(self, boxes, labels, rows) -> Match:
        """Gives every object to the anchor whose prediction in its cell is shaped most alike; for one level.

        Args:
            boxes: (B, M, 4) xyxy pixels, as `sound_boxes` leaves them.
            labels: (B, M) int, -1 for none.
            rows: (B, N, 4 or more) raw x, y, w, h.

        Source: Darknet's `[region]` with `bias_match=0`.
        """
        (height, width), anchors = self.sizes[0], ops.convert_to_tensor(self.anchors[0], "float32")
        batch, objects, count = ops.shape(boxes)[0], boxes.shape[1], len(self.anchors[0])
        # The cell (B, M) of each object's centre, and the A = `count` predictions (B, M, A) that it has.
        center = ops.floor(
            (boxes[..., :2] + boxes[..., 2:]) / 2 / ops.convert_to_tensor(self.cells[0], "float32")
        )
        column, row = (ops.cast(ops.clip(axis, 0, 1e6), "int32") for axis in (center[..., 0], center[..., 1]))
        first = (ops.minimum(row, height - 1) * width + ops.minimum(column, width - 1)) * count
        index = ops.expand_dims(first, -1) + ops.arange(count, dtype="int32")
        raw = take_rows(ops.stop_gradient(rows[..., :4]), ops.reshape(index, (batch, objects * count)))
        raw = ops.reshape(raw, (batch, objects, count, 4))
        size = ops.exp(ops.minimum(raw[..., 2:], LARGEST_LOG_SIZE)) * anchors  # (B, M, A, 2)
        similar = shape_iou(ops.expand_dims(boxes[..., 2:] - boxes[..., :2], -2), size)  # (B, M, A)
        valid = ops.logical_and(labels >= 0, ops.any(boxes != 0, axis=-1))  # (B, M)
        choice = ops.cast(ops.argmax(similar, axis=-1), "int32")  # (B, M)
        return self._resolve(boxes, labels, ops.expand_dims(choice, -1), ops.expand_dims(valid, -1))

    def _slots_of_shapes(self) -> list[list[int]]:
        """For every shape the slots it stands in, -1 behind them, so that all lists are equally long."""
        of_shapes = [[i for i, slot in enumerate(self.slots) if slot == shape] for shape in self.shapes]
        longest = max(map(len, of_shapes))
        return [slots + [-1] * (longest - len(slots)) for slots in of_shapes]

    def _resolve(self, boxes, labels, choice, takes, shift=None, order=None) -> Match:
        """From slots that take objects to predictions.

        Args:
            boxes: (B, M, 4) xyxy pixels.
            labels: (B, M) int.
            choice: (B, M, P) int32, slots that may take each object.
            takes: (B, M, P) bool, whether they do.
            shift: (B, M, P, 2) int32, columns and rows from the cell of the object's centre; None (default) for that.
            order: (B, M, P) int32, in which order pairs are written, of which all are kept; None (default) where
                objects are written one after another, and the last on a prediction alone is kept.

        Returns:
            The match of Q = M * P pairs.
        """
        per_object = choice.shape[-1]
        per_cell = [len(level) for level in self.anchors]
        # Where each slot stands: its level, and its position among the level's anchors; (B, M, P) each, as all below.
        level = ops.take(_ints([i for i, count in enumerate(per_cell) for _ in range(count)]), choice, axis=0)
        slot = ops.take(_ints([i for count in per_cell for i in range(count)]), choice, axis=0)
        start, per_cell, height, width = (
            ops.take(_ints(values), level, axis=0)
            for values in (self._starts(), per_cell, *zip(*self.sizes, strict=True))
        )
        cell, reach, margin = (  # (B, M, P, 2) each
            ops.take(ops.convert_to_tensor(values, "float32"), level, axis=0)
            for values in (self.cells, self.reaches, self.margins)
        )
        center = ops.expand_dims((boxes[..., :2] + boxes[..., 2:]) / 2, 2) / cell  # (B, M, P, 2)
        center = ops.cast(ops.floor(ops.clip(center, 0.0, 1e6)), "int32")
        center = center if shift is None else ops.maximum(center + shift, 0)
        column = ops.minimum(center[..., 0], width - 1)
        row = ops.minimum(center[..., 1], height - 1)
        index = start + (row * width + column) * per_cell + slot

        # From here on pair by pair, (B, Q).
        batch, pairs = ops.shape(boxes)[0], boxes.shape[1] * per_object
        index, takes = ops.reshape(index, (batch, pairs)), ops.reshape(takes, (batch, pairs))
        if order is None:
            weight, taken, owner = last_owner(index, takes, sum(self.counts))
        else:
            weight = ops.cast(takes, "float32")
            taken, owner = last_of_rank(index, takes, ops.reshape(order, (batch, pairs)), sum(self.counts))
        origin = ops.cast(ops.stack([column, row], axis=-1), "float32") * cell - margin
        anchor = ops.take(ops.convert_to_tensor(self.slots, "float32"), choice, axis=0)
        places = (ops.reshape(place, (batch, pairs, 2)) for place in (origin, reach, anchor, cell))
        return Match(
            boxes=ops.repeat(boxes, per_object, axis=1),
            labels=ops.cast(ops.repeat(ops.maximum(labels, 0), per_object, axis=1), "int32"),
            places=Places(*places),
            weight=weight,
            level=ops.reshape(level, (batch, pairs)),
            index=index,
            taken=taken,
            owner=owner,
        )


def _ints(values):
    """A tensor of whole numbers, some of which may be tensors themselves."""
    return ops.stack([ops.cast(value, "int32") for value in values])
