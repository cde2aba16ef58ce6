"""Bilinear resizing to sizes that may be known only while the network runs."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops


def resize_bilinear(images, size: Sequence):
    """Images at another size, as torch's `interpolate(mode="bilinear", align_corners=False)`.

    Args:
        images: (B, H, W, C) of any type.
        size: height and width in pixels, numbers or, on TensorFlow, scalar tensors.

    Returns:
        (B, height, width, C) of the same type.
    """
    if all(isinstance(side, int) for side in size):
        return ops.image.resize(images, size, interpolation="bilinear")
    # Keras's own compares the sides with 0 in Python, which a tensor of a traced graph does not allow. Only
    # TensorFlow traces with unknown sides.
    import tensorflow as tf

    return tf.cast(tf.image.resize(images, size, method="bilinear"), images.dtype)


def enlarge_bilinear(images, factor: int):
    """Images (B, H, W, C) at `factor` times their size: (B, H * factor, W * factor, C)."""
    if factor == 1:
        return images
    height, width = ops.shape(images)[1:3]
    return resize_bilinear(images, (height * factor, width * factor))
