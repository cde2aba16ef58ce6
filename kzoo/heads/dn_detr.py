"""DN-DETR's head: DAB-DETR's, which in training mends spoilt boxes of objects beside finding them."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.dab_detr import DABDETRHead
from kzoo.heads.query_parts import Noised
from kzoo.layers.label_book import LabelBook
from kzoo.ops.denoising import changed_labels, moved_centers, slots, visible
from kzoo.ops.gather import take_rows
from kzoo.options import checked
from kzoo.options.queries import DN_DETR


@keras.saving.register_keras_serializable("kzoo")
class DNDETRHead(DABDETRHead):
    """Queries that are learnt boxes, and in training beside them the objects' own boxes and labels, spoilt.

    Spoilt queries find the object that they are made of, without an assignment: so layers learn what to do with a box
    before queries have found out which object is whose. A query's content is the vector of a label, that of none for
    ordinary ones, and a number that says whether it is made of the truth.

    Outputs, targets and their shapes are those of `kzoo.heads.query.QueryHead`.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of each feature map, finest first.
        denoising: number of spoilt queries in training, 0 for none, 100 by default.
        denoising_groups: how often each object is there among them at most, 1 or more, 5 by default; less where
            objects are many.
        label_noise: share of labels that are drawn anew in them, 0 to 1, 0.2 by default.
        box_noise: how far their centres are moved at most, in half sides, and how much their sides change, in sides, 0
            to 1, 0.4 by default.
        seed: what the generator starts from that draws them; None (default) for Keras's own.
        **kwargs: further arguments of `kzoo.heads.dab_detr.DABDETRHead`, such as `queries`, and of
            `kzoo.heads.detection.DetectionHead`.

    Raises:
        ValueError: an argument is out of its range.

    Source: Li et al. 2022, arXiv:2203.01305.
    """

    options = DN_DETR

    @checked(DN_DETR)
    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        denoising: int = 100,
        denoising_groups: int = 5,
        label_noise: float = 0.2,
        box_noise: float = 0.4,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(num_classes, strides, **kwargs)
        self.denoising, self.denoising_groups = denoising, denoising_groups
        self.label_noise, self.box_noise = label_noise, box_noise
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.book = LabelBook(num_classes, self.query_width - 1, name="labels")
        prefixes = ("", "dn_") if denoising else ("",)
        self.loss_names = tuple(f"{prefix}{name}" for prefix in prefixes for name in self.set_loss.weights)

    def build(self, input_shape):
        super().build(input_shape)
        self.book.build()

    def class_outputs(self):
        return [*super().class_outputs(), (self.book, 1, 1)]

    def content_of(self, labels, spoilt: float):
        """What queries begin with.

        Args:
            labels: (B, Q) int32, -1 for none.
            spoilt: 1 for queries that are made of the truth, 0 for others.

        Returns:
            (B, Q, C).
        """
        vectors = self.book(labels)  # (B, Q, C - 1)
        return ops.concatenate([vectors, ops.full_like(vectors[..., :1], spoilt)], axis=-1)

    def start(self, memory, training):
        queries = super().start(memory, training)
        labels = ops.full(ops.shape(queries.content)[:2], -1, dtype="int32")
        return queries.but(content=self.content_of(labels, 0.0))

    def noised(self, truth):
        if not self.denoising:
            return None
        own = slots(truth.there, self.denoising, self.denoising_groups, bad_ones=False)
        # (B, P), (B, P, 4)
        labels, boxes = take_rows(truth.labels, own.owner), take_rows(truth.boxes, own.owner)
        chance, others = (keras.random.uniform(ops.shape(labels), seed=self.seed_generator) for _ in range(2))
        others = ops.cast(ops.floor(others * self.num_classes), "int32")
        share = keras.random.uniform(ops.shape(boxes), -1.0, 1.0, seed=self.seed_generator)
        return Noised(
            content=self.content_of(changed_labels(labels, chance, others, self.label_noise), 1.0),
            reference=moved_centers(boxes, share, self.box_noise),
            visible=visible(own, self.queries),
            owner=own.owner,
            positive=own.counts,
            counted=ops.cast(own.counts, "float32"),
            groups=own.groups,
        )
