"""Queries that begin on the cells which look most like objects, and beside them in training such as are made of the
truth.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers, ops

from kzoo.heads.query import QueryHead
from kzoo.heads.query_parts import Noised, Queries
from kzoo.layers.label_book import LabelBook
from kzoo.layers.transformer import norm
from kzoo.ops.cell_boxes import cell_boxes
from kzoo.ops.denoising import changed_labels, moved_corners, slots, visible
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.options import checked
from kzoo.options.queries import DENOISING

_NOWHERE = -1e9  # what stands for the score of cells that there are not


class SelectingHead(QueryHead):
    """A head whose cells are told a class and a box each, and whose queries begin as the best of them.

    No gradient passes from the queries to the choice; that is trained by a loss of its own. In training further queries
    begin as objects whose boxes and labels are spoilt, twice each: one near its object, which it is to find, and one
    farther away, which is to say that there is none. Their number is the same for all images: one of few objects has
    each of them more often.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of each feature map, finest first.
        denoising: number of pairs of spoilt queries in training, 0 for none, 100 by default.
        label_noise: twice the share of labels that are drawn anew in them, 0 to 1, 0.5 by default.
        box_noise: how far their boxes' corners are moved at most, in half sides, 0 to 1, 1 by default; bad examples'
            by once to twice as much.
        seed: what the generator starts from that draws them; None (default) for Keras's own.
        **kwargs: arguments of `kzoo.heads.query.QueryHead`.

    Raises:
        ValueError: an argument is out of its range.

    Source: Zhu et al. 2020, Deformable DETR, arXiv:2010.04159, section 4.2, "two-stage"; Zhang et al. 2022, DINO,
        arXiv:2203.03605, section 3.
    """

    options = DENOISING
    map_position = None
    refines = True
    forward_twice = True
    shares = False  # whether cells are told class and box by the same last layers as queries

    @checked(DENOISING)
    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        denoising: int = 100,
        label_noise: float = 0.5,
        box_noise: float = 1.0,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(num_classes, strides, **kwargs)
        self.denoising, self.label_noise, self.box_noise = denoising, label_noise, box_noise
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.encoder_dense = layers.Dense(self.query_width, name="encoder_dense")
        self.encoder_norm = norm("encoder_norm")
        if self.shares:
            self.encoder_class, self.encoder_box = self.class_layers[0], self.box_layers[0]
        else:
            self.encoder_class, self.encoder_box = (
                self.class_layer("encoder_class"),
                self.box_layer("encoder_box"),
            )
        self.book = LabelBook(num_classes, self.query_width, name="labels") if denoising else None
        prefixes = ("", "dn_", "encoder_") if denoising else ("", "encoder_")
        self.loss_names = tuple(f"{prefix}{name}" for prefix in prefixes for name in self.set_loss.weights)

    def build(self, input_shape):
        super().build(input_shape)
        for layer in (self.encoder_dense, self.encoder_norm, self.encoder_class, self.encoder_box):
            if not layer.built:
                layer.build((None, None, self.query_width))
        if self.book is not None:
            self.book.build()

    def class_outputs(self):
        book = [] if self.book is None else [(self.book, 1, 1)]
        own = [] if self.shares else [(self.encoder_class, 1, 0)]
        return [*super().class_outputs(), *own, *book]

    def start(self, memory, training):
        boxes, counts = cell_boxes(memory.sizes)  # (1, N, 4), (1, N, 1)
        cells = memory.cells * ops.cast(counts, memory.cells.dtype)
        cells = self.encoder_norm(self.encoder_dense(cells))  # (B, N, C)
        logits = ops.cast(self.encoder_class(cells), "float32")  # (B, N, K)
        rows = self.best_cells(logits)  # (B, Q)
        content = take_rows(cells, rows)  # (B, Q, C)
        first = ops.take(boxes[0], rows, axis=0)  # (B, Q, 4)
        # A box is asked for of the chosen cells alone: those of others would be thrown away.
        told = ops.sigmoid(ops.cast(self.encoder_box(content), "float32") + first)
        encoder = {"class": take_rows(logits, rows), "box": told} if training else None
        return Queries(self.first_content(content), reference=ops.stop_gradient(told), encoder=encoder)

    def first_content(self, chosen):
        """With what the queries begin, of the cells' features (B, Q, C) that were chosen: those, without gradients."""
        return ops.stop_gradient(chosen)

    def best_cells(self, logits):
        """The cells that look most like objects, of class logits (B, N, K): (B, Q) int32, best first.

        Where there are fewer cells than queries, the last one is there several times.
        """
        scores = ops.max(ops.stop_gradient(logits), axis=-1)  # (B, N)
        if logits.shape[1] is None or logits.shape[1] < self.queries:
            scores = ops.pad(scores, [[0, 0], [0, self.queries]], constant_values=_NOWHERE)
        _, rows = stable_top_k(scores, self.queries)
        return ops.minimum(rows, ops.shape(logits)[1] - 1)

    def noised(self, truth):
        if self.book is None:
            return None
        own = slots(truth.there, self.denoising)
        labels, boxes = (
            take_rows(truth.labels, own.owner),
            take_rows(truth.boxes, own.owner),
        )  # (B, P), (B, P, 4)
        chance, others = (keras.random.uniform(ops.shape(labels), seed=self.seed_generator) for _ in range(2))
        others = ops.cast(ops.floor(others * self.num_classes), "int32")
        # Half of the share, as the authors' programs understand it.
        labels = changed_labels(labels, chance, others, self.label_noise / 2)
        way, share = (keras.random.uniform(ops.shape(boxes), seed=self.seed_generator) for _ in range(2))
        sign = ops.where(way < 0.5, -1.0, 1.0)
        return Noised(
            content=self.book(labels),
            reference=moved_corners(boxes, own.bad, sign, share, self.box_noise),
            visible=visible(own, self.queries),
            owner=own.owner,
            positive=own.counts & ~own.bad,
            counted=ops.cast(own.counts, "float32"),
            groups=own.groups,
        )

    def operations(self, shapes):
        cells = sum(shape[1] * shape[2] for shape in shapes)
        choice = 2 * cells * self.query_width * (self.query_width + self.num_classes)
        return super().operations(shapes) + choice + self.encoder_box.operations(self.queries)
