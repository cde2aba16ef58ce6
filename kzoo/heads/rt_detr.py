"""RT-DETR's head: queries that begin on the best cells, and look at a few places of three maps in every layer."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.selecting import SelectingHead
from kzoo.layers.deformable_decoder import DeformableDecoderLayer
from kzoo.layers.transformer import MLP
from kzoo.options import checked
from kzoo.options.queries import RT_DETR

_DEFAULTS = {
    "class_loss": "varifocal",
    "class_cost": 2.0,
    "dropout": 0.0,
    "feedforward": 1024,
    "queries": 300,
    "max_detections": 300,
}


@keras.saving.register_keras_serializable("kzoo")
class RTDETRHead(SelectingHead):
    """Queries chosen among the cells, whose positions are what two dense layers make of their boxes.

    Outputs, targets and their shapes are those of `kzoo.heads.query.QueryHead`.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of each feature map, finest first.
        points: number of places that each head of attention looks at on each map, or one number a map; 4 by default.
        offset_scale: half of what a box's sides are times the farthest place at first, above 0; 0.5 by default.
        method: how maps are looked at, "bilinear" (default) between four cells, or "discrete", the nearest cell.
        **kwargs: further arguments of `kzoo.heads.selecting.SelectingHead` and `kzoo.heads.query.QueryHead`, such as
            `queries`. Defaults here are `class_loss` "varifocal", `class_cost` 2, `dropout` 0, `feedforward` 1024, and
            300 `queries` and `max_detections`.

    Raises:
        ValueError: an argument is out of its range.

    Source: Zhao et al. 2023, RT-DETR, arXiv:2304.08069; points, scale and method: Lv et al. 2024, RT-DETRv2,
        arXiv:2407.17140.
    """

    options = RT_DETR
    meaning = (*SelectingHead.meaning, "points", "offset_scale", "method")
    own_heads = True
    normed = False

    @checked(RT_DETR)
    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        points: int | Sequence[int] = 4,
        offset_scale: float = 0.5,
        method: str = "bilinear",
        **kwargs,
    ):
        super().__init__(num_classes, strides, **{**_DEFAULTS, **kwargs})
        self.points, self.offset_scale, self.method = points, offset_scale, method
        each = [points] * len(self.strides) if isinstance(points, int) else list(points)
        if len(each) != len(self.strides):
            raise ValueError(
                f"points={points}: {len(each)} numbers for {len(self.strides)} maps; give one, or one each"
            )
        settings = (self.query_width, self.heads, self.feedforward, self.dropout, each, offset_scale, method)
        self.decoder = [
            DeformableDecoderLayer(*settings, name=f"decoder{i}") for i in range(self.decoder_depth)
        ]
        self.placed = MLP(4, (2 * self.query_width, self.query_width), name="position")

    def build(self, input_shape):
        super().build(input_shape)
        for layer in (*self.decoder, self.placed):
            layer.build()

    def step(self, index, queries, memory, bias, training):
        position = self.placed(queries.reference)  # (B, Q, C)
        places = ops.expand_dims(queries.reference, 2)  # (B, Q, 1, 4), the same on all maps
        content = self.decoder[index](
            queries.content, position, places, memory.cells, bias, sizes=memory.sizes, training=training
        )
        return queries.but(content=content)

    def step_operations(self, cells):
        return self.decoder[0].operations(self.queries, cells) + self.placed.operations(self.queries)
