"""Regions that overlap their objects more or less: the objects' own boxes, moved at random."""

from __future__ import annotations

from keras import ops

from kzoo.heads.regions import Regions
from kzoo.ops.boxes import iou
from kzoo.ops.gather import stable_top_k, take_rows

LEAST_OVERLAP = 0.5  # IoU of the loosest region with its object
NUMBERS = 5  # random numbers of each try: how far at most edges move, and how far each of them does
_FARTHEST = 0.45  # share of the box's side that an edge moves at most


def jittered_regions(truth, labels, wanted, chance, clipped):
    """Regions whose IoU with their objects is even between a half and one.

    Every region has an object, of which an image's have equally many. Several boxes around it are tried, and the one is
    taken whose IoU is nearest to a number that was drawn from 0.5 to 1; none is if all are below 0.5.

    Args:
        truth: (B, M, 4) the objects' boxes, as `kzoo.ops.assign.sound_boxes` leaves them.
        labels: (B, M) int, -1 for none.
        wanted: (B, T) random numbers of 0 to 1: what the IoU is to be, 0 for a half.
        chance: (B, T * J, 5) random numbers of 0 to 1, for J tries a region.
        clipped: takes boxes (..., 4), and gives what lies within the image.

    Returns:
        The regions, T of each image, all of them positive or padding; and their IoU (B, T) with their objects, 0 of
        padding.

    Source: Jiang et al. 2018, arXiv:1807.11590, section 3.1.
    """
    count = wanted.shape[1]
    sound = ops.logical_and(labels >= 0, truth[..., 2] > truth[..., 0])  # (B, M)
    there, order = stable_top_k(ops.cast(sound, "float32"), labels.shape[1])  # objects first
    total = ops.cast(ops.sum(there, axis=1, keepdims=True), "int32")  # (B, 1)
    turn = ops.arange(count, dtype="int32") % ops.maximum(total, 1)  # (B, T)
    owner = take_rows(order, turn)
    objects = take_rows(truth, owner)  # (B, T, 4)

    tries = chance.shape[1] // count
    own = ops.expand_dims(objects, 2)  # (B, T, 1, 4)
    moves = ops.reshape(chance, (-1, count, tries, NUMBERS))
    sides = own[..., 2:] - own[..., :2]
    edges = _FARTHEST * moves[..., :1] * (2 * moves[..., 1:] - 1)  # (B, T, J, 4), in sides
    boxes = clipped(own + edges * ops.concatenate([sides, sides], axis=-1))
    overlap = iou(boxes, own)  # (B, T, J)
    aim = LEAST_OVERLAP + (1 - LEAST_OVERLAP) * ops.expand_dims(wanted, -1)
    nearness = ops.where(overlap >= LEAST_OVERLAP, -ops.absolute(overlap - aim), -1.0)
    nearness, best = stable_top_k(ops.reshape(nearness, (-1, tries)), 1)  # (B * T, 1) each
    boxes = take_rows(ops.reshape(boxes, (-1, tries, 4)), best)
    overlap = take_rows(ops.reshape(overlap, (-1, tries)), best)
    found = ops.logical_and(ops.reshape(nearness, (-1, count)) > -1.0, total > 0)  # (B, T)
    boxes = ops.where(ops.expand_dims(found, -1), ops.reshape(boxes, (-1, count, 4)), 0.0)
    positive = ops.cast(found, "float32")
    return Regions(boxes, owner, positive, positive), positive * ops.reshape(overlap, (-1, count))
