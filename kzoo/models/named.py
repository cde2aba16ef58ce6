"""Networks on a backbone by name: images, normalised as its weights ask, and its feature maps."""

from __future__ import annotations

from pathlib import Path

import keras

from kzoo.backbones.named import backbone_features
from kzoo.layers.normalize import normalized
from kzoo.weights.reading import reading


def named_features(
    backbone: str,
    width: float,
    depth: float,
    backbone_weights: str | Path | None,
    weights: str | Path | None,
    normalize: str | None = None,
    output_stride: int = 32,
):
    """Images (B, H, W, 3) as a network's input, and a backbone's maps at strides 4, 8, 16 and 32.

    Args:
        backbone: one of `kzoo.backbones.named.BACKBONES`.
        width: factor of the channels, above 0.
        depth: factor of the blocks of a stage, above 0.
        backbone_weights: what the architecture function got under this name, for how images are normalised.
        weights: what the architecture function got under this name, for the same reason.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the weights ask for
            where None (default).
        output_stride: stride of the last map, 32 (default), 16 or 8: later stages then dilate in the place of strides.
    """
    read = reading(backbone_weights, weights, backbone=backbone)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, normalize or read.normalize)
    return inputs, backbone_features(x, backbone, output_stride, width, depth, **read.strides)
