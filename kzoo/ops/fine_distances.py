"""Boxes whose sides are told as distributions over distances from a first box, as D-FINE has them."""

from __future__ import annotations

import numpy as np
from keras import ops

BINS = 32  # steps between the 33 distances


def bin_distances(reach: float, scale: float, bins: int = BINS) -> np.ndarray:
    """The distances that the logits of a side stand for: small steps near 0, large ones far away.

    Args:
        reach: how far the distances go, as a share of `scale`, above 0; 0.5 in D-FINE.
        scale: what distances are counted by, above 0.
        bins: number of steps, even.

    Returns:
        (bins + 1,) float32, from -2 * reach * scale to as much above 0.

    Source: Peng et al. 2024, D-FINE, arXiv:2410.13842, equation 3.
    """
    most = reach * scale
    step = (most + 1.0) ** (2.0 / (bins - 2))
    above = step ** np.arange(1, bins // 2) - 1.0
    return np.concatenate([[-2 * most], -above[::-1], [0.0], above, [2 * most]]).astype("float32")


def mean_distances(logits, distances):
    """The mean of each side's distribution.

    Args:
        logits: (..., 4 * (bins + 1)), side by side.
        distances: (bins + 1,), what each stands for.

    Returns:
        (..., 4).
    """
    likely = ops.softmax(ops.reshape(logits, (*ops.shape(logits)[:-1], 4, len(distances))))
    return ops.sum(likely * ops.convert_to_tensor(distances), axis=-1)


def moved_sides(boxes, distances, scale: float):
    """Boxes (..., 4), centre and size, whose sides lie half its sizes and these distances (..., 4) from the centre.

    Args:
        boxes: centre and size.
        distances: how far the left, top, right and bottom side lie outwards; `scale` are a box's width or height.
        scale: what distances are counted by.

    Returns:
        (..., 4) centre and size.
    """
    center, unit = boxes[..., :2], boxes[..., 2:] / scale
    low = center - (0.5 * scale + distances[..., :2]) * unit
    high = center + (0.5 * scale + distances[..., 2:]) * unit
    return ops.concatenate([(low + high) / 2, high - low], axis=-1)


def side_targets(boxes, corners, scale: float):
    """The distances that would give the true sides: the inverse of `moved_sides`.

    Args:
        boxes: (..., 4) centre and size, from which distances count.
        corners: (..., 4) xyxy, the true boxes.
        scale: what distances are counted by.

    Returns:
        (..., 4) of the left, top, right and bottom side.
    """
    center, unit = boxes[..., :2], boxes[..., 2:] / scale + 1e-16
    low = (center - corners[..., :2]) / unit
    high = (corners[..., 2:] - center) / unit
    return ops.concatenate([low, high], axis=-1) - 0.5 * scale


def two_bins(values, distances):
    """Between which two distances each value lies, and how near it is to the upper one.

    Args:
        values: (...) distances.
        distances: (bins + 1,), what the bins stand for, ascending.

    Returns:
        the lower bin (...) int32, 0 to bins - 1, and the share of the upper one (...), 0 to 1.
    """
    bins = ops.convert_to_tensor(distances)
    below = ops.sum(ops.cast(bins <= ops.expand_dims(values, -1), "int32"), axis=-1) - 1
    lower = ops.clip(below, 0, len(distances) - 2)
    first, second = ops.take(bins, lower), ops.take(bins, lower + 1)
    return lower, ops.clip((values - first) / (second - first), 0.0, 1.0)
