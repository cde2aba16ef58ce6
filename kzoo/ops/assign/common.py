"""What every way of assigning objects shares."""

from __future__ import annotations

from dataclasses import dataclass

from keras import ops

from kzoo.ops.gather import take_rows


@dataclass
class PointAssignment:
    """What every one of N predictions is to find.

    Attributes:
        owner: (B, N) int32, which of the M objects; 0 where not positive.
        positive: (B, N) bool: the prediction is to find that object; if not, it is background.
        quality: (B, N) float, how well it does so by now, 0 to 1, 0 where not positive: the target of its class.
    """

    owner: object
    positive: object
    quality: object


def sound_boxes(boxes):
    """Boxes (..., 4) in float32, with zeros for those without area, inverted, or with NaN or infinity."""
    boxes = ops.cast(boxes, "float32")
    sound = ops.logical_and(boxes[..., 2:] > boxes[..., :2], ops.isfinite(boxes[..., 2:] - boxes[..., :2]))
    return ops.where(ops.all(sound, axis=-1, keepdims=True), boxes, 0.0)


def last_owner(index, takes, total):
    """Of several pairs on one row the last stays, as Darknet's loop over objects overwrites.

    Args:
        index: (B, Q) int32, the row of each pair.
        takes: (B, Q) bool, which pairs count.
        total: number of rows, N.

    Returns:
        (B, Q) float, 1 for the pairs that stay; (B, N) float, 1 for rows with a pair; (B, N) int32, which one
        it is, 0 where there is none.
    """
    order = ops.arange(1, index.shape[1] + 1, dtype="int32")  # (Q,)
    owner = most_by_row(ops.broadcast_to(order, ops.shape(index)), index, takes, total)  # (B, N)
    last = ops.logical_and(takes, ops.equal(take_rows(owner, ops.where(takes, index, 0)), order))
    taken = owner > 0
    return ops.cast(last, "float32"), ops.cast(taken, "float32"), ops.where(taken, owner - 1, 0)


def most_by_row(values, index, counts, total):
    """The largest of the values that go to each row; 0 for a row that none, or none above 0, goes to.

    Args:
        values: (B, Q) numbers.
        index: (B, Q) int32, the row of each value.
        counts: (B, Q) bool, which values count.
        total: number of rows, N.

    Returns:
        (B, N).
    """
    return ops.maximum(_by_row(ops.segment_max, values, index, counts, total), 0)


def sum_by_row(values, index, counts, total):
    """The sum of the values that go to each row: as `most_by_row`."""
    return _by_row(ops.segment_sum, values, index, counts, total)


def _by_row(reduce, values, index, counts, total):
    batch = ops.shape(index)[0]
    # All images in one row of B * N, so that one operation, which every backend and export has, is enough.
    offset = ops.expand_dims(ops.arange(batch, dtype="int32") * total, -1)  # (B, 1)
    # What does not count goes to one row behind the last.
    flat = ops.where(counts, index + offset, batch * total)  # (B, Q)
    rows = reduce(ops.reshape(values, (-1,)), ops.reshape(flat, (-1,)), num_segments=batch * total + 1)
    return ops.reshape(rows[: batch * total], (batch, total))


def one_owner(index, takes, preference):
    """From pairs of an object and a point to one object a point.

    Args:
        index: (B, M, K) int32, points that each object may take.
        takes: (B, M, K) bool, which of them it takes.
        preference: (B, M, N), how much each point likes each object: one that several objects take goes to the object
            it likes most of all, be it none of those, as the authors of SimOTA and of task-aligned assignment have it;
            of equal ones to the first.

    Returns:
        (B, N) int32, the object of each point, 0 where there is none; and (B, N) bool, whether there is one.
    """
    batch, objects, count = ops.shape(index)[0], index.shape[1], index.shape[2]
    total = ops.shape(preference)[2]
    index, takes = (ops.reshape(pairs, (batch, objects * count)) for pairs in (index, takes))  # (B, M * K)
    numbers = ops.repeat(ops.arange(1, objects + 1, dtype="int32"), count)  # (M * K,), from 1
    owner = most_by_row(ops.broadcast_to(numbers, ops.shape(index)), index, takes, total)  # (B, N)
    rivals = sum_by_row(ops.cast(takes, "int32"), index, takes, total)  # (B, N)
    favourite = ops.cast(ops.argmax(preference, axis=1), "int32")  # (B, N)
    owner = ops.where(rivals > 1, favourite, ops.maximum(owner - 1, 0))
    return owner, rivals > 0


def of_owner(values, owner):
    """What (B, M, N) values say of each of the N points and its object (B, N): (B, N)."""
    objects, points = values.shape[1], ops.shape(values)[2]
    flat = ops.reshape(values, (-1, objects * points, 1))  # (B, M * N, 1)
    place = owner * points + ops.arange(points, dtype="int32")  # (B, N)
    return take_rows(flat, place)[..., 0]
