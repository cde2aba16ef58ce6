"""Attention by several heads: each query's weighted mean of values, weighted by how well keys fit it."""

from __future__ import annotations

import keras
from keras import layers, ops

UNSEEN = (
    -1e9
)  # what is added to a logit that is not to count; with infinity a row that sees nothing would be NaN


def attend(query, key, value, heads: int, bias=None, dropout=None):
    """Weighted means of values, head by head.

    Args:
        query: (B, N, D), head by head.
        key: (B, M, D), head by head.
        value: (B, M, V), head by head; or of one image (1, M, V), like the keys, for all.
        heads: number of heads, which divides D and V.
        bias: what is added to the logits: float32 that broadcasts against (B, heads, N, M), such as `unseen` gives;
            None (default) for nothing.
        dropout: layer that drops some of the weights in training; None (default) for none.

    Returns:
        (B, N, V), head by head.

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 1.
    """
    depth = query.shape[-1] // heads
    query, key, value = (_by_head(x, heads) for x in (query * depth**-0.5, key, value))
    # The sum of exponentials in float32 whatever the policy.
    scores = ops.cast(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))), "float32")  # (B, heads, N, M)
    weights = ops.softmax(scores if bias is None else scores + ops.cast(bias, "float32"))
    weights = ops.cast(weights, value.dtype)
    if dropout is not None:
        weights = dropout(weights)
    seen = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))  # (B, N, heads, V / heads)
    batch, rows = ops.shape(seen)[:2]
    return ops.reshape(seen, (batch, rows, heads * seen.shape[-1]))


def _by_head(x, heads: int):
    """(B, N, D) -> (B, heads, N, D / heads)."""
    batch, rows = ops.shape(x)[:2]
    return ops.transpose(ops.reshape(x, (batch, rows, heads, x.shape[-1] // heads)), (0, 2, 1, 3))


def unseen(visible):
    """What `attend` adds to logits where queries may not look everywhere.

    Args:
        visible: (N, M) bool, which keys each query may look at; or (B, N, M).

    Returns:
        float32 of the same shape, with an axis for heads where there is one for images.
    """
    bias = ops.where(visible, 0.0, UNSEEN)
    return ops.expand_dims(bias, 1) if len(bias.shape) == 3 else bias


def third_of_packed():
    """Begins the projections of queries, keys and values as thirds of one matrix that is begun as a whole."""
    return keras.initializers.VarianceScaling(0.5, "fan_avg", "uniform")


class MultiHeadAttention(layers.Layer):
    """Attention with projections of queries, keys, values and of what is seen, as torch has it.

    Args:
        width: number of channels of what goes in and out, a multiple of `heads`.
        heads: number of heads, 1 or more.
        dropout: share of the weights that is dropped in training, 0 (default) to below 1.
        **kwargs: arguments of every Keras layer; parts have names that begin with this one's.

    Shapes:
        inputs: query (B, N, width), key (B, M, width), value (B, M, width); bias as `attend` takes it; and by its
            name `there` (B, M) bool, which keys are no padding: nothing looks at others. Where an image has none,
            queries see the mean of its values.
        outputs: (B, N, width).
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.width, self.heads = width, heads
        self.projections = [
            layers.Dense(width, kernel_initializer=third_of_packed(), name=f"{self.name}_{part}")
            for part in ("query", "key", "value")
        ]
        self.out = layers.Dense(width, name=f"{self.name}_out")
        self.dropout = layers.Dropout(dropout, name=f"{self.name}_dropout") if dropout else None

    def build(self, input_shape=None):
        for layer in (*self.projections, self.out):
            layer.build((None, None, self.width))
        self.built = True

    def call(self, query, key, value, bias=None, there=None, training=None):
        if there is not None:
            padding = unseen(ops.expand_dims(there, 1))  # (B, 1, 1, M)
            bias = padding if bias is None else bias + padding
        projected = [layer(x) for layer, x in zip(self.projections, (query, key, value), strict=True)]
        return self.out(attend(*projected, self.heads, bias, self.dropout))

    def operations(self, queries: int, keys: int) -> float:
        """Floating-point operations of one image, two a multiply-add, with so many queries and keys."""
        dense = 4 * self.width * self.width * (queries + keys)
        return dense + 4 * queries * keys * self.width
