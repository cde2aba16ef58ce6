"""The head of RetinaNet, SSD and region proposals: boxes as differences from anchors that overlap them."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.base import check_choice
from kzoo.heads.detection import DetectionHead
from kzoo.heads.levels import anchors_by_level, level_names
from kzoo.heads.subnets import level_convs, shared_convs
from kzoo.losses.focal import sigmoid_focal_loss
from kzoo.losses.iou import BOX_LOSSES
from kzoo.losses.mining import hard_negatives
from kzoo.losses.smooth_l1 import smooth_l1
from kzoo.ops.anchors import lay_anchors
from kzoo.ops.assign import RESCUES, assign_anchors, sound_boxes
from kzoo.ops.box_coder import decode_deltas, encode_deltas
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.weighting import image_weighted
from kzoo.options import checked
from kzoo.options.building import ANCHOR

CLASS_LOSSES = ("focal", "hard_negative")
DELTA_LOSSES = ("l1", "smooth_l1")
# A detector starts out finding nothing at 99 anchors of 100 (RetinaNet, section 4.1).
PRIOR_LOGIT = -math.log((1 - 0.01) / 0.01)


@keras.saving.register_keras_serializable("kzoo")
class AnchorHead(DetectionHead):
    """Classes and box differences for every anchor of several levels of the network.

    Outputs are `{"class_stride8": (B, H/8, W/8, A * K), "box_stride8": (B, H/8, W/8, A * 4), ...}`, anchor by anchor;
    of levels with the same stride the second is "stride8_2". K is `num_classes`, or one more, the background first,
    under "hard_negative". Targets are as for `kzoo.heads.yolo.YoloHead`: `{"boxes": (B, M, 4) xyxy pixels, "labels":
    (B, M)}` and, where there are, `"weights"` (B, M); a label of -1 is padding, or, with a box of positive area, a
    region that is neither object nor background.

    Args:
        num_classes: how many, without a background.
        anchors: for each level a list of widths and heights in pixels.
        strides: pixels a cell of each feature map, in their order.
        tower: how many 3x3 convolutions there are before those that give classes, and before those that give boxes.
        tower_width: their channels.
        tower_norm: None, or "group": group normalisation after each.
        shared: whether all levels go through the same convolutions; they have equally many anchors then.
        offset: where in its cell an anchor's centre is, as `kzoo.ops.anchors.lay_anchors` has it.
        fit_strides: likewise.
        coder_weights: of the differences, as `kzoo.ops.box_coder` has them.
        positive_threshold: least IoU of an anchor with the object that it is to find.
        negative_threshold: IoU below which it is background; anchors in between are not trained.
        rescue: of objects that no anchor overlaps so much: as `kzoo.ops.assign.assign_anchors` has it.
        class_loss: "focal": each class by itself, over all anchors; or "hard_negative": one class an anchor or the
            background, over the positives and the negatives that cost most.
        focal_gamma: focal modulation; 0 is plain cross-entropy.
        focal_alpha: weight of the positives; None for none.
        negative_ratio: under "hard_negative", negatives for each positive.
        box_loss: of the differences "l1" or "smooth_l1", or of the boxes "iou", "giou", "diou" or "ciou".
        smooth_l1_beta: where the squares of "smooth_l1" end.
        class_weight: of the class term.
        box_weight: of the box term.
        normalize_by: what the terms' sums are divided by: the positives of each "image", and then averaged, or of
            the "batch".
        multiple: what the input's sides have to be multiples of; the largest stride where None.
        image_size: height and width in pixels that the model is made for, if they are no multiples of the first
            stride: boxes end there, and not where the first map ends.
        **kwargs: of the suppression: see `kzoo.heads.detection.DetectionHead`.

    Raises:
        ValueError: an argument is out of range.

    Source: RetinaNet, arXiv:1708.02002, section 4; SSD, arXiv:1512.02325, section 2.
    """

    options = ANCHOR
    loss_names = ("class", "box")
    meaning = ("anchors", "strides", "offset", "fit_strides", "coder_weights", "class_loss")

    @checked(ANCHOR)
    def __init__(
        self,
        num_classes: int,
        anchors: Sequence,
        strides: Sequence[int],
        tower: int = 0,
        tower_width: int = 256,
        tower_norm: str | None = None,
        shared: bool = False,
        offset: float = 0.5,
        fit_strides: bool = False,
        coder_weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
        positive_threshold: float = 0.5,
        negative_threshold: float = 0.4,
        rescue: str = "ties",
        class_loss: str = "focal",
        focal_gamma: float = 2.0,
        focal_alpha: float | None = 0.25,
        negative_ratio: float = 3.0,
        box_loss: str = "l1",
        smooth_l1_beta: float = 1.0,
        class_weight: float = 1.0,
        box_weight: float = 1.0,
        normalize_by: str = "image",
        multiple: int | None = None,
        image_size: Sequence[int] | None = None,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        check_choice("tower_norm", tower_norm, (None, "group"))
        check_choice("rescue", rescue, RESCUES)
        check_choice("class_loss", class_loss, CLASS_LOSSES)
        check_choice("box_loss", box_loss, (*DELTA_LOSSES, *BOX_LOSSES))
        check_choice("normalize_by", normalize_by, ("image", "batch"))
        self.strides = tuple(strides)
        self.levels = level_names(self.strides)
        self.anchors = anchors_by_level(anchors, len(self.strides))
        self.tower, self.tower_width, self.tower_norm, self.shared = tower, tower_width, tower_norm, shared
        self.offset, self.fit_strides, self.coder_weights = offset, fit_strides, tuple(coder_weights)
        self.positive_threshold, self.negative_threshold = positive_threshold, negative_threshold
        self.rescue = rescue
        self.class_loss, self.focal_gamma, self.focal_alpha = class_loss, focal_gamma, focal_alpha
        self.negative_ratio, self.box_loss, self.smooth_l1_beta = negative_ratio, box_loss, smooth_l1_beta
        self.class_weight, self.box_weight, self.normalize_by = class_weight, box_weight, normalize_by
        self.multiple = multiple or max(self.strides)
        self.image_size = None if image_size is None else tuple(image_size)
        self.fields = num_classes + (class_loss == "hard_negative")
        self._check()
        self.class_layers = self._subnet("class", self.fields, "class_logits")
        self.box_layers = self._subnet("box", 4, "box_deltas")

    def _check(self):
        if self.negative_threshold > self.positive_threshold:
            raise ValueError(
                f"negative_threshold={self.negative_threshold} is above "
                f"positive_threshold={self.positive_threshold}: an anchor between them would be both; lower it"
            )
        if self.tower and not self.shared:
            raise ValueError(f"tower={self.tower}: levels share their towers; give shared=True, or tower=0")
        if self.shared and len({len(level) for level in self.anchors}) > 1:
            raise ValueError(
                f"anchors: levels have {[len(level) for level in self.anchors]} of them; shared convolutions take "
                "equally many"
            )

    def _subnet(self, kind: str, fields: int, last: str) -> list:
        """The convolutions that give `fields` numbers an anchor: in a row where shared, one a level where not."""
        channels = [len(level) * fields for level in self.anchors]
        if not self.shared:
            return level_convs(kind, self.levels, channels)
        prior = PRIOR_LOGIT if kind == "class" and self.class_loss == "focal" else None
        return shared_convs(kind, last, channels[0], self.tower, self.tower_width, self.tower_norm, prior)

    def build(self, input_shape):
        if len(input_shape) != len(self.levels):
            raise ValueError(
                f"strides={self.strides}: {len(input_shape)} feature maps; give a stride for each"
            )
        for subnet in (self.class_layers, self.box_layers):
            if not self.shared:
                for conv, shape in zip(subnet, input_shape, strict=True):
                    conv.build(shape)
                continue
            shape = input_shape[0]
            for layer in subnet:
                layer.build(shape)
                shape = layer.compute_output_shape(shape)
        self.built = True

    def class_outputs(self):
        before = self.fields - self.num_classes
        last = self.class_layers[-1:] if self.shared else self.class_layers
        return [(layer, len(level), before) for layer, level in zip(last, self.anchors, strict=False)]

    def call(self, features, training=None):
        return self.finish(self.hidden(features))

    def hidden(self, features):
        if not self.tower:
            return features
        return [
            functools.reduce(lambda maps, layer: layer(maps), subnet[:-1], x)
            for subnet in (self.class_layers, self.box_layers)
            for x in features
        ]

    def finish(self, hidden):
        maps = iter(hidden if self.tower else [*hidden, *hidden])
        outputs = {}
        for kind, subnet in (("class", self.class_layers), ("box", self.box_layers)):
            last = subnet[-1:] * len(self.levels) if self.shared else subnet
            for name, layer in zip(self.levels, last, strict=True):
                outputs[f"{kind}_{name}"] = ops.cast(layer(next(maps)), "float32")
        return outputs

    def kernels(self, shapes):
        found = []
        for subnet in (self.class_layers, self.box_layers):
            convs = [layer for layer in subnet if hasattr(layer, "kernel")]
            each = itertools.product(convs, shapes) if self.shared else zip(convs, shapes, strict=True)
            found += each
        return found

    def sizes(self, outputs) -> list:
        """Height and width of each feature map in cells, from the raw outputs."""
        return [ops.shape(outputs[f"class_{name}"])[1:3] for name in self.levels]

    def rows(self, outputs):
        """All predictions in one row each, level by level, cell by cell, anchor by anchor.

        Args:
            outputs: raw.

        Returns:
            class logits (B, N, K) and box differences (B, N, 4).
        """
        return tuple(
            self._row(outputs, kind, fields) for kind, fields in (("class", self.fields), ("box", 4))
        )

    def _row(self, outputs, kind: str, fields: int):
        parts = []
        for name, (height, width), level in zip(self.levels, self.sizes(outputs), self.anchors, strict=True):
            raw = outputs[f"{kind}_{name}"]
            parts.append(ops.reshape(raw, (ops.shape(raw)[0], height * width * len(level), fields)))
        return ops.concatenate(parts, axis=1)

    def boxes_of_anchors(self, sizes):
        """The anchors (N, 4) xyxy pixels on feature maps of these heights and widths in cells."""
        return lay_anchors(sizes, self.anchors, self.strides, self.offset, self.fit_strides)

    def assign(self, targets, anchors):
        """What every anchor is to find: objects' boxes (B, M, 4), labels (B, M), and a `kzoo.ops.assign.Assignment`."""
        boxes, labels = sound_boxes(targets["boxes"]), ops.cast(targets["labels"], "int32")
        thresholds = (self.positive_threshold, self.negative_threshold)
        return boxes, labels, assign_anchors(anchors, boxes, labels, *thresholds, self.rescue)

    def loss(self, targets, outputs, sample_weight=None):
        logits, deltas = self.rows(outputs)
        anchors = self.boxes_of_anchors(self.sizes(outputs))
        boxes, labels, found = self.assign(targets, anchors)
        weight = ops.cast(found.positive, "float32")
        if "weights" in targets:
            weight = weight * take_rows(ops.cast(targets["weights"], "float32"), found.owner)
        owned = take_rows(ops.maximum(labels, 0), found.owner)
        terms = {
            "class": self.class_weight * self._class_loss(logits, owned, found, weight),
            "box": self.box_weight * self._box_loss(deltas, take_rows(boxes, found.owner), anchors) * weight,
        }
        terms = {name: image_weighted(term, sample_weight) for name, term in terms.items()}
        count = ops.sum(weight, axis=-1)
        if self.normalize_by == "batch":
            return {name: ops.sum(term) / ops.maximum(ops.sum(count), 1.0) for name, term in terms.items()}
        return {
            name: ops.mean(ops.sum(term, axis=-1) / ops.maximum(count, 1.0)) for name, term in terms.items()
        }

    def _class_loss(self, logits, labels, found, weight):
        """The class term of each anchor: (B, N)."""
        negative = ops.cast(found.negative, "float32")
        if self.class_loss == "focal":
            true = ops.one_hot(ops.where(found.positive, labels, -1), self.num_classes)
            loss = sigmoid_focal_loss(true, logits, self.focal_gamma, self.focal_alpha)
            return ops.sum(loss, axis=-1) * (weight + negative)
        true = ops.one_hot(ops.where(found.positive, labels + 1, 0), self.fields)
        loss = -ops.sum(true * ops.log_softmax(logits), axis=-1)
        chosen = hard_negatives(loss, found.positive, found.negative, self.negative_ratio)
        return loss * (weight + ops.cast(chosen, "float32"))

    def _box_loss(self, deltas, boxes, anchors):
        """The box term of each anchor, had it to find its box: (B, N)."""
        if self.box_loss in BOX_LOSSES:
            return BOX_LOSSES[self.box_loss](boxes, decode_deltas(deltas, anchors, self.coder_weights))
        beta = self.smooth_l1_beta if self.box_loss == "smooth_l1" else 0.0
        return ops.sum(smooth_l1(encode_deltas(boxes, anchors, self.coder_weights), deltas, beta), axis=-1)

    def encode(self, targets, sizes) -> dict:
        """Raw outputs that decode to the targets: assignment's inverse, for tests and for looking at anchors.

        Args:
            targets: as for `loss`.
            sizes: height and width of each feature map, in the order of the strides.
        """
        anchors = self.boxes_of_anchors(sizes)
        boxes, labels, found = self.assign(targets, anchors)
        sure = 20.0
        empty = 0 if self.class_loss == "hard_negative" else -1
        label = ops.where(
            found.positive, take_rows(labels, found.owner) + self.fields - self.num_classes, empty
        )
        classes = sure * (2.0 * ops.one_hot(label, self.fields) - 1.0)
        deltas = encode_deltas(take_rows(boxes, found.owner), anchors, self.coder_weights)
        outputs, start = {}, 0
        for name, (height, width), level in zip(self.levels, sizes, self.anchors, strict=True):
            end = start + height * width * len(level)
            for kind, values in (("class", classes), ("box", deltas)):
                shape = (-1, height, width, len(level) * values.shape[-1])
                outputs[f"{kind}_{name}"] = ops.reshape(values[:, start:end], shape)
            start = end
        return outputs

    def decode(self, outputs):
        """Detections, clipped to the image: as `kzoo.heads.detection.DetectionHead` has them."""
        logits, deltas = self.rows(outputs)
        sizes = self.sizes(outputs)
        scores = self._scores(logits) if self.class_loss == "hard_negative" else logits
        _, chosen = stable_top_k(ops.max(scores, axis=-1), min(self.candidates, logits.shape[1]))
        scores = take_rows(scores, chosen)
        anchors = ops.take(self.boxes_of_anchors(sizes), chosen, axis=0)
        boxes = decode_deltas(take_rows(deltas, chosen), anchors, self.coder_weights)
        if self.class_loss == "focal":
            scores = ops.sigmoid(scores)  # it keeps the order, so one for each chosen anchor is enough
        return self.suppress(self._clipped(boxes, sizes), scores)

    def _scores(self, logits):
        """Probabilities of the classes, the background left out."""
        return ops.softmax(logits)[..., 1:]

    def _clipped(self, boxes, sizes):
        """Boxes within the image, which the first map covers, and no more than it where the size is known."""
        stride, known = self.strides[0], self.image_size or (0, 0)
        height, width = (
            ops.where(ops.equal(cells, -(-side // stride)), side, cells * stride)
            for cells, side in zip(sizes[0], known, strict=True)
        )
        limit = ops.cast(ops.stack([width, height, width, height]), "float32")
        return ops.minimum(ops.maximum(boxes, 0.0), limit)
