"""D-FINE's head: sides as distributions, which each layer of the decoder sharpens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
from keras import ops

from kzoo.heads.fine_loss import FineLoss, most_frequent
from kzoo.heads.query import as_made
from kzoo.heads.query_parts import truth_of
from kzoo.heads.selecting import SelectingHead
from kzoo.layers.gated_decoder import GatedDecoderLayer, QualityLayer
from kzoo.layers.multihead import unseen
from kzoo.layers.transformer import MLP, inverse_sigmoid
from kzoo.ops.fine_distances import BINS, bin_distances, mean_distances, moved_sides
from kzoo.options import checked
from kzoo.options.queries import D_FINE

_FARTHEST = 10.0  # what features of a query's position are cut to
_DEFAULTS = {
    "class_loss": "varifocal",
    "class_cost": 2.0,
    "dropout": 0.0,
    "feedforward": 1024,
    "queries": 300,
    "max_detections": 300,
}


@dataclass
class Told:
    """What queries tell after one layer.

    Attributes:
        logits: (B, Q, K) of classes, float32.
        boxes: (B, Q, 4) centre and size, 0 to 1.
        sides: (B, Q, 4 * (bins + 1)) logits of the sides' distances from the first boxes.
    """

    logits: object
    boxes: object
    sides: object


@keras.saving.register_keras_serializable("kzoo")
class DFineHead(SelectingHead):
    """Queries whose first layer tells a box, and each layer besides how far the true sides are from it.

    Outputs, targets and their shapes are those of `kzoo.heads.query.QueryHead`.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of each feature map, finest first.
        points: number of places that each head of attention looks at on each map, or one number a map; 4 by default.
        offset_scale: half of what a box's sides are times the farthest place at first, above 0; 0.5 by default.
        method: how maps are looked at, "bilinear" (default) between four cells, or "discrete", the nearest cell.
        reach: how far sides may be moved, as a share of `scale`, above 0; 0.5 by default.
        scale: what sides' distances are counted by: so many are a box's width or height; above 0, 4 by default.
        sides_weight: factor of the sides' term, 0 or more, 0.15 by default.
        teacher_weight: factor of the term by which layers learn from the last one, 0 or more, 1.5 by default.
        **kwargs: further arguments of `kzoo.heads.selecting.SelectingHead` and `kzoo.heads.query.QueryHead`, such as
            `queries`. Defaults here are `class_loss` "varifocal", `class_cost` 2, `dropout` 0, `feedforward` 1024, and
            300 `queries` and `max_detections`.

    Raises:
        ValueError: an argument is out of its range.

    Source: Peng et al. 2024, D-FINE, arXiv:2410.13842.
    """

    options = D_FINE
    meaning = (*SelectingHead.meaning, "points", "offset_scale", "method", "reach", "scale")
    own_heads = True
    normed = False

    @checked(D_FINE)
    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        points: int | Sequence[int] = 4,
        offset_scale: float = 0.5,
        method: str = "bilinear",
        reach: float = 0.5,
        scale: float = 4.0,
        sides_weight: float = 0.15,
        teacher_weight: float = 1.5,
        **kwargs,
    ):
        super().__init__(num_classes, strides, **{**_DEFAULTS, **kwargs})
        self.points, self.offset_scale, self.method = points, offset_scale, method
        self.reach, self.scale = reach, scale
        self.sides_weight, self.teacher_weight = sides_weight, teacher_weight
        each = [points] * len(self.strides) if isinstance(points, int) else list(points)
        if len(each) != len(self.strides):
            raise ValueError(
                f"points={points}: {len(each)} numbers for {len(self.strides)} maps; give one, or one each"
            )
        width, depth = self.query_width, self.decoder_depth
        settings = (width, self.heads, self.feedforward, self.dropout, each, offset_scale, method)
        self.decoder = [GatedDecoderLayer(*settings, name=f"decoder{i}") for i in range(depth)]
        self.placed = MLP(4, (2 * width, width), name="position")
        self.first_box = super().box_layer("first_box")
        self.quality = [QualityLayer(name=f"quality{i}") for i in range(depth)]
        self.distances = bin_distances(reach, scale)
        self.fine = FineLoss(self.set_loss, self.distances, scale, sides_weight, teacher_weight)
        own = [*self.set_loss.weights, "sides", "teacher"]
        kinds = [("", own), ("dn_", own), ("encoder_", self.set_loss.weights)]
        self.loss_names = tuple(
            f"{kind}{name}" for kind, names in kinds if denoises(self, kind) for name in names
        )

    def box_layer(self, name):
        if name.startswith("encoder"):
            return super().box_layer(name)
        widths = (self.query_width, self.query_width, 4 * (BINS + 1))
        return MLP(self.query_width, widths, last="zeros", name=name)

    def build(self, input_shape):
        super().build(input_shape)
        for layer in (*self.decoder, *self.quality, self.placed, self.first_box):
            layer.build()

    def step(self, index, queries, memory, bias, training):
        position = ops.clip(self.placed(queries.reference), -_FARTHEST, _FARTHEST)  # (B, Q, C)
        places = ops.expand_dims(queries.reference, 2)  # (B, Q, 1, 4), the same on all maps
        content = self.decoder[index](
            queries.content, position, places, memory.cells, bias, sizes=memory.sizes, training=training
        )
        return queries.but(content=content)

    def rounds(self, queries, memory, bias, training: bool, count: int, every: bool = True):
        """What queries tell layer by layer.

        Args:
            queries: what they begin with.
            memory: what they look at.
            bias: what is added to the logits of attention among queries, or None.
            training: whether layers act as in training.
            count: number of layers that run, the first.
            every: whether all of them tell (default), rather than the last alone.

        Returns:
            a list of `Told`, and as one, without sides, what the first layer tells before sides are moved.
        """
        told, sides, before, first = [], 0.0, 0.0, None
        for index in range(count):
            queries = self.step(index, queries, memory, bias, training)
            content = queries.content
            if first is None:
                moved = ops.cast(self.first_box(content), "float32")
                boxes = ops.sigmoid(moved + inverse_sigmoid(queries.reference, self.margin))
                first = Told(None, boxes, None)
            sides = sides + ops.cast(self.box_layers[index](content + before), "float32")
            origin = ops.stop_gradient(first.boxes)
            boxes = moved_sides(origin, mean_distances(sides, self.distances), self.scale)
            queries, before = queries.but(reference=ops.stop_gradient(boxes)), ops.stop_gradient(content)
            if every or index == count - 1:
                plain = self.read_classes(index, content)
                if index == 0:
                    first = Told(plain, first.boxes, None)
                told.append(Told(self.with_quality(index, plain, sides), boxes, sides))
        return told, first

    def with_quality(self, index: int, logits, sides):
        """Class logits (B, Q, K), the larger the surer the sides (B, Q, 4 * (bins + 1)) are."""
        likely = ops.softmax(ops.reshape(sides, (*ops.shape(sides)[:-1], 4, BINS + 1)))  # (B, Q, 4, bins + 1)
        return logits + ops.cast(self.quality[index](likely), "float32")

    def run(self, queries, memory, bias, training, count, every=False):
        told, _ = self.rounds(queries, memory, bias, training, count, every)
        return [each.logits for each in told], [each.boxes for each in told]

    def loss(self, targets, outputs, sample_weight=None):
        training = "class" not in outputs
        memory = self.memory(self.features(outputs))
        truth = truth_of(targets, self.image_size(memory.sizes))
        queries = self.start(memory, training=True)
        noised, bias, made = (self.noised(truth) if training else None), None, 0
        if noised is not None:
            made = noised.content.shape[1]  # P
            queries, bias = self.with_noised(queries, noised), unseen(noised.visible)
        told, first = self.rounds(queries, memory, bias, training, self.decoder_depth)
        own = [_cut(each, slice(made, None)) for each in (first, *told)]
        encoder = [ops.expand_dims(queries.encoder[name], 0) for name in ("class", "box")]
        match = self.set_loss.match(truth, *_stacked(own))
        of_cells = self.set_loss.match(truth, *encoder)
        # For boxes each query keeps the object that it was given most often, whichever layer gave it.
        agreed = most_frequent([match, of_cells], truth)
        terms, balance = self.fine.terms(truth, match, agreed, own, sample_weight)
        losses = self.total(terms)
        if noised is not None:
            spoilt = [_cut(each, slice(0, made)) for each in (first, *told)]
            match = as_made(noised, self.decoder_depth + 1)
            share = noised.share(sample_weight)
            terms, _ = self.fine.terms(truth, match, as_made(noised, 1), spoilt, share, balance)
            losses |= self.total(terms, "dn_")
        terms = self.fine.set_terms(truth, of_cells, agreed, *encoder, sample_weight)
        return losses | self.total(terms, "encoder_")

    def step_operations(self, cells):
        own = self.decoder[0].operations(self.queries, cells) + self.placed.operations(self.queries)
        return own + self.quality[0].operations(self.queries)


def denoises(head: SelectingHead, kind: str) -> bool:
    """Whether a head has terms of a kind: those of spoilt queries only where there are such."""
    return kind != "dn_" or bool(head.denoising)


def _cut(told: Told, rows: slice) -> Told:
    """What some of the queries tell."""
    sides = None if told.sides is None else told.sides[:, rows]
    return Told(told.logits[:, rows], told.boxes[:, rows], sides)


def _stacked(told: Sequence[Told]) -> tuple:
    """Logits (L, B, Q, K) and boxes (L, B, Q, 4) of several layers."""
    return ops.stack([each.logits for each in told]), ops.stack([each.boxes for each in told])
