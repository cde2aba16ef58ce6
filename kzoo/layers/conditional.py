"""A layer of Conditional DETR's decoder: what a query is and where it looks are compared apart from each other."""

from __future__ import annotations

from keras import layers, ops

from kzoo.layers.multihead import attend
from kzoo.layers.transformer import FeedForward, Residual


class ConditionalLayer(layers.Layer):
    """Queries look at each other, then at an image's cells by content and place, then go through two dense layers.

    Args:
        width: number of channels, a multiple of `heads`.
        heads: number of heads.
        feedforward: number of channels between the dense layers.
        dropout: share of weights and channels that is dropped in training, 0 to below 1.
        placed: whether queries' positions, and cells', are added to their contents before cells are looked at, as the
            first layer has it, whose queries have gathered nothing yet.
        activation: activation between the dense layers, one of `kzoo.layers.transformer.ACTIVATIONS`, "relu" by
            default.
        **kwargs: arguments of every Keras layer; parts have names that begin with this one's.

    Shapes:
        inputs: content, position and waves (B, Q, width) of the queries, the last of where they look; cells (B, N,
            width) and their positions (1, N, width); bias of the queries' attention to each other, as
            `kzoo.layers.multihead.attend` takes it.
        outputs: (B, Q, width).

    Source: Meng et al. 2021, Conditional DETR, arXiv:2108.06152, section 3.3.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        feedforward: int,
        dropout: float,
        placed: bool,
        activation: str = "relu",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.width, self.heads, self.placed = width, heads, placed
        common = ("query", "key", "key_position", "value", "out")
        self.own = self._projections("self", (*common, "query_position"))
        self.cross = self._projections("cross", (*common, "query_waves", *["query_position"] * placed))
        self.dropouts = [
            layers.Dropout(dropout, name=f"{self.name}_{part}_dropout") if dropout else None
            for part in ("self", "cross")
        ]
        self.feedforward = FeedForward(
            width, feedforward, activation, dropout, name=f"{self.name}_feedforward"
        )
        self.residuals = [
            Residual(width, dropout, name=f"{self.name}_{part}") for part in ("self", "cross", "feedforward")
        ]

    def _projections(self, attention: str, parts) -> dict:
        return {part: layers.Dense(self.width, name=f"{self.name}_{attention}_{part}") for part in parts}

    def build(self, input_shape=None):
        for layer in (*self.own.values(), *self.cross.values(), self.feedforward, *self.residuals):
            layer.build((None, None, self.width))
        self.built = True

    def call(self, content, position, waves, cells, cell_position, bias=None, training=None):
        def at_each_other(x):
            own = self.own
            query = own["query"](x) + own["query_position"](position)
            key = own["key"](x) + own["key_position"](position)
            return own["out"](attend(query, key, own["value"](x), self.heads, bias, self.dropouts[0]))

        def at_cells(x):
            cross = self.cross
            query, key, place = cross["query"](x), cross["key"](cells), cross["key_position"](cell_position)
            if self.placed:
                query, key = query + cross["query_position"](position), key + place
            query = self._beside(query, cross["query_waves"](waves))
            key = self._beside(key, ops.broadcast_to(place, ops.shape(key)))
            seen = attend(query, key, cross["value"](cells), self.heads, dropout=self.dropouts[1])
            return cross["out"](seen)

        x = self.residuals[0](content, make=at_each_other)
        x = self.residuals[1](x, make=at_cells)
        return self.residuals[2](x, make=self.feedforward)

    def _beside(self, one, other):
        """Two kinds of features (B, N, C), those of each head side by side: (B, N, 2 C)."""
        batch, rows = ops.shape(one)[:2]
        shape = (batch, rows, self.heads, self.width // self.heads)
        both = ops.concatenate([ops.reshape(each, shape) for each in (one, other)], axis=-1)
        return ops.reshape(both, (batch, rows, 2 * self.width))

    def operations(self, queries: int, cells: int) -> float:
        """Floating-point operations of one image, two a multiply-add."""
        square = 2 * self.width * self.width
        of_cells = sum(part in ("key", "key_position", "value") for part in self.cross) * cells
        dense = square * (queries * (len(self.own) + len(self.cross) - 3) + of_cells)
        looking = (
            self.width * queries * (4 * queries + 6 * cells)
        )  # keys of cells are twice as wide as values
        return dense + looking + self.feedforward.operations(queries)
