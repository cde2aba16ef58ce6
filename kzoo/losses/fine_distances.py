"""The losses of sides that are told as distributions: near their targets, and near what the last layer tells."""

from __future__ import annotations

from keras import ops

TEMPERATURE = 5.0  # by which logits are divided before layers are compared


def two_bins_loss(logits, lower, share):
    """Cross-entropy towards the two bins around a value, each by how near it is.

    Args:
        logits: (..., bins + 1).
        lower: (...) int32, the lower bin.
        share: (...) what the upper one counts, 0 to 1.

    Returns:
        (...).

    Source: Peng et al. 2024, D-FINE, arXiv:2410.13842, equation 4; after Li et al. 2020, arXiv:2006.04388.
    """
    count = logits.shape[-1]
    weights = ops.one_hot(lower, count) * ops.expand_dims(1.0 - share, -1)
    weights = weights + ops.one_hot(lower + 1, count) * ops.expand_dims(share, -1)
    return -ops.sum(weights * ops.log_softmax(logits), axis=-1)


def distillation_loss(logits, teacher, temperature: float = TEMPERATURE):
    """How far a distribution is from another's, both smoothed: the Kullback-Leibler divergence.

    Args:
        logits: (..., bins + 1), of what is trained.
        teacher: (..., bins + 1), of what it is to be like; no gradient passes.
        temperature: what logits are divided by, above 0, 5 by default; the loss is times its square.

    Returns:
        (...).

    Source: Hinton et al. 2015, arXiv:1503.02531; as D-FINE has it, arXiv:2410.13842, equation 6.
    """
    wanted = ops.log_softmax(ops.stop_gradient(teacher) / temperature)
    given = ops.log_softmax(logits / temperature)
    return temperature**2 * ops.sum(ops.exp(wanted) * (wanted - given), axis=-1)
