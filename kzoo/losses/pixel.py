"""Losses that are means over pixels: cross-entropy, focal, U-Net's border weights."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from kzoo.losses.focal import softmax_focal_loss
from kzoo.ops.weighting import image_weighted
from kzoo.structures import IGNORED


def counted_pixels(labels, num_classes: int):
    """Which pixels train: 1 where the label is a class, 0 where it is 255 or none: (B, H, W) float32."""
    labels = ops.cast(labels, "int32")
    known = (labels >= 0) & (labels < num_classes) & (labels != IGNORED)
    return ops.cast(known, "float32")


def one_hot(labels, num_classes: int):
    """(B, H, W) integers -> (B, H, W, C) float32, all zero where the label is 255 or no class."""
    labels = ops.expand_dims(ops.cast(labels, "int32"), -1)
    hot = ops.cast(ops.equal(labels, ops.arange(num_classes, dtype="int32")), "float32")
    return hot * ops.cast(labels != IGNORED, "float32")


def class_logits(logits):
    """float32 logits of at least two classes: a single channel z becomes (0, z), whose softmax is the sigmoid."""
    logits = ops.cast(logits, "float32")
    if logits.shape[-1] > 1:
        return logits
    return ops.concatenate([ops.zeros_like(logits), logits], axis=-1)


def cross_entropy(
    labels,
    logits,
    *,
    class_weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
    hardest: float = 1.0,
    weights=None,
    image_weights=None,
):
    """Cross-entropy, the mean over the pixels that are not ignored.

    Args:
        labels: (B, H, W) integers; 255 is ignored. 0 and 1 where there is one channel.
        logits: (B, H, W, C); C = 1 is a sigmoid, C > 1 a softmax.
        class_weights: one weight a class, 0 or more, background first also where C = 1. The mean is then the weighted
            one: the sum is divided by that of the pixels' class weights. None (default) for 1.
        label_smoothing: share of the target that is spread evenly over all classes, 0 (default) to below 1.
        hardest: share of the counted pixels, those of the largest loss, that the mean is taken of (online hard
            example mining), above 0 to 1; 1 (default) for all.
        weights: (B, H, W) factors of the pixels' losses, which do not enter the divisor; None (default) for 1.
        image_weights: (B,) factors of all pixels' losses of an image, which do not enter the divisor; None (default)
            for 1.

    Returns:
        A scalar; 0 where all pixels are ignored.

    Raises:
        ValueError: there is not one class weight a class, or `hardest` is not above 0 and at most 1.

    Source: Shrivastava et al. 2016, arXiv:1604.03540, section 4 (`hardest`).
    """
    logits = class_logits(logits)  # (B, H, W, C)
    classes = logits.shape[-1]
    counted = counted_pixels(labels, classes)  # (B, H, W), as all that follows is
    known = ops.where(counted > 0, ops.cast(labels, "int32"), 0)
    per_class = _class_weights((1.0,) * classes if class_weights is None else class_weights, classes)  # (C,)
    share = counted * ops.take(per_class, known)  # what each pixel adds to the divisor
    loss = share * ops.sparse_categorical_crossentropy(known, logits, from_logits=True)
    if label_smoothing:
        # Against the target that is the same for all classes.
        even = -ops.mean(per_class * ops.log_softmax(logits), axis=-1) * counted
        loss = (1.0 - label_smoothing) * loss + label_smoothing * even
    if weights is not None:
        loss = loss * ops.cast(weights, "float32")
    loss = image_weighted(loss, image_weights)
    if hardest != 1.0:
        kept = _hardest(loss, counted, hardest)
        loss, share = loss * kept, share * kept
    return _ratio(ops.sum(loss), ops.sum(share))


def border(
    labels,
    logits,
    *,
    class_weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
    weights=None,
    image_weights=None,
):
    """Cross-entropy times a map of weights that is large between neighbouring objects, as of U-Net.

    Args:
        labels: (B, H, W) integers; 255 is ignored.
        logits: (B, H, W, C); C = 1 is a sigmoid, C > 1 a softmax.
        class_weights: one weight a class, as `cross_entropy` has them; None (default) for 1.
        label_smoothing: share of the target that is spread evenly over all classes, 0 (default) to below 1.
        weights: (B, H, W) map of factors of the pixels' losses, which has to be there.
        image_weights: (B,) factors of all pixels' losses of an image; None (default) for 1.

    Returns:
        A scalar: the paper's sum divided by the number of counted pixels.

    Raises:
        ValueError: there is no map.

    Source: Ronneberger et al. 2015, arXiv:1505.04597, equation 1.
    """
    if weights is None:
        raise ValueError(
            "loss 'border' needs the targets' 'weights', the map of pixel weights, and there is none; "
            "augment with border weights, or take 'ce'"
        )
    return cross_entropy(
        labels,
        logits,
        class_weights=class_weights,
        label_smoothing=label_smoothing,
        weights=weights,
        image_weights=image_weights,
    )


def focal(
    labels,
    logits,
    *,
    alpha: float | Sequence[float] | None = None,
    gamma: float = 2.0,
    image_weights=None,
):
    """Focal loss, the mean over the pixels that are not ignored.

    Args:
        labels: (B, H, W) integers; 255 is ignored. 0 and 1 where there is one channel.
        logits: (B, H, W, C); C = 1 is a sigmoid, C > 1 a softmax.
        alpha: one weight a class, 0 or more, background first also where C = 1; or a number: where C = 1 the
            foreground's, 0 to 1 (the background has 1 - alpha), else the weight of the whole, as in Keras; None
            (default) for no weights.
        gamma: exponent of the modulation, 0 or more, 2 by default; 0 leaves plain cross-entropy.
        image_weights: (B,) factors of all pixels' losses of an image; None (default) for 1.

    Returns:
        A scalar; 0 where all pixels are ignored.

    Raises:
        ValueError: there is not one alpha a class.

    Source: Lin et al. 2017, arXiv:1708.02002, equation 5.
    """
    if isinstance(alpha, (int, float)):
        alpha = (1.0 - alpha, alpha) if logits.shape[-1] == 1 else (alpha,) * logits.shape[-1]
    logits = class_logits(logits)
    classes = logits.shape[-1]
    true = one_hot(labels, classes)  # (B, H, W, C), all zero where ignored, as the loss then is
    weighted = true if alpha is None else true * _class_weights(alpha, classes)
    loss = image_weighted(softmax_focal_loss(weighted, logits, gamma), image_weights)
    return _ratio(ops.sum(loss), ops.sum(counted_pixels(labels, classes)))


def _class_weights(weights: Sequence[float], classes: int):
    """The classes' weights as a tensor (C,), if there is one for each."""
    if len(weights) != classes:
        raise ValueError(
            f"class weights {list(weights)} are {len(weights)}, not one for each of {classes} classes"
        )
    return ops.convert_to_tensor([float(weight) for weight in weights], dtype="float32")


def _hardest(loss, counted, share: float):
    """1 for the share of the counted pixels whose loss is largest, else 0; pixels that tie come along.

    Args:
        loss: (B, H, W) loss of each pixel, 0 where ignored.
        counted: (B, H, W) float, 1 for pixels that are not ignored.
        share: share of the counted pixels, above 0 to 1.

    Returns:
        (B, H, W) float.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"loss 'ce': hardest is {share}; it is a share of the pixels above 0, at most 1")
    # Ignored pixels have no loss, and so stand last.
    descending = -ops.sort(-ops.reshape(ops.stop_gradient(loss), (-1,)))
    last = ops.cast(ops.ceil(share * ops.sum(counted)), "int32") - 1
    threshold = ops.take(descending, ops.maximum(last, 0))
    return ops.cast(loss >= threshold, "float32") * counted


def _ratio(total, divisor):
    """total / divisor, and 0 where nothing is counted."""
    return total / ops.where(divisor > 0, divisor, ops.ones_like(divisor))
