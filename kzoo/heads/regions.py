"""The regions that a two-stage detector is trained on: drawn from proposals, each with what it is to find."""

from __future__ import annotations

from dataclasses import dataclass, fields

from keras import ops

from kzoo.ops.assign import assign_anchors
from kzoo.ops.boxes import area
from kzoo.ops.gather import take_rows
from kzoo.ops.sampling import draw


@dataclass
class Regions:
    """T regions of each image, those with an object first.

    Attributes:
        boxes: (B, T, 4) xyxy pixels, without area where they are padding.
        owner: (B, T) int32, which of the M objects each is to find; meaningless where not positive.
        positive: (B, T) float, 1 where there is an object to find.
        counted: (B, T) float, 1 where there is an object or background, 0 of what is not trained.
    """

    boxes: object
    owner: object
    positive: object
    counted: object

    def first(self, count: int) -> Regions:
        """The first regions of each image, `count` of them or as many as there are."""
        return Regions(*(getattr(self, each.name)[:, :count] for each in fields(self)))


def match_regions(boxes, truth, labels, threshold: float, background_from: float = 0.0):
    """Which regions are to find an object, and which are background.

    Args:
        boxes: (B, N, 4) xyxy pixels.
        truth: (B, M, 4) the objects' boxes, as `kzoo.ops.assign.sound_boxes` leaves them.
        labels: (B, M) int, -1 for none.
        threshold: least IoU with the object that a region is to find, 0 to 1; what has less is background.
        background_from: IoU, 0 to 1, that background has to have with an object, 0 by default; in an image without
            objects all is background.

    Returns:
        A `kzoo.ops.assign.Assignment` in which what has no area is neither.
    """
    found = assign_anchors(boxes, truth, labels, threshold, threshold, rescue="none")
    there = area(boxes) > 0  # (B, N)
    found.positive = ops.logical_and(found.positive, there)
    found.negative = ops.logical_and(found.negative, there)
    if background_from:
        none = ops.all(labels < 0, axis=-1, keepdims=True)  # (B, 1)
        near = ops.logical_or(found.overlap >= background_from, none)
        found.negative = ops.logical_and(found.negative, near)
    return found


def sample_regions(
    proposals, truth, labels, threshold: float, background_from: float, total: int, share: float, chance
) -> Regions:
    """Draws the regions of a training step from proposals and the objects' own boxes.

    Args:
        proposals: (B, P, 4) xyxy pixels, without area where they are padding.
        truth: (B, M, 4) the objects' boxes, as `kzoo.ops.assign.sound_boxes` leaves them.
        labels: (B, M) int, -1 for none.
        threshold: least IoU with the object that a region is to find, 0 to 1.
        background_from: IoU, 0 to 1, that background has to have with an object.
        total: number of regions of an image, T.
        share: share of them with an object at most, 0 to 1.
        chance: (B, P + M) random numbers of 0 to 1: the largest are drawn.

    Source: Girshick 2015, arXiv:1504.08083, section 2.3; the objects' boxes join in as in the authors' Faster R-CNN.
    """
    objects = ops.where(ops.expand_dims(labels >= 0, -1), truth, 0.0)  # (B, M, 4)
    boxes = ops.concatenate([proposals, objects], axis=1)  # (B, P + M, 4)
    found = match_regions(boxes, truth, labels, threshold, background_from)
    drawn = draw(found.positive, found.negative, total, int(total * share), chance)
    there = ops.expand_dims(drawn.counted > 0, -1)
    return Regions(
        ops.where(there, take_rows(boxes, drawn.rows), 0.0),
        take_rows(found.owner, drawn.rows),
        drawn.positive,
        drawn.counted,
    )


def matched_again(boxes, truth, labels, threshold: float) -> Regions:
    """Regions of a later stage of a cascade: the boxes of the one before, asked for more overlap.

    Args:
        boxes: (B, T, 4) xyxy pixels.
        truth: (B, M, 4) the objects' boxes, as `kzoo.ops.assign.sound_boxes` leaves them.
        labels: (B, M) int, -1 for none.
        threshold: least IoU with the object that a region is to find, 0 to 1.

    Source: Cai & Vasconcelos 2018, arXiv:1712.00726, section 4.2.
    """
    found = match_regions(boxes, truth, labels, threshold)
    positive = ops.cast(found.positive, "float32")  # (B, T)
    return Regions(boxes, found.owner, positive, positive + ops.cast(found.negative, "float32"))
