"""What YOLO's head is trained by: which prediction has to find which object, and the terms of the loss."""

from __future__ import annotations

from dataclasses import dataclass

from keras import ops

from kzoo.heads.yolo_boxes import decode_boxes, encode_boxes, size_code
from kzoo.heads.yolo_grid import YoloGrid
from kzoo.heads.yolo_layers import YoloLayers
from kzoo.heads.yolo_match import Match, Objects
from kzoo.losses.focal import sigmoid_cross_entropy, sigmoid_focal_loss, smooth_labels, softmax_focal_loss
from kzoo.losses.iou import BOX_LOSSES, ciou_loss
from kzoo.ops.assign import CELLS, POINT_ASSIGNERS, assign_points, sim_ota_among, sound_boxes
from kzoo.ops.boxes import iou, pairwise_iou
from kzoo.ops.gather import take_rows
from kzoo.ops.weighting import image_weighted

ASSIGNERS = ("best shape", "ratio", "ratio-ota", *POINT_ASSIGNERS)


@dataclass
class Counts:
    """What sums of terms are divided by.

    Attributes:
        pairs: what those over objects are divided by: a scalar, or one number a level, (L,).
        predictions: what those over predictions are divided by, one number a level.
    """

    pairs: object
    predictions: list

    def of(self, objects: Objects):
        """The divisors of these objects: a scalar, or (B, Q), or (Q,)."""
        return ops.take(self.pairs, objects.level, axis=0) if len(self.pairs.shape) else self.pairs


