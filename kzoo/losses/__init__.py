"""Losses as functions, elementwise, to be summed by the heads."""

from kzoo.losses.focal import sigmoid_cross_entropy, sigmoid_focal_loss, smooth_labels, softmax_focal_loss
from kzoo.losses.iou import BOX_LOSSES, ciou_loss, diou_loss, giou_loss, iou_loss

__all__ = [
    "BOX_LOSSES",
    "ciou_loss",
    "diou_loss",
    "giou_loss",
    "iou_loss",
    "sigmoid_cross_entropy",
    "sigmoid_focal_loss",
    "smooth_labels",
    "softmax_focal_loss",
]
