"""A layer of DETR's decoder: queries look at each other, then at the image."""

from __future__ import annotations

from keras import layers

from kzoo.layers.multihead import MultiHeadAttention
from kzoo.layers.transformer import FeedForward, Residual


class DecoderLayer(layers.Layer):
    """Queries look at each other, then at an image's cells, then go through two dense layers.

    Args:
        width: number of channels, a multiple of `heads`.
        heads: number of heads.
        feedforward: number of channels between the dense layers.
        dropout: share of weights and channels that is dropped in training, 0 to below 1.
        pre_norm: whether normalisation comes first; False by default.
        **kwargs: arguments of every Keras layer; parts have names that begin with this one's.

    Shapes:
        inputs: content and position (B, Q, width) of the queries; cells (B, N, width) and their positions (1, N,
            width); bias of the queries' attention to each other, and of that to cells, as
            `kzoo.layers.multihead.attend` takes them, or None.
        outputs: (B, Q, width).

    Source: Carion et al. 2020, DETR, arXiv:2005.12872, appendix A.3.
    """

    def __init__(
        self, width: int, heads: int, feedforward: int, dropout: float, pre_norm: bool = False, **kwargs
    ):
        super().__init__(**kwargs)
        self.self_attention, self.cross_attention = (
            MultiHeadAttention(width, heads, dropout, name=f"{self.name}_{part}")
            for part in ("self", "cross")
        )
        self.feedforward = FeedForward(width, feedforward, dropout=dropout, name=f"{self.name}_feedforward")
        self.residuals = [
            Residual(width, dropout, pre_norm, name=f"{self.name}_{part}")
            for part in ("self", "cross", "feedforward")
        ]

    def build(self, input_shape=None):
        for layer in (self.self_attention, self.cross_attention, self.feedforward, *self.residuals):
            layer.build()
        self.built = True

    def call(self, content, position, cells, cell_position, bias=None, cell_bias=None, training=None):
        def at_each_other(x):
            placed = x + position
            return self.self_attention(placed, placed, x, bias=bias)

        def at_cells(x):
            return self.cross_attention(x + position, cells + cell_position, cells, bias=cell_bias)

        x = self.residuals[0](content, make=at_each_other)
        x = self.residuals[1](x, make=at_cells)
        return self.residuals[2](x, make=self.feedforward)

    def operations(self, queries: int, cells: int) -> float:
        """Floating-point operations of one image, two a multiply-add."""
        attention = self.self_attention.operations(queries, queries)
        return (
            attention + self.cross_attention.operations(queries, cells) + self.feedforward.operations(queries)
        )
