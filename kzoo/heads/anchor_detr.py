"""Anchor DETR's head: queries are points, each with several patterns, and attention goes by columns and rows."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.query import QueryHead
from kzoo.heads.query_parts import Queries
from kzoo.layers.axial import AxialDecoderLayer, AxialEncoderLayer
from kzoo.layers.positions import TURN, Learnt, places, sine_boxes, sines
from kzoo.layers.transformer import MLP
from kzoo.options import checked
from kzoo.options.queries import ANCHOR_DETR


@keras.saving.register_keras_serializable("kzoo")
class AnchorDETRHead(QueryHead):
    """Queries that are learnt points, of which each looks for objects of several patterns; boxes are told from them.

    The encoder is the head's, for positions on an axis are made by the same layers for cells and for queries.

    Outputs, targets and their shapes are those of `kzoo.heads.query.QueryHead`, of one map, and of as many queries as
    there are points times patterns, pattern by pattern.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of the feature map, one number in a list.
        queries: number of points, 1 or more, 300 by default.
        patterns: number of patterns of each point, 1 or more, 3 by default.
        encoder_depth: number of the encoder's layers, 1 or more, 6 by default.
        **kwargs: further arguments of `kzoo.heads.query.QueryHead`, of which other defaults are `feedforward` 1024,
            `dropout` 0, `class_loss` "focal", and `class_weight` and `class_cost` 2; and of
            `kzoo.heads.detection.DetectionHead`.

    Raises:
        ValueError: an argument is out of its range.

    Source: Wang et al. 2021, arXiv:2109.07107.
    """

    options = ANCHOR_DETR
    map_position = None
    normed = False

    @checked(ANCHOR_DETR)
    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        queries: int = 300,
        patterns: int = 3,
        encoder_depth: int = 6,
        **kwargs,
    ):
        own = {
            "feedforward": 1024,
            "dropout": 0.0,
            "class_loss": "focal",
            "class_weight": 2.0,
            "class_cost": 2.0,
        }
        super().__init__(num_classes, strides, queries=queries, **{**own, **kwargs})
        width = self.query_width
        settings = (width, self.heads, self.feedforward, self.dropout)
        self.patterns, self.encoder_depth = patterns, encoder_depth
        self.encoder = [AxialEncoderLayer(*settings, name=f"encoder{i}") for i in range(encoder_depth)]
        self.decoder = [AxialDecoderLayer(*settings, name=f"decoder{i}") for i in range(self.decoder_depth)]
        self.points = Learnt((queries, 2), "random_uniform", name="query_points", dtype="float32")
        self.contents = Learnt((patterns, width), name="patterns")
        self.placing, self.lining = (MLP(width, (width, width), name=name) for name in ("placing", "lining"))

    def build(self, input_shape):
        super().build(input_shape)
        for layer in (*self.encoder, *self.decoder, self.points, self.contents, self.placing, self.lining):
            layer.build()

    def on_axis(self, shares):
        """Positions of places on an axis: (..., N) float32, 0 to 1 -> (..., N, C)."""
        return self.lining(ops.cast(sines(shares * TURN, self.query_width), self.compute_dtype))

    def lines(self, size):
        """Positions of a map's columns (1, W, C) and rows (1, H, C), of its height and width."""
        height, width = size
        return [ops.expand_dims(self.on_axis(places(count, 0.5, 0.0)), 0) for count in (width, height)]

    def call(self, features, training=None):
        (x,) = features
        columns, rows = self.lines(ops.shape(x)[1:3])
        for layer in self.encoder:
            x = layer(x, columns, rows, training=training)
        return super().call([x], training)

    def memory(self, features):
        memory = super().memory(features)
        (x,) = features
        columns, rows = self.lines(memory.sizes[0])
        memory.further = {"column": ops.mean(x, axis=1) + columns, "row": ops.mean(x, axis=2) + rows}
        return memory

    def start(self, memory, training):
        points = ops.tile(self.points(memory.cells), (1, self.patterns, 1))  # (B, Q, 2)
        content = ops.repeat(self.contents(memory.cells), self.queries, axis=1)  # (B, Q, C)
        waves = ops.cast(sine_boxes(points, self.query_width // 2), self.compute_dtype)
        on_axes = {name: self.on_axis(points[..., axis]) for axis, name in enumerate(("column", "row"))}
        return Queries(content, self.placing(waves), points, further=on_axes)

    def step(self, index, queries, memory, bias, training):
        own = (queries.position, queries.further["column"], queries.further["row"])
        keys = (memory.further["column"], memory.further["row"], memory.maps[0])
        content = self.decoder[index](queries.content, *own, *keys, bias=bias, training=training)
        return queries.but(content=content)

    def operations(self, shapes):
        (_, height, width, _), count = shapes[0], self.queries * self.patterns
        steps = (self.decoder_layers or self.decoder_depth) * self.decoder[0].operations(count, height, width)
        encoded = self.encoder_depth * self.encoder[0].operations(height, width)
        told = 2 * self.query_width * self.num_classes * count + self.box_layers[0].operations(count)
        axes = self.lining.operations(2 * (height + width) + 2 * count) + self.placing.operations(count)
        return encoded + steps + told + axes
