"""Conditional DETR's head: where a query looks follows from a point of its own and from what it has gathered."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.query import QueryHead
from kzoo.heads.query_parts import Queries
from kzoo.layers.conditional import ConditionalLayer
from kzoo.layers.positions import Learnt, sine_boxes
from kzoo.layers.transformer import MLP
from kzoo.options import checked
from kzoo.options.building import QUERY


@keras.saving.register_keras_serializable("kzoo")
class ConditionalDETRHead(QueryHead):
    """Queries with learnt positions, of which each makes a point; boxes are told from that point.

    Outputs, targets and their shapes are those of `kzoo.heads.query.QueryHead`.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of each feature map, finest first.
        **kwargs: further arguments of `kzoo.heads.query.QueryHead`, of which other defaults are `queries` 300,
            `class_loss` "focal", and `class_weight` and `class_cost` 2; and of
            `kzoo.heads.detection.DetectionHead`.

    Source: Meng et al. 2021, arXiv:2108.06152.
    """

    options = QUERY

    @checked(QUERY)
    def __init__(self, num_classes: int, strides: Sequence[int], **kwargs):
        own = {"queries": 300, "class_loss": "focal", "class_weight": 2.0, "class_cost": 2.0}
        super().__init__(num_classes, strides, **{**own, **kwargs})
        width = self.query_width
        settings = (width, self.heads, self.feedforward, self.dropout)
        self.decoder = [
            ConditionalLayer(*settings, placed=i == 0, name=f"decoder{i}") for i in range(self.decoder_depth)
        ]
        self.positions = Learnt((self.queries, width), name="queries")
        self.points = MLP(width, (width, 2), name="points")
        # By what a query has gathered its waves count, from the second layer on.
        self.scale = MLP(width, (width, width), name="scale") if self.decoder_depth > 1 else None

    def build(self, input_shape):
        super().build(input_shape)
        for layer in (*self.decoder, self.positions, self.points, self.scale):
            if layer is not None:
                layer.build()

    def start(self, memory, training):
        position = self.positions(memory.cells)  # (B, Q, C)
        # In float32 whatever the policy: short wavelengths tell places apart that half precision does not.
        reference = ops.sigmoid(ops.cast(self.points(position), "float32"))  # (B, Q, 2)
        waves = ops.cast(sine_boxes(reference, self.query_width // 2), position.dtype)  # (B, Q, C)
        return Queries(ops.zeros_like(position), position, reference, further={"waves": waves})

    def step(self, index, queries, memory, bias, training):
        waves = queries.further["waves"]
        if index:
            waves = waves * self.scale(queries.content)
        cells = (memory.cells, memory.position)
        content = self.decoder[index](
            queries.content, queries.position, waves, *cells, bias=bias, training=training
        )
        return queries.but(content=content)

    def step_operations(self, cells):
        scale = 0 if self.scale is None else self.scale.operations(self.queries)
        return self.decoder[-1].operations(self.queries, cells) + scale
