"""Models with weights as training might leave them."""

import keras
import numpy as np

from kzoo.deploy.drawn import drawn

__all__ = ["NAMES", "SIZE", "randomised", "spread_out"]

SIZE = (64, 64)
NAMES = ["circle", "rectangle", "triangle"]
randomised = drawn


def spread_out(model, images):
    """Sets the last convolutions of anchors' cells, in place, so that each cell says something else of the images.

    A deep network of drawn weights gives next to the same everywhere: scores that differ by a rounding error then
    change places, and of boxes that overlap alike another is left.

    Args:
        model: the model.
        images: (B, H, W, 3) uint8, noise, of which no two places are the same.
    """
    features = keras.tree.flatten(model.network(images))
    for conv, maps in zip(getattr(model.head, "convs", ()), features, strict=False):
        raw = np.asarray(conv(maps))  # (B, h, w, channels)
        spread = raw.std(axis=(1, 2)).mean()
        if spread > 0:  # else there is one place
            kernel, bias = conv.get_weights()
            scale = max(1.0 / spread, 1.0)
            conv.set_weights([kernel * scale, bias - scale * (raw - bias).mean(axis=(0, 1, 2))])
    return model
