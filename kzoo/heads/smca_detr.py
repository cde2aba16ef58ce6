"""SMCA-DETR's head: each head of attention looks around a point of its own, the less the farther away."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers, ops

from kzoo.heads.detr import DETRHead
from kzoo.layers.transformer import MLP, norm
from kzoo.ops.points import lay_points
from kzoo.options import checked
from kzoo.options.queries import SMCA_DETR

SMOOTH = 8.0  # what squared distances in cells are divided by
_SPREADS = {"fixed": 0, "heads": 1, "axes": 2}  # how many numbers a head tells of how far around it looks


@keras.saving.register_keras_serializable("kzoo")
class SMCADETRHead(DETRHead):
    """DETR's queries, whose attention falls off around points: a query's own, moved by each layer and head.

    Outputs, targets and their shapes are those of `kzoo.heads.query.QueryHead`, of one map.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of the feature map, one number in a list.
        spread: how far around their points heads look: "fixed" (default), alike; "heads", each as it tells; or "axes",
            each as it tells across and down.
        **kwargs: further arguments of `kzoo.heads.detr.DETRHead`, of which other defaults are `queries` 300,
            `class_loss` "focal", and `class_weight` and `class_cost` 2; and of
            `kzoo.heads.detection.DetectionHead`.

    Raises:
        ValueError: an argument is out of its range.

    Source: Gao et al. 2021, Fast Convergence of DETR with Spatially Modulated Co-Attention, arXiv:2101.07448, section
        3.2.
    """

    options = SMCA_DETR
    meaning = (*DETRHead.meaning, "spread")
    refers = True

    @checked(SMCA_DETR)
    def __init__(self, num_classes: int, strides: Sequence[int], spread: str = "fixed", **kwargs):
        own = {"queries": 300, "class_loss": "focal", "class_weight": 2.0, "class_cost": 2.0}
        super().__init__(num_classes, strides, **{**own, **kwargs})
        self.spread = spread
        depth, numbers = range(self.decoder_depth), _SPREADS[spread]
        self.point_norms = [norm(f"decoder{i}_point_norm") for i in depth]
        self.offsets = [layers.Dense(2 * self.heads, name=f"decoder{i}_offsets") for i in depth]
        scales = [layers.Dense(numbers * self.heads, name=f"decoder{i}_scales") for i in depth if numbers]
        self.scales = scales
        self.points = MLP(self.query_width, (self.query_width, self.query_width, 2), name="points")

    def build(self, input_shape):
        super().build(input_shape)
        for layer in (*self.point_norms, *self.offsets, *self.scales):
            layer.build((None, None, self.query_width))
        self.points.build()

    def step(self, index, queries, memory, bias, training):
        placed = self.point_norms[index](queries.content + queries.position)  # (B, Q, C)
        if index == 0:
            reference = ops.sigmoid(ops.cast(self.points(placed), "float32"))  # (B, Q, 2)
            queries = queries.but(reference=reference)
        seen = self.seen(index, placed, queries.reference, memory.sizes[0])
        cells = (memory.cells, memory.position)
        content = self.decoder[index](
            queries.content, queries.position, *cells, bias=bias, cell_bias=seen, training=training
        )
        return queries.but(content=content)

    def seen(self, index: int, placed, reference, size):
        """What is added to the logits of cells: the less the farther they are from each head's point.

        Args:
            index: the number of the layer, from 0.
            placed: (B, Q, C) what queries are and where, normalised.
            reference: (B, Q, 2) their points, 0 to 1.
            size: height and width of the map in cells.

        Returns:
            (B, heads, Q, N) float32, 0 at the points.
        """
        batch, count = ops.shape(placed)[:2]
        height, width = size
        shape = (batch, count, self.heads, -1)
        offsets = ops.reshape(ops.cast(self.offsets[index](placed), "float32"), shape)  # (B, Q, heads, 2)
        extent = ops.cast(ops.stack([width, height]), "float32")
        points = ops.expand_dims(reference * extent, 2) + offsets
        points = ops.expand_dims(ops.transpose(points, (0, 2, 1, 3)), 3)  # (B, heads, Q, 1, 2)
        corners = lay_points([size], [1])[0] - 0.5  # (N, 2), x and y
        distance = (points - corners) ** 2  # (B, heads, Q, N, 2)
        if self.scales:
            scales = ops.reshape(ops.cast(self.scales[index](placed), "float32"), shape) ** 2
            distance = distance * ops.expand_dims(ops.transpose(scales, (0, 2, 1, 3)), 3)
        return -ops.sum(distance, axis=-1) / SMOOTH

    def step_operations(self, cells):
        told = 2 * self.queries * self.query_width * self.heads * (2 + _SPREADS[self.spread])
        return super().step_operations(cells) + told
