"""DETR's head: queries that are learnt, and know nothing of the image before they look at it."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.query import QueryHead
from kzoo.heads.query_parts import Queries
from kzoo.layers.decoder import DecoderLayer
from kzoo.layers.positions import Learnt
from kzoo.options import checked
from kzoo.options.queries import DETR


@keras.saving.register_keras_serializable("kzoo")
class DETRHead(QueryHead):
    """Queries with learnt positions and nothing else; boxes come from what they gather alone.

    Outputs, targets and their shapes are those of `kzoo.heads.query.QueryHead`.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of each feature map, finest first.
        pre_norm: whether normalisation comes before attention and dense layers rather than after; False by default.
        **kwargs: further arguments of `kzoo.heads.query.QueryHead`, such as `queries`, and of
            `kzoo.heads.detection.DetectionHead`.

    Source: Carion et al. 2020, arXiv:2005.12872.
    """

    options = DETR
    meaning = (*QueryHead.meaning, "pre_norm")
    refers = False

    @checked(DETR)
    def __init__(self, num_classes: int, strides: Sequence[int], pre_norm: bool = False, **kwargs):
        super().__init__(num_classes, strides, **kwargs)
        self.pre_norm = pre_norm
        settings = (self.query_width, self.heads, self.feedforward, self.dropout, pre_norm)
        self.decoder = [DecoderLayer(*settings, name=f"decoder{i}") for i in range(self.decoder_depth)]
        self.positions = Learnt((self.queries, self.query_width), name="queries")

    def build(self, input_shape):
        super().build(input_shape)
        for layer in (*self.decoder, self.positions):
            layer.build()

    def start(self, memory, training):
        position = self.positions(memory.cells)  # (B, Q, C)
        return Queries(ops.zeros_like(position), position)

    def step(self, index, queries, memory, bias, training):
        cells = (memory.cells, memory.position)
        content = self.decoder[index](queries.content, queries.position, *cells, bias=bias, training=training)
        return queries.but(content=content)

    def step_operations(self, cells):
        return self.decoder[0].operations(self.queries, cells)
