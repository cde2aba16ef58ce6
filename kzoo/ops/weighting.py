"""Weights of images in what is counted by the pixel, the anchor or the object."""

from __future__ import annotations

from keras import ops

from kzoo.ops.gather import take_rows


def image_weighted(values, weights):
    """Values times the weight of their image.

    Args:
        values: (B, ...) numbers of each image.
        weights: (B,) factors of the images; None leaves the values as they are.

    Returns:
        (B, ...).
    """
    if weights is None:
        return values
    return values * ops.reshape(ops.cast(weights, "float32"), (-1, *(1,) * (len(values.shape) - 1)))


def object_weighted(values, targets, owner):
    """Values of what has an object times the weight of that object, where the targets weigh objects.

    Args:
        values: (B, T) numbers, 0 of what has no object.
        targets: the truth by name, with `weights` (B, M) or without.
        owner: (B, T) int32, which of the M objects each has.

    Returns:
        (B, T).
    """
    if "weights" not in targets:
        return values
    return values * take_rows(ops.cast(targets["weights"], "float32"), owner)
