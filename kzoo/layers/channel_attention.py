"""Attention between channels: what the whole map says of each."""

from __future__ import annotations

from keras import layers


def squeezed(x, name: str, activation: str):
    """A map times a factor a channel, which a 1x1 convolution makes of the channels' means.

    Args:
        x: (B, H, W, C) maps.
        name: prefix of the layers' names.
        activation: Keras's name of what makes the factors lie in 0..1: "hard_sigmoid" or "sigmoid".

    Returns:
        (B, H, W, C).

    Source: Lee & Park 2020, CenterMask, arXiv:1911.06667, section 3.3, "Effective squeeze-excitation".
    """
    mean = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(x)  # (B, 1, 1, C)
    factor = layers.Conv2D(x.shape[-1], 1, activation=activation, name=f"{name}_fc")(mean)
    return layers.Multiply(name=f"{name}_scale")([x, factor])
