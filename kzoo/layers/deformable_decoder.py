"""A layer of Deformable DETR's decoder and its successors': queries look at each other, then at places of maps."""

from __future__ import annotations

from collections.abc import Sequence

from keras import layers

from kzoo.layers.deformable_attention import DeformableAttention
from kzoo.layers.multihead import MultiHeadAttention
from kzoo.layers.transformer import FeedForward, Residual


class DeformableDecoderLayer(layers.Layer):
    """Queries look at each other, then at a few places of an image's maps, then go through two dense layers.

    Args:
        width: number of channels, a multiple of `heads`.
        heads: number of heads.
        feedforward: number of channels between the dense layers.
        dropout: share of weights and channels that is dropped in training, 0 to below 1.
        points: number of points of a head on each map, one number a map.
        offset_scale: how far points of a box may lie at first: see `DeformableAttention`; 0.5 by default.
        method: how values are taken, "bilinear" (default) or "discrete".
        **kwargs: arguments of every Keras layer; parts have names that begin with this one's.

    Shapes:
        inputs: content and position (B, Q, width) of the queries; references (B, Q, levels or 1, 2 or 4); cells
            (B, N, width) of all maps; bias of the queries' attention to each other, as
            `kzoo.layers.multihead.attend` takes it; counted (B, N, 1), 0 for cells that are none, or None; and by its
            name `sizes`, height and width of each map.
        outputs: (B, Q, width).

    Source: Zhu et al. 2020, Deformable DETR, arXiv:2010.04159, section 4.1.
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
        self.self_attention = MultiHeadAttention(width, heads, dropout, name=f"{self.name}_self")
        self.cross_attention = DeformableAttention(
            width, heads, points, offset_scale=offset_scale, method=method, name=f"{self.name}_cross"
        )
        self.feedforward = FeedForward(width, feedforward, dropout=dropout, name=f"{self.name}_feedforward")
        self.residuals = [
            Residual(width, dropout, name=f"{self.name}_{part}") for part in ("self", "cross", "feedforward")
        ]

    def build(self, input_shape=None):
        for layer in (self.self_attention, self.cross_attention, self.feedforward, *self.residuals):
            layer.build()
        self.built = True

    def call(self, content, position, references, cells, bias=None, counted=None, sizes=(), training=None):
        def at_each_other(x):
            placed = x + position
            return self.self_attention(placed, placed, x, bias=bias)

        def at_places(x):
            return self.cross_attention(x + position, references, cells, counted, sizes=sizes)

        x = self.residuals[0](content, make=at_each_other)
        x = self.residuals[1](x, make=at_places)
        return self.residuals[2](x, make=self.feedforward)

    def operations(self, queries: int, cells: int) -> float:
        """Floating-point operations of one image, two a multiply-add."""
        attention = self.self_attention.operations(queries, queries)
        return (
            attention + self.cross_attention.operations(queries, cells) + self.feedforward.operations(queries)
        )
