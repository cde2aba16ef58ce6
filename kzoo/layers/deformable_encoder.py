"""Deformable DETR's encoder: the cells of several maps look at a few places of all of them."""

from __future__ import annotations

import keras
from keras import layers, ops

from kzoo.layers.deformable_attention import DeformableAttention
from kzoo.layers.positions import places
from kzoo.layers.transformer import MAP_POSITIONS, FeedForward, Residual
from kzoo.policy import dtype_policy


class DeformableEncoderLayer(layers.Layer):
    """Each cell looks at a few places around it on every map, then goes through two dense layers.

    Args:
        width: number of channels, a multiple of `heads`.
        heads: number of heads.
        feedforward: number of channels between the dense layers.
        dropout: share of channels that is dropped in training, 0 to below 1.
        points: number of points of a head on each map.
        levels: number of maps.
        **kwargs: arguments of every Keras layer; parts have names that begin with this one's.

    Shapes: x (B, N, width), positions (1, N, width), references (1, N, 1, 2), and by their name `sizes`, height and
        width of each map; (B, N, width) out.
    """

    def __init__(
        self, width: int, heads: int, feedforward: int, dropout: float, points: int, levels: int, **kwargs
    ):
        super().__init__(autocast=False, **kwargs)  # references stay in float32
        self.attention = DeformableAttention(width, heads, points, levels, name=f"{self.name}_self")
        self.feedforward = FeedForward(width, feedforward, dropout=dropout, name=f"{self.name}_feedforward")
        self.residuals = [
            Residual(width, dropout, name=f"{self.name}_{part}") for part in ("self", "feedforward")
        ]

    def build(self, input_shape=None):
        for layer in (self.attention, self.feedforward, *self.residuals):
            layer.build()
        self.built = True

    def call(self, x, position, references, sizes=(), training=None):
        def look(x):
            return self.attention(x + position, references, x, sizes=sizes)

        x = self.residuals[0](x, make=look)
        return self.residuals[1](x, make=self.feedforward)

    def operations(self, cells: int) -> float:
        """Floating-point operations of so many cells of all maps, two a multiply-add."""
        return self.attention.operations(cells, cells) + self.feedforward.operations(cells)


@keras.saving.register_keras_serializable("kzoo")
class DeformableEncoder(layers.Layer):
    """The cells of maps look at each other, several times in a row; each knows by what it has learnt on which it is.

    Args:
        depth: number of layers, 1 or more.
        heads: number of heads, which divides the channels.
        feedforward: number of channels between the dense layers of each layer.
        dropout: share of channels that is dropped in training, 0 (default) to below 1.
        points: number of points of a head on each map, 4 by default.
        position: how positions are made, one of `kzoo.layers.transformer.MAP_POSITIONS`, "sine-centered" by default.
        **kwargs: arguments of every Keras layer.

    Shapes: a list of maps (B, H, W, C) in and out, finest first.

    Source: Zhu et al. 2020, Deformable DETR, arXiv:2010.04159, section 4.1.
    """

    def __init__(
        self,
        depth: int,
        heads: int,
        feedforward: int,
        dropout: float = 0.0,
        points: int = 4,
        position: str = "sine-centered",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.depth, self.heads, self.feedforward = depth, heads, feedforward
        self.dropout, self.points, self.position = dropout, points, position

    def get_config(self):
        names = ("depth", "heads", "feedforward", "dropout", "points", "position")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def build(self, input_shape):
        width, levels = input_shape[0][-1], len(input_shape)
        settings = (width, self.heads, self.feedforward, self.dropout, self.points, levels)
        with dtype_policy(self.dtype_policy):  # its layers are made late, when another may be set
            self.layers = [DeformableEncoderLayer(*settings, name=f"layer{i}") for i in range(self.depth)]
            self.levels = LevelBook(levels, width, name="levels")
        for layer in (*self.layers, self.levels):
            layer.build()
        self.built = True

    def call(self, maps, training=None):
        sizes = [ops.shape(x)[1:3] for x in maps]
        channels, make = maps[0].shape[-1], MAP_POSITIONS[self.position]
        position = [
            self.levels(ops.cast(make(*size, channels), maps[0].dtype), level=level)
            for level, size in enumerate(sizes)
        ]
        position = ops.concatenate(position, axis=1)  # (1, N, C)
        references = ops.concatenate([middles(*size) for size in sizes], axis=1)  # (1, N, 1, 2)
        rows = [
            ops.reshape(x, (ops.shape(x)[0], height * width, channels))
            for x, (height, width) in zip(maps, sizes, strict=True)
        ]
        x = ops.concatenate(rows, axis=1)  # (B, N, C)
        for layer in self.layers:
            x = layer(x, position, references, sizes=sizes)
        found, start = [], 0
        for height, width in sizes:
            cells = x[:, start : start + height * width]
            found.append(ops.reshape(cells, (ops.shape(cells)[0], height, width, channels)))
            start = start + height * width
        return found

    def compute_output_shape(self, input_shape):
        return [tuple(shape) for shape in input_shape]

    def compute_output_spec(self, maps, training=None):
        return [keras.KerasTensor(x.shape, dtype=self.compute_dtype) for x in maps]

    def map_operations(self, shapes) -> float:
        """Floating-point operations of maps (1, H, W, C), two a multiply-add."""
        cells = sum(shape[1] * shape[2] for shape in shapes)
        return sum(layer.operations(cells) for layer in self.layers)


class LevelBook(layers.Layer):
    """A learnt vector for each map, which is added to the positions of its cells.

    Args:
        levels: number of maps.
        width: number of channels of a vector.
        **kwargs: arguments of every Keras layer.

    Shapes: positions (1, N, width), and by its name the number `level` of the map; (1, N, width) out.
    """

    def __init__(self, levels: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.count, self.width = levels, width

    def build(self, input_shape=None):
        self.numbers = self.add_weight(shape=(self.count, self.width), initializer="normal", name="numbers")
        self.built = True

    def call(self, position, level=0):
        return position + ops.cast(self.numbers[level], position.dtype)


def middles(height, width):
    """The middle of each cell of a map, 0 to 1: x and y, (1, height * width, 1, 2) float32, row by row."""
    y, x = ops.meshgrid(*(places(count, 0.5, 0.0) for count in (height, width)), indexing="ij")  # (H, W)
    return ops.reshape(ops.stack([x, y], axis=-1), (1, height * width, 1, 2))
