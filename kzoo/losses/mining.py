"""Which of very many negatives are worth training on."""

from __future__ import annotations

from keras import ops


def hard_negatives(loss, positive, negative, ratio: float = 3.0):
    """The negatives of an image that cost most, so many for each of its positives.

    Args:
        loss: (B, N) of each prediction.
        positive: (B, N) bool.
        negative: (B, N) bool; what is neither is not chosen.
        ratio: negatives a positive.

    Returns:
        (B, N) bool; of equal losses the first ones, so that there are never more.

    Source: Liu et al. 2016, arXiv:1512.02325, section 2.2, "Hard negative mining".
    """
    cost = ops.where(negative, ops.stop_gradient(loss), -1.0)
    order = ops.argsort(-cost, axis=-1)
    rank = ops.argsort(order, axis=-1)
    wanted = ratio * ops.sum(ops.cast(positive, "float32"), axis=-1, keepdims=True)
    return ops.logical_and(negative, ops.cast(rank, "float32") < wanted)
