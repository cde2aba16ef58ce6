"""Weights of images in what is counted by the pixel, the anchor or the object."""

from __future__ import annotations

from keras import ops


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
