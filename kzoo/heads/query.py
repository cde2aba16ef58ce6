"""What all heads with queries share: a loss by assignment, and detections that nothing has to be suppressed of."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from kzoo.heads.base import SURE
from kzoo.heads.query_layers import QueryLayers
from kzoo.heads.query_loss import QueryLoss
from kzoo.heads.query_parts import Match, Noised, Queries, Truth, truth_of
from kzoo.layers.multihead import unseen
from kzoo.ops.boxes import corner_boxes, within
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.nms.selection import multiclass_candidates, padded
from kzoo.options import checked
from kzoo.options.queries import QUERY


class QueryHead(QueryLayers):
    """A decoder whose queries look at the network's maps, layer by layer, and tell one object each, or none.

    A family gives `start`, with what queries begin; `step`, what one of its layers makes of them (both in
    `kzoo.heads.query_layers.QueryLayers`); and `noised`, where it has further queries, made of the truth, in training.
    Everything else is here: each layer's queries are assigned to objects anew, by least cost, and trained by their
    class and box; detections are the best of the last layer's.

    The decoder runs once a step: in training `call` hands on the maps alone, and `loss`, which has the truth, runs it.

    Shapes, of Q queries and K classes:
        inputs: feature maps (B, H, W, C), finest first, all of the same channels.
        outputs: `features_stride32` and so on, the maps; in inference besides `class` (B, Q, K) logits, of softmax
            (B, Q, 1 + K), no object first; and `box` (B, Q, 4) centre and size, 0 to 1.
        targets: `{"boxes": (B, M, 4) xyxy pixels, "labels": (B, M)}`; a label of -1 is padding. Where there are
            `"weights"` (B, M), as MixUp makes them, an object's terms count by its weight.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of each feature map, finest first.
        no_object_weight: what a query without an object counts in the cross-entropy, 0 or more, 0.1 by default. With
            "softmax" alone.
        focal_gamma: exponent of the modulation, 0 or more, 2 by default. Without effect with "softmax".
        focal_alpha: weight of the objects of "focal", 0 to 1, or of background of "varifocal"; where None (default)
            0.25 and 0.75.
        class_weight: factor of the class term, 0 or more, 1 by default.
        box_weight: factor of the term of the coordinates' distances, 0 or more, 5 by default.
        giou_weight: factor of the term of the generalised IoU, 0 or more, 2 by default.
        class_cost: factor of the class in the assignment's costs, 0 or more, 1 by default.
        box_cost: factor of the coordinates' distances there, 0 or more, 5 by default.
        giou_cost: factor of the generalised IoU there, 0 or more, 2 by default.
        auxiliary: factor of the terms of all layers but the last, 0 or more, 1 by default.
        **kwargs: arguments of `kzoo.heads.query_layers.QueryLayers`, such as `queries` and `class_loss`, and of
            `kzoo.heads.detection.DetectionHead`. Queries need no suppression: `nms_threshold` is 1
            by default, with which the best `max_detections` are given out as they are; `candidates` are the pairs of
            a query and a class, of softmax the queries, that are looked at.

    Raises:
        ValueError: an argument is out of its range.

    Source: Carion et al. 2020, DETR, arXiv:2005.12872.
    """

    options = QUERY
    loss_names: tuple[str, ...] = ("class", "box", "giou")
    meaning: tuple[str, ...] = ("strides", "class_loss", "heads")

    @checked(QUERY)
    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        no_object_weight: float = 0.1,
        focal_gamma: float = 2.0,
        focal_alpha: float | None = None,
        class_weight: float = 1.0,
        box_weight: float = 5.0,
        giou_weight: float = 2.0,
        class_cost: float = 1.0,
        box_cost: float = 5.0,
        giou_cost: float = 2.0,
        auxiliary: float = 1.0,
        **kwargs,
    ):
        super().__init__(num_classes, strides, **kwargs)
        self.auxiliary = auxiliary
        alpha = {"varifocal": 0.75}.get(self.class_loss, 0.25) if focal_alpha is None else focal_alpha
        weights = {"class": class_weight, "box": box_weight, "giou": giou_weight}
        costs = {"class": class_cost, "box": box_cost, "giou": giou_cost}
        self.set_loss = QueryLoss(self.class_loss, no_object_weight, focal_gamma, alpha, weights, costs)

    def noised(self, truth: Truth) -> Noised | None:
        """Further queries that are made of the truth, for training; None (here) where a family has none."""
        return None

    def encoder_truth(self, truth: Truth) -> Truth:
        """What the cells are to find from which queries are chosen: the objects (here), or objects of one class."""
        return truth

    def loss(self, targets, outputs, sample_weight=None):
        # Inference has told its last layer's; in training, which tells all layers', layers act otherwise.
        training = "class" not in outputs
        memory = self.memory(self.features(outputs))
        truth = truth_of(targets, self.image_size(memory.sizes))
        queries = self.start(memory, training=True)
        noised, bias, first = (self.noised(truth) if training else None), None, 0
        if noised is not None:
            first = noised.content.shape[1]  # P
            queries, bias = self.with_noised(queries, noised), unseen(noised.visible)
        told = self.run(queries, memory, bias, training, self.decoder_depth, every=True)
        logits, boxes = (ops.stack(each) for each in told)  # (L, B, P + Q, ...)
        own = logits[:, :, first:], boxes[:, :, first:]
        match = self.set_loss.match(truth, *own)
        losses = self.total(self.set_loss.terms(truth, match, *own, sample_weight))
        if noised is not None:
            match = as_made(noised, self.decoder_depth)
            given = logits[:, :, :first], boxes[:, :, :first], noised.share(sample_weight)
            losses |= self.total(self.set_loss.terms(truth, match, *given), "dn_")
        if queries.encoder is not None:
            known = self.encoder_truth(truth)
            own = [ops.expand_dims(queries.encoder[name], 0) for name in ("class", "box")]
            match = self.set_loss.match(known, *own)
            losses |= self.total(self.set_loss.terms(known, match, *own, sample_weight), "encoder_")
        return losses

    def with_noised(self, queries: Queries, noised: Noised) -> Queries:
        """The queries with those that are made of the truth before them."""
        content = ops.concatenate([ops.cast(noised.content, queries.content.dtype), queries.content], axis=1)
        reference = ops.concatenate([noised.reference, queries.reference], axis=1)
        return queries.but(content=content, reference=reference, origin=None)

    def total(self, terms: dict, prefix: str = "") -> dict:
        """The sums of terms (L,) over the layers, the last by 1 and the others by `auxiliary`, as names begin with a
        prefix.
        """
        sums = {name: ops.sum(term[:-1]) * self.auxiliary + term[-1] for name, term in terms.items()}
        return {f"{prefix}{name}": value for name, value in sums.items()}

    def encode(self, targets, sizes) -> dict:
        """Raw outputs of inference that decode to the targets: each object its own query, for tests.

        Args:
            targets: boxes (B, M, 4) and labels (B, M) by name, as `loss` takes them.
            sizes: height and width of each map in cells.
        """
        truth = truth_of(targets, self.image_size(sizes))
        batch, softmax = ops.shape(truth.labels)[0], int(self.class_loss == "softmax")
        labels = ops.where(
            truth.there, truth.labels + softmax, softmax - 1
        )  # no object is 0, or no class at all
        hot = ops.one_hot(labels, self.num_classes + softmax)  # (B, M, K) or (B, M, 1 + K)
        maps = {
            name: ops.zeros((batch, *size, self.query_width))
            for name, size in zip(self.feature_names, sizes, strict=True)
        }
        return {**maps, "class": SURE * (2.0 * hot - 1.0), "box": truth.boxes}

    def decode(self, outputs):
        """Detections, within the image: as `kzoo.heads.detection.DetectionHead` has them."""
        scores, rows, labels = self.best_pairs(outputs["class"])  # (B, T) each
        height, width = self.image_size(self.sizes(outputs))
        pixels = ops.cast(ops.stack([width, height, width, height]), "float32")
        boxes = within(corner_boxes(take_rows(outputs["box"], rows)) * pixels, height, width)
        if self.suppresses:
            return self.suppress(boxes, scores, labels)
        kept = scores > self.score_threshold  # (B, T), which are best first
        found = {
            "boxes": ops.where(ops.expand_dims(kept, -1), boxes, 0.0),
            "scores": ops.where(kept, scores, 0.0),
            "labels": ops.where(kept, labels + 1, 0),
        }
        found = {name: padded(values, self.max_detections) for name, values in found.items()}
        return {**found, "labels": found["labels"] - 1}

    @property
    def suppresses(self) -> bool:
        """Whether boxes of a class may suppress each other, which nobody asks for at first."""
        return self.nms_kind != "greedy" or self.nms_threshold < 1

    def best_pairs(self, logits):
        """The best pairs of a query and a class; of softmax each query's own class.

        Args:
            logits: (B, Q, K), or (B, Q, 1 + K) of softmax.

        Returns:
            scores (B, T) best first, the queries (B, T) int32 and classes (B, T) int32.
        """
        limit = self.candidates if self.suppresses else min(self.candidates, self.max_detections)
        if self.class_loss != "softmax":
            return multiclass_candidates(ops.sigmoid(logits), min(limit, logits.shape[1] * self.num_classes))
        likely = ops.softmax(logits)[..., 1:]  # (B, Q, K)
        # Not by `argmax`, which Keras makes of operations on bits that LiteRT lacks.
        best, labels = (each[..., 0] for each in stable_top_k(likely, 1))  # (B, Q) each
        scores, rows = stable_top_k(best, min(limit, logits.shape[1]))
        return scores, rows, take_rows(labels, rows)


def as_made(noised: Noised, layers: int) -> Match:
    """The assignment of noised queries, which each layer is to find alike."""
    each = (noised.owner, noised.positive, noised.counted)
    return Match(*(ops.broadcast_to(values, (layers, *ops.shape(values))) for values in each))
