"""YOLO's head from its second version on: anchors in cells, the anchor of the best shape takes the object."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.base import check_choice
from kzoo.heads.levels import one_a_level
from kzoo.heads.yolo_boxes import SIZE_TRANSFORMS, decode_boxes, encode_boxes, raw_boxes, size_code
from kzoo.heads.yolo_grid import Objects
from kzoo.heads.yolo_layers import YoloLayers
from kzoo.losses.focal import sigmoid_cross_entropy, sigmoid_focal_loss, smooth_labels, softmax_focal_loss
from kzoo.losses.iou import BOX_LOSSES
from kzoo.ops.assign import sound_boxes
from kzoo.ops.boxes import iou, pairwise_iou
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.weighting import image_weighted
from kzoo.options import checked
from kzoo.options.building import YOLO


@keras.saving.register_keras_serializable("kzoo")
class YoloHead(YoloLayers):
    """Boxes, objectness and classes on a grid of cells, for several levels of the network.

    In the cell of an object's centre the anchor whose shape is most like the object's takes it (`YoloGrid.match`). Its
    prediction learns the box, the class and an objectness of 1; predictions that overlap no object learn an objectness
    of 0, and those that overlap one without having to find it learn nothing.

    Shapes, where A anchors stand in a cell:
        outputs: `{"stride8": (B, H/8, W/8, A * (5 + num_classes)), ...}`: for every anchor Darknet's x, y, w, h,
            objectness and class logits; of levels with the same stride the second is "stride8_2".
        targets: `{"boxes": (B, M, 4) xyxy pixels, "labels": (B, M)}`; a label of -1 is padding, or, with a box of
            positive area, a region that is neither object nor background. Where there are `"weights"` (B, M), as MixUp
            makes them, an object counts by its weight.

    Args:
        num_classes: number of classes, 1 or more.
        anchors: widths and heights in pixels as plain lists: for each level a list of pairs, or one list that is
            split evenly. The same shape in several levels takes an object in each.
        strides: pixels a cell of each feature map, in the order of the maps.
        box_loss: "paper" (logistic on x, y and squares on w, h), or "iou", "giou", "diou" or "ciou" (default).
        ignore_threshold: IoU, 0 to 1, 0.7 by default; predictions that overlap any object by more are not trained as
            background.
        iou_threshold: IoU of shapes, 0 to 1, 0.4 by default: besides the best anchor, every anchor whose shape
            overlaps an object's by more takes it (AlexeyAB's `iou_thresh`), which learns several times as fast; 1
            leaves the best alone, as in the paper.
        objectness_target: "one" (default) for every object, as in the paper, or "iou", the overlap that its prediction
            has reached, so that scores rank by how well boxes lie (YOLOv5, and `rescore` of Darknet's `[region]`).
        scale_xy: factor above 0 that widens the reach of a cell's centre: s * sigmoid(t) - (s - 1) / 2 (YOLOv4's
            `scale_x_y`); one number, 1 by default, or one a level.
        label_smoothing: share of the class targets that is drawn to one half, or to all classes alike under "softmax",
            0 or more and below 1, 0 by default.
        objectness_smoothing: share of the objectness targets that is drawn to one half, 0 or more and below 1, 0 by
            default.
        focal_gamma: exponent of the focal modulation of objectness and classes, 0 or more; 0 (default) is plain
            cross-entropy.
        focal_alpha: weight of the positives in objectness and classes, 0 to 1; None (default) for no weights.
        box_weight: factor of the box term, 0 or more; where None 1 for "paper", and 2 for the others, whose values
            are smaller.
        objectness_weight: factor of the objectness term, 0 or more; one number, 1 by default, or one a level.
        class_weight: factor of the class term, 0 or more, 1 by default.
        truth_threshold: IoU, 0 to 1; predictions that overlap an object by more are trained to find it as well,
            whatever their anchor (Darknet's `truth_thresh`); 1 (default) for none.
        spare_anchors: widths and heights that no level predicts but that compete for objects: one whose shape is
            nearest to them is found by nobody (anchors of a Darknet cfg that are in no `mask`). None by default.
        size_transform: what w and h mean: "exp" (default): exp(t) * anchor, or "square": (2 * sigmoid(t))^2 * anchor,
            at most four anchors (YOLOv5, Darknet's `new_coords=1`). The "paper" loss then compares sigmoid(t).
        class_activation: "sigmoid" (default), or "softmax" where every object has one class (YOLOv2's `[region]`).
        project: whether each feature map goes through a 1x1 convolution (default); if not it is the raw output itself.
        normalize_by: what the terms' sums are divided by: "objects" (default), or "images" as in Darknet.
        size_weighting: whether small objects' boxes count up to twice as much as large ones' (default).
        image_size: height and width in pixels of the one input size that the network takes, where its cells do not
            divide it, as 7x7 cells 208 pixels; they are then as large as the image over their number. None (default)
            where they are as large as the strides say, at any size.
        **kwargs: arguments of `kzoo.heads.detection.DetectionHead`, for the suppression; scores are objectness times
            class probability.

    Raises:
        ValueError: an argument is out of its range.

    Source: YOLOv3, arXiv:1804.02767, section 2; Darknet's `[yolo]` and `[region]` sections.
    """

    options = YOLO
    loss_names = ("box", "objectness", "class")
    meaning = ("anchors", "strides", "scale_xy", "size_transform", "class_activation", "project")

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
        super().__init__(
            num_classes, anchors, strides, spare_anchors, scale_xy, project, image_size, **kwargs
        )
        check_choice("box_loss", box_loss, ("paper", *BOX_LOSSES))
        check_choice("objectness_target", objectness_target, ("one", "iou"))
        check_choice("size_transform", size_transform, SIZE_TRANSFORMS)
        check_choice("class_activation", class_activation, ("sigmoid", "softmax"))
        check_choice("normalize_by", normalize_by, ("objects", "images"))
        self.box_loss = box_loss
        self.ignore_threshold = ignore_threshold
        self.iou_threshold = iou_threshold
        self.objectness_target = objectness_target
        self.label_smoothing = label_smoothing
        self.objectness_smoothing = objectness_smoothing
        self.focal_gamma = focal_gamma
        self.focal_alpha = focal_alpha
        self.box_weight = box_weight
        if box_weight is None:
            self.box_weight = 1.0 if box_loss == "paper" else 2.0
        self.objectness_weight = one_a_level("objectness_weight", objectness_weight, len(self.strides))
        self.class_weight = class_weight
        self.truth_threshold = truth_threshold
        self.size_transform = size_transform
        self.class_activation = class_activation
        self.normalize_by = normalize_by
        self.size_weighting = size_weighting

    def loss(self, targets, outputs, sample_weight=None):
        # 1. Predictions (B, N, 5 + classes) of N anchors, and objects (B, M).
        rows, grid = self._rows(outputs)
        boxes, labels = sound_boxes(targets["boxes"]), targets["labels"]
        predicted = ops.stop_gradient(decode_boxes(rows, grid.places, self.size_transform))  # (B, N, 4)
        overlaps = pairwise_iou(predicted, boxes)  # (B, N, M)

        # 2. Pairs of an object and the prediction that is to find it, each beside the pairs' raw numbers (B, Q, ...).
        match = grid.match(boxes, labels, self.iou_threshold)
        if "weights" in targets:
            match = match.weighted(targets["weights"])
        assigned = [(match, take_rows(rows, match.index))]
        near = None
        if self.truth_threshold < 1:
            near = self._near(overlaps, boxes, labels, match, grid)
            assigned.append((near, rows))

        # 3. Box and class of the pairs, objectness of all predictions, each summed up.
        box = classes = 0.0
        for objects, raw in assigned:
            factor = image_weighted(objects.weight, sample_weight)  # (B, Q)
            box = box + ops.sum(self._box_loss(objects, raw, grid) * factor)
            classes = classes + ops.sum(self._class_loss(objects, raw) * factor)
        objectness = self._objectness_loss(
            rows[..., 4], grid, match, near, predicted, overlaps, sample_weight
        )
        if self.normalize_by == "images":
            count = ops.cast(ops.shape(rows)[0], "float32")
        else:
            count = ops.maximum(sum(ops.sum(objects.weight) for objects, _ in assigned), 1.0)
        return {
            "box": self.box_weight * box / count,
            "objectness": objectness / count,
            "class": self.class_weight * classes / count,
        }

    def _near(self, overlaps, boxes, labels, match, grid) -> Objects:
        """Of each of the N predictions the object it overlaps most, which counts if it is near and there is no other.

        Args:
            overlaps: (B, N, M) IoU of predictions with objects.
            boxes: (B, M, 4) xyxy pixels.
            labels: (B, M) int, -1 for none.
            match: objects that predictions have to find by their anchors' shapes.
            grid: where the predictions sit.
        """
        overlaps = ops.where(ops.expand_dims(labels >= 0, 1), overlaps, 0.0)
        best = ops.argmax(overlaps, axis=-1)  # (B, N)
        near = ops.cast(ops.max(overlaps, axis=-1) > self.truth_threshold, "float32")
        return Objects(
            boxes=take_rows(boxes, best),
            labels=ops.cast(take_rows(ops.maximum(labels, 0), best), "int32"),
            places=grid.places,
            weight=near * (1.0 - match.taken),
        )

    def _box_loss(self, objects: Objects, raw, grid):
        """The box term of each object, whose prediction is raw (B, Q, 5 + classes): (B, Q)."""
        scale = 1.0
        if self.size_weighting:
            width, height = grid.image_size
            size = objects.boxes[..., 2:] - objects.boxes[..., :2]  # (B, Q, 2)
            # (B, Q), from 2 for a point to 1 for a box as large as the image.
            scale = 2.0 - size[..., 0] * size[..., 1] / (width * height)
        if self.box_loss != "paper":
            predicted = decode_boxes(raw, objects.places, self.size_transform)
            return scale * BOX_LOSSES[self.box_loss](objects.boxes, predicted)
        offset, size = encode_boxes(objects.boxes, objects.places, self.size_transform)  # (B, Q, 2) each
        center = ops.sum(sigmoid_cross_entropy(offset, raw[..., :2]), axis=-1)
        return scale * (center + 0.5 * ops.sum((size - size_code(raw, self.size_transform)) ** 2, axis=-1))

    def _class_loss(self, objects: Objects, raw):
        """The class term of each object, whose prediction is raw (B, Q, 5 + classes): (B, Q)."""
        # (B, Q, C) each.
        true, logits = ops.one_hot(objects.labels, self.num_classes), raw[..., 5:]
        if self.class_activation == "softmax":
            true = true * (1.0 - self.label_smoothing) + self.label_smoothing / self.num_classes
            return softmax_focal_loss(true, logits, self.focal_gamma, self.focal_alpha)
        return ops.sum(self._cross_entropy(smooth_labels(true, self.label_smoothing), logits), axis=-1)

    def _objectness_loss(self, logits, grid, match, near, predicted, overlaps, sample_weight):
        """Objectness over all predictions but the ignored ones, weighted and summed.

        Args:
            logits: (B, N) of the objectness.
            grid: where the predictions sit.
            match: the objects that predictions take.
            near: objects that further predictions are to find as well, or None.
            predicted: (B, N, 4) xyxy pixels.
            overlaps: (B, N, M) IoU of predictions with objects.
            sample_weight: (B,) factors of the images, or None.

        Returns:
            A scalar.
        """
        background = ops.cast(ops.max(overlaps, axis=-1) <= self.ignore_threshold, "float32")  # (B, N)
        true = match.taken if near is None else match.taken + near.weight  # (B, N)
        weight = ops.maximum(true, background)  # 0 for those that overlap an object and are not to find it
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
        levels = zip(self.objectness_weight, grid.by_level(loss), strict=True)
        return sum(weight * ops.sum(of_level) for weight, of_level in levels)

    def _cross_entropy(self, true, logits):
        """Binary cross-entropy with the head's focal modulation, elementwise."""
        return sigmoid_focal_loss(true, logits, self.focal_gamma, self.focal_alpha)

    def encode(self, targets, sizes) -> dict:
        """Raw outputs that decode to the targets: assignment's inverse, for tests and for looking at anchors.

        Args:
            targets: boxes (B, M, 4) and labels (B, M) by name, as `loss` takes them.
            sizes: height and width of each feature map in cells, in the order of the strides.
        """
        grid = self._grid(sizes)
        match = grid.match(sound_boxes(targets["boxes"]), targets["labels"], self.iou_threshold)
        code = encode_boxes(match.boxes, match.places, self.size_transform)
        box = raw_boxes(*code, self.size_transform)  # (B, Q, 4)
        sure = 20.0  # logit of a probability that rounds to 1
        objectness = ops.full_like(box[..., :1], sure)  # (B, Q, 1)
        classes = (2.0 * ops.one_hot(match.labels, self.num_classes) - 1.0) * sure  # (B, Q, C)
        encoded = self.scattered(ops.concatenate([box, objectness, classes], axis=-1))  # (B, Q, fields)
        taken = ops.expand_dims(match.taken, -1)  # (B, N, 1)
        rows = take_rows(encoded, match.owner) * taken - sure * (1.0 - taken)  # (B, N, fields)
        levels = zip(self.levels, grid.by_level(rows), sizes, self.anchors, strict=True)
        return {
            name: ops.reshape(of_level, (-1, height, width, len(anchors) * self.fields))
            for name, of_level, (height, width), anchors in levels
        }

    def decode(self, outputs):
        """Detections: `boxes` (B, M, 4) xyxy pixels, `scores` (B, M), `labels` (B, M), -1 where there is none."""
        rows, grid = self._rows(outputs)  # (B, N, 5 + classes)
        # Only the K predictions of the best scores are decoded; their order is that of objectness times best class.
        count = min(self.candidates, rows.shape[1])
        scores = ops.sigmoid(rows[..., 4]) * self._best_class(rows[..., 5:])  # (B, N)
        _, chosen = stable_top_k(scores, count)  # (B, K)
        rows = take_rows(rows, chosen)  # (B, K, 5 + classes)
        return self.suppress(
            decode_boxes(rows, grid.places.take(chosen), self.size_transform),  # (B, K, 4)
            ops.sigmoid(rows[..., 4:5]) * self._class_probabilities(rows[..., 5:]),  # (B, K, C)
        )

    def _class_probabilities(self, logits):
        """Probabilities of the classes: (..., C) -> (..., C)."""
        return ops.softmax(logits) if self.class_activation == "softmax" else ops.sigmoid(logits)

    def _best_class(self, logits):
        """The highest class probability: (B, N, C) -> (B, N)."""
        if self.class_activation == "softmax":
            return ops.max(ops.softmax(logits), axis=-1)
        # The logistic keeps the order, so one for each prediction is enough.
        return ops.sigmoid(ops.max(logits, axis=-1))
