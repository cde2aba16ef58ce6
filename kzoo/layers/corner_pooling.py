"""Corner pooling: at each place the largest value from there to the map's edge, along a row or a column."""

from __future__ import annotations

import math

import keras
from keras import layers, ops

from kzoo.ops.runs import away, reaches

# Which way each looks: the axis of (B, H, W, C), and whether from the end of that axis back to the place.
DIRECTIONS = {"top": (1, True), "bottom": (1, False), "left": (2, True), "right": (2, False)}


def running_maximum(x, axis: int, backward: bool):
    """The largest value up to each place along an axis, or from the end back to it.

    Of equal values the one farthest from the place, which a scan would meet first, has the gradient.

    Args:
        x: (B, H, W, C) maps.
        axis: 1 for columns, 2 for rows.
        backward: whether from the end.

    Returns:
        (B, H, W, C).
    """
    lowest = -3e38 if keras.backend.standardize_dtype(x.dtype) == "float32" else -6e4
    length = x.shape[axis]
    if length is None:
        return _doubled(x, axis, backward, lowest)
    # The axis falls into blocks, about as many as they are long. All blocks are scanned at once, row by row, and what
    # each comes to goes on to the next ones: few operations, each on a part of the map that stays in the cache.
    size = 2 ** math.ceil(math.log2(length) / 2)
    blocks, shape = -(-length // size), ops.shape(x)
    padding = [[0, 0]] * 4
    padding[axis] = [0, blocks * size - length]
    if blocks * size > length:
        x = ops.pad(x, padding, constant_values=lowest)
    x = ops.reshape(x, (*shape[:axis], blocks, size, *shape[axis + 1 :]))
    rows = _scanned(ops.unstack(x, size, axis=axis + 1), backward)
    # What stands before the first block is less than anything.
    ends = _scanned(ops.unstack(rows[0 if backward else -1], blocks, axis=axis), backward)
    nothing = ops.full_like(ends[0], lowest)
    before = ops.stack([*ends[1:], nothing] if backward else [nothing, *ends[:-1]], axis=axis)
    x = ops.stack([_larger(row, before) for row in rows], axis=axis + 1)
    x = ops.reshape(x, (*shape[:axis], blocks * size, *shape[axis + 1 :]))
    return x if blocks * size == length else x[(slice(None),) * axis + (slice(length),)]


def _scanned(rows: list, backward: bool) -> list:
    """Of maps in a row the largest so far, or from the last one back."""
    order = rows[::-1] if backward else rows
    found = [order[0]]
    for row in order[1:]:
        found.append(_larger(row, found[-1]))
    return found[::-1] if backward else found


def _larger(x, farther):
    """The larger of two; of equals, the one that is farther away has the gradient."""
    return ops.where(x > farther, x, farther)


def _doubled(x, axis: int, backward: bool, lowest: float):
    """A running maximum along an axis whose length is not known: of two, four, eight places, one from another."""
    for reach in reaches(x, axis):
        x = _larger(x, away(x, axis, reach, backward, lowest))
    return x


@keras.saving.register_keras_serializable("kzoo")
class CornerPooling(layers.Layer):
    """The largest value from each place to the edge of the map.

    A corner of a box has nothing of the object beside it: what says that it is one lies along its edges.

    Args:
        direction: "top", from each place down its column, where a top edge has its object; "bottom", up the column;
            "left", along the row to the right; or "right", along the row to the left.
        **kwargs: arguments of every Keras layer: `name`, `dtype` and `trainable`.

    Shapes: (B, H, W, C) in and out.

    Source: Law & Deng 2018, CornerNet, arXiv:1808.01244, section 3.4, equations 6 and 7.
    """

    def __init__(self, direction: str, **kwargs):
        super().__init__(**kwargs)
        if direction not in DIRECTIONS:
            raise ValueError(f"direction={direction!r}; give one of {', '.join(DIRECTIONS)}")
        self.direction = direction

    def call(self, x):
        axis, backward = DIRECTIONS[self.direction]
        return running_maximum(x, axis, backward)

    def compute_output_shape(self, input_shape):
        return input_shape
