"""What stands between a classifier's last feature map and its linear layer."""

from __future__ import annotations

from keras import layers


def pooled(x):
    """The mean over all places, its place kept for what follows: (B, H, W, C) to (B, 1, 1, C)."""
    return layers.GlobalAveragePooling2D(keepdims=True, name="neck_pool")(x)


def dropped(x, rate: float):
    """Dropout in training, of whatever shape; nothing where the rate is 0."""
    return layers.Dropout(rate, name="neck_dropout")(x) if rate else x
