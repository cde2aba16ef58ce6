"""The head of IoU-Net: that of Faster R-CNN, which also predicts how well its boxes fit, and betters them by that."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.base import leaves
from kzoo.heads.iou_branch import IoUBranch
from kzoo.heads.jittered import NUMBERS, jittered_regions
from kzoo.heads.rcnn import RCNNHead
from kzoo.heads.region_loss import own_truth
from kzoo.losses.smooth_l1 import smooth_l1
from kzoo.ops.nms import GUIDED, KINDS, guided_nms
from kzoo.ops.nms.selection import with_scores
from kzoo.ops.roi import precise_roi_slopes, precise_roi_windows
from kzoo.ops.weighting import image_weighted, object_weighted
from kzoo.options import checked
from kzoo.options.building import IOU_NET

TRIES = 32  # boxes around an object, of which one is trained on
# A box rests once its predicted IoU grows by less than the first, or falls by more than the second.
_SETTLED, _WORSE = 1e-3, 1e-2


@keras.saving.register_keras_serializable("kzoo")
class IoUNetHead(RCNNHead):
    """Besides classes and boxes an IoU for every class: how well the box fits the object that it is said to have.

    It learns from the objects' own boxes, moved at random (`kzoo.heads.jittered`), not from proposals. Features under
    them are means of the bilinear surface (`kzoo.ops.roi.precise_roi_windows`), so that the IoU has a gradient to the
    box. In inference it says which of several boxes that overlap is kept (`kzoo.ops.nms.guided_nms`), and those that
    are given out follow its gradient for some steps.

    Shapes are those of `kzoo.heads.rcnn.RCNNHead`.

    Args:
        num_classes: number of classes, 1 or more, without the background.
        anchors: for each level a list of widths and heights in pixels, equally many.
        strides: pixels a cell of each feature map, in the order of the maps, powers of two.
        iou_dense: units of the dense layers that predict the IoU, (1024, 1024) by default.
        iou_samples: number of moved boxes of an image that the IoU is trained on, 1 or more, 128 by default.
        iou_weight: factor of the IoU term, 0 or more, 1 by default.
        refinements: number of steps, 0 or more, that a detection's box takes along the gradient of its predicted IoU,
            5 by default.
        refine_step: how far a step goes, 0 or more, 0.5 by default: the gradient's pixels times the box's width or
            height times this.
        nms_kind: "guided" (default), by the predicted IoU, or another kind of suppression, by class scores.
        **kwargs: further arguments of `kzoo.heads.rcnn.RCNNHead`.

    Raises:
        ValueError: an argument is out of its range.

    Source: Jiang et al. 2018, arXiv:1807.11590.
    """

    options = IOU_NET
    loss_names = (*RCNNHead.loss_names, "iou")
    nms_kinds = (GUIDED, *KINDS)
    nms_last = False  # boxes are refined after it, and overlaps that are predicted guide it

    @checked(IOU_NET)
    def __init__(
        self,
        num_classes: int,
        anchors: Sequence,
        strides: Sequence[int],
        iou_dense: Sequence[int] = (1024, 1024),
        iou_samples: int = 128,
        iou_weight: float = 1.0,
        refinements: int = 5,
        refine_step: float = 0.5,
        nms_kind: str = GUIDED,
        **kwargs,
    ):
        super().__init__(num_classes, anchors, strides, nms_kind=nms_kind, **kwargs)
        self.iou_samples = iou_samples
        self.iou_weight = iou_weight
        self.refinements = refinements
        self.refine_step = refine_step
        self.iou_branch = IoUBranch(self.num_classes, iou_dense)

    def build(self, input_shape):
        super().build(input_shape)
        self.iou_branch.build((None, self.pool_size, self.pool_size, self.channels))

    def class_outputs(self):
        return [*super().class_outputs(), (self.iou_branch.class_layer, 1, 0)]

    def kernels(self, shapes):
        grid = (1, self.pool_size, self.pool_size, self.channels)
        laid = [(layer, grid) for layer in leaves(self.iou_branch)]
        # A refinement looks forward and back, and once more where it begins.
        steps = 2 * (self.refinements + 1) if self.refinements else 0
        looks = self.max_detections * steps + self.candidates * (self.nms_kind == GUIDED)
        return super().kernels(shapes) + laid * looks

    def region_losses(self, truth, features, regions, sample_weight, training):
        losses = super().region_losses(truth, features, regions, sample_weight, training)
        sizes = [ops.shape(x)[1:3] for x in features]
        boxes, labels = truth["boxes"], truth["labels"]  # (B, M, 4), (B, M)
        batch, count = ops.shape(boxes)[0], self.iou_samples
        wanted, chance = (
            keras.random.uniform(shape, seed=self.seed_generator)
            for shape in ((batch, count), (batch, count * TRIES, NUMBERS))
        )
        moved, overlap = jittered_regions(
            boxes, labels, wanted, chance, lambda found: self.clipped(found, sizes)
        )  # (B, T)
        _, own_labels = own_truth(moved, boxes, labels)  # (B, T)
        positive = object_weighted(moved.positive, truth, moved.owner)  # (B, T)
        pred = self.signed_ious(features, moved.boxes, own_labels - 1)
        term = positive * smooth_l1(2 * overlap - 1, pred)  # (B, T)
        total = ops.maximum(ops.sum(moved.positive), 1.0)
        return {**losses, "iou": self.iou_weight * ops.sum(image_weighted(term, sample_weight)) / total}

    def signed_ious(self, features, boxes, labels):
        """The predicted IoU of boxes with objects of their classes, -1 for 0 and 1 for 1.

        Args:
            features: the maps (B, H, W, C) that are pooled from.
            boxes: (B, N, 4) xyxy pixels.
            labels: (B, N) int32 classes from 0; below 0 for none, whose IoU is 0.5.

        Returns:
            (B, N), unbounded.
        """
        pooled = precise_roi_windows(features, boxes, self.pool_size, self.strides[: self.pooled_levels])
        ious = self.iou_branch(ops.reshape(pooled, (-1, *pooled.shape[2:])))  # (B * N, K)
        own = ops.one_hot(ops.reshape(labels, (-1,)), self.num_classes)  # (B * N, K)
        return ops.reshape(ops.sum(ious * own, axis=-1), (-1, boxes.shape[1]))

    def iou_slopes(self, features, boxes, labels):
        """The predicted IoU of boxes, and how it grows with their corners.

        Args:
            features: the maps (B, H, W, C) that are pooled from.
            boxes: (B, N, 4) xyxy pixels.
            labels: (B, N) int32 classes from 0, below 0 for none.

        Returns:
            IoU (B, N), and its gradients (B, N, 4) a pixel.
        """
        count, strides = boxes.shape[1], self.strides[: self.pooled_levels]
        pooled, slopes = precise_roi_slopes(features, boxes, self.pool_size, strides)
        own = ops.cast(ops.one_hot(ops.reshape(labels, (-1,)), self.num_classes), "float32")
        values, upstream = self.iou_branch.gradient(ops.reshape(pooled, (-1, *pooled.shape[2:])), own)
        upstream = ops.reshape(upstream, (-1, count, *upstream.shape[1:]))  # (B, N, h, w, C)
        moved = [ops.sum(upstream * slope, axis=(2, 3, 4)) for slope in slopes]  # (B, N) each
        # From -1 to 1 is twice as far as from 0 to 1.
        return 0.5 + 0.5 * ops.reshape(values, (-1, count)), 0.5 * ops.stack(moved, axis=-1)

    def refined_by_iou(self, features, boxes, labels):
        """Boxes after their steps along the gradient of the predicted IoU.

        A step that makes it worse by more than 0.01 is taken back, and ends a box's way, as does one that gains or
        loses less than 0.001.

        Args:
            features: the maps (B, H, W, C) that are pooled from.
            boxes: (B, N, 4) xyxy pixels.
            labels: (B, N) int32 classes from 0, below 0 for none, which stay where they are.

        Returns:
            (B, N, 4) within the image.

        Source: Jiang et al. 2018, arXiv:1807.11590, section 3.3, algorithm 2.
        """
        sizes = [ops.shape(x)[1:3] for x in features]

        def unfinished(step, boxes, ious, slopes, moving):
            return ops.logical_and(step < self.refinements, ops.any(moving))

        def climb(step, boxes, ious, slopes, moving):
            sides = boxes[..., 2:] - boxes[..., :2]  # (B, N, 2)
            sides = ops.concatenate([sides, sides], axis=-1)
            moved = self.clipped(boxes + self.refine_step * slopes * sides, sizes)
            new_ious, new_slopes = self.iou_slopes(features, moved, labels)
            gain = new_ious - ious  # (B, N)
            taken = ops.logical_and(moving, gain >= -_WORSE)
            boxes, slopes = (
                ops.where(ops.expand_dims(taken, -1), after, before)
                for after, before in ((moved, boxes), (new_slopes, slopes))
            )
            ious = ops.where(taken, new_ious, ious)
            return step + 1, boxes, ious, slopes, ops.logical_and(taken, ops.absolute(gain) >= _SETTLED)

        start = (ops.convert_to_tensor(0, "int32"), boxes, *self.iou_slopes(features, boxes, labels))
        return ops.while_loop(unfinished, climb, (*start, labels >= 0))[1]

    def decode(self, outputs):
        """Detections whose boxes fit as well as is predicted: as `kzoo.heads.detection.DetectionHead` has them."""
        boxes, scores, labels, variance = self.pairs(outputs)  # (B, T, 4), (B, T), (B, T)
        features = self.features(outputs)
        if self.nms_kind == GUIDED:
            quality = self.signed_ious(features, boxes, labels)
            of_class = None if self.class_agnostic else labels
            limits = (self.nms_threshold, self.score_threshold, self.max_detections)
            chosen = guided_nms(boxes, scores, quality, of_class, *limits)
            found = with_scores(chosen, boxes, labels)
        else:
            found = self.suppress(boxes, scores, labels, variance)
        if self.refinements:
            found["boxes"] = self.refined_by_iou(features, found["boxes"], found["labels"])
        return found
