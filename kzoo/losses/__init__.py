"""Losses as functions: elementwise for boxes and classes, scalars for the pixels of masks."""

from kzoo.losses.distribution import distribution_focal_loss
from kzoo.losses.focal import (
    sigmoid_cross_entropy,
    sigmoid_focal_loss,
    smooth_labels,
    softmax_focal_loss,
    varifocal_loss,
)
from kzoo.losses.iou import (
    BOX_LOSSES,
    ciou_loss,
    diou_loss,
    giou_loss,
    iou_loss,
    siou_loss,
    squared_iou_loss,
)
from kzoo.losses.lovasz import lovasz
from kzoo.losses.mining import hard_negatives
from kzoo.losses.named import PIXEL_LOSSES, PixelLoss
from kzoo.losses.overlap import dice, dice_generalized, jaccard, tversky
from kzoo.losses.pixel import border, cross_entropy, focal
from kzoo.losses.smooth_l1 import smooth_l1

__all__ = [
    "BOX_LOSSES",
    "PIXEL_LOSSES",
    "PixelLoss",
    "border",
    "ciou_loss",
    "cross_entropy",
    "dice",
    "dice_generalized",
    "diou_loss",
    "distribution_focal_loss",
    "focal",
    "giou_loss",
    "hard_negatives",
    "iou_loss",
    "jaccard",
    "lovasz",
    "sigmoid_cross_entropy",
    "sigmoid_focal_loss",
    "siou_loss",
    "smooth_l1",
    "smooth_labels",
    "softmax_focal_loss",
    "squared_iou_loss",
    "tversky",
    "varifocal_loss",
]
