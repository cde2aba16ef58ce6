"""Which anchor is to find which object: by overlap."""

from __future__ import annotations

from dataclasses import dataclass

from keras import ops

from kzoo.ops.assign.common import last_owner
from kzoo.ops.boxes import pairwise_iou

RESCUES = ("ties", "best", "none")


@dataclass
class Assignment:
    """What every one of N anchors is to find.

    Attributes:
        owner: (B, N) int32, which of the M objects; meaningless where not positive.
        positive: (B, N) bool: the anchor is to find that object.
        negative: (B, N) bool: the anchor is to find nothing. What is neither is not trained.
        overlap: (B, N) its IoU with that object, 0 to 1; below 0 where there is no object at all.
    """

    owner: object
    positive: object
    negative: object
    overlap: object


def assign_anchors(
    anchors, boxes, labels, positive: float = 0.5, negative: float = 0.4, rescue: str = "ties"
) -> Assignment:
    """Gives every anchor the object that it overlaps most, if it does so enough.

    Args:
        anchors: (N, 4) xyxy pixels, or (B, N, 4) where each image has its own.
        boxes: (B, M, 4) xyxy pixels, as `sound_boxes` leaves them.
        labels: (B, M) int, -1 for none. A box with area and without a label is neither object nor background.
        positive: least IoU with the object that an anchor is to find, 0 to 1, 0.5 by default.
        negative: IoU with every object below which an anchor is background, 0 to `positive`, 0.4 by default.
        rescue: what an object gets that no anchor overlaps so much: "ties" (default): the anchors that overlap it most
            find what they overlap most, be it another object; "best": the one anchor that overlaps it most finds it,
            whatever else that overlaps, and of several objects the last; "none": nothing.

    Returns:
        For each of the N anchors of each image its object and whether it is positive or negative.

    Source: RetinaNet, arXiv:1708.02002, section 4; SSD, arXiv:1512.02325, section 2.2, "Matching strategy"; "ties":
    Faster R-CNN, arXiv:1506.01497, section 3.1.2.
    """
    # 1. Each anchor's overlap with each object, where padding and regions without a label overlap nothing.
    overlaps = pairwise_iou(anchors, boxes)  # (B, N, M)
    objects = ops.logical_and(labels >= 0, boxes[..., 2] > boxes[..., 0])  # (B, M)
    of_objects = ops.where(ops.expand_dims(objects, 1), overlaps, -1.0)  # (B, N, M)

    # 2. The object that an anchor overlaps most, if it does so enough.
    most = ops.max(of_objects, axis=-1)  # (B, N)
    owner = ops.cast(ops.argmax(of_objects, axis=-1), "int32")  # (B, N)
    positives = most >= positive
    # Regions without a label count here too: what overlaps them is not background.
    negatives = ops.max(overlaps, axis=-1) < negative  # (B, N)

    # 3. Anchors for objects that none overlaps enough.
    if rescue == "ties":
        best = ops.max(of_objects, axis=1, keepdims=True)  # (B, 1, M)
        rescued = ops.any(ops.logical_and(ops.equal(of_objects, best), best > 0), axis=-1)  # (B, N)
        positives = ops.logical_or(positives, rescued)
    elif rescue == "best":
        nearest = ops.cast(ops.argmax(of_objects, axis=1), "int32")  # (B, M)
        _, taken, last = last_owner(nearest, objects, overlaps.shape[1])
        owner = ops.where(taken > 0, last, owner)
        positives = ops.logical_or(positives, taken > 0)
    return Assignment(owner, positives, ops.logical_and(negatives, ops.logical_not(positives)), most)
