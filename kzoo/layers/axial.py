"""Attention that looks at the rows of a map and at its columns apart from each other."""

from __future__ import annotations

from keras import layers, ops

from kzoo.layers.multihead import MultiHeadAttention
from kzoo.layers.transformer import FeedForward, Residual


class AxialAttention(layers.Layer):
    """Weighted means of a map's cells, whose weights are products of a weight of the column and one of the row.

    A query is compared with each column's mean of its cells, and with each row's.

    Args:
        width: number of channels, a multiple of `heads`.
        heads: number of heads.
        dropout: share of the weights that is dropped in training, 0 (default) to below 1.
        **kwargs: arguments of every Keras layer; parts have names that begin with this one's.

    Shapes:
        inputs: queries for columns and for rows (B, N, C) each, keys of columns (B, W, C) and of rows (B, H, C), values
            (B, H, W, C).
        outputs: (B, N, C).

    Source: Wang et al. 2021, Anchor DETR, arXiv:2109.07107, section 3.4, "Row-Column Decoupled Attention".
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.width, self.heads = width, heads
        parts = ("column_query", "row_query", "column_key", "row_key", "value", "out")
        self.dense = {part: layers.Dense(width, name=f"{self.name}_{part}") for part in parts}
        self.dropout = layers.Dropout(dropout, name=f"{self.name}_dropout") if dropout else None

    def build(self, input_shape=None):
        for layer in self.dense.values():
            layer.build((None, None, self.width))
        self.built = True

    def call(self, column_query, row_query, column_key, row_key, value, training=None):
        depth = self.width // self.heads  # D
        columns = self._weights("column", column_query, column_key)  # (B, heads, N, W)
        rows = self._weights("row", row_query, row_key)  # (B, heads, N, H)
        batch, height, width = ops.shape(value)[:3]
        values = ops.reshape(self.dense["value"](value), (batch, height, width, self.heads, depth))
        # First the columns of each row, then the rows: (B, heads, W, H * D), (B, heads, N, H, D).
        by_column = ops.reshape(
            ops.transpose(values, (0, 3, 2, 1, 4)), (batch, self.heads, width, height * depth)
        )
        seen = ops.matmul(columns, by_column)
        count = ops.shape(seen)[2]
        seen = ops.reshape(seen, (batch, self.heads, count, height, depth))
        seen = ops.matmul(ops.expand_dims(rows, 3), seen)  # (B, heads, N, 1, D)
        seen = ops.transpose(seen[:, :, :, 0], (0, 2, 1, 3))
        return self.dense["out"](ops.reshape(seen, (batch, count, self.width)))

    def _weights(self, axis: str, query, key):
        """How much queries (B, N, C) look at each of the keys (B, M, C) of an axis: (B, heads, N, M)."""
        query, key = self.dense[f"{axis}_query"](query), self.dense[f"{axis}_key"](key)
        depth = self.width // self.heads
        query, key = (
            ops.transpose(ops.reshape(x, (*ops.shape(x)[:2], self.heads, depth)), (0, 2, 1, 3))
            for x in (query * depth**-0.5, key)
        )
        scores = ops.cast(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))), "float32")
        weights = ops.cast(ops.softmax(scores), query.dtype)
        return weights if self.dropout is None else self.dropout(weights)

    def operations(self, queries: int, height: int, width: int) -> float:
        """Floating-point operations of one image, two a multiply-add, with so many queries."""
        dense = 2 * self.width * self.width * (3 * queries + height + width + height * width)
        looking = 2 * queries * self.width * (height + width)
        return dense + looking + 2 * queries * self.width * (height * width + height)


class AxialEncoderLayer(layers.Layer):
    """Each cell looks at the columns and rows of its map, then goes through two dense layers.

    Args:
        width: number of channels, a multiple of `heads`.
        heads: number of heads.
        feedforward: number of channels between the dense layers.
        dropout: share of weights and channels that is dropped in training, 0 to below 1.
        **kwargs: arguments of every Keras layer; parts have names that begin with this one's.

    Shapes: x (B, H, W, C), positions of columns (1, W, C) and of rows (1, H, C); (B, H, W, C) out.
    """

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float, **kwargs):
        super().__init__(**kwargs)
        self.attention = AxialAttention(width, heads, dropout, name=f"{self.name}_self")
        self.feedforward = FeedForward(width, feedforward, dropout=dropout, name=f"{self.name}_feedforward")
        self.residuals = [
            Residual(width, dropout, name=f"{self.name}_{part}") for part in ("self", "feedforward")
        ]

    def build(self, input_shape=None):
        for layer in (self.attention, self.feedforward, *self.residuals):
            layer.build()
        self.built = True

    def call(self, x, columns, rows, training=None):
        batch, height, width, channels = ops.shape(x)

        def look(cells):
            maps = ops.reshape(cells, (batch, height, width, channels))
            queries = (maps + ops.expand_dims(columns, 1), maps + ops.expand_dims(rows, 2))
            queries = (ops.reshape(each, (batch, height * width, channels)) for each in queries)
            keys = (ops.mean(maps, axis=1) + columns, ops.mean(maps, axis=2) + rows)
            return self.attention(*queries, *keys, maps)

        cells = self.residuals[0](ops.reshape(x, (batch, height * width, channels)), make=look)
        cells = self.residuals[1](cells, make=self.feedforward)
        return ops.reshape(cells, (batch, height, width, channels))

    def operations(self, height: int, width: int) -> float:
        """Floating-point operations of one image, two a multiply-add."""
        cells = height * width
        return self.attention.operations(cells, height, width) + self.feedforward.operations(cells)


class AxialDecoderLayer(layers.Layer):
    """Queries look at each other, then at a map's columns and rows, then go through two dense layers.

    Args:
        width: number of channels, a multiple of `heads`.
        heads: number of heads.
        feedforward: number of channels between the dense layers.
        dropout: share of weights and channels that is dropped in training, 0 to below 1.
        **kwargs: arguments of every Keras layer; parts have names that begin with this one's.

    Shapes:
        inputs: content (B, Q, C) and three positions (B, Q, C): the place, the column and the row; keys of columns
            (B, W, C) and of rows (B, H, C), the map (B, H, W, C); bias of the queries' attention to each other.
        outputs: (B, Q, C).
    """

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float, **kwargs):
        super().__init__(**kwargs)
        self.self_attention = MultiHeadAttention(width, heads, dropout, name=f"{self.name}_self")
        self.cross_attention = AxialAttention(width, heads, dropout, name=f"{self.name}_cross")
        self.feedforward = FeedForward(width, feedforward, dropout=dropout, name=f"{self.name}_feedforward")
        self.residuals = [
            Residual(width, dropout, name=f"{self.name}_{part}") for part in ("self", "cross", "feedforward")
        ]

    def build(self, input_shape=None):
        for layer in (self.self_attention, self.cross_attention, self.feedforward, *self.residuals):
            layer.build()
        self.built = True

    def call(self, content, position, column, row, column_key, row_key, cells, bias=None, training=None):
        def at_each_other(x):
            placed = x + position
            return self.self_attention(placed, placed, x, bias=bias)

        def at_cells(x):
            return self.cross_attention(x + column, x + row, column_key, row_key, cells)

        x = self.residuals[0](content, make=at_each_other)
        x = self.residuals[1](x, make=at_cells)
        return self.residuals[2](x, make=self.feedforward)

    def operations(self, queries: int, height: int, width: int) -> float:
        """Floating-point operations of one image, two a multiply-add."""
        looking = self.cross_attention.operations(queries, height, width)
        among = self.self_attention.operations(queries, queries)
        return looking + among + self.feedforward.operations(queries)
