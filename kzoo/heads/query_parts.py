"""What the parts of a head with queries hand each other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from keras import ops

from kzoo.ops.assign import sound_boxes
from kzoo.ops.boxes import area, center_boxes


@dataclass
class Memory:
    """What queries look at: the network's feature maps, and their cells in one row.

    Attributes:
        maps: maps (B, H, W, C), finest first.
        cells: (B, N, C) the cells of all maps, map by map and row by row.
        sizes: height and width of each map.
        position: (1 or B, N, C) where each cell is; None where a head makes nothing of it.
        further: what else a head computes once of the maps, by name.
    """

    maps: list
    cells: object
    sizes: list
    position: object = None
    further: dict = field(default_factory=dict)


@dataclass
class Queries:
    """Queries between two layers of a decoder.

    Attributes:
        content: (B, Q, C) what they have gathered so far.
        position: (B, Q, C) where they look, as features; None where that follows from the references.
        reference: (B, Q, 2) points, x and y, or (B, Q, 4) boxes, centre and size, 0 to 1, from which the next layer
            starts, as no gradient passes through from one layer to the next; None where boxes come from the content
            alone.
        origin: what the next layer's boxes are told from: as `reference`, or the same with its gradient, where a layer
            is trained by the next one's boxes, too; `reference` where None.
        encoder: what queries were chosen from cells by, `class` (B, S, K) logits and `box` (B, S, 4), which have a loss
            of their own; None where queries are not chosen.
        further: what else a head hands from layer to layer, by name.
    """

    content: object
    position: object = None
    reference: object = None
    origin: object = None
    encoder: dict | None = None
    further: dict = field(default_factory=dict)

    def but(self, **changes) -> Queries:
        """The same but for some fields."""
        return replace(self, **changes)


@dataclass
class Noised:
    """Queries that are made of the truth, for training: they stand before the others, and find their own object.

    Attributes:
        content: (B, P, C) as of `Queries`.
        reference: (B, P, 4) noised boxes, centre and size, 0 to 1.
        visible: (P + Q, P + Q) bool, which queries each may look at, or (B, P + Q, P + Q).
        owner: (B, P) int32, the object of each, 0 or more.
        positive: (B, P) bool, which of them are to find that object; others are to say that there is none.
        counted: (B, P) float32, 0 for those that stand for padding and train nothing.
        groups: how often each object is there among the positive ones, by which the terms are divided: one number, or
            (B,) where images differ.
    """

    content: object
    reference: object
    visible: object
    owner: object
    positive: object
    counted: object
    groups: object

    def share(self, sample_weight):
        """Factors (B,) of the images' sums, divided by how often their objects are there.

        Args:
            sample_weight: (B,) factors of what each image adds to the sums, or None for 1.
        """
        ones = ops.ones_like(self.counted[:, 0]) if sample_weight is None else sample_weight
        return ones / ops.cast(self.groups, ones.dtype)


@dataclass
class Truth:
    """The objects of a batch as queries find them.

    Attributes:
        boxes: (B, M, 4) centre and size, 0 to 1; the whole image for padding, so that logarithms and quotients bear it.
        labels: (B, M) int32, 0 of padding.
        there: (B, M) bool, which of them are no padding.
        weights: (B, M) float32, what each object counts, 0 of padding.
    """

    boxes: object
    labels: object
    there: object
    weights: object

    @property
    def count(self):
        """What the objects of the batch count together, at least 1: what terms are divided by."""
        return ops.maximum(ops.sum(self.weights), 1.0)


@dataclass
class Match:
    """Which query is to find which object, for several layers.

    Attributes:
        owner: (L, B, Q) int32, the object of each query, 0 where there is none.
        positive: (L, B, Q) bool, whether it has one.
        counted: (L, B, Q) float32, 0 for queries that train nothing; None (default) where all do.
    """

    owner: object
    positive: object
    counted: object = None


def truth_of(targets, size) -> Truth:
    """The truth of targets in pixels.

    Args:
        targets: boxes (B, M, 4) xyxy pixels, labels (B, M), -1 for padding, and, where objects have them, weights
            (B, M).
        size: height and width of the images in pixels.
    """
    boxes, labels = sound_boxes(targets["boxes"]), ops.cast(targets["labels"], "int32")
    there = ops.logical_and(labels >= 0, area(boxes) > 0)  # (B, M)
    height, width = (ops.cast(side, "float32") for side in size)
    shares = boxes / ops.stack([width, height, width, height])
    whole = ops.convert_to_tensor((0.5, 0.5, 1.0, 1.0))
    weights = ops.cast(there, "float32")
    if "weights" in targets:
        weights = weights * ops.cast(targets["weights"], "float32")
    return Truth(
        ops.where(ops.expand_dims(there, -1), center_boxes(shares), whole),
        ops.where(there, labels, 0),
        there,
        weights,
    )
