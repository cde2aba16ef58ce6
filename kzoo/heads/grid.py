"""YOLO's first head: a grid of cells, each with a class and a few boxes, regressed by squares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
from keras import ops

from kzoo.heads.detection import DetectionHead
from kzoo.losses.focal import softmax_focal_loss
from kzoo.ops.assign import last_owner, sound_boxes
from kzoo.ops.boxes import iou
from kzoo.ops.gather import take_rows
from kzoo.ops.weighting import image_weighted
from kzoo.options import checked
from kzoo.options.building import GRID


@dataclass
class Truth:
    """What each of the S x S cells has to find.

    Attributes:
        taken: (B, S * S) float, 1 for cells with an object.
        ignored: (B, S * S) float, 1 for cells that are neither object nor background.
        boxes: (B, S * S, 4) xyxy pixels; meaningless where not taken, as is all that follows.
        labels: (B, S * S) int32, the class of the cell's object, from 0.
        code: (B, S * S, 4) the raw x, y, w, h that a box is to give.
    """

    taken: object
    ignored: object
    boxes: object
    labels: object
    code: object


@keras.saving.register_keras_serializable("kzoo")
class GridHead(DetectionHead):
    """Boxes, confidence and one class for each cell of a grid over an image of fixed size.

    A cell takes the first object whose centre lies in it, and of its boxes the one that overlaps that object most is
    responsible for it. All terms are squares of differences; there are no logistics.

    Shapes:
        features: the last is a flat vector an image, read as Darknet lays it out: S*S*C class scores, S*S*n
            confidences, S*S*n*4 boxes of x, y in the cell and w, h as shares of the image.
        outputs: `{"grid": (B, S*S*(C + 5n))}`.
        targets: as for `kzoo.heads.yolo.YoloHead`, but without weights; a region to ignore silences the cell of its
            centre.

    Args:
        num_classes: C, the number of classes, 1 or more.
        side: S, the number of cells in a row and in a column, 1 to 1000.
        boxes_per_cell: n, the number of boxes that a cell predicts, 1 to 1000.
        image_size: height and width of the network's input in pixels.
        sqrt: whether width and height are predicted as square roots (default), so that small boxes count more.
        softmax: whether class scores go through a softmax, and are trained by its cross-entropy; False by default.
        object_scale: weight of the confidence of boxes that find an object, 0 or more, 1 by default.
        noobject_scale: weight of the confidence of all others, 0 or more, 0.5 by default.
        class_scale: weight of the class term, 0 or more, 1 by default.
        coord_scale: weight of x, y, w, h, 0 or more, 5 by default.
        rescore: whether the confidence of a box that finds an object is to be its IoU (default), or 1.
        **kwargs: arguments of `kzoo.heads.detection.DetectionHead`; scores are confidence times class score.

    Raises:
        ValueError: an argument is out of its range, or the network does not end in as many numbers.

    Source: YOLO, arXiv:1506.02640, section 2, equation 3, with Darknet's gradients: half the squares, summed and
    divided by the number of images. Darknet's `[detection]` section.
    """

    options = GRID
    loss_names = ("box", "objectness", "class")
    meaning = ("side", "boxes_per_cell", "image_size", "sqrt", "softmax")

    @checked(GRID)
    def __init__(
        self,
        num_classes: int,
        side: int,
        boxes_per_cell: int,
        image_size: Sequence[int],
        sqrt: bool = True,
        softmax: bool = False,
        object_scale: float = 1.0,
        noobject_scale: float = 0.5,
        class_scale: float = 1.0,
        coord_scale: float = 5.0,
        rescore: bool = True,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        self.side = side
        self.boxes_per_cell = boxes_per_cell
        self.image_size = tuple(image_size)
        self.sqrt = sqrt
        self.softmax = softmax
        self.object_scale = object_scale
        self.noobject_scale = noobject_scale
        self.class_scale = class_scale
        self.coord_scale = coord_scale
        self.rescore = rescore
        self.cells = side * side
        self.length = self.cells * (num_classes + 5 * boxes_per_cell)

    def build(self, input_shape):
        shape = tuple(input_shape[-1][1:])
        if None in shape or math.prod(shape) != self.length:
            raise ValueError(
                f"side={self.side}: the network ends in {shape}, not in {self.side} x {self.side} x "
                f"({self.num_classes} classes + 5 x {self.boxes_per_cell} boxes) = {self.length} numbers an image"
            )
        self.built = True

    def call(self, features, training=None):
        flat = ops.reshape(features[-1], (ops.shape(features[-1])[0], self.length))
        return {"grid": ops.cast(flat, "float32")}

    def _predictions(self, outputs):
        """Raw classes (B, S*S, C), confidences (B, S*S, n) and boxes (B, S*S, n, 4)."""
        flat, cells, boxes = outputs["grid"], self.cells, self.boxes_per_cell
        batch = ops.shape(flat)[0]
        end_of_classes = cells * self.num_classes
        end_of_confidences = end_of_classes + cells * boxes
        return (
            ops.reshape(flat[:, :end_of_classes], (batch, cells, self.num_classes)),
            ops.reshape(flat[:, end_of_classes:end_of_confidences], (batch, cells, boxes)),
            ops.reshape(flat[:, end_of_confidences:], (batch, cells, boxes, 4)),
        )

    def _corner(self):
        """Column and row of every cell: (S*S, 2)."""
        index = ops.arange(self.cells, dtype="int32")
        return ops.cast(ops.stack([index % self.side, index // self.side], axis=-1), "float32")

    def _extent(self):
        """Width and height of the image in pixels: (2,)."""
        return ops.convert_to_tensor(self.image_size[::-1], "float32")

    def _boxes(self, raw):
        """Raw boxes (B, S*S, n, 4) as xyxy pixels of the same shape."""
        center = (raw[..., :2] + ops.expand_dims(self._corner(), 1)) / self.side * self._extent()
        half = (raw[..., 2:] ** 2 if self.sqrt else raw[..., 2:]) * self._extent() / 2
        return ops.concatenate([center - half, center + half], axis=-1)

    def _truth(self, targets) -> Truth:
        """What the cells have to find of boxes (B, M, 4) and labels (B, M)."""
        boxes, labels = sound_boxes(targets["boxes"]), ops.cast(targets["labels"], "int32")
        # `last_owner` keeps the last object of a cell; Darknet keeps the first. So the list is turned round.
        boxes, labels = ops.flip(boxes, axis=1), ops.flip(labels, axis=1)
        center = (boxes[..., :2] + boxes[..., 2:]) / 2 / self._extent() * self.side  # (B, M, 2) in cells
        cell = ops.cast(ops.clip(ops.floor(center), 0, self.side - 1), "int32")  # (B, M, 2) column and row
        index = cell[..., 1] * self.side + cell[..., 0]  # (B, M)
        sound = ops.any(boxes != 0, axis=-1)  # (B, M)
        _, taken, owner = last_owner(index, ops.logical_and(sound, labels >= 0), self.cells)
        _, ignored, _ = last_owner(index, ops.logical_and(sound, labels < 0), self.cells)
        size = (boxes[..., 2:] - boxes[..., :2]) / self._extent()  # (B, M, 2) in shares of the image
        code = [center - ops.cast(cell, "float32"), ops.sqrt(size) if self.sqrt else size]
        return Truth(
            taken=taken,
            ignored=ignored * (1.0 - taken),
            boxes=take_rows(boxes, owner),
            labels=take_rows(ops.maximum(labels, 0), owner),
            code=take_rows(ops.concatenate(code, axis=-1), owner),
        )

    def loss(self, targets, outputs, sample_weight=None):
        if "weights" in targets:
            raise ValueError(
                "targets: 'weights' of objects are not taken by YOLOv1's grid; leave them out, and mixup with them"
            )
        classes, confidence, raw = self._predictions(outputs)  # (B, S*S, C), (B, S*S, n), (B, S*S, n, 4)
        truth = self._truth(targets)
        responsible, overlap = self._responsible(truth, raw)  # (B, S*S, n) each
        true_confidence = responsible * overlap if self.rescore else responsible
        weight = responsible * self.object_scale + (1.0 - responsible) * self.noobject_scale
        weight = weight * (1.0 - ops.expand_dims(truth.ignored, -1))
        box = ops.sum((raw - ops.expand_dims(truth.code, 2)) ** 2, axis=-1) * responsible  # (B, S*S, n)
        count = ops.cast(ops.shape(raw)[0], "float32")
        terms = {
            "box": self.coord_scale * 0.5 * box,
            "objectness": 0.5 * weight * (true_confidence - confidence) ** 2,
            "class": self.class_scale * self._class_loss(truth, classes) * truth.taken,
        }
        return {name: ops.sum(image_weighted(term, sample_weight)) / count for name, term in terms.items()}

    def _class_loss(self, truth: Truth, classes):
        """The class term of each cell, whose raw classes are (B, S*S, C): (B, S*S)."""
        true = ops.one_hot(truth.labels, self.num_classes)
        if self.softmax:  # Darknet hands the difference from the softmax back, which is this loss's gradient
            return softmax_focal_loss(true, classes, gamma=0.0)
        return 0.5 * ops.sum((true - classes) ** 2, axis=-1)

    def _responsible(self, truth: Truth, raw):
        """Which box of a cell is to find its object: the one that overlaps it most, or where none does, is nearest.

        Args:
            truth: the objects of the cells.
            raw: (B, S*S, n, 4) raw boxes.

        Returns:
            (B, S*S, n) float, one 1 a taken cell, and the IoU (B, S*S, n) of every box with its cell's object.
        """
        raw = ops.stop_gradient(raw)
        overlap = iou(self._boxes(raw), ops.expand_dims(truth.boxes, 2))  # (B, S*S, n)
        size, true_size = raw[..., 2:], truth.code[..., 2:]
        if self.sqrt:
            size, true_size = size**2, true_size**2
        # Squared distances of x, y, w, h, (B, S*S, n), all in shares of the image.
        apart = (raw[..., :2] - ops.expand_dims(truth.code[..., :2], 2)) / self.side
        apart = ops.sum(apart**2, axis=-1) + ops.sum((size - ops.expand_dims(true_size, 2)) ** 2, axis=-1)
        best = ops.where(  # (B, S*S)
            ops.max(overlap, axis=-1) > 0, ops.argmax(overlap, axis=-1), ops.argmin(apart, axis=-1)
        )
        return ops.one_hot(best, self.boxes_per_cell) * ops.expand_dims(truth.taken, -1), overlap

    def sizes(self, outputs) -> list:
        """Height and width of the grid in cells, whatever the outputs."""
        return [(self.side, self.side)]

    def encode(self, targets, sizes=None) -> dict:
        """Raw outputs that decode to the targets, one object a cell, in its first box.

        Args:
            targets: boxes (B, M, 4) and labels (B, M) by name, as `loss` takes them.
            sizes: height and width of the grid, as `sizes` gives them, which are the head's own anyway.
        """
        truth = self._truth(targets)
        taken = ops.expand_dims(truth.taken, -1)  # (B, S*S, 1)
        classes = ops.one_hot(truth.labels, self.num_classes) * taken  # (B, S*S, C)
        if self.softmax:
            classes = classes * 20.0  # logits of a probability that rounds to 1
        first = ops.one_hot(0, self.boxes_per_cell)  # (n,)
        confidences = taken * first  # (B, S*S, n)
        boxes = ops.expand_dims(truth.code * taken, 2) * ops.expand_dims(first, -1)  # (B, S*S, n, 4)
        flat = [ops.reshape(v, (ops.shape(v)[0], -1)) for v in (classes, confidences, boxes)]
        return {"grid": ops.concatenate(flat, axis=1)}

    def decode(self, outputs):
        """Detections: `boxes` (B, M, 4) xyxy pixels, `scores` (B, M), `labels` (B, M), -1 where there is none."""
        classes, confidence, raw = self._predictions(outputs)  # (B, S*S, C), (B, S*S, n), (B, S*S, n, 4)
        if self.softmax:
            classes = ops.softmax(classes)
        scores = ops.expand_dims(confidence, -1) * ops.expand_dims(classes, 2)  # (B, S*S, n, C)
        count = self.cells * self.boxes_per_cell
        return self.suppress(
            ops.reshape(self._boxes(raw), (-1, count, 4)),
            ops.reshape(scores, (-1, count, self.num_classes)),
        )
