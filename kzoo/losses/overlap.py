"""Losses of two regions' overlap: Dice, Jaccard, Tversky. All measure probabilities against one-hot labels.

Keras's own Dice and Tversky know no ignored pixels, and stay at 1, without a gradient, for a class that is absent;
with every pixel counted, every class present and `smooth=0`, those here equal them.
"""

from __future__ import annotations

from keras import ops

from kzoo.losses.pixel import class_logits, counted_pixels, one_hot
from kzoo.ops.weighting import image_weighted

EPSILON = 1e-7
REDUCTIONS = ("batch", "image")
CLASSES = ("present", "all")


def check_choices(reduction: str, classes: str = "present") -> None:
    """`ValueError` where an option's value is not one of those it can have."""
    for option, value, known in (("reduction", reduction, REDUCTIONS), ("classes", classes, CLASSES)):
        if value not in known:
            raise ValueError(f"pixel loss: {option} is {value!r}; it is {' or '.join(known)}")


def region_axes(reduction: str) -> tuple[int, ...]:
    """The axes of (B, H, W, C) that one region spans: the whole batch, or each image."""
    return (0, 1, 2) if reduction == "batch" else (1, 2)


def dice(
    labels,
    logits,
    *,
    smooth: float = 1.0,
    squared: bool = False,
    reduction: str = "batch",
    background: bool = True,
    classes: str = "present",
    image_weights=None,
):
    """1 - Dice, the mean over classes.

    Args:
        labels: (B, H, W) integers; 255 is ignored. 0 and 1 where there is one channel.
        logits: (B, H, W, C); C = 1 is a sigmoid, whose only class is the foreground; C > 1 a softmax.
        smooth: pixels that are added to numerator and denominator, 0 or more, 1 by default.
        squared: whether the probabilities in the denominator are squared; False by default.
        reduction: "batch" (default): a class's pixels of the whole batch are one region, which is how a dataset's Dice
            is counted and does not make a class of few pixels in one image weigh as much as the rest; "image": each
            image's are, as where images are scored one by one, and the mean is over all.
        background: whether class 0 of a softmax counts (default).
        classes: "present" (default) leaves out a class whose region is empty in the labels. Its false positives still
            cost, as they are taken from present classes, unless only the background is there and `background` is
            false. "all" keeps it: its loss is then near 0 only where next to none of it is predicted. A sigmoid's only
            class is always kept.
        image_weights: (B,) how much the pixels of each image count; the same for all is a factor of the loss. None
            (default) for 1.

    Returns:
        A scalar in 0..1; 0 where all pixels are ignored.

    Raises:
        ValueError: `reduction` or `classes` is not one of the above.

    Source: Milletari et al. 2016, arXiv:1606.04797, section 3 (`squared`).
    """
    # (B, H, W, C), (B, H, W, C) and (G, 1, 1, C), where G regions are the batch or its images; sums are (G, 1, 1, C).
    true, probability, kept = _regions(labels, logits, reduction, background, classes, image_weights)
    summed = _Sums(reduction, image_weights)
    overlap = summed(true * probability)
    total = summed(true + (ops.square(probability) if squared else probability))
    return summed.mean(1.0 - (2.0 * overlap + smooth) / (total + smooth + EPSILON), kept)


def dice_generalized(labels, logits, *, reduction: str = "batch", image_weights=None):
    """1 - generalised Dice: classes are summed with weights of 1 / volume^2, so that small ones count as much.

    Args:
        labels: (B, H, W) integers; 255 is ignored. 0 and 1 where there is one channel.
        logits: (B, H, W, C); C = 1 is a sigmoid, which counts as two classes, C > 1 a softmax.
        reduction: "batch" (default) or "image": what a region is, as `dice` has it.
        image_weights: (B,) how much the pixels of each image count, as `dice` has it; None (default) for 1.

    Returns:
        A scalar, in 0..1 without weights; 0 where all pixels are ignored. A class that is absent from a region's labels
        has no volume and so no weight: it is left out.

    Raises:
        ValueError: `reduction` is not one of those.

    Source: Sudre et al. 2017, arXiv:1707.03237, section 2.1.
    """
    logits = class_logits(logits)
    # (B, H, W, C), (B, H, W, C) and (G, 1, 1, C), as volumes and weights are.
    true, probability, present = _regions(labels, logits, reduction, True, "present", image_weights)
    summed = _Sums(reduction, image_weights)
    volume = summed(true)
    weight = present / ops.square(ops.maximum(volume, 1.0))
    # Only their proportion counts; large ones stay above epsilon.
    weight = weight / ops.maximum(ops.max(weight, axis=-1, keepdims=True), 1e-30)
    overlap = ops.sum(weight * summed(true * probability), axis=-1)  # (G, 1, 1)
    total = ops.sum(weight * (volume + summed(probability)), axis=-1)
    return summed.mean(1.0 - 2.0 * overlap / (total + EPSILON), ops.max(present, axis=-1))


