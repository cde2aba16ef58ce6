"""Which of very many negatives are worth training on."""

from __future__ import annotations

from keras import ops


def hard_negatives(loss, positive, negative, ratio: float = 3.0):
    """The negatives of an image that cost most, so many for each of its positives.

    Args:
        loss: (B, N) loss of each prediction, 0 or more.
        positive: (B, N) bool, predictions that have an object.
        negative: (B, N) bool, predictions that have none; what is neither is not chosen.
        ratio: number of negatives for each positive, above 0, 3 by default.

    Returns:
        (B, N) bool; of equal losses the first ones, so that there are never more.

    Source: Liu et al. 2016, arXiv:1512.02325, section 2.2, "Hard negative mining".
    """
    cost = ops.where(negative, ops.stop_gradient(loss), -1.0)  # (B, N); others stand behind all negatives
    order = ops.argsort(-cost, axis=-1)
    rank = ops.argsort(order, axis=-1)  # the order's inverse: how many cost more, (B, N)
    wanted = ratio * ops.sum(ops.cast(positive, "float32"), axis=-1, keepdims=True)  # (B, 1)
    return ops.logical_and(negative, ops.cast(rank, "float32") < wanted)
