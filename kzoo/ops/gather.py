"""Rows by index, a batch at a time, in operations that every backend and export format has."""

from __future__ import annotations

import keras
from keras import ops


def take_rows(values, indices):
    """Rows of each batch element: (B, N, ...), (B, K) int -> (B, K, ...).

    One flat gather: `take_along_axis` becomes operators that LiteRT lacks.
    """
    batch, count = ops.shape(values)[0], ops.shape(values)[1]
    flat = ops.reshape(values, (-1, *values.shape[2:]))  # (B * N, ...)
    offset = ops.expand_dims(ops.arange(batch, dtype="int32") * count, -1)  # (B, 1)
    return ops.take(flat, ops.cast(indices, "int32") + offset, axis=0)


def stable_top_k(values, k: int):
    """The `k` largest of the last axis; of equal ones the one with the lower index comes first.

    Args:
        values: (..., N) numbers.
        k: number of values that are taken, 1 to N.

    Returns:
        values (..., k) and int32 indices (..., k).
    """
    if keras.backend.backend() == "torch":  # its topk orders equal values as it likes
        indices = ops.argsort(-values, axis=-1)[..., :k]
        return ops.take_along_axis(values, indices, axis=-1), ops.cast(indices, "int32")
    values, indices = ops.top_k(values, k)
    return values, ops.cast(indices, "int32")


def enough_rows(values, count: int, fill: float = 0.0):
    """Values (B, N, ...), with `count` rows of `fill` behind them where N is not known before running.

    Selections ask then already for a number of rows. Where N is known, the values are left as they are.
    """
    if values.shape[1] is not None:
        return values
    behind = [[0, 0], [0, count], *[[0, 0]] * (len(values.shape) - 2)]
    return ops.pad(values, behind, constant_values=fill)