def tversky(
    labels,
    logits,
    *,
    alpha: float = 0.7,
    beta: float = 0.3,
    gamma: float = 1.0,
    smooth: float = 1.0,
    reduction: str = "batch",
    background: bool = True,
    classes: str = "present",
    image_weights=None,
):
    """(1 - Tversky index)^gamma, the mean over classes.

    Args:
        labels: (B, H, W) integers; 255 is ignored. 0 and 1 where there is one channel.
        logits: (B, H, W, C); C = 1 is a sigmoid, whose only class is the foreground; C > 1 a softmax.
        alpha: weight of what is missed (false negatives), 0 or more, 0.7 by default, as in Abraham & Khan and in Keras.
            Salehi et al. call this one beta, so that the defaults are their alpha = 0.3, beta = 0.7.
        beta: weight of what is wrongly found (false positives), 0 or more, 0.3 by default.
        gamma: exponent above 0, 1 by default; below 1 it raises the losses of classes that are nearly right. The
            paper's gamma is the inverse: its 4 / 3 is 0.75 here.
        smooth: pixels that are added to numerator and denominator, 0 or more, 1 by default.
        reduction: "batch" (default) or "image": what a region is, as `dice` has it.
        background: whether class 0 of a softmax counts (default).
        classes: "present" (default) or "all": whether a class that the labels do not have counts, as `dice` has it.
        image_weights: (B,) how much the pixels of each image count, as `dice` has it; None (default) for 1.

    Returns:
        A scalar, in 0..1 without weights; 0 where all pixels are ignored.

    Raises:
        ValueError: `reduction` or `classes` is not one of those.

    Source: Salehi et al. 2017, arXiv:1706.05721, equation 4; Abraham & Khan 2019, arXiv:1810.07842, equation 4
    (`gamma`).
    """
    # (B, H, W, C), (B, H, W, C) and (G, 1, 1, C), as all that follows is.
    true, probability, kept = _regions(labels, logits, reduction, background, classes, image_weights)
    summed = _Sums(reduction, image_weights)
    overlap = summed(true * probability)
    missed, wrong = summed(true) - overlap, summed(probability) - overlap
    loss = 1.0 - (overlap + smooth) / (overlap + alpha * missed + beta * wrong + smooth + EPSILON)
    if gamma != 1.0:
        # A power below 1 has no finite slope at 0.
        loss = ops.maximum(loss, EPSILON) ** gamma
    return summed.mean(loss, kept)


def jaccard(
    labels,
    logits,
    *,
    smooth: float = 1.0,
    reduction: str = "batch",
    background: bool = True,
    classes: str = "present",
    image_weights=None,
):
    """1 - Jaccard index (intersection over union) of probabilities, the mean over classes.

    Args:
        labels: (B, H, W) integers; 255 is ignored. 0 and 1 where there is one channel.
        logits: (B, H, W, C); C = 1 is a sigmoid, whose only class is the foreground; C > 1 a softmax.
        smooth: pixels that are added to intersection and union, 0 or more, 1 by default.
        reduction: "batch" (default), where a class's pixels of the whole batch are one region, or "image", where each
            image's are.
        background: whether class 0 of a softmax counts (default).
        classes: "present" (default) leaves out a class whose region is empty in the labels; "all" keeps it.
        image_weights: (B,) how much the pixels of each image count; None (default) for 1.

    Returns:
        A scalar in 0..1; 0 where all pixels are ignored.

    Raises:
        ValueError: `reduction` or `classes` is not one of those.

    Source: Rahman & Wang 2016, equation 3.

    Example:
        >>> round(float(jaccard(np.ones((1, 2, 2)), np.full((1, 2, 2, 1), 20.0))), 4)
        0.0
    """
    return tversky(
        labels,
        logits,
        alpha=1.0,
        beta=1.0,
        smooth=smooth,
        reduction=reduction,
        background=background,
        classes=classes,
        image_weights=image_weights,
    )


def _regions(labels, logits, reduction: str, background: bool, classes: str, image_weights=None):
    """One-hot labels and probabilities (B, H, W, C), zero where ignored, and which regions count (G, 1, 1, C).

    G is 1 where the batch is one region, B where each image is. C is the number of classes that are compared.
    """
    check_choices(reduction, classes)
    binary = logits.shape[-1] == 1
    logits = class_logits(logits)
    number = logits.shape[-1]
    counted = ops.expand_dims(counted_pixels(labels, number), -1)  # (B, H, W, 1)
    true, probability = one_hot(labels, number), ops.softmax(logits) * counted
    if binary or not background:
        true, probability = true[..., 1:], probability[..., 1:]
    evidence = true if classes == "present" and not binary else counted + ops.zeros_like(true)
    if reduction == "batch":
        evidence = image_weighted(evidence, image_weights)
    kept = ops.cast(ops.max(evidence, axis=region_axes(reduction), keepdims=True) > 0, "float32")
    return true, probability, kept


class _Sums:
    """Sums over regions, and means of regions' losses, in which images have weights, or, where None, have not."""

    def __init__(self, reduction: str, image_weights):
        self.axes = region_axes(reduction)
        self.of_batch = reduction == "batch"
        self.weights = image_weights
        if image_weights is not None:
            self.weights = ops.cast(image_weights, "float32")  # (B,)
            self.average = ops.mean(self.weights)

    def __call__(self, values):
        """(B, H, W, C) -> (G, 1, 1, C)."""
        if self.weights is not None and self.of_batch:
            # Their mean is 1, so that equal weights change no sum.
            values = image_weighted(values, self.weights / ops.maximum(self.average, EPSILON))
        return ops.sum(values, axis=self.axes, keepdims=True)

    def mean(self, loss, kept):
        """The mean of the losses of the regions that count, (G, 1, 1, C) or (G, 1, 1) both; 0 where none does."""
        if self.weights is not None:
            loss = loss * self.average if self.of_batch else image_weighted(loss, self.weights)
        return ops.sum(loss * kept) / ops.maximum(ops.sum(kept), 1.0)
