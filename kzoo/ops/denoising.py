"""Queries that are made of the truth and spoilt, for a decoder to mend: how training begins sooner."""

from __future__ import annotations

from dataclasses import dataclass

from keras import ops

from kzoo.ops.boxes import center_boxes, corner_boxes
from kzoo.ops.gather import stable_top_k, take_rows


@dataclass
class Slots:
    """For which object each of a fixed number P of queries stands.

    The slots of an image are filled with groups of its objects: each object once and, where there are such, once more
    as a bad example. So an image of few objects has many groups, and the number of queries is the same for all.

    Attributes:
        owner: (B, P) int32, the object of each, 0 or more, whether it counts or not.
        group: (B, P) int32, its group.
        bad: (B, P) bool, whether it is a bad example, which is to say that there is nothing.
        counts: (B, P) bool, whether it stands for an object at all.
        groups: (B,) int32, the number of groups of each image, 1 or more.
    """

    owner: object
    group: object
    bad: object
    counts: object
    groups: object


def slots(there, pairs: int, most_groups: int | None = None, bad_ones: bool = True) -> Slots:
    """The slots of images.

    Args:
        there: (B, M) bool, which objects there are.
        pairs: number of good examples at most, 1 or more: an image of n objects has pairs // n groups, or 1; of more
            objects than pairs some have none.
        most_groups: number of groups at most, 1 or more; None (default) for as many as there is room for.
        bad_ones: whether each good example has a bad one; True by default.

    Returns:
        P = 2 * pairs slots, or as many as pairs where there are no bad examples.
    """
    kinds = 1 + bad_ones
    count = ops.sum(ops.cast(there, "int32"), axis=-1, keepdims=True)  # (B, 1)
    some = ops.maximum(count, 1)
    groups = ops.maximum(pairs // some, 1)
    if most_groups is not None:
        groups = ops.minimum(groups, most_groups)
    place = ops.expand_dims(ops.arange(kinds * pairs, dtype="int32"), 0)  # (1, P)
    group, within = place // (kinds * some), place % (kinds * some)  # (B, P)
    # The objects that there are, in their order, before those that are padding.
    _, order = stable_top_k(ops.cast(there, "float32"), there.shape[1])  # (B, M)
    owner = take_rows(order, ops.minimum(within % some, there.shape[1] - 1))
    return Slots(owner, group, within >= some, (group < groups) & (count > 0), groups[:, 0])


def visible(slots: Slots, queries: int):
    """Which queries each may look at, of those in slots and of as many ordinary ones behind them.

    Groups see themselves and the ordinary ones, and those see each other alone.

    Args:
        slots: the slots of P queries.
        queries: number of ordinary ones, Q.

    Returns:
        (B, P + Q, P + Q) bool.
    """
    same = ops.expand_dims(slots.group, 2) == ops.expand_dims(slots.group, 1)  # (B, P, P)
    same = same & ops.expand_dims(slots.counts, 1)
    batch, made = ops.shape(slots.group)
    of_ordinary = ops.zeros((batch, queries, made), dtype="bool")
    at_made = ops.concatenate([same, of_ordinary], axis=1)  # (B, P + Q, P)
    return ops.concatenate([at_made, ops.ones((batch, made + queries, queries), dtype="bool")], axis=2)


def moved_corners(boxes, bad, sign, share, noise: float):
    """Boxes whose corners are moved by up to a share of half their sides, those of bad examples by more.

    Args:
        boxes: (B, P, 4) centre and size, 0 to 1.
        bad: (B, P) bool, whether it is a bad example, whose corners are moved by once to twice as much.
        sign: (B, P, 4) -1 or 1, which way each coordinate moves.
        share: (B, P, 4) 0 to 1, how far.
        noise: what share 1 stands for, in half sides, 0 or more.

    Returns:
        (B, P, 4) centre and size, within the image.

    Source: Zhang et al. 2022, DINO, arXiv:2203.03605, section 3.3.
    """
    half = ops.concatenate([boxes[..., 2:], boxes[..., 2:]], axis=-1) / 2  # (B, P, 4)
    share = share + ops.cast(ops.expand_dims(bad, -1), share.dtype)
    return center_boxes(ops.clip(corner_boxes(boxes) + sign * share * half * noise, 0.0, 1.0))


def moved_centers(boxes, share, noise: float):
    """Boxes whose centres are moved by up to a share of half their sides, and whose sides change by a share.

    Args:
        boxes: (B, P, 4) centre and size, 0 to 1.
        share: (B, P, 4) -1 to 1, how far: of the centre, then of the sides.
        noise: what share 1 stands for, 0 or more.

    Returns:
        (B, P, 4) centre and size, each 0 to 1.

    Source: Li et al. 2022, DN-DETR, arXiv:2203.01305, section 4.3.
    """
    sides = boxes[..., 2:]
    reach = ops.concatenate([sides / 2, sides], axis=-1)  # (B, P, 4)
    return ops.clip(boxes + share * reach * noise, 0.0, 1.0)


def changed_labels(labels, chance, others, noise: float):
    """Labels of which a share is another, drawn at random.

    Args:
        labels: (B, P) int32.
        chance: (B, P) 0 to 1, random: those below `noise` are changed.
        others: (B, P) int32, random labels.
        noise: share that is changed, 0 to 1.

    Returns:
        (B, P) int32.
    """
    return ops.where(chance < noise, others, labels)
