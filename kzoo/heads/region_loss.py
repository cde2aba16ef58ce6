"""What a branch of a two-stage detector learns: the class of each region, and the box of its object."""

from __future__ import annotations

from keras import ops

from kzoo.heads.regions import Regions
from kzoo.losses.focal import softmax_focal_loss
from kzoo.losses.iou import BOX_LOSSES
from kzoo.losses.smooth_l1 import smooth_l1
from kzoo.ops.box_coder import CODERS
from kzoo.ops.gather import take_rows

REGION_CLASS_LOSSES = ("softmax", "focal")
REGION_BOX_LOSSES = ("smooth_l1", "l1", "kl", *BOX_LOSSES)


def class_loss(logits, labels, kind: str, gamma: float):
    """The class term of each region.

    Args:
        logits: (B, T, K + 1) logits, the background first.
        labels: (B, T) int32, 0 for background, else the class + 1.
        kind: "softmax" for cross-entropy, or "focal".
        gamma: exponent of the focal modulation, 0 or more.

    Returns:
        (B, T).
    """
    true = ops.one_hot(labels, logits.shape[-1])  # (B, T, K + 1)
    return softmax_focal_loss(true, logits, gamma if kind == "focal" else 0.0)


def of_class(values, labels):
    """What is given for every class, at each region's own.

    Args:
        values: (B, T, 4, K + 1), or (B, T, 4, 1) of what all classes share.
        labels: (B, T) int32, 0 for background, else the class + 1.

    Returns:
        (B, T, 4).
    """
    classes = values.shape[-1]
    if classes == 1:
        return values[..., 0]
    # A sum over all classes, not a gather: its gradient is a product, too, and not a scattering.
    return ops.sum(values * ops.expand_dims(ops.one_hot(labels, classes), 2), axis=-1)


def box_loss(deltas, boxes, truth, coder: str, weights, kind: str, beta: float, deviations=None):
    """The box term of each region, had it an object.

    Args:
        deltas: (B, T, 4) differences of the boxes from the regions.
        boxes: (B, T, 4) the regions, xyxy pixels.
        truth: (B, T, 4) the boxes of their objects.
        coder: what the differences are of, one of `kzoo.ops.box_coder.CODERS`.
        weights: four factors of the differences, as `kzoo.ops.box_coder` has them.
        kind: one of `REGION_BOX_LOSSES`.
        beta: difference at which the squares of "smooth_l1" end, 0 or more.
        deviations: (B, T, 4) logarithms of the differences' variances, with "kl".

    Returns:
        (B, T).
    """
    encode, decode = CODERS[coder]
    if kind in BOX_LOSSES:
        return BOX_LOSSES[kind](truth, decode(deltas, boxes, weights))
    wanted = encode(truth, boxes, weights)  # (B, T, 4)
    if kind == "kl":
        return ops.sum(kl_loss(wanted, deltas, deviations), axis=-1)
    return ops.sum(smooth_l1(wanted, deltas, beta if kind == "smooth_l1" else 0.0), axis=-1)


def kl_loss(true, pred, log_variance):
    """Elementwise: how far a normal distribution is from one that is certain, up to constants.

    An error costs less where a large variance was predicted, and a large variance costs by itself.

    Args:
        true: (...) numbers as they are to be.
        pred: (...) means of the distributions.
        log_variance: (...) logarithms of their variances.

    Returns:
        (...).

    Source: He et al. 2019, arXiv:1809.08545, equations 9 and 10.
    """
    return ops.exp(-log_variance) * smooth_l1(true, pred, 1.0) + 0.5 * log_variance


def own_truth(regions: Regions, truth, labels):
    """What the regions are to find: boxes (B, T, 4), and labels (B, T) int32, 0 for background, else class + 1.

    Args:
        regions: the regions of a training step.
        truth: (B, M, 4) the objects' boxes.
        labels: (B, M) int, -1 for none.
    """
    own = take_rows(ops.cast(labels, "int32"), regions.owner) + 1  # (B, T)
    return take_rows(truth, regions.owner), ops.where(regions.positive > 0, own, 0)