class YoloLoss(YoloLayers):
    """The loss of `kzoo.heads.yolo.YoloHead`, whose attributes say what it is made of."""

    loss_names = ("box", "objectness", "class")
    most_predictions = 10  # that an object gets by what they predict so far, under "ratio-ota"

    def loss(self, targets, outputs, sample_weight=None):
        rows, grid = self._rows(outputs)  # (B, N, 5 + classes) of N anchors
        boxes = sound_boxes(targets["boxes"])  # (B, M, 4)
        predicted = self._predicted(rows, grid)  # (B, N, 4)
        match = self._match(grid, boxes, targets["labels"], rows, predicted)
        return self._terms(targets, rows, predicted, match, grid, sample_weight)

    def _predicted(self, rows, grid: YoloGrid):
        """Boxes (B, N, 4) of raw predictions (B, N, 5 + classes), xyxy pixels, through which no gradient flows."""
        return ops.stop_gradient(decode_boxes(rows, grid.places, self.size_transform))

    def _terms(self, targets, rows, predicted, match: Match, grid: YoloGrid, sample_weight) -> dict:
        """The loss's terms by name.

        Args:
            targets: boxes (B, M, 4), labels (B, M) and weights (B, M), if there are any, by name.
            rows: (B, N, 5 + classes) raw predictions.
            predicted: (B, N, 4) their boxes, xyxy pixels.
            match: the objects, each beside the prediction that has to find it.
            grid: where the predictions sit.
            sample_weight: (B,) weights of the images, or None.
        """
        boxes, labels = sound_boxes(targets["boxes"]), targets["labels"]
        # 1. Overlaps (B, N, M), for which nobody asks at a threshold of 1: the largest tensor that there is.
        idle = self.ignore_threshold >= 1 and self.truth_threshold >= 1
        overlaps = None if idle else pairwise_iou(predicted, boxes)

        # 2. Pairs of an object and the prediction that is to find it, each beside the pairs' raw numbers (B, Q, ...).
        if "weights" in targets:
            match = match.weighted(targets["weights"])
        assigned = [(match, take_rows(rows, match.index))]
        near = None
        if self.truth_threshold < 1:
            near = self._near(overlaps, boxes, labels, match, grid)
            assigned.append((near, rows))

        # 3. Box and class of the pairs, objectness of all predictions, each as a sum over what it counts by.
        counts = self._counts([objects for objects, _ in assigned], grid, ops.shape(rows)[0])
        box = classes = 0.0
        for objects, raw in assigned:
            factor = image_weighted(objects.weight, sample_weight) / counts.of(objects)  # (B, Q)
            box = box + ops.sum(self._box_loss(objects, raw, grid) * factor)
            classes = classes + ops.sum(self._class_loss(objects, raw) * factor)
        by_prediction = self._objectness_loss(rows[..., 4], match, near, predicted, overlaps)  # (B, N)
        levels = zip(
            self.objectness_weight,
            grid.by_level(image_weighted(by_prediction, sample_weight)),
            counts.predictions,
            strict=True,
        )
        return {
            "box": self.box_weight * box,
            "objectness": sum(weight * ops.sum(of_level) / count for weight, of_level, count in levels),
            "class": self.class_weight * classes,
        }

    def _match(self, grid: YoloGrid, boxes, labels, rows=None, predicted=None, cells: int = CELLS) -> Match:
        """Which prediction has to find which object.

        Args:
            grid: where the predictions sit.
            boxes: (B, M, 4) xyxy pixels.
            labels: (B, M) int, -1 for none.
            rows: (B, N, 5 + classes) raw predictions, or None where there are none to go by, so that shapes decide.
            predicted: (B, N, 4) their boxes, xyxy pixels, or None.
            cells: number of cells that may take an object by its sides, 3 (default) or 5.
        """
        if self.assigner == "best shape":
            return grid.match(boxes, labels, self.iou_threshold)
        if self.assigner == "ratio" or rows is None:
            return grid.match_by_ratio(boxes, labels, self.anchor_ratio, cells)
        scores = ops.sigmoid(rows[..., 4:5]) * self._class_probabilities(rows[..., 5:])  # (B, N, C)
        if self.assigner in ("sim-ota", "ratio-ota"):  # whose cost is of the geometric mean
            scores = ops.sqrt(scores)
        scores = ops.stop_gradient(scores)
        if self.assigner == "ratio-ota":
            pairs = grid.match_by_ratio(boxes, labels, self.anchor_ratio, cells)
            scores, predicted = (
                take_rows(values, pairs.index) for values in (scores, predicted)
            )  # (B, Q, ...)
            found = sim_ota_among(pairs.weight > 0, scores, predicted, boxes, labels, self.most_predictions)
            return grid.match_of_pairs(boxes, labels, pairs, found)
        found = assign_points(
            self.assigner,
            scores,
            predicted,
            grid.centers,
            boxes,
            labels,
            strides=grid.places.cell[:, 0],
            counts=grid.counts,
        )
        return grid.match_of_points(boxes, labels, found)

    def _counts(self, assigned: list[Objects], grid: YoloGrid, batch) -> Counts:
        """What the terms' sums are divided by: see `normalize_by`."""
        if self.normalize_by == "levels":
            pairs = sum(self._by_level(objects) for objects in assigned)  # (L,)
            predictions = [ops.cast(batch * count, "float32") for count in grid.counts]
            return Counts(ops.where(pairs > 0, pairs, 1.0), predictions)
        if self.normalize_by == "images":
            count = ops.cast(batch, "float32")
        else:
            count = ops.maximum(sum(ops.sum(objects.weight) for objects in assigned), 1.0)
        return Counts(count, [count] * len(self.levels))

    def _by_level(self, objects: Objects):
        """How many objects there are on each level: (L,)."""
        of_levels = ops.one_hot(objects.level, len(self.levels))  # (B, Q, L), or (Q, L)
        return ops.sum(ops.expand_dims(objects.weight, -1) * of_levels, axis=(0, 1))

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
            level=grid.levels,
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
        loss = self._cross_entropy(smooth_labels(true, self.label_smoothing), logits)  # (B, Q, C)
        return ops.mean(loss, axis=-1) if self.normalize_by == "levels" else ops.sum(loss, axis=-1)

    def _objectness_loss(self, logits, match, near, predicted, overlaps):
        """The objectness term of each prediction, 0 of the ignored ones.

        Args:
            logits: (B, N) of the objectness.
            match: the objects that predictions take.
            near: objects that further predictions are to find as well, or None.
            predicted: (B, N, 4) xyxy pixels.
            overlaps: (B, N, M) IoU of predictions with objects, or None where no overlap is too much for background.

        Returns:
            (B, N).
        """
        true = match.taken if near is None else match.taken + near.weight  # (B, N)
        weight = ops.ones_like(true)
        if overlaps is not None:
            background = ops.cast(ops.max(overlaps, axis=-1) <= self.ignore_threshold, "float32")  # (B, N)
            weight = ops.maximum(
                true, background
            )  # 0 for those that overlap an object and are not to find it
        if self.objectness_target != "one":
            true = match.taken * self._reached(take_rows(match.boxes, match.owner), predicted)
            if near is not None:
                true = true + near.weight * self._reached(near.boxes, predicted)
        loss = self._cross_entropy(smooth_labels(true, self.objectness_smoothing), logits) * weight
        return loss if match.importance is None else loss * match.importance

    def _reached(self, boxes, predicted):
        """How well predictions (B, N, 4) fit their objects' boxes (B, N, 4) by now, 0 to 1: (B, N)."""
        if self.objectness_target == "ciou":
            return ops.maximum(1.0 - ciou_loss(boxes, predicted), 0.0)
        return iou(boxes, predicted)

    def _cross_entropy(self, true, logits):
        """Binary cross-entropy with the head's focal modulation, elementwise."""
        return sigmoid_focal_loss(true, logits, self.focal_gamma, self.focal_alpha)
