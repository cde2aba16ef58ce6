"""Where in its box each object is: a small map of every region, and what it is to look like."""

from __future__ import annotations

import keras
from keras import layers, ops

from kzoo.heads.region_tower import build_in_a_row, through
from kzoo.layers.residual import batch_normalization, relu_initializer


class MaskBranch(keras.layers.Layer):
    """Convolutions from pooled features to a map for every class, twice as fine, region by region.

    Shapes, of R regions and K classes: (R, S, S, C) pooled features to (R, 2 S, 2 S, K + 1) logits. The background's,
    which are first, are never trained; published weights have them. `counted` (R,), 0 for padding, is for batch
    normalisation.

    Args:
        num_classes: number of classes, 1 or more, without the background, K.
        convs: number of 3x3 convolutions, 0 or more.
        width: number of channels of these convolutions.
        batch_norm: whether each of them has a batch normalisation.

    Source: He et al. 2017, arXiv:1703.06870, figure 4 right.
    """

    def __init__(self, num_classes: int, convs: int, width: int, batch_norm: bool, **kwargs):
        super().__init__(name="mask_branch", **kwargs)
        start = {"kernel_initializer": relu_initializer()}
        self.tower = []
        for i in range(convs):
            name = f"mask_tower{i}"
            self.tower.append(
                layers.Conv2D(width, 3, padding="same", use_bias=not batch_norm, name=f"{name}_conv", **start)
            )
            if batch_norm:
                self.tower.append(batch_normalization("trained", f"{name}_bn"))
            self.tower.append(layers.ReLU(name=f"{name}_relu"))
        self.tower.append(layers.Conv2DTranspose(width, 2, 2, activation="relu", name="mask_finer", **start))
        self.class_layer = layers.Conv2D(num_classes + 1, 1, name="mask_class", **start)

    def build(self, input_shape):
        build_in_a_row([*self.tower, self.class_layer], input_shape)
        self.built = True

    def call(self, pooled, counted=None, training=None):
        return ops.cast(self.class_layer(through(self.tower, pooled, counted)), "float32")
