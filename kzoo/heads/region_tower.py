"""Layers in a row that regions go through, those that stand for nothing among them."""

from __future__ import annotations

from collections.abc import Sequence

from keras import layers, ops


def build_in_a_row(tower: Sequence[layers.Layer], shape: Sequence[int | None]) -> tuple:
    """Builds layers, each for what the one before gives.

    Args:
        tower: the layers.
        shape: (R, h, w, C) of what the first one takes.

    Returns:
        The shape of what the last one gives.
    """
    shape = tuple(shape)
    for layer in tower:
        layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return shape


def through(tower: Sequence[layers.Layer], x, counted=None):
    """What comes out of layers in a row.

    Args:
        tower: the layers. Keras tells them whether they are in training.
        x: (R, h, w, C) features of R regions.
        counted: (R,) float, 0 for padding, which batch normalisation leaves out of its statistics; all count where
            None (default).
    """
    for layer in tower:
        if counted is not None and isinstance(layer, layers.BatchNormalization):
            cells = ops.broadcast_to(counted[:, None, None], ops.shape(x)[:-1])  # (R, h, w)
            x = layer(x, mask=cells)
        else:
            x = layer(x)
    return x
