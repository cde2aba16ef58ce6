"""What queries cost, who is to find what, and the terms of the loss that follow."""

from __future__ import annotations

from dataclasses import dataclass

from keras import ops

from kzoo.heads.query_parts import Match, Truth
from kzoo.losses.focal import sigmoid_focal_loss, varifocal_loss
from kzoo.losses.iou import giou_loss
from kzoo.ops.boxes import corner_boxes, iou
from kzoo.ops.gather import take_rows
from kzoo.ops.matching import cheapest_pairs
from kzoo.ops.weighting import image_weighted

# How classes are told: probabilities of all classes and of none that sum up to 1; or each by itself, trained towards 1
# or, "varifocal", towards the overlap that the box has reached.
CLASS_LOSSES = ("softmax", "focal", "varifocal")
_MARGIN = 1e-8  # below which the matching's logarithms do not look


@dataclass(frozen=True)
class QueryLoss:
    """The loss of a set of queries, each of which finds one object or none.

    Layers of a decoder lie along a first axis, L: what is said of B images and Q queries is (L, B, Q, ...). Softmax's
    first logit is that of no object.

    Attributes:
        class_loss: one of `CLASS_LOSSES`.
        no_object_weight: what a query without an object counts in softmax's cross-entropy, 0 or more.
        focal_gamma: exponent of the modulation of "focal" and "varifocal", 0 or more.
        focal_alpha: weight of the objects, 0 to 1, of "focal"; of "varifocal" that of background.
        weights: factors of the terms by their names, `class`, `box` and `giou`.
        costs: factors of the costs that objects are assigned by, by the same names.

    Source: Carion et al. 2020, DETR, arXiv:2005.12872, section 3.1 and appendix A.2; focal: Zhu et al. 2020, Deformable
        DETR, arXiv:2010.04159; varifocal: Zhao et al. 2023, RT-DETR, arXiv:2304.08069.
    """

    class_loss: str
    no_object_weight: float
    focal_gamma: float
    focal_alpha: float
    weights: dict[str, float]
    costs: dict[str, float]

    def match(self, truth: Truth, logits, boxes) -> Match:
        """The assignment of objects to queries, for each layer and image by itself.

        Args:
            truth: the objects.
            logits: (L, B, Q, K), or (L, B, Q, 1 + K) of softmax.
            boxes: (L, B, Q, 4) centre and size, 0 to 1.
        """
        shape = ops.shape(boxes)[:3]
        cost = self.cost(truth, logits, boxes)  # (L, B, Q, M)
        there = ops.broadcast_to(truth.there, (shape[0], *ops.shape(truth.there)))  # (L, B, M)
        problems = shape[0] * shape[1]
        cost = ops.reshape(cost, (problems, *ops.shape(cost)[2:]))
        owner = cheapest_pairs(cost, ops.reshape(there, (problems, ops.shape(there)[2])))
        owner = ops.reshape(owner, shape)
        return Match(ops.maximum(owner, 0), owner >= 0)

    def cost(self, truth: Truth, logits, boxes):
        """What each query would cost for each object, through which no gradient passes: (L, B, Q, M).

        Args:
            truth: the objects.
            logits: what `match` takes under this name.
            boxes: (L, B, Q, 4) centre and size, 0 to 1.
        """
        logits, boxes = ops.stop_gradient(logits), ops.stop_gradient(boxes)
        own = ops.expand_dims(boxes, -2)  # (L, B, Q, 1, 4)
        true = ops.expand_dims(truth.boxes, 1)  # (B, 1, M, 4)
        # Coordinate by coordinate: a fifth axis of all would take four times the memory.
        distance = sum(ops.abs(own[..., axis] - true[..., axis]) for axis in range(4))  # (L, B, Q, M)
        overlap = 1.0 - giou_loss(corner_boxes(true), corner_boxes(own))  # (L, B, Q, M)
        hot = ops.one_hot(truth.labels, self.classes(logits))  # (B, M, K)
        classes = ops.matmul(self._class_cost(logits), ops.transpose(hot, (0, 2, 1)))  # (L, B, Q, M)
        return self.costs["class"] * classes + self.costs["box"] * distance - self.costs["giou"] * overlap

    def classes(self, logits) -> int:
        """The number of classes of logits (..., K) or, of softmax, (..., 1 + K)."""
        return logits.shape[-1] - (self.class_loss == "softmax")

    def _class_cost(self, logits):
        """What a query costs for an object of each class: (L, B, Q, K)."""
        if self.class_loss == "softmax":
            return -ops.softmax(logits)[..., 1:]
        # Both kinds that tell each class by itself are matched by the focal loss, whose alpha is 1/4.
        likely = ops.sigmoid(logits)
        gained = 0.25 * (1.0 - likely) ** 2 * ops.log(likely + _MARGIN)
        return -gained + 0.75 * likely**2 * ops.log(1.0 - likely + _MARGIN)

    def terms(self, truth: Truth, match: Match, logits, boxes, sample_weight=None) -> dict:
        """The terms of each layer by name, (L,) each, times their factors.

        Args:
            truth: the objects.
            match: the object that each query is to find.
            logits: what `match` takes under this name.
            boxes: (L, B, Q, 4) centre and size, 0 to 1.
            sample_weight: (B,) factors of what each image adds to the sums; None (default) for 1.
        """
        # What each query has to find, (L, B, Q, ...), and how much it counts as an object.
        own_boxes, own_labels, weight = (
            of_owner(each, match.owner) for each in (truth.boxes, truth.labels, truth.weights)
        )
        positive = ops.where(match.positive, weight, 0.0)  # (L, B, Q)
        corners = corner_boxes(own_boxes), corner_boxes(boxes)
        count = truth.count
        terms = {
            "class": self._class_terms(match, own_labels, positive, logits, corners, sample_weight, count),
            "box": _summed(ops.sum(ops.abs(boxes - own_boxes), axis=-1) * positive, sample_weight) / count,
            "giou": _summed(giou_loss(*corners) * positive, sample_weight) / count,
        }
        return {name: self.weights[name] * term for name, term in terms.items()}

    def _class_terms(self, match, labels, positive, logits, corners, sample_weight, count):
        """The class term of each layer, (L,), without its factor.

        Args:
            match: the object that each query is to find.
            labels: (L, B, Q) int32, the class of that object.
            positive: (L, B, Q) what the query counts as an object, 0 where it has none.
            logits: what `match` takes under this name.
            corners: (L, B, Q, 4) xyxy, 0 to 1: that object's box, and the query's.
            sample_weight: (B,) factors of the images, or None.
            count: number of objects that sums are divided by.
        """
        is_object = ops.cast(match.positive, "float32")  # (L, B, Q)
        counted = 1.0 if match.counted is None else match.counted
        if self.class_loss == "softmax":
            hot = ops.one_hot(ops.where(match.positive, labels + 1, 0), logits.shape[-1])
            wrong = -ops.sum(hot * ops.log_softmax(logits), axis=-1)  # (L, B, Q)
            weight = ops.where(match.positive, positive, self.no_object_weight) * counted
            total = ops.maximum(ops.sum(weight, axis=(1, 2)), 1e-6)  # (L,)
            return _summed(wrong * weight, sample_weight) / total
        hot = ops.one_hot(ops.where(match.positive, labels, -1), logits.shape[-1])  # (L, B, Q, K)
        if self.class_loss == "focal":
            wrong = sigmoid_focal_loss(hot, logits, self.focal_gamma, self.focal_alpha)
        else:
            quality = ops.expand_dims(ops.stop_gradient(iou(*corners)), -1) * hot
            wrong = varifocal_loss(quality, hot, logits, self.focal_gamma, self.focal_alpha, fixed=True)
        # A query counts as its object does; one without counts whole.
        weight = (positive + 1.0 - is_object) * counted
        return _summed(ops.sum(wrong, axis=-1) * weight, sample_weight) / count


def of_owner(values, owner):
    """What there is of each query's object: (B, M, ...) of objects, owner (L, B, Q) -> (L, B, Q, ...)."""
    layers, batch, queries = ops.shape(owner)
    flat = ops.reshape(ops.transpose(owner, (1, 0, 2)), (batch, layers * queries))  # (B, L * Q)
    rows = ops.reshape(take_rows(values, flat), (batch, layers, queries, *values.shape[2:]))
    return ops.swapaxes(rows, 0, 1)


def _summed(values, sample_weight):
    """Sums (L,) of (L, B, Q) numbers, each image's by its factor (B,), or by 1 where that is None."""
    return ops.sum(image_weighted(ops.transpose(ops.sum(values, axis=-1)), sample_weight), axis=0)
