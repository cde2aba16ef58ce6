"""YOLOv2's head with YOLOv2's loss: squares where its successors have cross-entropy; and YOLO9000's tree of classes."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.word_tree import WordTree
from kzoo.heads.yolo import YoloHead
from kzoo.heads.yolo_boxes import decode_boxes
from kzoo.ops.assign import sound_boxes
from kzoo.ops.boxes import iou, pairwise_iou
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.weighting import image_weighted
from kzoo.options import checked
from kzoo.options.building import REGION

PRIOR_IMAGES = 12_800
_PRIOR_WEIGHT = 0.01


@keras.saving.register_keras_serializable("kzoo")
class RegionHead(YoloHead):
    """Boxes, objectness and classes on one grid of cells, trained as YOLOv2 was.

    Outputs and targets, with their shapes, and decoding are those of `YoloHead`. All terms are half the squares, summed
    and divided by the number of images, of logistic x, y and objectness and of raw w and h; of the classes it is the
    cross-entropy of a softmax, or half the squares of logistics. The anchor whose shape is nearest takes the object.

    With a `tree`, whose nodes the classes are, an object of a class is one of all the classes above it as well:
    logits go through one softmax for each set of siblings. A detection's class is then where a walk down the tree
    ends, its score the objectness; with a `class_map`, scores are objectness times the node's probability.

    Args:
        num_classes: number of classes, 1 or more; with a tree that of its nodes, or of the map's where there is one.
        anchors: widths and heights in pixels as plain lists of pairs, on one level.
        strides: pixels a cell of that level, one number in a list.
        object_scale: weight of the objectness of predictions that take an object, 0 or more, 5 by default.
        noobject_scale: weight of the objectness of the others, but for those that overlap an object by more than
            `ignore_threshold`, 0 or more, 1 by default.
        class_scale: weight of the class term, 0 or more, 1 by default.
        coord_scale: weight of the box term, 0 or more, 1 by default.
        rescore: whether the objectness of what takes an object is to be its IoU (default), or 1.
        bias_match: whether objects go by the anchors' shapes (default), or by those predicted in their cell.
        prior_images: number of images, 12,800 by default; while fewer were seen, boxes without an object are drawn
            to their cell's middle and anchor, by a weight of 0.01. The head counts them; `.weights` files say how many
            there were.
        ignore_threshold: IoU, 0 to 1, 0.6 by default; predictions that overlap any object by more are not trained as
            background.
        class_activation: "softmax" (default), or "sigmoid".
        tree: for each node the number of its parent, or -1; None (default) for classes of which none is above another.
        class_map: number of the node that each class is, where the classes are some of the nodes; None (default) where
            they are all.
        tree_threshold: probability above which the walk goes on below a node, 0 to 1, 0.5 by default.
        **kwargs: arguments of `kzoo.heads.yolo.YoloHead`, of which those of its losses have no effect here, and of
            `kzoo.heads.detection.DetectionHead`.

    Raises:
        ValueError: there is more than one level, or classes, tree and map do not fit each other.

    Source: YOLO9000, arXiv:1612.08242; Darknet's `[region]`, as it runs on a GPU.
    """

    options = REGION
    most_seen = 2**24  # number of images up to which float32 counts one by one

    @checked(REGION)
    def __init__(
        self,
        num_classes: int,
        anchors: Sequence,
        strides: Sequence[int],
        object_scale: float = 5.0,
        noobject_scale: float = 1.0,
        class_scale: float = 1.0,
        coord_scale: float = 1.0,
        rescore: bool = True,
        bias_match: bool = True,
        prior_images: int = PRIOR_IMAGES,
        ignore_threshold: float = 0.6,
        class_activation: str = "softmax",
        tree: Sequence[int] | None = None,
        class_map: Sequence[int] | None = None,
        tree_threshold: float = 0.5,
        **kwargs,
    ):
        nodes = num_classes if tree is None else len(tree)  # what an anchor's class logits stand for
        settings = {"class_activation": class_activation, "ignore_threshold": ignore_threshold, **kwargs}
        super().__init__(nodes, anchors, strides, **settings)
        if len(self.strides) != 1:
            raise ValueError(f"strides={strides!r}: the region head has one level; give one")
        self.num_classes = num_classes
        self.object_scale = object_scale
        self.noobject_scale = noobject_scale
        self.class_scale = class_scale
        self.coord_scale = coord_scale
        self.rescore = rescore
        self.bias_match = bias_match
        self.prior_images = prior_images
        self.tree = None if tree is None else WordTree(tree)
        self.class_map = None if class_map is None else [int(node) for node in class_map]
        self.tree_threshold = tree_threshold
        self._check_classes(nodes)

    def _check_classes(self, nodes: int) -> None:
        if self.class_map is None:
            if self.num_classes != nodes:
                raise ValueError(
                    f"num_classes={self.num_classes}: the tree has {nodes} nodes; give as many, or a class_map"
                )
            return
        if len(self.class_map) != self.num_classes or not all(0 <= node < nodes for node in self.class_map):
            raise ValueError(
                f"class_map: {len(self.class_map)} nodes for num_classes={self.num_classes}; give one of 0 to "
                f"{nodes - 1} for each class"
            )

    def build(self, input_shape):
        super().build(input_shape)
        self.seen = self.add_weight(
            shape=(), initializer="zeros", dtype="float32", trainable=False, autocast=False, aggregation="mean",
            name="seen",
        )  # fmt: skip

    def call(self, features, training=None):
        outputs = super().call(features, training)
        if training:
            self.seen.assign_add(ops.cast(ops.shape(features[0])[0], "float32"))
        return outputs

    def class_outputs(self):
        # Rows of a tree are its nodes', which have their places there.
        return super().class_outputs() if self.tree is None else []

    def loss(self, targets, outputs, sample_weight=None):
        # Predictions (B, N, 5 + nodes), objects (B, M), and Q pairs of an object and the prediction that takes it.
        rows, grid = self._rows(outputs)
        boxes, labels = sound_boxes(targets["boxes"]), self._nodes(targets["labels"])
        match = (
            grid.match(boxes, labels) if self.bias_match else grid.match_by_prediction(boxes, labels, rows)
        )
        if "weights" in targets:
            match = match.weighted(targets["weights"])
        taking = take_rows(rows, match.index)  # (B, Q, 5 + nodes)
        factor = image_weighted(match.weight, sample_weight)  # (B, Q)
        box = ops.sum(self._box_loss(match, taking, grid) * factor)
        box = box + ops.sum(image_weighted(self._prior(rows, match), sample_weight))
        classes = ops.sum(self._class_loss(match, taking) * factor)
        predicted = ops.stop_gradient(decode_boxes(rows, grid.places))  # (B, N, 4)
        squares = self._squares(rows[..., 4], match, predicted, pairwise_iou(predicted, boxes))  # (B, N)
        objectness = ops.sum(image_weighted(squares, sample_weight))
        count = ops.cast(ops.shape(rows)[0], "float32")
        return {
            "box": box / count,
            "objectness": objectness / count,
            "class": self.class_scale * classes / count,
        }

    def _nodes(self, labels):
        """Classes (B, M) as nodes of the tree (B, M); -1 stays."""
        if self.class_map is None:
            return labels
        nodes = ops.take(ops.convert_to_tensor(self.class_map, "int32"), ops.maximum(labels, 0), axis=0)
        return ops.where(labels >= 0, nodes, -1)

    def _box_loss(self, objects, raw, grid):
        """Half the squares of each object's box, small ones up to twice: raw (B, Q, 5 + nodes) -> (B, Q)."""
        (width, height), places = grid.image_size, objects.places
        low, high = objects.boxes[..., :2], objects.boxes[..., 2:]  # (B, Q, 2) each
        size = ops.maximum(high - low, 1e-3)
        offset = ((low + high) / 2 - places.origin) / places.reach
        scale = self.coord_scale * (2.0 - size[..., 0] * size[..., 1] / (width * height))
        return scale * _half_squares(raw, offset, ops.log(size / places.anchor))

    def _prior(self, rows, match):
        """What draws boxes without an object to their cell's middle and their anchor, in the first images: (B, N)."""
        free = (1.0 - match.taken) * ops.cast(self.seen < self.prior_images, "float32")
        return _PRIOR_WEIGHT * _half_squares(rows, 0.5, 0.0) * free

    def _squares(self, logits, match, predicted, overlaps):
        """Half the squares of the objectness of each prediction, weighted.

        Args:
            logits: (B, N) of the objectness.
            match: the objects that predictions take.
            predicted: (B, N, 4) xyxy pixels.
            overlaps: (B, N, M) IoU of predictions with objects.

        Returns:
            (B, N).
        """
        taken = match.taken  # (B, N)
        true = taken * iou(predicted, take_rows(match.boxes, match.owner)) if self.rescore else taken
        background = ops.cast(ops.max(overlaps, axis=-1) <= self.ignore_threshold, "float32")
        weight = taken * self.object_scale + (1.0 - taken) * background * self.noobject_scale
        if match.importance is not None:
            weight = weight * match.importance
        return 0.5 * weight * (true - ops.sigmoid(logits)) ** 2

    def _class_loss(self, objects, raw):
        """The class term of each object, whose prediction is raw (B, Q, 5 + nodes): (B, Q)."""
        # (B, Q, nodes) each.
        true, logits = ops.one_hot(objects.labels, self.fields - 5), raw[..., 5:]
        if self.tree is not None:
            return -ops.sum(true * self.tree.log_probabilities(logits), axis=-1)
        if self.class_activation == "softmax":
            return -ops.sum(true * ops.log_softmax(logits), axis=-1)
        return 0.5 * ops.sum((true - ops.sigmoid(logits)) ** 2, axis=-1)

    def decode(self, outputs):
        """Detections: `boxes` (B, M, 4) xyxy pixels, `scores` (B, M), `labels` (B, M), -1 where there is none."""
        if self.tree is None:
            return super().decode(outputs)
        rows, grid = self._rows(outputs)  # (B, N, 5 + nodes)
        scores, chosen = stable_top_k(
            ops.sigmoid(rows[..., 4]), min(self.candidates, rows.shape[1])
        )  # (B, K) each
        rows = take_rows(rows, chosen)  # (B, K, 5 + nodes)
        boxes = decode_boxes(rows, grid.places.take(chosen))  # (B, K, 4)
        likely = ops.exp(self.tree.log_probabilities(rows[..., 5:]))  # (B, K, nodes)
        if self.class_map is not None:
            of_classes = ops.take(
                likely, ops.convert_to_tensor(self.class_map, "int32"), axis=-1
            )  # (B, K, C)
            return self.suppress(boxes, ops.expand_dims(scores, -1) * of_classes)
        flat = ops.reshape(likely, (-1, self.fields - 5))  # (B * K, nodes)
        labels = ops.reshape(self.tree.choose(flat, self.tree_threshold), (-1, scores.shape[1]))
        return self.suppress(boxes, scores, labels)


def _half_squares(raw, offset, size):
    """Half the squared distances of logistic x, y and raw w, h from what they are to be.

    Args:
        raw: (..., 4 or more) x, y, w, h and what follows.
        offset: (..., 2), or a number, that the logistics of x and y are to be.
        size: (..., 2), or a number, that w and h are to be.

    Returns:
        (...).
    """
    center = ops.sum((offset - ops.sigmoid(raw[..., :2])) ** 2, axis=-1)
    return 0.5 * (center + ops.sum((size - raw[..., 2:4]) ** 2, axis=-1))
