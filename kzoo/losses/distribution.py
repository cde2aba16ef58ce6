"""The loss of distances that are predicted as distributions over whole numbers."""

from __future__ import annotations

from keras import ops


def distribution_focal_loss(true, logits, bins: int):
    """Cross-entropy of the two whole distances around the true one, each weighed by how near it is.

    Args:
        true: (..., 4) distances, 0 to bins - 1; a little less where they are more.
        logits: (..., 4 * bins) logits of the distances 0 to bins - 1, side by side.
        bins: number of distances, 2 or more.

    Returns:
        (...), the mean of the four sides.

    Source: Li et al. 2020, Generalized Focal Loss, arXiv:2006.04388, equation 6.
    """
    log_probability = ops.log_softmax(
        ops.reshape(logits, (*ops.shape(logits)[:-1], 4, bins))
    )  # (..., 4, bins)
    return -ops.mean(ops.sum(two_bins(true, bins) * log_probability, axis=-1), axis=-1)


def two_bins(true, bins: int):
    """Distances (..., 4) as weights of the two whole distances around each: (..., 4, bins), which sum up to 1."""
    true = ops.expand_dims(ops.clip(true, 0.0, bins - 1 - 0.01), -1)  # (..., 4, 1)
    return ops.relu(1.0 - ops.abs(true - ops.arange(bins, dtype="float32")))
