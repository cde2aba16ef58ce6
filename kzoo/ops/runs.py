"""Along rows and columns of maps: what stands so many cells away, and sums of runs of rising values."""

from __future__ import annotations

from collections.abc import Iterator

from keras import ops

LONGEST = 1024  # cells along an axis whose length is not known before running


def reaches(x, axis: int) -> Iterator[int]:
    """1, 2, 4 and so on: the distances by which steps that double cover an axis of a map."""
    reach = 1
    while reach < (x.shape[axis] or LONGEST):
        yield reach
        reach *= 2


def away(x, axis: int, reach: int, backward: bool, fill: float):
    """At each place what stands so many cells before it, or behind it.

    Args:
        x: (B, H, W, C) maps.
        axis: 1 for columns, 2 for rows.
        reach: number of cells.
        backward: whether behind it.
        fill: what stands beyond the edge.

    Returns:
        (B, H, W, C).
    """
    length = ops.shape(x)[axis]
    padding = [[0, 0]] * 4
    padding[axis] = [0, reach] if backward else [reach, 0]
    index = [slice(None)] * 4
    index[axis] = slice(reach, reach + length) if backward else slice(None, length)
    return ops.pad(x, padding, constant_values=fill)[tuple(index)]


def rising_sums(x, axis: int, backward: bool):
    """At each place the sum of the values before it from which on none is less than the one before.

    Args:
        x: (B, H, W, C) maps.
        axis: 1 for columns, 2 for rows.
        backward: whether of the values behind it, seen from there.

    Returns:
        (B, H, W, C), 0 at the edge and where the neighbour is larger.
    """
    # Whether a run goes on at a place, and its sum up to there: of runs of 1, 2, 4 and more cells, one from another.
    goes_on = ops.cast(x >= away(x, axis, 1, backward, 3e38), x.dtype)
    total = x
    for reach in reaches(x, axis):
        total = total + goes_on * away(total, axis, reach, backward, 0.0)
        goes_on = goes_on * away(goes_on, axis, reach, backward, 0.0)
    return total - x
