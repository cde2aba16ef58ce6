"""D-FINE's loss: of a set of queries, of their sides' distributions, and of what the last layer knows better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras import ops

from kzoo.heads.query_loss import QueryLoss, of_owner
from kzoo.heads.query_parts import Match, Truth
from kzoo.losses.fine_distances import distillation_loss, two_bins_loss
from kzoo.ops.boxes import corner_boxes, iou
from kzoo.ops.fine_distances import side_targets, two_bins
from kzoo.ops.weighting import image_weighted

_BATCH = 8  # of the authors' batch on one device, by which the numbers of queries are counted


def most_frequent(matches: Sequence[Match], truth: Truth) -> Match:
    """For each query the object that it was given most often, as one layer.

    Args:
        matches: assignments of the same queries, of one layer or several each.
        truth: the objects.
    """
    votes = 0.0
    for match in matches:
        hot = ops.one_hot(ops.where(match.positive, match.owner, -1), truth.labels.shape[1])  # (L, B, Q, M)
        votes = votes + ops.sum(hot, axis=0)
    owner = ops.expand_dims(ops.cast(ops.argmax(votes, axis=-1), "int32"), 0)
    return Match(owner, ops.expand_dims(ops.any(votes > 0, axis=-1), 0))


@dataclass(frozen=True)
class FineLoss:
    """The loss of queries whose sides are told as distributions.

    What is told is a list of `kzoo.heads.d_fine.Told`: first the box that distances count from, without sides, and
    then every layer's.

    Attributes:
        set_loss: the loss of classes and boxes.
        distances: what the bins of a side stand for.
        scale: what sides' distances are counted by.
        sides_weight: factor of the sides' term, 0 or more.
        teacher_weight: factor of the term by which layers learn from the last one, 0 or more.

    Source: Peng et al. 2024, D-FINE, arXiv:2410.13842, sections 4.1 and 4.2; as its code has it.
    """

    set_loss: QueryLoss
    distances: object
    scale: float
    sides_weight: float
    teacher_weight: float

    def set_terms(self, truth: Truth, match: Match, agreed: Match, logits, boxes, sample_weight) -> dict:
        """Terms (L,) by name, of classes by each layer's own assignment, and of boxes by that all layers share.

        Args:
            truth: the objects.
            match: each layer's assignment.
            agreed: the assignment of boxes, as one layer.
            logits: (L, B, Q, K).
            boxes: (L, B, Q, 4) centre and size, 0 to 1.
            sample_weight: (B,) factors of what each image adds to the sums, or None.
        """
        shared = _for_layers(agreed, ops.shape(match.owner)[0])
        own = self.set_loss.terms(truth, match, logits, boxes, sample_weight)
        of_boxes = self.set_loss.terms(truth, shared, logits, boxes, sample_weight)
        ratio = truth.count / self.count(truth, agreed)
        return {"class": own["class"], **{name: ratio * of_boxes[name] for name in ("box", "giou")}}

    def count(self, truth: Truth, agreed: Match):
        """What the queries that have objects count together, at least 1; spoilt ones as the objects do."""
        if agreed.counted is not None:
            return truth.count
        weights = ops.where(agreed.positive, of_owner(truth.weights, agreed.owner), 0.0)
        return ops.maximum(ops.sum(weights), 1.0)

    def terms(self, truth: Truth, match: Match, agreed: Match, told: list, sample_weight, balance=None):
        """All terms by name, and what matched and other queries count in the teacher's.

        Args:
            truth: the objects.
            match: the assignment of the first boxes and of each layer.
            agreed: the assignment of boxes, as one layer.
            told: what the first boxes and each layer tell.
            sample_weight: (B,) factors of what each image adds to the sums, or None.
            balance: what matched and other queries count in the teacher's term; by their numbers where None (default).

        Returns:
            terms (L,) by name, and the balance.
        """
        logits, boxes = ops.stack([each.logits for each in told]), ops.stack([each.boxes for each in told])
        terms = self.set_terms(truth, match, agreed, logits, boxes, sample_weight)
        sides = ops.stack([each.sides for each in told[1:]])  # (L, B, Q, 4 * (bins + 1))
        sides = ops.reshape(sides, (*ops.shape(sides)[:-1], 4, len(self.distances)))
        corners = corner_boxes(of_owner(truth.boxes, agreed.owner))  # (1, B, Q, 4)
        overlap = ops.stop_gradient(iou(corners, corner_boxes(boxes[1:])))  # (L, B, Q)
        weight = ops.where(agreed.positive, of_owner(truth.weights, agreed.owner), 0.0)  # (1, B, Q)

        wanted = side_targets(ops.stop_gradient(told[0].boxes), corners[0], self.scale)  # (B, Q, 4)
        lower, share = two_bins(ops.stop_gradient(wanted), self.distances)
        wrong = two_bins_loss(sides, ops.expand_dims(lower, 0), ops.expand_dims(share, 0))  # (L, B, Q, 4)
        wrong = ops.sum(wrong, axis=-1) * overlap * weight
        total = ops.sum(_weighted(wrong, sample_weight), axis=(1, 2)) / self.count(truth, agreed)
        terms["sides"] = self.sides_weight * total

        balance = self.balance(agreed) if balance is None else balance
        terms["teacher"] = self.teacher_weight * self.taught(
            agreed, logits[-1], sides, overlap, sample_weight, balance
        )
        return terms, balance

    def balance(self, agreed: Match) -> tuple:
        """What matched and other queries count in the teacher's term: the roots of their numbers in a usual batch."""
        batch = ops.cast(ops.shape(agreed.owner)[1], "float32")
        matched = ops.sum(ops.cast(agreed.positive, "float32"))
        others = ops.sum(ops.cast(ops.logical_not(agreed.positive), "float32"))
        return tuple(ops.sqrt(4 * count * _BATCH / batch) for count in (matched, others))

    def taught(self, agreed: Match, teacher_logits, sides, overlap, sample_weight, balance):
        """How far each layer's sides are from the last one's, without the factor: (L,), 0 of the last.

        Args:
            agreed: the assignment of boxes, as one layer.
            teacher_logits: (B, Q, K) of the last layer's classes.
            sides: (L, B, Q, 4, bins + 1) logits.
            overlap: (L, B, Q) IoU of each layer's boxes with their objects.
            sample_weight: (B,) factors of the images, or None.
            balance: what matched and other queries count.
        """
        sure = ops.max(ops.sigmoid(ops.stop_gradient(teacher_logits)), axis=-1)  # (B, Q)
        weight = ops.where(agreed.positive, overlap, sure)  # (L, B, Q)
        far = ops.mean(distillation_loss(sides, sides[-1:]), axis=-1) * weight  # (L, B, Q)
        far = _weighted(far, sample_weight)
        counted = 1.0 if agreed.counted is None else agreed.counted
        matched = ops.cast(agreed.positive, "float32")  # (1, B, Q)
        means = [
            ops.sum(far * mask, axis=(1, 2)) / ops.maximum(ops.sum(mask), 1.0)
            for mask in (matched * counted, (1.0 - matched) * counted)
        ]
        mixed = means[0] * balance[0] + means[1] * balance[1]
        return mixed / ops.maximum(balance[0] + balance[1], 1e-6)


def _for_layers(match: Match, layers) -> Match:
    """The same assignment for several layers."""

    def spread(values):
        return ops.broadcast_to(values, (layers, *ops.shape(values)[1:]))

    counted = None if match.counted is None else spread(match.counted)
    return Match(spread(match.owner), spread(match.positive), counted)


def _weighted(values, sample_weight):
    """Numbers (L, B, Q) times their image's factor (B,)."""
    return ops.swapaxes(image_weighted(ops.swapaxes(values, 0, 1), sample_weight), 0, 1)
