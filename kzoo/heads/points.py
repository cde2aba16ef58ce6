"""The head without anchors: every cell of a feature map is a point that may find one object."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.base import SURE, check_choice
from kzoo.heads.point_boxes import BOX_CODES, decode_points, encode_points
from kzoo.heads.point_layers import PointLayers
from kzoo.losses.distribution import distribution_focal_loss
from kzoo.losses.focal import sigmoid_cross_entropy, varifocal_loss
from kzoo.losses.iou import BOX_LOSSES
from kzoo.ops.assign import POINT_ASSIGNERS, PointAssignment, assign_points, last_owner, sound_boxes
from kzoo.ops.assign.task_aligned import points_unknown
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.points import edge_distances, lay_points
from kzoo.ops.weighting import image_weighted, object_weighted
from kzoo.options import checked
from kzoo.options.building import POINTS

CLASS_LOSSES = ("cross_entropy", "varifocal")


@keras.saving.register_keras_serializable("kzoo")
class PointHead(PointLayers):
    """Boxes and classes on a grid of points, for several levels of the network.

    An assigner gives each object the points that are to find it, by what they predict so far. These learn its box; its
    class is learnt by all points, towards how well their boxes lie, 0 for those without an object.

    Shapes, of N points of all levels:
        inputs: two feature maps a level, the first for boxes, the second for classes.
        outputs: `{"stride8": (B, H/8, W/8, 4 * bins + num_classes), ...}`: logits of the distances to the left, top,
            right and bottom edge, those of an objectness where there is one, those of the classes.
        targets: `{"boxes": (B, M, 4) xyxy pixels, "labels": (B, M)}`; a label of -1 is padding, or, with a box of
            positive area, a region whose points are neither object nor background. Where there are `"weights"` (B, M),
            as MixUp makes them, an object counts by its weight.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of each level, in the order of the maps.
        bins: how many whole distances, from 0, an edge's distance is a distribution over, 2 or more, 16 by default; 0
            where it is one number.
        box_code: what the numbers of a box mean: "distances" (default): of the four edges from the middle of the cell,
            in strides; or "offsets": the centre's from the cell's corner and the logarithms of width and height, in
            strides (YOLOX); with `bins=0` alone.
        objectness: whether points also say if there is any object; False by default. Classes are then learnt by those
            that have one alone, and a score is objectness times class.
        kernel_size: side of the last convolutions' kernels in cells, 1 by default, odd.
        prior: probability, 0 to 1, that a class starts out with; where None (default) that of 5 objects on an image of
            640 pixels (YOLOv8).
        assigner: "task-aligned" (default), "sim-ota" or "atss": which points are to find an object; see
            `kzoo.ops.assign`.
        assign_best: how many points an object gets at most, 1 or more; where None 10, of "atss" 9 a level.
        assign_overlap: overlap that "task-aligned" goes by: "ciou" (default) or "iou".
        score_power: exponent of the score in "task-aligned", 0 or more, 0.5 by default.
        overlap_power: exponent of the overlap in "task-aligned", 0 or more, 6 by default.
        least_side: pixels, 0 (default) or more, that "task-aligned" widens an object's sides to, for a point to be in
            it.
        anywhere: whether "task-aligned" may give a point that several objects want to one that it is not inside of;
            False by default.
        radius: strides, above 0, 1.5 by default, that "sim-ota" looks for points around an object's centre.
        class_loss: "cross_entropy" (default), or "varifocal", which plays down background that is known as such.
        box_loss: "iou", "giou", "diou", "ciou" (default), "siou" or "iou_squared".
        normalize_by: "quality" (default): a box counts by the quality of its point, and sums are divided by that of
            all; or "objects": all alike, by the number of points with an object.
        box_weight: factor of the box term, 0 or more, 7.5 by default.
        class_weight: factor of the class term, 0 or more, 0.5 by default.
        distribution_weight: factor of the distributions' term, 0 or more, 1.5 by default; with `bins` alone.
        objectness_weight: factor of the objectness term, 0 or more, 1 by default; with `objectness` alone.
        raw_weight: factor of a further term of boxes, the absolute difference of raw "offsets" (YOLOX in its last
            epochs), 0 (default) or more.
        **kwargs: arguments of `kzoo.heads.detection.DetectionHead`, for the suppression.

    Raises:
        ValueError: an argument is out of its range.

    Source: Ge et al. 2021, YOLOX, arXiv:2107.08430; YOLOv8; Xu et al. 2022, PP-YOLOE, arXiv:2203.16250.
    """

    options = POINTS
    meaning = ("strides", "bins", "box_code", "objectness")

    @checked(POINTS)
    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        bins: int = 16,
        box_code: str = "distances",
        objectness: bool = False,
        kernel_size: int = 1,
        prior: float | None = None,
        assigner: str = "task-aligned",
        assign_best: int | None = None,
        assign_overlap: str = "ciou",
        score_power: float = 0.5,
        overlap_power: float = 6.0,
        least_side: float = 0.0,
        anywhere: bool = False,
        radius: float = 1.5,
        class_loss: str = "cross_entropy",
        box_loss: str = "ciou",
        normalize_by: str = "quality",
        box_weight: float = 7.5,
        class_weight: float = 0.5,
        distribution_weight: float = 1.5,
        objectness_weight: float = 1.0,
        raw_weight: float = 0.0,
        **kwargs,
    ):
        super().__init__(num_classes, strides, bins, objectness, kernel_size, prior, **kwargs)
        check_choice("box_code", box_code, BOX_CODES)
        check_choice("assigner", assigner, POINT_ASSIGNERS)
        check_choice("assign_overlap", assign_overlap, ("ciou", "iou"))
        check_choice("class_loss", class_loss, CLASS_LOSSES)
        check_choice("box_loss", box_loss, tuple(BOX_LOSSES))
        check_choice("normalize_by", normalize_by, ("quality", "objects"))
        if bins == 1 or (bins and box_code == "offsets"):
            raise ValueError(f"bins={bins}: box_code={box_code!r}; give 0, or of distances 2 or more")
        self.box_code = box_code
        # Distances start out as one stride, offsets as a corner, sizes as one stride.
        self.make_convs(1.0 if box_code == "distances" else 0.0)
        self.assigner = assigner
        self.assign_best = assign_best
        self.assign_overlap = assign_overlap
        self.score_power = score_power
        self.overlap_power = overlap_power
        self.least_side = least_side
        self.anywhere = anywhere
        self.radius = radius
        self.class_loss = class_loss
        self.box_loss = box_loss
        self.normalize_by = normalize_by
        self.box_weight = box_weight
        self.class_weight = class_weight
        self.distribution_weight = distribution_weight
        self.objectness_weight = objectness_weight
        self.raw_weight = raw_weight
        further = {"distribution": bins, "objectness": objectness, "raw": raw_weight}
        self.loss_names = ("box", "class", *(name for name, there in further.items() if there))

    def loss(self, targets, outputs, sample_weight=None):
        # 1. What the N points predict, and objects (B, M).
        boxes, labels = sound_boxes(targets["boxes"]), ops.cast(targets["labels"], "int32")
        box, objectness, classes = self.parts(self.rows(outputs))  # (B, N, ...)
        sizes = self.sizes(outputs)
        points, strides = lay_points(sizes, self.strides)  # (N, 2), (N,)
        predicted = decode_points(box, points, strides, self.bins, self.box_code)  # (B, N, 4)

        # 2. Which object each point is to find, and how much it counts: by its quality, its object and its image.
        assignment = self._assign(predicted, objectness, classes, points, strides, sizes, boxes, labels)
        found = ops.cast(assignment.positive, "float32")  # (B, N)
        counts = assignment.quality if self.normalize_by == "quality" else found
        total = ops.maximum(ops.sum(object_weighted(counts, targets, assignment.owner)), 1.0)
        own_boxes = take_rows(boxes, assignment.owner)  # (B, N, 4)

        # 3. The terms of each point, (B, N).
        terms = {"box": self.box_weight * BOX_LOSSES[self.box_loss](own_boxes, predicted) * counts}
        if self.bins:
            distances = edge_distances(points, own_boxes) / ops.expand_dims(strides, -1)  # (B, N, 4)
            term = distribution_focal_loss(distances, box, self.bins)
            terms["distribution"] = self.distribution_weight * term * counts
        if self.raw_weight:
            raw = encode_points(own_boxes, points, strides, self.bins, self.box_code)  # (B, N, 4)
            terms["raw"] = self.raw_weight * ops.sum(ops.abs(raw - box), axis=-1) * found
        unknown = points_unknown(points, boxes, labels)  # (B, N)
        terms |= self._class_terms(objectness, classes, assignment, labels, unknown)
        return {
            name: ops.sum(image_weighted(self._weighted(term, targets, assignment), sample_weight)) / total
            for name, term in terms.items()
        }

    def _weighted(self, term, targets, assignment):
        """Terms (B, N) times the weights of objects; those of points without one stay as they are."""
        return ops.where(assignment.positive, object_weighted(term, targets, assignment.owner), term)

    def _assign(
        self, predicted, objectness, classes, points, strides, sizes, boxes, labels
    ) -> PointAssignment:
        """Which object each of the N points is to find; no gradient goes through it.

        Args:
            predicted: (B, N, 4) xyxy pixels.
            objectness: (B, N, 1) logits, or None.
            classes: (B, N, C) logits.
            points: (N, 2) x and y in pixels.
            strides: (N,) pixels.
            sizes: height and width of each level in cells.
            boxes: (B, M, 4) xyxy pixels.
            labels: (B, M) int32, -1 for none.
        """
        scores = ops.sigmoid(classes)  # (B, N, C)
        if objectness is not None:
            scores = ops.sqrt(scores * ops.sigmoid(objectness))
        options = {
            "best": self.assign_best,
            "overlap": self.assign_overlap,
            "score_power": self.score_power,
            "overlap_power": self.overlap_power,
            "least_side": self.least_side,
            "anywhere": self.anywhere,
            "radius": self.radius,
            "strides": strides,
            "counts": [height * width for height, width in sizes],
        }
        scores, predicted = ops.stop_gradient(scores), ops.stop_gradient(predicted)
        return assign_points(self.assigner, scores, predicted, points, boxes, labels, **options)

    def _class_terms(self, objectness, classes, assignment, labels, unknown) -> dict:
        """Classes and objectness of each point, (B, N) by name.

        Args:
            objectness: (B, N, 1) logits, or None.
            classes: (B, N, C) logits.
            assignment: what each point is to find.
            labels: (B, M) int32, the objects' classes.
            unknown: (B, N), 1 for points that are neither object nor background.
        """
        found = ops.cast(assignment.positive, "float32")  # (B, N)
        learnt = ops.maximum(found, 1.0 - unknown)  # (B, N)
        own = take_rows(ops.maximum(labels, 0), assignment.owner)  # (B, N)
        hot = ops.one_hot(own, self.num_classes) * ops.expand_dims(found, -1)  # (B, N, C)
        true = ops.stop_gradient(hot * ops.expand_dims(assignment.quality, -1))  # (B, N, C)
        if self.class_loss == "varifocal":
            term = ops.sum(varifocal_loss(true, hot, classes), axis=-1)
        else:
            term = ops.sum(sigmoid_cross_entropy(true, classes), axis=-1)
        if objectness is None:
            return {"class": self.class_weight * term * learnt}
        exists = sigmoid_cross_entropy(found, objectness[..., 0])  # (B, N)
        return {
            "class": self.class_weight * term * found,
            "objectness": self.objectness_weight * exists * learnt,
        }

    def encode(self, targets, sizes) -> dict:
        """Raw outputs that decode to the targets, as far as distances reach: for tests.

        An object is found by the point in whose cell its centre lies, on the finest level whose distances reach its
        edges.

        Args:
            targets: boxes (B, M, 4) and labels (B, M) by name, as `loss` takes them.
            sizes: height and width of each feature map in cells, in the order of the strides.
        """
        boxes, labels = sound_boxes(targets["boxes"]), ops.cast(targets["labels"], "int32")
        points, strides = lay_points(sizes, self.strides)  # (N, 2), (N,)
        center = ops.expand_dims((boxes[..., :2] + boxes[..., 2:]) / 2, 2)  # (B, M, 1, 2)
        away = ops.max(ops.abs(center - points), axis=-1) / strides  # (B, M, N)
        distances = edge_distances(points, ops.expand_dims(boxes, 2)) / ops.expand_dims(
            strides, -1
        )  # (B, M, N, 4)
        reach = (self.bins or 1e6) - 1.01
        beyond = ops.any(ops.logical_or(distances < 0, distances > reach), axis=-1)  # (B, M, N)
        cost = away + ops.where(beyond, 1e3, 0.0) + ops.where(away > 0.5, 1e2, 0.0)
        nearest = ops.cast(ops.argmin(cost + 1e-3 * strides, axis=-1), "int32")  # (B, M)
        valid = ops.logical_and(labels >= 0, boxes[..., 2] > boxes[..., 0])
        _, taken, owner = last_owner(nearest, valid, points.shape[0])  # (B, N)

        box = encode_points(take_rows(boxes, owner), points, strides, self.bins, self.box_code)  # (B, N, ...)
        taken = ops.expand_dims(taken, -1)  # (B, N, 1)
        hot = ops.one_hot(take_rows(ops.maximum(labels, 0), owner), self.num_classes) * taken  # (B, N, C)
        sure = [taken, hot] if self.objectness else [hot]
        rows = ops.concatenate([box, *(SURE * (2.0 * one - 1.0) for one in sure)], axis=-1)  # (B, N, fields)
        outputs, start = {}, 0
        for name, (height, width) in zip(self.levels, sizes, strict=True):
            end = start + height * width
            outputs[name] = ops.reshape(rows[:, start:end], (-1, height, width, self.fields))
            start = end
        return outputs

    def decode(self, outputs):
        """Detections: `boxes` (B, M, 4) xyxy pixels, `scores` (B, M), `labels` (B, M), -1 where there is none."""
        rows = self.rows(outputs)  # (B, N, fields)
        points, strides = lay_points(self.sizes(outputs), self.strides)  # (N, 2), (N,)
        # Only the K points of the best scores are decoded. The logistic keeps the order of classes' logits.
        _, objectness, classes = self.parts(rows)
        scores = ops.sigmoid(ops.max(classes, axis=-1))  # (B, N)
        if self.objectness:
            scores = scores * ops.sigmoid(objectness[..., 0])
        _, chosen = stable_top_k(scores, min(self.candidates, rows.shape[1]))  # (B, K)
        box, objectness, classes = self.parts(take_rows(rows, chosen))  # (B, K, ...)
        points, strides = (
            ops.take(points, chosen, axis=0),
            ops.take(strides, chosen, axis=0),
        )  # (B, K, 2), (B, K)
        scores = ops.sigmoid(classes)  # (B, K, C)
        if self.objectness:
            scores = scores * ops.sigmoid(objectness)
        return self.suppress(decode_points(box, points, strides, self.bins, self.box_code), scores)
