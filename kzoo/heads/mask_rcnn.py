"""The head of Mask R-CNN: that of Faster R-CNN, and a mask for every object."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.base import leaves
from kzoo.heads.mask_branch import MaskBranch
from kzoo.heads.rcnn import RCNNHead
from kzoo.heads.region_loss import own_truth
from kzoo.losses.focal import sigmoid_cross_entropy
from kzoo.ops.gather import take_rows
from kzoo.ops.region_masks import masks_under
from kzoo.ops.weighting import image_weighted, object_weighted
from kzoo.options import checked
from kzoo.options.building import MASK_RCNN


@keras.saving.register_keras_serializable("kzoo")
class MaskRCNNHead(RCNNHead):
    """Besides classes and boxes a mask for every class, of which the one of the region's class counts.

    In training those regions that have an object learn its mask; in inference the boxes that are given out are looked
    at once more.

    Shapes, of D detections, besides those of `kzoo.heads.rcnn.RCNNHead`:
        targets: also `masks` (B, M, S, S), each object's as cells of its own box, uint8 0..255 or float 0..1.
        decoded: also `masks` (B, D, 2 * mask_size, 2 * mask_size) in 0..1, as cells of the detections' boxes.

    Args:
        num_classes: number of classes, 1 or more, without the background.
        anchors: for each level a list of widths and heights in pixels, equally many.
        strides: pixels a cell of each feature map, in the order of the maps.
        mask_size: cells of the grid that features are pooled to, 1 or more, 14 by default; masks are twice as fine.
        mask_convs: number of 3x3 convolutions, 4 by default.
        mask_width: channels of these convolutions, 256 by default.
        mask_norm: whether they have batch normalisation; False by default.
        mask_weight: factor of the mask term, 0 or more, 1 by default.
        masks_aligned: whether masks cover their boxes as cells (default); if not, they are learnt and pasted as
            torchvision does, about half a pixel off, which costs small objects much of their overlap.
        **kwargs: further arguments of `kzoo.heads.rcnn.RCNNHead`.

    Raises:
        ValueError: an argument is out of its range.

    Source: He et al. 2017, arXiv:1703.06870; in numbers as torchvision, `models/detection/mask_rcnn.py`.
    """

    options = MASK_RCNN
    nms_last = False  # masks are found of what it leaves
    task = "instance"
    loss_names = (*RCNNHead.loss_names, "mask")
    meaning = (*RCNNHead.meaning, "mask_size", "masks_aligned")

    @checked(MASK_RCNN)
    def __init__(
        self,
        num_classes: int,
        anchors: Sequence,
        strides: Sequence[int],
        mask_size: int = 14,
        mask_convs: int = 4,
        mask_width: int = 256,
        mask_norm: bool = False,
        mask_weight: float = 1.0,
        masks_aligned: bool = True,
        **kwargs,
    ):
        super().__init__(num_classes, anchors, strides, **kwargs)
        self.mask_size = mask_size
        self.mask_weight = mask_weight
        self.masks_aligned = masks_aligned
        self.mask_branch = MaskBranch(self.num_classes, mask_convs, mask_width, mask_norm)

    def build(self, input_shape):
        super().build(input_shape)
        self.mask_branch.build((None, self.mask_size, self.mask_size, self.channels))

    def class_outputs(self):
        return [*super().class_outputs(), (self.mask_branch.class_layer, 1, 1)]

    def kernels(self, shapes):
        size = self.mask_size
        fine = self.mask_branch.class_layer
        laid = []
        for layer in leaves(self.mask_branch):
            if hasattr(layer, "kernel"):
                side = 2 * size if layer is fine else size
                laid.append((layer, (1, side, side, self.channels)))
        return super().kernels(shapes) + laid * self.max_detections

    def mask_logits(self, features, boxes, labels, counted=None, training: bool = False):
        """The masks of boxes' own classes.

        Args:
            features: the maps (B, H, W, C) that are pooled from.
            boxes: (B, N, 4) xyxy pixels.
            labels: (B, N) int32, 0 for background, else the class + 1.
            counted: (B, N) float, 0 for padding, in training.
            training: whether layers act as in training; False by default.

        Returns:
            (B, N, 2 * mask_size, 2 * mask_size) logits.
        """
        counted = None if counted is None else ops.reshape(counted, (-1,))
        pooled = self.pooled(features, boxes, self.mask_size)
        logits = self.mask_branch(pooled, counted, training=training)
        side, classes = 2 * self.mask_size, self.num_classes + 1
        logits = ops.reshape(logits, (-1, boxes.shape[1], side, side, classes))
        own = ops.one_hot(labels, classes)[:, :, None, None, :]  # (B, N, 1, 1, K + 1)
        return ops.sum(logits * own, axis=-1)

    def region_losses(self, truth, features, regions, sample_weight, training):
        losses = super().region_losses(truth, features, regions, sample_weight, training)
        # Those with an object come first.
        count = min(int(self.region_samples * self.region_positives), regions.boxes.shape[1])
        regions = regions.first(count)  # R regions
        own_boxes, own_labels = own_truth(regions, truth["boxes"], truth["labels"])  # (B, R, 4), (B, R)
        image_size = [cells * self.strides[0] for cells in ops.shape(features[0])[1:3]]
        masks = take_rows(truth["masks"], regions.owner)  # (B, R, S, S)
        side = 2 * self.mask_size
        wanted = masks_under(masks, own_boxes, regions.boxes, side, image_size, self.masks_aligned)
        logits = self.mask_logits(features, regions.boxes, own_labels, regions.positive, training)
        positive = object_weighted(regions.positive, truth, regions.owner)  # (B, R)
        term = positive * ops.mean(sigmoid_cross_entropy(wanted, logits), axis=(2, 3))  # (B, R)
        total = ops.maximum(ops.sum(regions.positive), 1.0)
        return {**losses, "mask": self.mask_weight * ops.sum(image_weighted(term, sample_weight)) / total}

    def decode(self, outputs):
        """Detections and their masks: as `kzoo.heads.detection.DetectionHead` has them, and `masks` (B, D, S, S)."""
        found = super().decode(outputs)
        there = found["labels"] >= 0  # (B, D)
        labels = ops.where(there, found["labels"] + 1, 0)
        logits = self.mask_logits(self.features(outputs), found["boxes"], labels)
        masks = ops.where(there[:, :, None, None], ops.sigmoid(logits), 0.0)
        return {**found, "masks": masks}
