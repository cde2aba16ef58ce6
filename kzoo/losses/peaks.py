"""The loss of heat maps on which each object is one cell."""

from __future__ import annotations

from keras import ops

from kzoo.ops.powers import power

LEAST = 1e-4  # probabilities count as so far from 0 and 1 at least


def peak_focal_loss(true, logits, alpha: float = 2.0, beta: float = 4.0):
    """Focal loss in which background near an object counts less; elementwise.

    Args:
        true: (...) 1 at objects, less and less around them, 0 elsewhere.
        logits: (...) logits.
        alpha: exponent of how wrong a place is, 0 or more, 2 by default.
        beta: exponent of how far a place is from an object, 0 or more, 4 by default.

    Returns:
        (...), to be summed up, and divided by the number of objects, by the caller.

    Source: Law & Deng 2018, CornerNet, arXiv:1808.01244, equation 1.
    """
    probability = ops.clip(ops.sigmoid(logits), LEAST, 1.0 - LEAST)
    positive = ops.equal(true, 1.0)
    # Of what is true at each place: one logarithm for both cases.
    right = ops.where(positive, probability, 1.0 - probability)
    weight = ops.where(positive, 1.0, power(1.0 - true, beta))
    return -ops.log(right) * power(1.0 - right, alpha) * weight
