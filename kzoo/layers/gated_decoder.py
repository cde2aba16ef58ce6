"""A layer of D-FINE's decoder: what queries see at places of the maps comes in through a gate."""

from __future__ import annotations

from collections.abc import Sequence

from keras import layers, ops

from kzoo.layers.deformable_attention import DeformableAttention
from kzoo.layers.multihead import MultiHeadAttention
from kzoo.layers.transformer import MLP, FeedForward, Residual, norm


class GatedDecoderLayer(layers.Layer):
    """Queries look at each other, then at a few places of an image's maps, and weigh what they see with what they had.

    Args:
        width: number of channels, a multiple of `heads`.
        heads: number of heads.
        feedforward: number of channels between the dense layers.
        dropout: share of weights and channels that is dropped in training, 0 to below 1.
        points: number of points of a head on each map, one number a map.
        offset_scale: how far points of a box may lie at first; 0.5 by default.
        method: how values are taken, "bilinear" (default) or "discrete".
        **kwargs: arguments of every Keras layer; parts have names that begin with this one's.

    Shapes: as of `kzoo.layers.deformable_decoder.DeformableDecoderLayer`.

    Source: Peng et al. 2024, D-FINE, arXiv:2410.13842, section 4 and appendix, "target gating layer".
    """

    def __init__(
        self,
        width: int,
        heads: int,
        feedforward: int,
        dropout: float,
        points: Sequence[int],
        offset_scale: float = 0.5,
        method: str = "bilinear",
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # references stay in float32
        self.width = width
        self.self_attention = MultiHeadAttention(width, heads, dropout, name=f"{self.name}_self")
        self.cross_attention = DeformableAttention(
            width,
            heads,
            points,
            offset_scale=offset_scale,
            method=method,
            projected=False,
            name=f"{self.name}_cross",
        )
        self.feedforward = FeedForward(width, feedforward, dropout=dropout, name=f"{self.name}_feedforward")
        # At first both count half.
        self.gate = layers.Dense(2 * width, kernel_initializer="zeros", name=f"{self.name}_gate")
        self.gate_norm = norm(f"{self.name}_gate_norm")
        self.residuals = [
            Residual(width, dropout, name=f"{self.name}_{part}") for part in ("self", "feedforward")
        ]

    def build(self, input_shape=None):
        for layer in (self.self_attention, self.cross_attention, self.feedforward, *self.residuals):
            layer.build()
        self.gate.build((None, None, 2 * self.width))
        self.gate_norm.build((None, None, self.width))
        self.built = True

    def call(self, content, position, references, cells, bias=None, sizes=(), training=None):
        def at_each_other(x):
            placed = x + position
            return self.self_attention(placed, placed, x, bias=bias)

        x = self.residuals[0](content, make=at_each_other)
        seen = self.cross_attention(x + position, references, cells, sizes=sizes)
        gates = ops.sigmoid(self.gate(ops.concatenate([x, seen], axis=-1)))  # (B, Q, 2 * width)
        x = self.gate_norm(gates[..., : self.width] * x + gates[..., self.width :] * seen)
        return self.residuals[1](x, make=self.feedforward)

    def operations(self, queries: int, cells: int) -> float:
        """Floating-point operations of one image, two a multiply-add."""
        attention = self.self_attention.operations(queries, queries)
        gate = 8 * queries * self.width * self.width
        return (
            attention
            + self.cross_attention.operations(queries, cells)
            + gate
            + self.feedforward.operations(queries)
        )


class QualityLayer(layers.Layer):
    """How sure the sides of a box are, as a number that is added to the logits of its classes.

    Args:
        kept: number of the largest probabilities of a side that are looked at, and their mean, 4 by default.
        hidden: number of channels between the dense layers, 64 by default.
        **kwargs: arguments of every Keras layer; parts have names that begin with this one's.

    Shapes: probabilities (B, Q, 4, bins + 1) in; (B, Q, 1) out.

    Source: Peng et al. 2024, D-FINE's location quality estimator; after Li et al. 2021, arXiv:2011.12885.
    """

    def __init__(self, kept: int = 4, hidden: int = 64, **kwargs):
        super().__init__(**kwargs)
        self.kept = kept
        self.dense = MLP(4 * (kept + 1), (hidden, 1), last="zeros", name=f"{self.name}_")

    def build(self, input_shape=None):
        self.dense.build()
        self.built = True

    def call(self, likely):
        largest, _ = ops.top_k(likely, self.kept)  # (B, Q, 4, kept)
        seen = ops.concatenate([largest, ops.mean(largest, axis=-1, keepdims=True)], axis=-1)
        batch, queries = ops.shape(seen)[:2]
        return self.dense(ops.reshape(seen, (batch, queries, 4 * (self.kept + 1))))

    def operations(self, queries: int) -> float:
        """Floating-point operations of one image, two a multiply-add."""
        return self.dense.operations(queries)
