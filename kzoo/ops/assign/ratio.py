"""Assignment by the ratio of sides: every anchor of about an object's shape takes it, in up to three or five cells."""

from __future__ import annotations

from keras import ops

from kzoo.ops.assign.common import most_by_row
from kzoo.ops.gather import take_rows

CELLS = 3  # that may take an object: the centre's, one beside it and one above or below it
ALL_CELLS = 5  # the centre's, those on both sides, and those above and below


def ratio_match(centers, sizes, anchors, extents, ratio: float = 4.0, cells: int = CELLS):
    """Which anchors take which objects, and in which cells.

    An anchor takes an object if neither side is `ratio` times as long as the other's or more. The cell of the object's
    centre has it, and the two neighbours that the centre lies nearest to, or all four, if they are on the map; of two
    that lie equally near the left and the upper one.

    Args:
        centers: (B, M, P, 2) x and y of the objects' centres in cells of each of P anchors' maps.
        sizes: (B, M, 2) widths and heights of the objects in pixels.
        anchors: (P, 2) widths and heights of the anchors in pixels.
        extents: (P, 2) widths and heights of their maps in cells.
        ratio: how many times as long a side may be, below it; above 1, 4 by default.
        cells: number K of cells that may take an object, 3 (default) or 5.

    Returns:
        For each object, anchor and cell, the centre's first: (B, M, P, K, 2) int32, columns and rows from the
        centre's cell; (B, M, P, K) bool, whether it takes the object; and (B, M, P, K) int32 in which order they are
        written, so that of several objects on one prediction the last has it.

    Source: YOLOv5, and with five cells YOLOv7, by their behaviour.
    """
    batch, objects, count = ops.shape(sizes)[0], sizes.shape[1], anchors.shape[0]
    quotient = ops.expand_dims(ops.maximum(sizes, 1e-9), 2) / anchors  # (B, M, P, 2)
    alike = ops.max(ops.maximum(quotient, 1.0 / quotient), axis=-1) < ratio  # (B, M, P)

    left = extents - centers  # (B, M, P, 2), cells between centre and end
    if cells == ALL_CELLS:
        shift, moves, turn = _all_neighbours(centers > 1, left > 1)
    else:
        shift, moves, turn = _nearest_neighbours(centers, left)
    takes = ops.logical_and(ops.expand_dims(alike, -1), moves)
    order = turn * objects + ops.reshape(ops.arange(objects, dtype="int32"), (1, -1, 1, 1))
    return shift, takes, ops.broadcast_to(order, (batch, objects, count, cells))


def _nearest_neighbours(centers, left):
    """The centre's cell, and the nearer one of the two along x and along y.

    Args:
        centers: (B, M, P, 2) x and y of centres in cells.
        left: (B, M, P, 2) cells between them and the end of the map.

    Returns:
        (B, M, P, 3, 2) int32 columns and rows from the centre's cell, (B, M, P, 3) bool whether they are on the map,
        and (B, M, P, 3) int32 their turns.
    """
    # Along x and y whether the lower or the higher neighbour takes the object, too, (B, M, P, 2) each.
    low = ops.logical_and(centers - ops.floor(centers) < 0.5, centers > 1)
    high = ops.logical_and(left - ops.floor(left) < 0.5, left > 1)
    high = ops.logical_and(high, ops.logical_not(low))
    step = ops.cast(high, "int32") - ops.cast(low, "int32")  # (B, M, P, 2), of -1, 0 and 1

    none = ops.zeros_like(step[..., 0])  # (B, M, P)
    across = ops.stack([step[..., 0], none], axis=-1)
    along = ops.stack([none, step[..., 1]], axis=-1)
    shift = ops.stack([ops.zeros_like(step), across, along], axis=3)  # (B, M, P, 3, 2)
    moves = ops.concatenate([ops.ones_like(step[..., :1]), ops.abs(step)], axis=-1) > 0  # (B, M, P, 3)
    # Centres are written first, then lower neighbours along x and y, then higher ones; among alike the last object.
    turn = ops.stack([none, 2 + step[..., 0], 3 + step[..., 1]], axis=-1)  # (B, M, P, 3), of 0 to 4
    return shift, moves, turn


def _all_neighbours(low, high):
    """The centre's cell and its four neighbours.

    Args:
        low: (B, M, P, 2) bool, whether there is a lower neighbour along x and y.
        high: (B, M, P, 2) bool, whether there is a higher one.

    Returns:
        As `_nearest_neighbours`, (B, M, P, 5, 2) and (B, M, P, 5).
    """
    moves = ops.concatenate([ops.ones_like(low[..., :1]), low, high], axis=-1)  # (B, M, P, 5)
    steps = ops.convert_to_tensor([[0, 0], [-1, 0], [0, -1], [1, 0], [0, 1]], "int32")  # (5, 2)
    shift = ops.broadcast_to(steps, (*ops.shape(moves), 2))
    return shift, moves, ops.broadcast_to(ops.arange(ALL_CELLS, dtype="int32"), ops.shape(moves))


def last_of_rank(index, takes, order, total):
    """Which of several pairs on one row was written last.

    Args:
        index: (B, Q) int32, the row of each pair.
        takes: (B, Q) bool, which pairs count.
        order: (B, Q) int32, 0 or more, in which order they are written; no two pairs of a row have the same.
        total: number of rows, N.

    Returns:
        (B, N) float, 1 for rows with a pair; (B, N) int32, which of the Q it is, 0 where there is none.
    """
    highest = most_by_row(order + 1, index, takes, total)  # (B, N), from 1
    last = ops.equal(take_rows(highest, ops.where(takes, index, 0)), order + 1)
    numbers = ops.broadcast_to(ops.arange(1, index.shape[1] + 1, dtype="int32"), ops.shape(index))
    owner = most_by_row(numbers, index, ops.logical_and(takes, last), total)  # (B, N), from 1
    return ops.cast(owner > 0, "float32"), ops.maximum(owner - 1, 0)
