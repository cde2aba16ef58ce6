"""Dropping parts of feature maps in training."""

from __future__ import annotations

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("kzoo")
class DropBlock(layers.Layer):
    """Sets whole squares of a feature map to zero, in training alone, and scales up what is left.

    Neighbours in a feature map tell much the same, so dropping single places drops little. For dropping whole
    channels Keras has `SpatialDropout2D`.

    Args:
        keep: share of places that stay, once the schedule is through, above 0 to 1, 0.9 by default.
        size: side of the squares in cells, 1 to the map's side, 7 by default.
        steps: number of calls in training over which the share falls evenly from 1 to `keep`; 0 (default) starts with
            `keep`.
        seed: whole number that the random places come from; another one each time where None.

    Shapes: (B, H, W, C) in and out; H and W may vary.

    Source: Ghiasi et al. 2018, arXiv:1810.12890, algorithm 1 and section 3.2 (the schedule).
    """

    def __init__(self, keep: float = 0.9, size: int = 7, steps: int = 0, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not 0 < keep <= 1 or size < 1 or steps < 0:
            raise ValueError(
                f"DropBlock: keep={keep}, size={size}, steps={steps}; give a keep above 0 and up to 1, a size from 1 "
                "and steps from 0"
            )
        self.keep = keep
        self.size = size
        self.steps = steps
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        self.calls = self.add_weight((), initializer="zeros", trainable=False, dtype="float32", name="calls")
        self.built = True

    def call(self, x, training=None):
        if not training or self.keep == 1:
            return x
        share = ops.minimum(self.calls / self.steps, 1.0) if self.steps else 1.0
        mask = self._mask(x, (1.0 - self.keep) * share)
        self.calls.assign(self.calls + 1.0)
        # Over the whole batch, as the paper does: what is dropped here is made up for there.
        scale = ops.cast(ops.size(mask), "float32") / ops.maximum(ops.sum(mask), 1.0)
        return x * ops.cast(mask * scale, x.dtype)

    def _mask(self, x, drop):
        """(B, H, W, C) of 0 in the squares and 1 elsewhere, in float32."""
        height, width = ops.shape(x)[1:3]
        sides = [ops.cast(side, "float32") for side in (height, width)]
        reach = [ops.maximum(side - self.size + 1.0, 1.0) for side in sides]
        # Squares begin where they fit whole, so those places are drawn the more often.
        rate = drop / self.size**2 * (sides[0] / reach[0]) * (sides[1] / reach[1])
        seeds = ops.cast(keras.random.uniform(ops.shape(x), seed=self.generator) < rate, "float32")
        if self.size > 1:
            before, after = (self.size - 1) // 2, self.size // 2
            fits = [self._fits(side, before, after) for side in (height, width)]
            seeds = seeds * ops.reshape(fits[0], (1, -1, 1, 1)) * ops.reshape(fits[1], (1, 1, -1, 1))
            seeds = ops.max_pool(seeds, self.size, 1, "same")
        return 1.0 - seeds

    def _fits(self, side, before: int, after: int):
        """1 for the middles of squares that lie inside; for all places where none does."""
        place = ops.arange(side)
        inside = ops.logical_and(place >= before, place < side - after)
        return ops.cast(ops.logical_or(inside, ops.logical_not(ops.any(inside))), "float32")

    def compute_output_shape(self, input_shape):
        return input_shape
