"""DAB-DETR's head: each query is a box, which every layer moves, and which says where to look and how far around."""

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
class DABDETRHead(QueryHead):
    """Queries that are learnt boxes; each layer looks around its box, and moves it for the next.

    Outputs, targets and their shapes are those of `kzoo.heads.query.QueryHead`.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of each feature map, finest first.
        **kwargs: further arguments of `kzoo.heads.query.QueryHead`, of which other defaults are `queries` 300,
            `dropout` 0, `class_loss` "focal" and `class_cost` 2; and of `kzoo.heads.detection.DetectionHead`, with
            `max_detections` 300.

    Source: Liu et al. 2022, arXiv:2201.12329.
    """

    options = QUERY
    map_position = "sine-20"
    refines = True
    forward_twice = True
    margin = 1e-3

    @checked(QUERY)
    def __init__(self, num_classes: int, strides: Sequence[int], **kwargs):
        own = {
            "queries": 300,
            "dropout": 0.0,
            "class_loss": "focal",
            "class_cost": 2.0,
            "max_detections": 300,
        }
        super().__init__(num_classes, strides, **{**own, **kwargs})
        width = self.query_width
        settings = (width, self.heads, self.feedforward, self.dropout)
        self.decoder = [
            ConditionalLayer(*settings, placed=i == 0, activation="prelu", name=f"decoder{i}")
            for i in range(self.decoder_depth)
        ]
        self.starts = Learnt((self.queries, 4), name="query_boxes", dtype="float32")
        self.placing = MLP(2 * width, (width, width), name="placing")
        # By what a query has gathered its waves count, from the second layer on.
        self.scale = MLP(width, (width, width), name="scale") if self.decoder_depth > 1 else None
        self.extent = MLP(width, (width, 2), name="extent")

    def build(self, input_shape):
        super().build(input_shape)
        for layer in (*self.decoder, self.starts, self.placing, self.scale, self.extent):
            if layer is not None:
                layer.build()

    def start(self, memory, training):
        anchors = self.starts(memory.cells)  # (B, Q, 4)
        shape = (ops.shape(anchors)[0], self.queries, self.query_width)
        return Queries(ops.zeros(shape, self.compute_dtype), reference=ops.sigmoid(anchors))

    def step(self, index, queries, memory, bias, training):
        half, content = self.query_width // 2, queries.content
        waves = sine_boxes(queries.reference, half)  # (B, Q, 2 C) float32
        position = self.placing(ops.cast(waves, content.dtype))  # (B, Q, C)
        # Where to look: y before x, each as far around as the sides say.
        extent = (
            ops.sigmoid(ops.cast(self.extent(content), "float32")) / queries.reference[..., 2:]
        )  # (B, Q, 2)
        vertical, horizontal = (
            waves[..., :half] * extent[..., 1:],
            waves[..., half : 2 * half] * extent[..., :1],
        )
        waves = ops.cast(ops.concatenate([vertical, horizontal], axis=-1), content.dtype)  # (B, Q, C)
        if index:
            waves = waves * self.scale(content)
        cells = (memory.cells, memory.position)
        content = self.decoder[index](content, position, waves, *cells, bias=bias, training=training)
        return queries.but(content=content)

    def step_operations(self, cells):
        parts = [each for each in (self.placing, self.scale, self.extent) if each is not None]
        small = sum(each.operations(self.queries) for each in parts)
        return self.decoder[-1].operations(self.queries, cells) + small
