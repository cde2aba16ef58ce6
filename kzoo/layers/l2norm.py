"""L2 normalisation over channels."""

from __future__ import annotations

import keras
from keras import ops

_LEAST = 1e-12  # length of a vector that is not made longer


@keras.saving.register_keras_serializable("kzoo")
class L2Normalization(keras.layers.Layer):
    """Scales each place's vector of channels to length one, then every channel by a factor that is learned.

    Finer maps have larger features than coarser ones; so scaled they can be trained beside each other.

    Args:
        scale: number that the factors begin with, 20 by default.

    Shapes: (B, H, W, C) in and out.

    Source: Liu et al. 2015, ParseNet, arXiv:1506.04579, section 3.3; in SSD, arXiv:1512.02325, section 3.1.
    """

    def __init__(self, scale: float = 20.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def build(self, input_shape):
        self.factors = self.add_weight(
            (input_shape[-1],), initializer=keras.initializers.Constant(self.scale), name="scale"
        )

    def call(self, x):
        # Squares of half precision's larger numbers are beyond it.
        whole = ops.cast(x, "float32")
        square = ops.sum(whole * whole, axis=-1, keepdims=True)
        unit = whole * ops.rsqrt(ops.maximum(square, _LEAST**2))
        return ops.cast(unit * ops.cast(self.factors, "float32"), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape
