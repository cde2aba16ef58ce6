"""DAB-Deformable-DETR's head: learnt boxes that every layer moves, and that look at a few places of four maps."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.deformable_detr import box_differences
from kzoo.heads.query import QueryHead
from kzoo.heads.query_parts import Queries
from kzoo.layers.deformable_decoder import DeformableDecoderLayer
from kzoo.layers.positions import Learnt, sine_boxes
from kzoo.layers.transformer import MLP
from kzoo.options import checked
from kzoo.options.queries import DAB_DEFORMABLE_DETR

_DEFAULTS = {
    "class_loss": "focal",
    "class_cost": 2.0,
    "dropout": 0.0,
    "queries": 300,
    "max_detections": 300,
}


@keras.saving.register_keras_serializable("kzoo")
class DABDeformableDETRHead(QueryHead):
    """Queries that are learnt boxes with learnt contents; each layer has last layers of its own.

    Outputs, targets and their shapes are those of `kzoo.heads.query.QueryHead`.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of each feature map, finest first.
        points: number of places that each head of attention looks at on each map, 4 by default.
        **kwargs: further arguments of `kzoo.heads.query.QueryHead`, such as `queries`. Defaults here are `class_loss`
            "focal", `class_cost` 2, `dropout` 0, 300 `queries` and 300 `max_detections`.

    Raises:
        ValueError: an argument is out of its range.

    Source: Liu et al. 2022, DAB-DETR, arXiv:2201.12329, section 5 and appendix, "DAB-Deformable-DETR".
    """

    options = DAB_DEFORMABLE_DETR
    meaning = (*QueryHead.meaning, "points")
    map_position = None
    normed = False
    own_heads = True
    refines = True
    multiple = 32  # of the image's sides: the coarsest map may have half a cell more

    @checked(DAB_DEFORMABLE_DETR)
    def __init__(self, num_classes: int, strides: Sequence[int], points: int = 4, **kwargs):
        super().__init__(num_classes, strides, **{**_DEFAULTS, **kwargs})
        self.points = points
        width = self.query_width
        settings = (width, self.heads, self.feedforward, self.dropout, [points] * len(self.strides))
        self.decoder = [
            DeformableDecoderLayer(*settings, name=f"decoder{i}") for i in range(self.decoder_depth)
        ]
        self.starts = Learnt((self.queries, 4), name="query_boxes", dtype="float32")
        self.content = Learnt((self.queries, width), name="content")
        self.placed = MLP(2 * width, (width, width), name="position")
        # By what a query has gathered its position counts, from the second layer on.
        self.scale = MLP(width, (width, width), name="scale") if self.decoder_depth > 1 else None

    def box_layer(self, name):
        return box_differences(self.query_width, name == "box0_", name)

    def build(self, input_shape):
        super().build(input_shape)
        for layer in (*self.decoder, self.starts, self.content, self.placed, self.scale):
            if layer is not None:
                layer.build()

    def start(self, memory, training):
        # (B, Q, C), (B, Q, 4)
        return Queries(self.content(memory.cells), reference=ops.sigmoid(self.starts(memory.cells)))

    def step(self, index, queries, memory, bias, training):
        content = queries.content
        waves = sine_boxes(queries.reference, self.query_width // 2)  # (B, Q, 2 C) float32
        position = self.placed(ops.cast(waves, content.dtype))  # (B, Q, C)
        if index:
            position = position * self.scale(content)
        content = self.decoder[index](
            content,
            position,
            ops.expand_dims(queries.reference, 2),  # (B, Q, 1, 4), the same on all maps
            memory.cells,
            bias,
            sizes=memory.sizes,
            training=training,
        )
        return queries.but(content=content)

    def step_operations(self, cells):
        small = [each for each in (self.placed, self.scale) if each is not None]
        return self.decoder[0].operations(self.queries, cells) + sum(
            each.operations(self.queries) for each in small
        )
