"""Cross-entropy on logits, with focal modulation and label smoothing."""

from __future__ import annotations

from keras import ops


def sigmoid_cross_entropy(true, logits):
    """Elementwise binary cross-entropy of logits, stable for large ones: (...), (...) -> (...)."""
    return ops.relu(logits) - logits * true + ops.softplus(-ops.abs(logits))


def smooth_labels(true, smoothing: float):
    """0/1 targets drawn towards one half: 1 becomes 1 - smoothing / 2, 0 becomes smoothing / 2."""
    return true * (1.0 - smoothing) + 0.5 * smoothing if smoothing else true


def sigmoid_focal_loss(true, logits, gamma: float = 2.0, alpha: float | None = 0.25):
    """Elementwise focal loss of logits.

    Args:
        true: (...) targets in 0..1.
        logits: (...) logits, broadcast against the targets.
        gamma: exponent of the modulation, 0 or more, 2 by default; 0 leaves plain cross-entropy.
        alpha: weight of the positives, 0 to 1, 0.25 by default; the negatives have 1 - alpha. None for no weights.

    Returns:
        (...), to be summed or averaged by the caller.

    Source: Lin et al. 2017, arXiv:1708.02002, equation 5.
    """
    loss = sigmoid_cross_entropy(true, logits)
    if gamma:
        probability = ops.sigmoid(logits)
        # 1 - p where the target is 1, p where it is 0, and in between for smoothed targets. A power below 1 has no
        # finite slope at 0, hence the least value.
        miss = true + probability - 2.0 * true * probability
        loss = loss * ops.maximum(miss, 1e-12) ** gamma
    if alpha is not None:
        loss = loss * (true * alpha + (1.0 - true) * (1.0 - alpha))
    return loss


def varifocal_loss(true, positive, logits, gamma: float = 2.0, alpha: float = 0.75, fixed: bool = False):
    """Elementwise cross-entropy towards a quality, in which background counts by how much it is taken for something.

    Args:
        true: (...) qualities, 0 to 1, 0 of background.
        positive: (...) 1 where there is an object, be its quality 0, and 0 where there is none.
        logits: (...) logits.
        gamma: exponent of background's probability, 0 or more, 2 by default.
        alpha: factor of background, 0 or more, 0.75 by default.
        fixed: whether background's probability, as a factor, is a number through which no gradient passes; False by
            default.

    Returns:
        (...), to be summed or averaged by the caller.

    Source: Zhang et al. 2021, VarifocalNet, arXiv:2008.13367, equation 2.
    """
    probability = ops.sigmoid(ops.stop_gradient(logits) if fixed else logits)
    weight = alpha * probability**gamma * (1.0 - positive) + true * positive
    return sigmoid_cross_entropy(true, logits) * weight


def softmax_focal_loss(true, logits, gamma: float = 2.0, alpha: float | None = None):
    """Focal loss of logits of which one is to win.

    Args:
        true: (..., C) targets that sum up to 1.
        logits: (..., C) logits of the classes.
        gamma: exponent of the modulation, 0 or more, 2 by default; 0 leaves plain cross-entropy.
        alpha: factor of the whole, 0 or more; None (default) for none.

    Returns:
        (...), to be summed or averaged by the caller.

    Source: Lin et al. 2017, arXiv:1708.02002, equation 5, with the softmax's probabilities.
    """
    log_probability = ops.log_softmax(logits)  # (..., C)
    loss = -true * log_probability  # (..., C)
    if gamma:
        loss = loss * ops.maximum(1.0 - ops.exp(log_probability), 1e-12) ** gamma
    loss = ops.sum(loss, axis=-1)
    return loss if alpha is None else loss * alpha
