"""YOLO's head from its second version on: anchors in cells, the anchor of the best shape takes the object."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.base import check_choice
from kzoo.heads.detection import DetectionHead
from kzoo.heads.levels import anchors_by_level, level_names, one_a_level
from kzoo.heads.yolo_boxes import SIZE_TRANSFORMS, decode_boxes, encode_boxes, raw_boxes, size_code
from kzoo.heads.yolo_grid import Objects, YoloGrid
from kzoo.losses.focal import sigmoid_cross_entropy, sigmoid_focal_loss, smooth_labels, softmax_focal_loss
from kzoo.losses.iou import BOX_LOSSES
from kzoo.ops.assign import sound_boxes
from kzoo.ops.boxes import iou, pairwise_iou
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.weighting import image_weighted
from kzoo.options import checked
from kzoo.options.building import YOLO

# A detector starts out finding nothing in 99 cells of 100 (RetinaNet, section 4.1).
OBJECTNESS_PRIOR = 0.01


@keras.saving.register_keras_serializable("kzoo")
class YoloHead(DetectionHead):
    """Boxes, objectness and classes on a grid of cells, for several levels of the network.

    Outputs are `{"stride8": (B, H/8, W/8, A * (5 + num_classes)), ...}`: for every anchor Darknet's x, y, w, h,
    objectness and class logits; of levels with the same stride the second is "stride8_2". Targets are
    `{"boxes": (B, M, 4) xyxy pixels, "labels": (B, M)}`; a label of -1 is padding, or, with a box of positive
    area, a region that is neither object nor background. Where there are `"weights"` (B, M), as MixUp makes them,
    an object counts by its weight.

    Args:
        num_classes: how many.
        anchors: widths and heights in pixels as plain lists: for each level a list of pairs, or one list that is
            split evenly. The same shape in several levels takes an object in each.
        strides: pixels a cell of each feature map, in their order.
        box_loss: "paper" (logistic on x, y and squares on w, h), or "iou", "giou", "diou", "ciou".
        ignore_threshold: predictions that overlap any object by more are not trained as background.
        iou_threshold: besides the best anchor, every anchor whose shape overlaps an object's by more takes it
            (AlexeyAB's `iou_thresh`), which learns several times as fast; 1 leaves the best alone, as in the paper.
        truth_threshold: predictions that overlap an object by more are trained to find it as well, whatever their
            anchor (Darknet's `truth_thresh`); 1 for none.
        objectness_target: "one" for every object, as in the paper, or "iou", the overlap that its prediction has
            reached, so that scores rank by how well boxes lie (YOLOv5, and `rescore` of Darknet's `[region]`).
        spare_anchors: widths and heights that no level predicts but that compete for objects: one whose shape is
            nearest to them is found by nobody (anchors of a Darknet cfg that are in no `mask`).
        scale_xy: widens the reach of a cell's centre: s * sigmoid(t) - (s - 1) / 2 (YOLOv4's `scale_x_y`); one
            number, or one a level.
        size_transform: width and height are "exp": exp(t) * anchor, or "square": (2 * sigmoid(t))^2 * anchor,
            at most four anchors (YOLOv5, Darknet's `new_coords=1`). The "paper" loss then compares sigmoid(t).
        class_activation: "sigmoid", or "softmax" where every object has one class (YOLOv2's `[region]`).
        project: whether each feature map goes through a 1x1 convolution; if not it is the raw output itself.
        label_smoothing: on the class targets.
        objectness_smoothing: on the objectness targets.
        focal_gamma: focal modulation of objectness and classes; 0 is plain cross-entropy.
        focal_alpha: weight of the positives with focal modulation; None for none.
        box_weight: of the box term; where None 1 for "paper", and 2 for the others, whose values are smaller.
        objectness_weight: of the objectness term; one number, or one a level.
        class_weight: of the class term.
        normalize_by: what the terms' sums are divided by: "objects", or "images" as in Darknet.
        size_weighting: small objects' boxes count up to twice as much.
        image_size: height and width in pixels of the one input size that the network takes, where its cells do not
            divide it, as 7x7 cells 208 pixels; they are then as large as the image over their number. None where
            they are as large as the strides say, at any size.
        **kwargs: those of `kzoo.heads.detection.DetectionHead`; scores are objectness times class probability.

    Source: YOLOv3, arXiv:1804.02767, section 2; Darknet's `[yolo]` and `[region]` sections.
    """

    options = YOLO
    loss_names = ("box", "objectness", "class")
    meaning = ("anchors", "strides", "scale_xy", "size_transform", "class_activation", "project")
    box_fields = 5  # Numbers of an anchor before its classes; the last of them is the objectness.

    @checked(YOLO)
    def __init__(
        self,
        num_classes: int,
        anchors: Sequence,
        strides: Sequence[int],
        box_loss: str = "ciou",
        ignore_threshold: float = 0.7,
        iou_threshold: float = 0.4,
        objectness_target: str = "one",
        scale_xy: float | Sequence[float] = 1.0,
        label_smoothing: float = 0.0,
        objectness_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        focal_alpha: float | None = None,
        box_weight: float | None = None,
        objectness_weight: float | Sequence[float] = 1.0,
        class_weight: float = 1.0,
        truth_threshold: float = 1.0,
        spare_anchors: Sequence = (),
        size_transform: str = "exp",
        class_activation: str = "sigmoid",
        project: bool = True,
        normalize_by: str = "objects",
        size_weighting: bool = True,
        image_size: Sequence[int] | None = None,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        check_choice("box_loss", box_loss, ("paper", *BOX_LOSSES))
        check_choice("objectness_target", objectness_target, ("one", "iou"))
        check_choice("size_transform", size_transform, SIZE_TRANSFORMS)
        check_choice("class_activation", class_activation, ("sigmoid", "softmax"))
        check_choice("normalize_by", normalize_by, ("objects", "images"))
        self.strides, self.project = tuple(strides), project
        levels = len(self.strides)
        self.levels = level_names(self.strides)
        self.anchors = anchors_by_level(anchors, levels)
        self.spare_anchors = (
            anchors_by_level(spare_anchors, 1, "spare_anchors")[0] if len(spare_anchors) else []
        )
        self.scale_xy = one_a_level("scale_xy", scale_xy, levels)
        self.size_transform, self.class_activation = size_transform, class_activation
        self.box_loss, self.ignore_threshold, self.iou_threshold = box_loss, ignore_threshold, iou_threshold
        self.truth_threshold, self.objectness_target = truth_threshold, objectness_target
        self.label_smoothing, self.objectness_smoothing = label_smoothing, objectness_smoothing
        self.focal_gamma, self.focal_alpha = focal_gamma, focal_alpha
        self.box_weight = (1.0 if box_loss == "paper" else 2.0) if box_weight is None else box_weight
        self.objectness_weight = one_a_level("objectness_weight", objectness_weight, levels)
        self.class_weight, self.size_weighting = class_weight, size_weighting
        self.normalize_by = normalize_by
        self.image_size = None if image_size is None else tuple(image_size)
        self.multiple = None if image_size is None else 1  # of the sides, where not the strides say
        self.fields = self.box_fields + num_classes
        self.convs = [
            keras.layers.Conv2D(len(level) * self.fields, 1, name=name)
            for name, level in zip(self.levels, self.anchors, strict=True)
            if project
        ]

    def build(self, input_shape):
        if len(input_shape) != len(self.levels):
            raise ValueError(
                f"strides={self.strides}: {len(input_shape)} feature maps; give a stride for each"
            )
        for i, (name, shape, anchors) in enumerate(zip(self.levels, input_shape, self.anchors, strict=True)):
            wanted = len(anchors) * self.fields
            if self.project:
                self.convs[i].bias_initializer = keras.initializers.Constant(
                    self._prior_bias() * len(anchors)
                )
                self.convs[i].build(shape)
            elif shape[-1] != wanted:
                raise ValueError(
                    f"{name}: {shape[-1]} channels are not {len(anchors)} anchors x ({self.box_fields} + "
                    f"{self.fields - self.box_fields} classes) = {wanted}; give the layer before it {wanted} "
                    "filters, or project=True"
                )
        self.built = True

    def _prior_bias(self) -> list[float]:
        """An anchor's, zero but for the objectness, whose logistic starts at the prior."""
        bias = [0.0] * self.fields
        bias[self.box_fields - 1] = -math.log((1 - OBJECTNESS_PRIOR) / OBJECTNESS_PRIOR)
        return bias

    def class_outputs(self):
        convs = zip(self.convs, self.anchors, strict=False)  # of heads that do not project there are none
        return [(conv, len(anchors), self.box_fields) for conv, anchors in convs]

    def call(self, features, training=None):
        if self.project:
            features = [conv(feature) for conv, feature in zip(self.convs, features, strict=True)]
        return {name: ops.cast(raw, "float32") for name, raw in zip(self.levels, features, strict=True)}

    def sizes(self, outputs) -> list:
        """Height and width of each feature map in cells, from the raw outputs."""
        return [ops.shape(outputs[name])[1:3] for name in self.levels]

    def _grid(self, sizes) -> YoloGrid:
        grid = (self.strides, self.anchors, self.scale_xy, self.spare_anchors, self.image_size)
        return YoloGrid(sizes, *grid)

    def _rows(self, outputs):
        """All predictions in one row each, (B, N, 5 + num_classes), and where they sit."""
        maps, grid = [outputs[name] for name in self.levels], self._grid(self.sizes(outputs))
        rows = ops.concatenate(
            [
                ops.reshape(m, (ops.shape(m)[0], size, self.fields))
                for m, size in zip(maps, grid.counts, strict=True)
            ],
            axis=1,
        )
        return self.gathered(rows), grid

    def gathered(self, rows):
        """An anchor's numbers (..., fields) as x, y, w, h, objectness, classes, and what else there is."""
        return rows

    def scattered(self, rows):
        """x, y, w, h, objectness and classes as an anchor's numbers, (..., fields)."""
        return rows

    def loss(self, targets, outputs, sample_weight=None):
        rows, grid = self._rows(outputs)
        boxes, labels = sound_boxes(targets["boxes"]), targets["labels"]
        match = grid.match(boxes, labels, self.iou_threshold)
        if "weights" in targets:
            match = match.weighted(targets["weights"])
        predicted = ops.stop_gradient(decode_boxes(rows, grid.places, self.size_transform))
        overlaps = pairwise_iou(predicted, boxes)
        found = [(match, take_rows(rows, match.index))]
        near = None
        if self.truth_threshold < 1:
            near = self._near(overlaps, boxes, labels, match, grid)
            found.append((near, rows))
        objectness = self._objectness_loss(
            rows[..., 4], grid, match, near, predicted, overlaps, sample_weight
        )
        factors = [image_weighted(objects.weight, sample_weight) for objects, _ in found]
        pairs = list(zip(found, factors, strict=True))
        box = sum(ops.sum(self._box_loss(objects, raw, grid) * factor) for (objects, raw), factor in pairs)
        classes = sum(ops.sum(self._class_loss(objects, raw) * factor) for (objects, raw), factor in pairs)
        if self.normalize_by == "images":
            count = ops.cast(ops.shape(rows)[0], "float32")
        else:
            count = ops.maximum(sum(ops.sum(objects.weight) for objects, _ in found), 1.0)
        return {
            "box": self.box_weight * box / count,
            "objectness": objectness / count,
            "class": self.class_weight * classes / count,
        }

    def _near(self, overlaps, boxes, labels, match, grid) -> Objects:
        """Of every prediction the object it overlaps most; it counts above the threshold, if it has no other."""
        overlaps = ops.where(ops.expand_dims(labels >= 0, 1), overlaps, 0.0)
        best = ops.argmax(overlaps, axis=-1)
        near = ops.cast(ops.max(overlaps, axis=-1) > self.truth_threshold, "float32")
        return Objects(
            boxes=take_rows(boxes, best),
            labels=ops.cast(take_rows(ops.maximum(labels, 0), best), "int32"),
            places=grid.places,
            weight=near * (1.0 - match.taken),
        )

    def _box_loss(self, objects: Objects, raw, grid):
        """The box term of each object: (B, Q)."""
        scale = 1.0
        if self.size_weighting:
            width, height = grid.image_size
            size = objects.boxes[..., 2:] - objects.boxes[..., :2]
            scale = 2.0 - size[..., 0] * size[..., 1] / (width * height)
        if self.box_loss != "paper":
            predicted = decode_boxes(raw, objects.places, self.size_transform)
            return scale * BOX_LOSSES[self.box_loss](objects.boxes, predicted)
        offset, size = encode_boxes(objects.boxes, objects.places, self.size_transform)
        center = ops.sum(sigmoid_cross_entropy(offset, raw[..., :2]), axis=-1)
        return scale * (center + 0.5 * ops.sum((size - size_code(raw, self.size_transform)) ** 2, axis=-1))

    def _class_loss(self, objects: Objects, raw):
        """The class term of each object: (B, Q)."""
        true, logits = ops.one_hot(objects.labels, self.num_classes), raw[..., 5:]
        if self.class_activation == "softmax":
            true = true * (1.0 - self.label_smoothing) + self.label_smoothing / self.num_classes
            return softmax_focal_loss(true, logits, self.focal_gamma, self.focal_alpha)
        return ops.sum(self._cross_entropy(smooth_labels(true, self.label_smoothing), logits), axis=-1)

    def _objectness_loss(self, logits, grid, match, near, predicted, overlaps, sample_weight):
        """Objectness over all predictions but the ignored ones, weighted and summed."""
        background = ops.cast(ops.max(overlaps, axis=-1) <= self.ignore_threshold, "float32")
        true = match.taken if near is None else match.taken + near.weight
        weight = ops.maximum(true, background)
        if self.objectness_target == "iou":
            true = match.taken * iou(predicted, take_rows(match.boxes, match.owner))
            if near is not None:
                true = true + near.weight * iou(predicted, near.boxes)
        loss = self._cross_entropy(smooth_labels(true, self.objectness_smoothing), logits) * weight
        if match.importance is not None:
            loss = loss * match.importance
        loss = image_weighted(loss, sample_weight)
        if len(set(self.objectness_weight)) == 1:
            return self.objectness_weight[0] * ops.sum(loss)
        weights = zip(self.objectness_weight, grid.by_level(loss), strict=True)
        return sum(weight * ops.sum(part) for weight, part in weights)

    def _cross_entropy(self, true, logits):
        return sigmoid_focal_loss(true, logits, self.focal_gamma, self.focal_alpha)

    def encode(self, targets, sizes) -> dict:
        """Raw outputs that decode to the targets: assignment's inverse, for tests and for looking at anchors.

        Args:
            targets: as for `loss`.
            sizes: height and width of each feature map, in the order of the strides.
        """
        grid = self._grid(sizes)
        match = grid.match(sound_boxes(targets["boxes"]), targets["labels"], self.iou_threshold)
        box = raw_boxes(*encode_boxes(match.boxes, match.places, self.size_transform), self.size_transform)
        sure = 20.0
        classes = (2.0 * ops.one_hot(match.labels, self.num_classes) - 1.0) * sure
        encoded = self.scattered(ops.concatenate([box, ops.full_like(box[..., :1], sure), classes], axis=-1))
        taken = ops.expand_dims(match.taken, -1)
        rows = take_rows(encoded, match.owner) * taken - sure * (1.0 - taken)
        return {
            name: ops.reshape(part, (-1, height, width, len(anchors) * self.fields))
            for name, part, (height, width), anchors in zip(
                self.levels, grid.by_level(rows), sizes, self.anchors, strict=True
            )
        }

    def decode(self, outputs):
        """Detections: `boxes` (B, M, 4) xyxy pixels, `scores` (B, M), `labels` (B, M), -1 where there is none."""
        rows, grid = self._rows(outputs)
        count = min(self.candidates, rows.shape[1])
        _, chosen = stable_top_k(ops.sigmoid(rows[..., 4]) * self._best_class(rows[..., 5:]), count)
        rows = take_rows(rows, chosen)
        return self.suppress(
            decode_boxes(rows, grid.places.take(chosen), self.size_transform),
            ops.sigmoid(rows[..., 4:5]) * self._class_probabilities(rows[..., 5:]),
        )

    def _class_probabilities(self, logits):
        return ops.softmax(logits) if self.class_activation == "softmax" else ops.sigmoid(logits)

    def _best_class(self, logits):
        """The highest class probability: (B, N, C) -> (B, N)."""
        if self.class_activation == "softmax":
            return ops.max(ops.softmax(logits), axis=-1)
        # The logistic keeps the order, so one for each prediction is enough.
        return ops.sigmoid(ops.max(logits, axis=-1))
