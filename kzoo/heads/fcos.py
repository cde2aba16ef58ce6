"""FCOS's head: places on a pyramid tell classes, the distances to a box's edges, and how near its middle they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.anchor_layers import AnchorLayers
from kzoo.heads.base import SURE
from kzoo.heads.subnets import one_more
from kzoo.losses.focal import sigmoid_cross_entropy, sigmoid_focal_loss
from kzoo.losses.iou import BOX_LOSSES
from kzoo.ops.anchors import lay_anchors
from kzoo.ops.assign import sound_boxes
from kzoo.ops.boxes import area, within
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.points import boxes_around, edge_distances
from kzoo.ops.weighting import image_weighted, object_weighted
from kzoo.options import checked
from kzoo.options.building import FCOS

_LARGEST = 1e8  # square pixels, more than any object has


@keras.saving.register_keras_serializable("kzoo")
class FCOSHead(AnchorLayers):
    """A tower of convolutions for classes and one for boxes, which all levels of a pyramid go through.

    A place finds the object whose middle is near, if the object's size is one for its level: of several the smallest.

    Shapes, of N places of all levels:
        outputs: `{"class_stride8": (B, H/8, W/8, num_classes), "box_stride8": (B, H/8, W/8, 4) distances in strides to
            the left, top, right and bottom edge, 0 or more, "center_stride8": (B, H/8, W/8, 1) logits, ...}`.
        targets: as for `kzoo.heads.anchor.AnchorHead`.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of each feature map, in the order of the maps.
        tower: number of 3x3 convolutions of a tower, 1 to 100, 4 by default.
        tower_width: channels of those convolutions, 256 by default.
        radius: strides, above 0, 1.5 by default, that a place may be away from an object's middle.
        focal_gamma: exponent of the focal modulation, 0 or more, 2 by default.
        focal_alpha: weight of the positives, 0 to 1, 0.25 by default; None for no weights.
        box_loss: "giou" (default), or another of `kzoo.losses.iou.BOX_LOSSES`.
        multiple: pixels that the input's sides have to be multiples of, 32 by default.
        **kwargs: arguments of `kzoo.heads.detection.DetectionHead`, for the suppression; a score is the root of class
            times centreness.

    Raises:
        ValueError: an argument is out of its range.

    Source: Tian et al. 2019, arXiv:1904.01355; in numbers as torchvision, `models/detection/fcos.py`.
    """

    options = FCOS
    loss_names = ("class", "box", "center")
    meaning = ("strides",)
    tower_bias = True

    @checked(FCOS)
    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        tower: int = 4,
        tower_width: int = 256,
        radius: float = 1.5,
        focal_gamma: float = 2.0,
        focal_alpha: float | None = 0.25,
        box_loss: str = "giou",
        multiple: int = 32,
        **kwargs,
    ):
        # A place is a square of one stride: what is laid out like anchors is laid out as these are.
        squares = [[[stride, stride]] for stride in strides]
        super().__init__(num_classes, squares, strides, tower, tower_width, "group", True, **kwargs)
        self.radius = radius
        self.focal_gamma = focal_gamma
        self.focal_alpha = focal_alpha
        self.box_loss = box_loss
        self.multiple = multiple
        self.make_subnets(num_classes, rare=True)
        self.center_layer = one_more("box_centerness", 1, tower_width)

    def build(self, input_shape):
        super().build(input_shape)
        self.center_layer.build((*input_shape[0][:-1], self.tower_width))

    def finish(self, hidden):
        outputs = super().finish(hidden)
        of_boxes = hidden[len(self.levels) :]
        for name, maps in zip(self.levels, of_boxes, strict=True):
            outputs[f"box_{name}"] = ops.relu(outputs[f"box_{name}"])
            outputs[f"center_{name}"] = ops.cast(self.center_layer(maps), "float32")
        return outputs

    def kernels(self, shapes):
        return [*super().kernels(shapes), *((self.center_layer, shape) for shape in shapes)]

    def rows(self, outputs):
        """Class logits (B, N, K), distances (B, N, 4) in strides and centreness logits (B, N) of all places."""
        logits, distances = super().rows(outputs)
        return logits, distances, self._rows(outputs, "center", 1)[..., 0]

    def places(self, sizes):
        """Where the N places are, (N, 2) x and y in pixels; and the stride of each, (N,)."""
        squares = lay_anchors(sizes, self.anchors, self.strides, 0.0)  # (N, 4)
        return (squares[:, :2] + squares[:, 2:]) / 2, squares[:, 2] - squares[:, 0]

    def assign(self, boxes, labels, points, strides):
        """Which object each place finds.

        Args:
            boxes: (B, M, 4) xyxy pixels, as `sound_boxes` leaves them.
            labels: (B, M) int, -1 for none.
            points: (N, 2) x and y in pixels.
            strides: (N,) pixels.

        Returns:
            (B, N) int32, which object; (B, N) bool, whether there is one; (B, N) bool, whether the place is in a region
            without a label, which is neither object nor background.
        """
        middle = ops.expand_dims((boxes[..., :2] + boxes[..., 2:]) / 2, 2)  # (B, M, 1, 2)
        away = ops.max(ops.abs(points - middle), axis=-1)  # (B, M, N)
        distances = edge_distances(points, ops.expand_dims(boxes, 2))  # (B, M, N, 4)
        inside = ops.min(distances, axis=-1) > 0
        longest = ops.max(distances, axis=-1)
        least = ops.where(strides > self.strides[0], 4.0 * strides, 0.0)  # (N,)
        most = ops.where(strides < self.strides[-1], 8.0 * strides, math.inf)
        fits = (away < self.radius * strides) & inside & (longest > least) & (longest < most)
        size = area(boxes)  # (B, M)
        objects = (labels >= 0) & (size > 0)
        # Of several objects the smallest: the one with the largest rest.
        rest = ops.where(fits & ops.expand_dims(objects, -1), ops.expand_dims(_LARGEST - size, -1), 0.0)
        owner = ops.cast(ops.argmax(rest, axis=1), "int32")  # (B, N)
        regions = ops.expand_dims((labels < 0) & (size > 0), -1)
        return owner, ops.max(rest, axis=1) > 0, ops.any(inside & regions, axis=1)

    def loss(self, targets, outputs, sample_weight=None):
        # 1. Places (N), predictions (B, N, ...), objects (B, M).
        logits, distances, centers = self.rows(outputs)
        points, strides = self.places(self.sizes(outputs))
        boxes, labels = sound_boxes(targets["boxes"]), ops.cast(targets["labels"], "int32")
        owner, found, unknown = self.assign(boxes, labels, points, strides)

        # 2. How much each place counts, (B, N).
        positive = object_weighted(ops.cast(found, "float32"), targets, owner)
        learnt = ops.where(found, positive, 1.0 - ops.cast(unknown, "float32"))

        # 3. The terms of each place, (B, N).
        own_labels = ops.where(found, take_rows(ops.maximum(labels, 0), owner), -1)
        hot = ops.one_hot(own_labels, self.num_classes)  # (B, N, K), zeros for -1
        classes = ops.sum(sigmoid_focal_loss(hot, logits, self.focal_gamma, self.focal_alpha), axis=-1)
        own_boxes = take_rows(boxes, owner)  # (B, N, 4)
        predicted = boxes_around(points, distances * ops.expand_dims(strides, -1))
        true = ops.maximum(edge_distances(points, own_boxes), 1e-6)  # (B, N, 4)
        across, down = true[..., 0::2], true[..., 1::2]  # left and right, top and bottom
        middle = ops.sqrt(
            ops.min(across, -1) / ops.max(across, -1) * ops.min(down, -1) / ops.max(down, -1)
        )  # (B, N), 1 in the middle of the box, 0 at its edges
        terms = {
            "class": classes * learnt,
            "box": BOX_LOSSES[self.box_loss](own_boxes, predicted) * positive,
            "center": sigmoid_cross_entropy(middle, centers) * positive,
        }
        count = ops.maximum(ops.sum(positive), 1.0)
        return {name: ops.sum(image_weighted(term, sample_weight)) / count for name, term in terms.items()}

    def encode(self, targets, sizes) -> dict:
        """Raw outputs that decode to the targets: for tests.

        Args:
            targets: boxes (B, M, 4) and labels (B, M) by name, as `loss` takes them.
            sizes: height and width of each feature map in cells, in the order of the strides.
        """
        points, strides = self.places(sizes)
        boxes, labels = sound_boxes(targets["boxes"]), ops.cast(targets["labels"], "int32")
        owner, found, _ = self.assign(boxes, labels, points, strides)
        distances = edge_distances(points, take_rows(boxes, owner)) / ops.expand_dims(strides, -1)
        hot = ops.one_hot(ops.where(found, take_rows(labels, owner), -1), self.num_classes)
        rows = {
            "class": SURE * (2.0 * hot - 1.0),
            "box": ops.relu(distances),
            "center": ops.where(found, SURE, -SURE)[..., None],
        }
        outputs, start = {}, 0
        for name, (height, width) in zip(self.levels, sizes, strict=True):
            end = start + height * width
            for kind, values in rows.items():
                outputs[f"{kind}_{name}"] = ops.reshape(
                    values[:, start:end], (-1, height, width, values.shape[-1])
                )
            start = end
        return outputs

    def decode(self, outputs):
        """Detections, within the image: as `kzoo.heads.detection.DetectionHead` has them."""
        logits, distances, centers = self.rows(outputs)
        sizes = self.sizes(outputs)
        points, strides = self.places(sizes)
        # The logistic keeps the order of classes' logits, so one for each place is enough to choose K of them.
        scores = ops.sigmoid(ops.max(logits, axis=-1)) * ops.sigmoid(centers)  # (B, N)
        _, chosen = stable_top_k(scores, min(self.candidates, logits.shape[1]))  # (B, K)
        logits, distances, centers = (take_rows(rows, chosen) for rows in (logits, distances, centers))
        points, strides = ops.take(points, chosen, axis=0), ops.take(strides, chosen, axis=0)
        boxes = boxes_around(points, distances * ops.expand_dims(strides, -1))  # (B, K, 4)
        height, width = (cells * self.strides[0] for cells in sizes[0])
        scores = ops.sqrt(ops.sigmoid(logits) * ops.sigmoid(ops.expand_dims(centers, -1)))  # (B, K, classes)
        return self.suppress(within(boxes, height, width), scores)
