"""How far numbers are off, with squares near zero."""

from __future__ import annotations

from keras import ops


def smooth_l1(true, pred, beta: float = 1.0):
    """Elementwise: squares of differences below `beta`, their absolute values less beta / 2 above it.

    Args:
        true: (...) numbers as they are to be.
        pred: (...) numbers as they are predicted, broadcast against `true`.
        beta: difference at which the squares end, 0 or more, 1 by default; 0 leaves the absolute values.

    Returns:
        (...), to be summed or averaged by the caller.

    Source: Girshick 2015, arXiv:1504.08083, equation 3, where beta is 1.
    """
    error = ops.abs(true - pred)
    if not beta:
        return error
    return ops.where(error < beta, 0.5 * error**2 / beta, error - 0.5 * beta)
