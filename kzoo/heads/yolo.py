"""YOLOv3's head: three anchors a cell, a logistic an outcome, the best anchor takes the object."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.base import Head
from kzoo.heads.yolo_grid import YoloGrid, sound_boxes
from kzoo.losses.focal import sigmoid_cross_entropy, sigmoid_focal_loss, smooth_labels
from kzoo.losses.iou import BOX_LOSSES
from kzoo.ops.boxes import iou, pairwise_iou
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.nms import collect, greedy_nms, multiclass_candidates

# A detector starts out finding nothing in 99 cells of 100 (RetinaNet, section 4.1).
OBJECTNESS_PRIOR = 0.01
# Beyond it a box would be 3000 times its anchor; it keeps float32 finite whatever the network says.
LARGEST_LOG_SIZE = 8.0


@keras.saving.register_keras_serializable("kzoo")
class YoloHead(Head):
    """Boxes, objectness and classes on a grid of cells, for several strides.

    Outputs are `{"stride8": (B, H/8, W/8, A * (5 + num_classes)), ...}`: for every anchor Darknet's x, y, w, h,
    objectness and class logits. Targets are `{"boxes": (B, M, 4) xyxy pixels, "labels": (B, M)}`; a label of -1
    is padding, or, with a box of positive area, a region that is neither object nor background.

    Args:
        num_classes: how many.
        anchors: widths and heights in pixels as plain lists, an equal number for each stride, finest stride first.
        strides: of the feature maps, in their order.
        box_loss: "paper" (logistic on x, y and squares on w, h), or "iou", "giou", "diou", "ciou".
        ignore_threshold: predictions that overlap any object by more are not trained as background.
        iou_threshold: besides the best anchor, every anchor whose shape overlaps an object's by more takes it
            (AlexeyAB's `iou_thresh`), which learns several times as fast; 1 leaves the best alone, as in the paper.
        objectness_target: "one" for every object, as in the paper, or "iou", the overlap that its prediction has
            reached, so that scores rank by how well boxes lie (YOLOv5).
        scale_xy: widens the reach of a cell's centre: s * sigmoid(t) - (s - 1) / 2 (YOLOv4's `scale_x_y`).
        label_smoothing: on the class targets.
        objectness_smoothing: on the objectness targets.
        focal_gamma: focal modulation of objectness and classes; 0 is plain cross-entropy.
        focal_alpha: weight of the positives with focal modulation; None for none.
        box_weight: of the box term; where None 1 for "paper", and 2 for the others, whose values are smaller.
        objectness_weight: of the objectness term.
        class_weight: of the class term.
        nms_threshold: IoU above which the weaker box of a class goes.
        score_threshold: objectness times class probability must be above it.
        max_detections: M, detections an image.
        candidates: how many (box, class) pairs take part in the suppression.
        class_agnostic: suppress across classes.

    Source: YOLOv3, arXiv:1804.02767, section 2; Darknet's `[yolo]` section.
    """

    task = "detect"
    loss_names = ("box", "objectness", "class")

    def __init__(
        self,
        num_classes: int,
        anchors: Sequence,
        strides: Sequence[int],
        box_loss: str = "ciou",
        ignore_threshold: float = 0.7,
        iou_threshold: float = 0.4,
        objectness_target: str = "one",
        scale_xy: float = 1.0,
        label_smoothing: float = 0.0,
        objectness_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        focal_alpha: float | None = None,
        box_weight: float | None = None,
        objectness_weight: float = 1.0,
        class_weight: float = 1.0,
        nms_threshold: float = 0.45,
        score_threshold: float = 0.001,
        max_detections: int = 100,
        candidates: int = 512,
        class_agnostic: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if box_loss != "paper" and box_loss not in BOX_LOSSES:
            raise ValueError(f"box_loss={box_loss!r} is unknown; use paper, {', '.join(BOX_LOSSES)}")
        if objectness_target not in ("one", "iou"):
            raise ValueError(f"objectness_target={objectness_target!r} is unknown; use one or iou")
        self.num_classes, self.strides = num_classes, tuple(strides)
        self.anchors = _check_anchors(anchors, len(self.strides))
        self.box_loss, self.ignore_threshold, self.iou_threshold = box_loss, ignore_threshold, iou_threshold
        self.objectness_target, self.scale_xy = objectness_target, scale_xy
        self.label_smoothing, self.objectness_smoothing = label_smoothing, objectness_smoothing
        self.focal_gamma, self.focal_alpha = focal_gamma, focal_alpha
        self.box_weight = (1.0 if box_loss == "paper" else 2.0) if box_weight is None else box_weight
        self.objectness_weight = objectness_weight
        self.class_weight = class_weight
        self.nms_threshold, self.score_threshold = nms_threshold, score_threshold
        self.max_detections, self.candidates = max_detections, candidates
        self.class_agnostic = class_agnostic
        self.fields = 5 + num_classes
        self.convs = [
            keras.layers.Conv2D(len(self.anchors[0]) * self.fields, 1, name=f"stride{stride}")
            for stride in self.strides
        ]

    def build(self, input_shape):
        for conv, shape in zip(self.convs, input_shape, strict=True):
            conv.bias_initializer = keras.initializers.Constant(self._prior_bias())
            conv.build(shape)
        self.built = True

    def _prior_bias(self) -> list[float]:
        """Zero but for the objectness, whose logistic starts at the prior."""
        one = [0.0] * self.fields
        one[4] = -math.log((1 - OBJECTNESS_PRIOR) / OBJECTNESS_PRIOR)
        return one * len(self.anchors[0])

    def call(self, features, training=None):
        return {
            f"stride{stride}": ops.cast(conv(feature), "float32")
            for stride, conv, feature in zip(self.strides, self.convs, features, strict=True)
        }

    def _rows(self, outputs):
        """All predictions in one row each, (B, N, 5 + num_classes), and where they sit."""
        maps = [outputs[f"stride{stride}"] for stride in self.strides]
        grid = YoloGrid([(ops.shape(m)[1], ops.shape(m)[2]) for m in maps], self.strides, self.anchors)
        rows = ops.concatenate(
            [
                ops.reshape(m, (ops.shape(m)[0], size, self.fields))
                for m, size in zip(maps, grid.counts, strict=True)
            ],
            axis=1,
        )
        return rows, grid

    def _boxes(self, raw, cell, stride, anchor):
        """Raw x, y, w, h as xyxy pixels (YOLOv3, figure 2)."""
        offset = ops.sigmoid(raw[..., :2]) * self.scale_xy - (self.scale_xy - 1) / 2
        center = (offset + cell) * stride
        half = ops.exp(ops.minimum(raw[..., 2:4], LARGEST_LOG_SIZE)) * anchor / 2
        return ops.concatenate([center - half, center + half], axis=-1)

    def _encode_boxes(self, boxes, cell, stride, anchor):
        """The raw x, y (as probabilities) and w, h (as logarithms) that `_boxes` turns into these boxes."""
        center, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
        offset = (center / stride - cell + (self.scale_xy - 1) / 2) / self.scale_xy
        log_size = ops.log(ops.maximum(size, 1e-3) / anchor)
        return ops.clip(offset, 1e-4, 1 - 1e-4), ops.minimum(log_size, LARGEST_LOG_SIZE)

    def loss(self, targets, outputs):
        rows, grid = self._rows(outputs)
        boxes, labels = sound_boxes(targets["boxes"]), targets["labels"]
        match = grid.match(boxes, labels, self.iou_threshold)
        count = ops.maximum(ops.sum(match.weight), 1.0)
        raw = take_rows(rows, match.index)
        box = ops.sum(self._box_loss(match, raw, grid) * match.weight)
        true = smooth_labels(ops.one_hot(match.labels, self.num_classes), self.label_smoothing)
        classes = ops.sum(self._cross_entropy(true, raw[..., 5:]), axis=-1)
        objectness = self._objectness_loss(rows, grid, match, boxes)
        return {
            "box": self.box_weight * box / count,
            "objectness": self.objectness_weight * objectness / count,
            "class": self.class_weight * ops.sum(classes * match.weight) / count,
        }

    def _box_loss(self, match, raw, grid):
        """The box term of each match, small objects counting up to twice as much: (B, Q)."""
        width, height = grid.image_size
        size = match.boxes[..., 2:] - match.boxes[..., :2]
        scale = 2.0 - size[..., 0] * size[..., 1] / (width * height)
        where = (match.cell, match.stride, match.anchor)
        if self.box_loss != "paper":
            return scale * BOX_LOSSES[self.box_loss](match.boxes, self._boxes(raw, *where))
        offset, log_size = self._encode_boxes(match.boxes, *where)
        center = ops.sum(sigmoid_cross_entropy(offset, raw[..., :2]), axis=-1)
        return scale * (center + 0.5 * ops.sum((log_size - raw[..., 2:4]) ** 2, axis=-1))

    def _objectness_loss(self, rows, grid, match, boxes):
        """Objectness over all predictions but the ignored ones, summed."""
        predicted = ops.stop_gradient(self._boxes(rows, grid.cell, grid.stride, grid.anchor))
        overlap = ops.max(pairwise_iou(predicted, boxes), axis=-1)
        background = ops.cast(overlap <= self.ignore_threshold, "float32")
        weight = ops.maximum(match.taken, background)
        true = match.taken
        if self.objectness_target == "iou":
            true = true * iou(predicted, take_rows(match.boxes, match.owner))
        true = smooth_labels(true, self.objectness_smoothing)
        return ops.sum(self._cross_entropy(true, rows[..., 4]) * weight)

    def _cross_entropy(self, true, logits):
        return sigmoid_focal_loss(true, logits, self.focal_gamma, self.focal_alpha)

    def encode(self, targets, sizes) -> dict:
        """Raw outputs that decode to the targets: assignment's inverse, for tests and for looking at anchors.

        Args:
            targets: as for `loss`.
            sizes: height and width of each feature map, in the order of the strides.
        """
        grid = YoloGrid(sizes, self.strides, self.anchors)
        match = grid.match(sound_boxes(targets["boxes"]), targets["labels"], self.iou_threshold)
        offset, log_size = self._encode_boxes(match.boxes, match.cell, match.stride, match.anchor)
        sure = 20.0
        classes = (2.0 * ops.one_hot(match.labels, self.num_classes) - 1.0) * sure
        encoded = ops.concatenate(
            [ops.log(offset / (1 - offset)), log_size, ops.full_like(offset[..., :1], sure), classes], axis=-1
        )
        taken = ops.expand_dims(match.taken, -1)
        rows = take_rows(encoded, match.owner) * taken - sure * (1.0 - taken)
        outputs, start = {}, 0
        for stride, (height, width), count in zip(self.strides, sizes, grid.counts, strict=True):
            part = rows[:, start : start + count]
            outputs[f"stride{stride}"] = ops.reshape(
                part, (-1, height, width, count // (height * width) * self.fields)
            )
            start += count
        return outputs

    def decode(self, outputs):
        """Detections: `boxes` (B, M, 4) xyxy pixels, `scores` (B, M), `labels` (B, M), -1 where there is none."""
        rows, grid = self._rows(outputs)
        count = min(self.candidates, rows.shape[1])
        # The logistic keeps the order, so the best boxes are told by their best class before it is computed.
        best = ops.sigmoid(rows[..., 4]) * ops.sigmoid(ops.max(rows[..., 5:], axis=-1))
        _, chosen = stable_top_k(best, count)
        rows = take_rows(rows, chosen)
        places = [ops.take(place, chosen, axis=0) for place in (grid.cell, grid.stride, grid.anchor)]
        boxes = self._boxes(rows, *places)
        scores = ops.sigmoid(rows[..., 4:5]) * ops.sigmoid(rows[..., 5:])
        scores, index, labels = multiclass_candidates(scores, count)
        boxes = take_rows(boxes, index)
        keep = greedy_nms(
            boxes,
            scores,
            None if self.class_agnostic else labels,
            self.nms_threshold,
            self.score_threshold,
            self.max_detections,
        )
        return collect(*keep, boxes, scores, labels)


def _check_anchors(anchors: Sequence, levels: int) -> list[list[list[float]]]:
    """Anchors as (levels, A, 2) plain lists, whether they came flat or by level."""
    pairs = [float(side) for side in keras.tree.flatten(anchors)]
    if len(pairs) % (2 * levels) or not pairs or min(pairs) <= 0:
        raise ValueError(
            f"anchors={anchors!r}: {len(pairs)} numbers do not make an equal number of positive widths and "
            f"heights for each of {levels} strides; give {levels} x A pairs, smallest first"
        )
    size = len(pairs) // levels
    return [
        [[pairs[i], pairs[i + 1]] for i in range(start, start + size, 2)]
        for start in range(0, len(pairs), size)
    ]
