"""Deformable DETR's head: queries that look at a few places of four maps around a point or a box."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from kzoo.heads.query import QueryHead
from kzoo.heads.query_parts import Queries
from kzoo.layers.deformable_decoder import DeformableDecoderLayer
from kzoo.layers.positions import TURN, Learnt, sines
from kzoo.layers.transformer import MLP, norm
from kzoo.ops.cell_boxes import cell_boxes
from kzoo.ops.gather import enough_rows, stable_top_k, take_rows
from kzoo.options import checked
from kzoo.options.queries import DEFORMABLE_DETR

_SMALL = -2.0  # what is added to the logits of a box's sides at first, where they are to be small
_DEFAULTS = {
    "class_loss": "focal",
    "class_weight": 2.0,
    "class_cost": 2.0,
    "feedforward": 1024,
    "queries": 300,
}


@keras.saving.register_keras_serializable("kzoo")
class DeformableDETRHead(QueryHead):
    """Queries that are learnt, or begin as boxes of cells, and whose boxes each layer may refine.

    Outputs, targets and their shapes are those of `kzoo.heads.query.QueryHead`.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of each feature map, finest first.
        points: number of places that each head of attention looks at on each map, 4 by default.
        refine: whether each layer begins with the boxes of the one before, and has last layers of its own; False by
            default.
        two_stage: whether queries begin as the boxes of the cells that look most like objects, rather than learnt ones;
            False by default, and with `refine` alone. There have to be as many cells as queries.
        **kwargs: further arguments of `kzoo.heads.query.QueryHead`, such as `queries`. Defaults here are `class_loss`
            "focal", `class_weight` and `class_cost` 2, `feedforward` 1024, and 300 `queries`.

    Raises:
        ValueError: an argument is out of its range.

    Source: Zhu et al. 2020, Deformable DETR, arXiv:2010.04159.
    """

    options = DEFORMABLE_DETR
    meaning = (*QueryHead.meaning, "points", "refine", "two_stage")
    map_position = None
    normed = False
    multiple = 32  # of the image's sides: the coarsest map may have half a cell more

    @checked(DEFORMABLE_DETR)
    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        points: int = 4,
        refine: bool = False,
        two_stage: bool = False,
        **kwargs,
    ):
        # What the layers are made by, in the constructor of the class above.
        self.own_heads = self.refines = self.refine = refine
        self.two_stage = two_stage
        super().__init__(num_classes, strides, **{**_DEFAULTS, **kwargs})
        if two_stage and not refine:
            raise ValueError(
                "two_stage=True: boxes that queries begin with are refined; give refine=True, too"
            )
        self.points = points
        width = self.query_width
        settings = (width, self.heads, self.feedforward, self.dropout, [points] * len(self.strides))
        self.decoder = [
            DeformableDecoderLayer(*settings, name=f"decoder{i}") for i in range(self.decoder_depth)
        ]
        if two_stage:
            self.encoder_dense, self.encoder_norm = (
                layers.Dense(width, name="encoder_dense"),
                norm("encoder_norm"),
            )
            self.encoder_class = self.class_layer("encoder_class")
            self.encoder_box = self.box_layer("encoder_box")
            self.placed = layers.Dense(2 * width, name="position")
            self.placed_norm = norm("position_norm")
            self.loss_names = tuple(
                f"{kind}{name}" for kind in ("", "encoder_") for name in self.set_loss.weights
            )
        else:
            self.learnt = Learnt((self.queries, 2 * width), name="queries")
            self.reference = layers.Dense(2, name="reference")

    def box_layer(self, name):
        # Without boxes to begin with, the first that are told would be as large as half the image.
        return box_differences(self.query_width, name in ("box_", "box0_") and not self.two_stage, name)

    def build(self, input_shape):
        super().build(input_shape)
        width = (None, None, self.query_width)
        for layer in self.decoder:
            layer.build()
        if self.two_stage:
            for layer in (self.encoder_dense, self.encoder_norm, self.encoder_class, self.encoder_box):
                layer.build(width)
            for layer in (self.placed, self.placed_norm):
                layer.build((None, None, 2 * self.query_width))
        else:
            self.learnt.build()
            self.reference.build(width)

    def class_outputs(self):
        return [*super().class_outputs(), *([(self.encoder_class, 1, 0)] if self.two_stage else [])]

    def start(self, memory, training):
        if self.two_stage:
            return self.chosen(memory, training)
        position, content = ops.split(self.learnt(memory.cells), 2, axis=-1)  # (B, Q, C) each
        reference = ops.sigmoid(ops.cast(self.reference(position), "float32"))  # (B, Q, 2)
        return Queries(content, position, reference)

    def chosen(self, memory, training: bool) -> Queries:
        """Queries that begin as the boxes of cells, the best by the first class: all classes' first stage is one."""
        first, counts = cell_boxes(memory.sizes)  # (1, N, 4), (1, N, 1)
        cells = memory.cells * ops.cast(counts, memory.cells.dtype)
        cells = self.encoder_norm(self.encoder_dense(cells))  # (B, N, C)
        logits = ops.cast(self.encoder_class(cells), "float32")  # (B, N, K)
        boxes = ops.sigmoid(ops.cast(self.encoder_box(cells), "float32") + first)  # (B, N, 4)
        scores = enough_rows(ops.stop_gradient(logits[..., 0]), self.queries, -1e9)
        _, rows = stable_top_k(scores, self.queries)
        reference = take_rows(ops.stop_gradient(boxes), rows)  # (B, Q, 4)
        waves = sines(reference * TURN, self.query_width // 2)  # (B, Q, 4, C / 2)
        waves = ops.reshape(waves, (ops.shape(waves)[0], self.queries, 2 * self.query_width))
        position, content = ops.split(self.placed_norm(self.placed(waves)), 2, axis=-1)
        encoder = {"class": logits, "box": boxes} if training else None
        return Queries(content, position, reference, encoder=encoder)

    def encoder_truth(self, truth):
        return dataclasses.replace(truth, labels=ops.zeros_like(truth.labels))

    def step(self, index, queries, memory, bias, training):
        content = self.decoder[index](
            queries.content,
            queries.position,
            ops.expand_dims(queries.reference, 2),  # (B, Q, 1, 2 or 4), the same on all maps
            memory.cells,
            bias,
            sizes=memory.sizes,
            training=training,
        )
        return queries.but(content=content)

    def step_operations(self, cells):
        return self.decoder[0].operations(self.queries, cells)

    def operations(self, shapes):
        width, total = self.query_width, super().operations(shapes)
        if not self.two_stage:
            return total + 4 * self.queries * width
        cells = sum(shape[1] * shape[2] for shape in shapes)
        choice = 2 * cells * width * (width + self.num_classes) + self.encoder_box.operations(cells)
        return total + choice + 8 * self.queries * width * width


def box_differences(width: int, small: bool, name: str) -> MLP:
    """What gives the differences of boxes from references: at first none, but for sides.

    Args:
        width: number of channels of the queries.
        small: whether sides are a part of the references' at first.
        name: name of the layer.
    """
    bias = np.array([0.0, 0.0, _SMALL, _SMALL] if small else [0.0] * 4, "float32")
    start = lambda shape, dtype=None: ops.convert_to_tensor(bias, dtype)  # noqa: E731
    return MLP(width, (width, width, 4), last="zeros", last_bias=start, name=name)
