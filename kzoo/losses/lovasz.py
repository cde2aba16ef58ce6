"""Lovász losses: the piecewise linear extension of the Jaccard loss, by sorting the pixels' errors."""

from __future__ import annotations

from keras import ops

from kzoo.losses.overlap import check_choices
from kzoo.losses.pixel import counted_pixels, one_hot
from kzoo.ops.weighting import image_weighted


def lovasz(labels, logits, *, reduction: str = "batch", classes: str = "present", image_weights=None):
    """Lovász-softmax, and with one channel Lovász-hinge.

    Args:
        labels: (B, H, W) integers; 255 is ignored. 0 and 1 where there is one channel.
        logits: (B, H, W, C); C = 1 is the hinge of the foreground, C > 1 a softmax, background included.
        reduction: "batch" (default): the pixels of a batch are one set; "image": each image's are, and the mean is
            over all.
        classes: "present" (default) leaves out classes that a set's labels have not; "all" keeps them. The hinge's
            only class is always kept.
        image_weights: (B,) factors of what the pixels of an image add to the loss; their order is as without. None
            (default) for 1.

    Returns:
        A scalar, in 0..1 for the softmax; 0 where all pixels are ignored. For predictions that are sure and hard
        the softmax's is the Jaccard loss.

    Raises:
        ValueError: `reduction` or `classes` is not one of those.

    Source: Berman et al. 2018, arXiv:1705.08790, equations 9 and 11 (softmax), 7 (hinge), algorithm 1.
    """
    check_choices(reduction, classes)
    logits = ops.cast(logits, "float32")
    number = logits.shape[-1]
    binary = number == 1
    true = one_hot(labels, 2)[..., 1:] if binary else one_hot(labels, number)  # (B, H, W, C)
    counted = ops.expand_dims(counted_pixels(labels, 2 if binary else number), -1)  # (B, H, W, 1)
    signs = 2.0 * true - 1.0
    errors = ops.relu(1.0 - logits * signs) if binary else ops.abs(true - ops.softmax(logits))  # (B, H, W, C)
    counted = counted + ops.zeros_like(true)  # (B, H, W, C)
    # From here on sets of pixels in rows, (C, B * H * W) or (B, C, H * W). Weights are in the costs alone, for the
    # order of the errors is to be that without them.
    costs = _sets(image_weighted(errors, image_weights), reduction)
    errors, true, counted = (_sets(each, reduction) for each in (errors, true, counted))
    loss = _extension(errors, true, counted, costs)  # (C,) or (B, C)
    evidence = true if classes == "present" and not binary else counted
    kept = ops.cast(ops.max(evidence, axis=-1) > 0, "float32")
    return ops.sum(loss * kept) / ops.maximum(ops.sum(kept), 1.0)


def _sets(values, reduction: str):
    """(B, H, W, C) -> (C, B * H * W), or (B, C, H * W) where each image is a set."""
    channels = values.shape[-1]
    if reduction == "batch":
        return ops.transpose(ops.reshape(values, (-1, channels)))
    pixels = values.shape[1] * values.shape[2]
    return ops.transpose(ops.reshape(values, (-1, pixels, channels)), (0, 2, 1))


def _extension(errors, true, counted, costs):
    """The Lovász extension of the Jaccard loss at the errors, whose costs are these: (..., N) each -> (...)."""
    # Ignored pixels stand behind all others, where they change no others' slope.
    order = ops.argsort(ops.stop_gradient(-(errors + 1.0) * counted), axis=-1)
    costs = ops.take_along_axis(costs * counted, order, axis=-1)
    true = ops.take_along_axis(true, order, axis=-1)
    return ops.sum(costs * ops.stop_gradient(_slopes(true)), axis=-1)


def _slopes(true):
    """What each pixel, in the order of falling errors, adds to the Jaccard loss of those before it: (..., N) both.

    Written out in place of the difference of two Jaccard losses, which would lose its digits in float32: a
    missed pixel takes one from the intersection, a wrong one adds one to the union.
    """
    hits = ops.cast(true, "int32")
    total = ops.sum(hits, axis=-1, keepdims=True)
    union = ops.cast(total + ops.cumsum(1 - hits, axis=-1), "float32")
    intersection = ops.cast(total - ops.cumsum(hits, axis=-1), "float32")
    # A union of one pixel was empty before: that pixel makes the loss 1.
    wrong = ops.where(union > 1.0, intersection / (union * ops.maximum(union - 1.0, 1.0)), 1.0)
    return ops.where(hits > 0, 1.0 / ops.maximum(union, 1.0), wrong)
