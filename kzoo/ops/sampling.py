"""Which of many candidates are trained on: some of the positives and some of the negatives, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

from keras import ops

from kzoo.ops.gather import enough_rows, stable_top_k, take_rows


@dataclass
class Drawn:
    """A fixed number T of candidates, the positives first, then the negatives, then padding.

    Attributes:
        rows: (B, T) int32, which of the N candidates; meaningless where they are padding.
        positive: (B, T) float, 1 for positives.
        counted: (B, T) float, 1 for positives and negatives, 0 for padding.
    """

    rows: object
    positive: object
    counted: object


def draw(positive, negative, total: int, most_positive: int, chance) -> Drawn:
    """Draws positives, at most so many, and fills up with negatives.

    Args:
        positive: (B, N) bool, the candidates that have an object.
        negative: (B, N) bool, those that have none; what is neither is not drawn.
        total: number of candidates that are drawn of an image, T, 1 or more.
        most_positive: number of positives among them at most, 0 to T.
        chance: (B, N) random numbers of 0 to 1: the largest are drawn.

    Returns:
        The candidates that were drawn: T, or N where that is less. Where fewer are positive or negative, the rest is
        padding.

    Source: Ren et al. 2015, arXiv:1506.01497, section 3.1.3.
    """
    of_positives = enough_rows(ops.where(positive, chance, -1.0), total, -1.0)  # (B, N)
    of_negatives = enough_rows(ops.where(negative, chance, -1.0), total, -1.0)
    most = min(total, of_negatives.shape[1])
    hits, hit_rows = stable_top_k(of_positives, min(most_positive, most))  # (B, P)
    misses, miss_rows = stable_top_k(of_negatives, most)  # (B, T)
    is_hit = hits >= 0  # (B, P)
    room = total - ops.sum(ops.cast(is_hit, "int32"), axis=-1, keepdims=True)  # (B, 1)
    is_miss = ops.logical_and(misses >= 0, ops.arange(most, dtype="int32") < room)  # (B, T)

    # Both in one row, what counts to the front: positives before negatives, for the selection keeps their order.
    rows = ops.concatenate([hit_rows, miss_rows], axis=-1)  # (B, P + T)
    counted = ops.cast(ops.concatenate([is_hit, is_miss], axis=-1), "float32")
    hit = ops.cast(ops.concatenate([is_hit, ops.zeros_like(is_miss)], axis=-1), "float32")
    counted, front = stable_top_k(counted, most)  # (B, T)
    # Padding may stand behind the last candidate.
    rows = ops.where(counted > 0, take_rows(rows, front), 0)
    return Drawn(rows, take_rows(hit, front), counted)
