"""The head of RetinaNet, SSD and region proposals: boxes as differences from anchors that overlap them."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.anchor_layers import AnchorLayers
from kzoo.heads.base import check_choice
from kzoo.losses.focal import sigmoid_focal_loss
from kzoo.losses.iou import BOX_LOSSES
from kzoo.losses.mining import hard_negatives
from kzoo.losses.smooth_l1 import smooth_l1
from kzoo.ops.anchors import lay_anchors
from kzoo.ops.assign import RESCUES, assign_anchors, sound_boxes
from kzoo.ops.box_coder import decode_deltas, encode_deltas
from kzoo.ops.boxes import within
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.weighting import image_weighted, object_weighted
from kzoo.options import checked
from kzoo.options.building import ANCHOR

CLASS_LOSSES = ("focal", "hard_negative")
DELTA_LOSSES = ("l1", "smooth_l1")


@keras.saving.register_keras_serializable("kzoo")
class AnchorHead(AnchorLayers):
    """Classes and box differences for every anchor of several levels of the network.

    Every anchor is given the object that it overlaps most, if it does so enough (`kzoo.ops.assign`); those with an
    object learn its class and the box's differences from the anchor, those far from all objects learn that there is
    nothing, and those in between learn nothing.

    Shapes, where A anchors stand in a cell, N in all levels together, and K is `num_classes`, or one more under
    "hard_negative", the background first:
        outputs: `{"class_stride8": (B, H/8, W/8, A * K), "box_stride8": (B, H/8, W/8, A * 4), ...}`, anchor by anchor;
            of levels with the same stride the second is "stride8_2".
        targets: as for `kzoo.heads.yolo.YoloHead`: `{"boxes": (B, M, 4) xyxy pixels, "labels": (B, M)}` and, where
            there are, `"weights"` (B, M); a label of -1 is padding, or, with a box of positive area, a region that is
            neither object nor background.

    Args:
        num_classes: number of classes, 1 or more, without a background.
        anchors: for each level a list of widths and heights in pixels.
        strides: pixels a cell of each feature map, in the order of the maps.
        tower: number of 3x3 convolutions before those that give classes, and before those that give boxes, 0 to 100, 0
            by default.
        tower_width: channels of those convolutions, 256 by default.
        tower_norm: None (default), or "group": group normalisation after each of those convolutions.
        shared: whether all levels go through the same convolutions, and have equally many anchors then; False by
            default. A tower is always shared.
        offset: place of an anchor's centre in its cell: 0 at the upper left, 0.5 (default) in the middle.
        fit_strides: whether the strides of the coarser levels are measured from the image's size (torchvision), as
            `kzoo.ops.anchors.lay_anchors` has it; False by default.
        coder_weights: four factors of the differences of x, y, width and height, as `kzoo.ops.box_coder` has them;
            (1, 1, 1, 1) by default.
        positive_threshold: least IoU of an anchor with the object that it is to find, 0 to 1, 0.5 by default.
        negative_threshold: IoU below which an anchor is background, 0 to `positive_threshold`, 0.4 by default;
            anchors in between are not trained.
        rescue: what happens to objects that no anchor overlaps enough: "ties" (default), "best" or "none", as
            `kzoo.ops.assign.assign_anchors` has them.
        class_loss: "focal" (default): each class by itself, over all anchors; or "hard_negative": one class an anchor
            or the background, over the positives and the negatives that cost most.
        focal_gamma: exponent of the focal modulation, 0 or more, 2 by default; 0 is plain cross-entropy. With "focal"
            alone.
        focal_alpha: weight of the positives, 0 to 1, 0.25 by default; the negatives have 1 - alpha. None for no
            weights. With "focal" alone.
        negative_ratio: negatives for each positive, above 0, 3 by default. With "hard_negative" alone.
        box_loss: what is compared: the differences by "l1" (default) or "smooth_l1", or the boxes by "iou", "giou",
            "diou" or "ciou".
        smooth_l1_beta: difference at which the squares of "smooth_l1" end, 0 or more, 1 by default.
        class_weight: factor of the class term, 0 or more, 1 by default.
        box_weight: factor of the box term, 0 or more, 1 by default.
        normalize_by: what the terms' sums are divided by: "image" (default), the positives of each image, and then
            averaged over images; or "batch", the positives of all.
        multiple: pixels that the input's sides have to be multiples of; the largest stride where None.
        image_size: height and width in pixels that the model is made for, if they are no multiples of the first
            stride: boxes end there, and not where the first map ends. None (default) for others.
        **kwargs: arguments of `kzoo.heads.detection.DetectionHead`, for the suppression.

    Raises:
        ValueError: an argument is out of its range.

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
        super().__init__(num_classes, anchors, strides, tower, tower_width, tower_norm, shared, **kwargs)
        check_choice("rescue", rescue, RESCUES)
        check_choice("class_loss", class_loss, CLASS_LOSSES)
        check_choice("box_loss", box_loss, (*DELTA_LOSSES, *BOX_LOSSES))
        check_choice("normalize_by", normalize_by, ("image", "batch"))
        if negative_threshold > positive_threshold:
            raise ValueError(
                f"negative_threshold={negative_threshold} is above positive_threshold={positive_threshold}: an anchor "
                "between them would be both; lower it"
            )
        self.offset = offset
        self.fit_strides = fit_strides
        self.coder_weights = tuple(coder_weights)
        self.positive_threshold = positive_threshold
        self.negative_threshold = negative_threshold
        self.rescue = rescue
        self.class_loss = class_loss
        self.focal_gamma = focal_gamma
        self.focal_alpha = focal_alpha
        self.negative_ratio = negative_ratio
        self.box_loss = box_loss
        self.smooth_l1_beta = smooth_l1_beta
        self.class_weight = class_weight
        self.box_weight = box_weight
        self.normalize_by = normalize_by
        self.multiple = multiple or max(self.strides)
        self.image_size = None if image_size is None else tuple(image_size)
        self.make_subnets(num_classes + (class_loss == "hard_negative"), rare=class_loss == "focal")

    def boxes_of_anchors(self, sizes):
        """The anchors (N, 4) xyxy pixels on feature maps of these heights and widths in cells."""
        return lay_anchors(sizes, self.anchors, self.strides, self.offset, self.fit_strides)

    def assign(self, targets, anchors):
        """What every anchor is to find: objects' boxes (B, M, 4), labels (B, M), and a `kzoo.ops.assign.Assignment`."""
        boxes, labels = sound_boxes(targets["boxes"]), ops.cast(targets["labels"], "int32")
        thresholds = (self.positive_threshold, self.negative_threshold)
        return boxes, labels, assign_anchors(anchors, boxes, labels, *thresholds, self.rescue)

    def loss(self, targets, outputs, sample_weight=None):
        logits, deltas = self.rows(outputs)  # (B, N, K), (B, N, 4)
        anchors = self.boxes_of_anchors(self.sizes(outputs))  # (N, 4)
        boxes, labels, assignment = self.assign(targets, anchors)  # (B, M, 4), (B, M)
        positive = ops.cast(
            assignment.positive, "float32"
        )  # (B, N), and times its object's weight where it has one
        positive = object_weighted(positive, targets, assignment.owner)
        own_labels = take_rows(ops.maximum(labels, 0), assignment.owner)  # (B, N)
        own_boxes = take_rows(boxes, assignment.owner)  # (B, N, 4)
        terms = {  # each (B, N)
            "class": self.class_weight * self._class_loss(logits, own_labels, assignment, positive),
            "box": self.box_weight * self._box_loss(deltas, own_boxes, anchors) * positive,
        }
        terms = {name: image_weighted(term, sample_weight) for name, term in terms.items()}
        count = ops.sum(positive, axis=-1)  # (B,)
        if self.normalize_by == "batch":
            return {name: ops.sum(term) / ops.maximum(ops.sum(count), 1.0) for name, term in terms.items()}
        return {
            name: ops.mean(ops.sum(term, axis=-1) / ops.maximum(count, 1.0)) for name, term in terms.items()
        }

    def _class_loss(self, logits, labels, assignment, positive):
        """The class term of each anchor.

        Args:
            logits: (B, N, K) class logits.
            labels: (B, N) int32, the class of each anchor's object; meaningless where it has none.
            assignment: the anchors that are positive and those that are negative, a `kzoo.ops.assign.Assignment`.
            positive: (B, N) float, how much each anchor counts as one that has an object, 0 for those without.

        Returns:
            (B, N), 0 for anchors that are neither positive nor negative.
        """
        if self.class_loss == "focal":
            # One-hot of -1 is all zeros: of the background no class is there.
            true = ops.one_hot(ops.where(assignment.positive, labels, -1), self.num_classes)  # (B, N, K)
            loss = sigmoid_focal_loss(true, logits, self.focal_gamma, self.focal_alpha)
            return ops.sum(loss, axis=-1) * (positive + ops.cast(assignment.negative, "float32"))
        true = ops.one_hot(
            ops.where(assignment.positive, labels + 1, 0), self.fields
        )  # (B, N, K), background first
        loss = -ops.sum(true * ops.log_softmax(logits), axis=-1)  # (B, N)
        mined = hard_negatives(loss, assignment.positive, assignment.negative, self.negative_ratio)
        return loss * (positive + ops.cast(mined, "float32"))

    def _box_loss(self, deltas, boxes, anchors):
        """The box term of each anchor, had it to find its box: (B, N, 4), (B, N, 4), (N, 4) -> (B, N)."""
        if self.box_loss in BOX_LOSSES:
            return BOX_LOSSES[self.box_loss](boxes, decode_deltas(deltas, anchors, self.coder_weights))
        beta = self.smooth_l1_beta if self.box_loss == "smooth_l1" else 0.0
        return ops.sum(smooth_l1(encode_deltas(boxes, anchors, self.coder_weights), deltas, beta), axis=-1)

    def encode(self, targets, sizes) -> dict:
        """Raw outputs that decode to the targets: assignment's inverse, for tests and for looking at anchors.

        Args:
            targets: boxes (B, M, 4) and labels (B, M) by name, as `loss` takes them.
            sizes: height and width of each feature map in cells, in the order of the strides.
        """
        anchors = self.boxes_of_anchors(sizes)  # (N, 4)
        boxes, labels, assignment = self.assign(targets, anchors)
        sure = 20.0  # logit of a probability that rounds to 1
        background = 0 if self.class_loss == "hard_negative" else -1
        before = self.fields - self.num_classes
        own_labels = take_rows(labels, assignment.owner) + before  # (B, N)
        hot = ops.one_hot(ops.where(assignment.positive, own_labels, background), self.fields)  # (B, N, K)
        classes = sure * (2.0 * hot - 1.0)
        deltas = encode_deltas(take_rows(boxes, assignment.owner), anchors, self.coder_weights)  # (B, N, 4)
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
        logits, deltas = self.rows(outputs)  # (B, N, K), (B, N, 4)
        sizes = self.sizes(outputs)
        # The logistic keeps the order of logits, so under "focal" it can wait for those that are chosen; the softmax,
        # of which a score depends on the other classes, too, cannot.
        softmax = self.class_loss == "hard_negative"
        scores = ops.softmax(logits)[..., 1:] if softmax else logits  # (B, N, classes), background left out
        count = min(self.candidates, logits.shape[1])  # T, the anchors that are looked at further
        _, chosen = stable_top_k(ops.max(scores, axis=-1), count)  # (B, T)
        scores = take_rows(scores, chosen)  # (B, T, classes)
        anchors = ops.take(self.boxes_of_anchors(sizes), chosen, axis=0)  # (B, T, 4)
        boxes = decode_deltas(take_rows(deltas, chosen), anchors, self.coder_weights)  # (B, T, 4)
        return self.suppress(self.clipped(boxes, sizes), scores if softmax else ops.sigmoid(scores))

    def clipped(self, boxes, sizes):
        """Boxes (..., 4) within the image, which the first map covers; within its very size where that is known."""
        stride, known = self.strides[0], self.image_size or (0, 0)
        # A map of as many cells as the known size has, rounded up, is that of such an image; others are run-time's.
        height, width = (
            ops.where(ops.equal(cells, -(-side // stride)), side, cells * stride)
            for cells, side in zip(sizes[0], known, strict=True)
        )
        return within(boxes, height, width)
