"""YOLO's head from its second version on: anchors in cells, which take objects by their shapes."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.base import check_choice
from kzoo.heads.levels import one_a_level
from kzoo.heads.yolo_boxes import SIZE_TRANSFORMS, decode_boxes, encode_boxes, raw_boxes
from kzoo.heads.yolo_loss import ASSIGNERS, YoloLoss
from kzoo.losses.iou import BOX_LOSSES
from kzoo.ops.assign import sound_boxes
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.options import checked
from kzoo.options.building import YOLO


@keras.saving.register_keras_serializable("kzoo")
class YoloHead(YoloLoss):
    """Boxes, objectness and classes on a grid of cells, for several levels of the network.

    In the cell of an object's centre the anchor whose shape is most like the object's takes it (`YoloGrid.match`), or
    whatever else the `assigner` says. Its prediction learns the box, the class and an objectness of 1; predictions that
    overlap no object learn an objectness of 0, and those that overlap one without having to find it learn nothing.

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
        objectness_target: "one" (default) for every object, as in the paper, or the overlap that its prediction has
            reached, so that scores rank by how well boxes lie: "iou" (`rescore` of Darknet's `[region]`), or "ciou",
            of which what is below 0 counts as 0 (YOLOv5).
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
        normalize_by: what the terms' sums are divided by: "objects" (default), or "images" as in Darknet; or "levels":
            every term is the sum of its means on each level, over pairs of an object and a prediction, their classes,
            and all predictions, so that a level with few counts as much as one with many (YOLOv5, which then
            multiplies by the number of images).
        size_weighting: whether small objects' boxes count up to twice as much as large ones' (default).
        image_size: height and width in pixels of the one input size that the network takes, where its cells do not
            divide it, as 7x7 cells 208 pixels; they are then as large as the image over their number. None (default)
            where they are as large as the strides say, at any size.
        assigner: rule by which predictions have to find an object: "best shape" (default); "ratio": in the cell of its
            centre and the two nearest beside it all anchors of about its sides (YOLOv5; see `kzoo.ops.assign.ratio`);
            "ratio-ota": of those, of all objects together, the ones that cost an object least by what they predict so
            far, as many as its best overlaps sum up to (YOLOv7; see `kzoo.ops.assign.sim_ota`);
            or "task-aligned", "sim-ota" or "atss": those that "task-aligned" and "sim-ota" choose by what they predict
            so far, and "atss" by their cells (see `kzoo.ops.assign`).
        anchor_ratio: factor, above 1, 4 by default, by which an object's sides may differ from those of an anchor that
            takes it under "ratio" and "ratio-ota".
        prior_objects: how many objects the biases expect in an image of 640 pixels at first, as many on each level,
            above 0, 8 in YOLOv5, whose classes then start at .6 over their number; None (default) for an objectness of
            .01 everywhere.
        **kwargs: arguments of `kzoo.heads.detection.DetectionHead`, for the suppression; scores are objectness times
            class probability.

    Raises:
        ValueError: an argument is out of its range.

    Source: YOLOv3, arXiv:1804.02767, section 2; Darknet's `[yolo]` and `[region]` sections; YOLOv5 by its behaviour;
        YOLOv7, arXiv:2207.02696.
    """

    options = YOLO
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
        assigner: str = "best shape",
        anchor_ratio: float = 4.0,
        prior_objects: float | None = None,
        **kwargs,
    ):
        super().__init__(
            num_classes,
            anchors,
            strides,
            spare_anchors,
            scale_xy,
            project,
            image_size,
            prior_objects,
            **kwargs,
        )
        check_choice("assigner", assigner, ASSIGNERS)
        if self.spare_anchors and assigner != "best shape":
            raise ValueError(
                f"spare_anchors: has no effect with assigner={assigner!r}; leave one of them out"
            )
        check_choice("box_loss", box_loss, ("paper", *BOX_LOSSES))
        check_choice("objectness_target", objectness_target, ("one", "iou", "ciou"))
        check_choice("size_transform", size_transform, SIZE_TRANSFORMS)
        check_choice("class_activation", class_activation, ("sigmoid", "softmax"))
        check_choice("normalize_by", normalize_by, ("objects", "images", "levels"))
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
        self.assigner = assigner
        self.anchor_ratio = anchor_ratio

    def encode(self, targets, sizes) -> dict:
        """Raw outputs that decode to the targets: assignment's inverse, for tests and for looking at anchors.

        Args:
            targets: boxes (B, M, 4) and labels (B, M) by name, as `loss` takes them.
            sizes: height and width of each feature map in cells, in the order of the strides.
        """
        grid = self._grid(sizes)
        match = self._match(grid, sound_boxes(targets["boxes"]), targets["labels"])
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
