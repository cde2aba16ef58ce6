"""DINO's head: learnt queries on chosen cells' boxes, and spoilt ones beside them in training."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.selecting import SelectingHead
from kzoo.layers.deformable_decoder import DeformableDecoderLayer
from kzoo.layers.positions import Learnt, sine_boxes
from kzoo.layers.transformer import MLP
from kzoo.options import checked
from kzoo.options.queries import DINO

_DEFAULTS = {
    "class_loss": "focal",
    "class_cost": 2.0,
    "dropout": 0.0,
    "box_noise": 0.4,
    "queries": 900,
    "max_detections": 300,
}


@keras.saving.register_keras_serializable("kzoo")
class DINOHead(SelectingHead):
    """Queries whose boxes are chosen among the cells', and whose contents are learnt.

    Outputs, targets and their shapes are those of `kzoo.heads.query.QueryHead`.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of each feature map, finest first.
        points: number of places that each head of attention looks at on each map, 4 by default.
        learnt_content: whether the queries' contents are learnt (default), rather than the cells' features.
        shared: whether cells are told class and box by the same last layers as queries, as Efficient DETR has it; False
            by default.
        **kwargs: further arguments of `kzoo.heads.selecting.SelectingHead` and `kzoo.heads.query.QueryHead`, such as
            `queries`. Defaults here are `class_loss` "focal", `class_cost` 2, `dropout` 0, `box_noise` 0.4, 900
            `queries` and 300 `max_detections`.

    Raises:
        ValueError: an argument is out of its range.

    Source: Zhang et al. 2022, DINO, arXiv:2203.03605; shared: Yao et al. 2021, Efficient DETR, arXiv:2104.01318.
    """

    options = DINO
    meaning = (*SelectingHead.meaning, "points", "learnt_content", "shared")
    margin = 1e-3
    multiple = 32  # of the image's sides: the coarsest map may have half a cell more

    @checked(DINO)
    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        points: int = 4,
        learnt_content: bool = True,
        shared: bool = False,
        **kwargs,
    ):
        self.shared = self.shares = shared  # what layers are made by, in the constructor of the class above
        super().__init__(num_classes, strides, **{**_DEFAULTS, **kwargs})
        self.points, self.learnt_content = points, learnt_content
        width = self.query_width
        settings = (width, self.heads, self.feedforward, self.dropout, [points] * len(self.strides))
        self.decoder = [
            DeformableDecoderLayer(*settings, name=f"decoder{i}") for i in range(self.decoder_depth)
        ]
        self.placed = MLP(2 * width, (width, width), name="position")
        self.content = Learnt((self.queries, width), name="content") if learnt_content else None

    def build(self, input_shape):
        super().build(input_shape)
        for layer in (*self.decoder, self.placed, self.content):
            if layer is not None:
                layer.build()

    def first_content(self, chosen):
        return super().first_content(chosen) if self.content is None else self.content(chosen)

    def step(self, index, queries, memory, bias, training):
        waves = sine_boxes(queries.reference, self.query_width // 2)  # (B, Q, 2 C)
        content = self.decoder[index](
            queries.content,
            self.placed(waves),
            ops.expand_dims(queries.reference, 2),  # (B, Q, 1, 4), the same on all maps
            memory.cells,
            bias,
            sizes=memory.sizes,
            training=training,
        )
        return queries.but(content=content)

    def step_operations(self, cells):
        return self.decoder[0].operations(self.queries, cells) + self.placed.operations(self.queries)
