"""What YOLOs share: joins of maps, and plain anchors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from keras import layers

from kzoo.layers.conv import ConvNamer
from kzoo.weights.published import published_anchors


def upsampled_join(namer: ConvNamer, x, lateral, filters: int):
    """Narrows, doubles the resolution and joins the backbone's finer map.

    (B, H, W, C) and (B, 2 H, 2 W, D) to (B, 2 H, 2 W, filters + D).
    """
    x = namer.conv(x, filters, size=1)
    x = layers.UpSampling2D(2, name=f"neck_up{namer.count}")(x)
    return layers.Concatenate(name=f"neck_concat{namer.count}")([x, lateral])


def plain_anchors(anchors: Sequence, own: Sequence, name: str, weights: str | None) -> list:
    """Anchors as plain numbers, which Keras writes into the model's file, wherever they come from.

    Args:
        anchors: widths and heights that were asked for.
        own: the model's own; where those are asked for, published weights may bring others.
        name: the registered name of the model.
        weights: the name of published weights, or a file.
    """
    if anchors is own:
        anchors = published_anchors(name, weights) or anchors
    return np.asarray(anchors, float).tolist()
