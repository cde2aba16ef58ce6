"""Corner pooling: at each place the largest value from there to the map's edge, along a row or a column."""

from __future__ import annotations

import keras
from keras import layers, ops

from kzoo.ops.runs import away, reaches

# Which way each looks: the axis of (B, H, W, C), and whether from the end of that axis back to the place.
DIRECTIONS = {"top": (1, True), "bottom": (1, False), "left": (2, True), "right": (2, False)}
LONGEST = 128  # lines that are gone through one by one


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
    length = x.shape[axis]
    if length is None or length > LONGEST:
        return _doubled(x, axis, backward)
    # Line by line, for a line stays in the cache: few passes over the map, where doubling makes dozens.
    lines = ops.unstack(x, length, axis=axis)
    lines = lines[::-1] if backward else lines
    found = [lines[0]]
    for line in lines[1:]:
        found.append(_larger(line, found[-1]))
    return ops.stack(found[::-1] if backward else found, axis=axis)


def _doubled(x, axis: int, backward: bool):
    """A running maximum along an axis of many lines, or unknown many: of two, four, eight, one from another."""
    lowest = -3e38 if keras.backend.standardize_dtype(x.dtype) == "float32" else -6e4
    for reach in reaches(x, axis):
        x = _larger(x, away(x, axis, reach, backward, lowest))
    return x


def _larger(x, farther):
    """The larger of two; of equals, the one that is farther away has the gradient."""
    if keras.backend.backend() == "tensorflow":  # which gives it to the first of equals
        return ops.maximum(farther, x)
    return ops.where(x > farther, x, farther)


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
