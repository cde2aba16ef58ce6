"""Models with weights as training might leave them."""

import keras
import numpy as np
from keras.layers import BatchNormalization

from kzoo.deploy.drawn import drawn
from kzoo.heads.base import leaves
from kzoo.heads.yolo import YoloHead

__all__ = ["NAMES", "SIZE", "randomised", "spread_out"]

SIZE = (64, 64)
NAMES = ["circle", "rectangle", "triangle"]
randomised = drawn


def spread_out(model, images):
    """Raises the scales of a network's normalisations, in place, until places beside each other differ.

    A deep network of drawn weights gives next to the same everywhere: scores that differ by a rounding error then
    change places, and of boxes that overlap alike another is left.

    Args:
        model: the model; only one with `YoloHead` is changed.
        images: (B, H, W, 3) uint8, noise, of which no two places are the same.
    """
    scales = [layer.gamma for layer in leaves(model.network) if isinstance(layer, BatchNormalization)]
    while scales and isinstance(model.head, YoloHead) and _least_spread(model, images) < 0.01:
        for scale in scales:
            scale.assign(1.2 * scale)
    return model


def _least_spread(model, images) -> float:
    """The deviation of raw outputs inside the maps, at whose borders it is more, of the level where it is least."""
    outputs = model.head(keras.tree.flatten(model.network(images)))
    inner = [np.asarray(maps)[:, 1:-1, 1:-1] for maps in outputs.values()]  # (B, h, w, channels)
    return min((maps.std(axis=(1, 2)).mean() for maps in inner if maps.shape[1] > 1), default=np.inf)
