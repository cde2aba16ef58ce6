"""Gaussian YOLOv3's head: every coordinate comes with a standard deviation, and doubt lowers the score."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.yolo import YoloHead
from kzoo.heads.yolo_boxes import decode_boxes
from kzoo.losses.iou import BOX_LOSSES
from kzoo.options import checked
from kzoo.options.building import GAUSSIAN

_COORDINATES = 4
_ROOM = 0.3  # Darknet's addition to the deviation in the density's height.
_FLOOR = 1e-9  # density whose logarithm is taken where there is none
_LEAST = 1e-4  # deviation in the loss
_SURE = 20.0  # minus the logit of a deviation that rounds to 0


@keras.saving.register_keras_serializable("kzoo")
class GaussianYoloHead(YoloHead):
    """`YoloHead` with a standard deviation beside each of x, y, w and h.

    A coordinate is predicted as a normal distribution, of a mean and a deviation. Scores are objectness times class
    probability times one less the deviations' mean, so that boxes in doubt come last. The box term is the negative
    logarithm of the distribution's density at the truth, or, with another `box_loss`, that for the deviations and the
    other for the box.

    Shapes: outputs as of `YoloHead`, of 9 + num_classes numbers an anchor: x, its deviation, y, its deviation, w, its
    deviation, h, its deviation, objectness and classes. `gathered` brings them into the order of `YoloHead`, with the
    four deviations behind the classes.

    Args:
        num_classes: number of classes, 1 or more.
        anchors: widths and heights in pixels as plain lists: for each level a list of pairs, or one list that is
            split evenly.
        strides: pixels a cell of each feature map, in the order of the maps.
        box_loss: "paper" (default) for the density, or "iou", "giou", "diou" or "ciou".
        deviation_weight: factor of the deviations' part of the box term, 0 or more, 1 by default (Darknet's
            `uc_normalizer`).
        **kwargs: arguments of `kzoo.heads.yolo.YoloHead`, but for `size_transform` and `class_activation`, which are
            "exp" and "sigmoid".

    Raises:
        ValueError: an argument is out of its range.

    Source: Choi et al. 2019, arXiv:1904.04620; Darknet's `[Gaussian_yolo]`, whose gradients of the density pass the
    logistics by.
    """

    options = GAUSSIAN
    box_fields = 9

    @checked(GAUSSIAN)
    def __init__(
        self,
        num_classes: int,
        anchors: Sequence,
        strides: Sequence[int],
        box_loss: str = "paper",
        deviation_weight: float = 1.0,
        **kwargs,
    ):
        super().__init__(num_classes, anchors, strides, box_loss=box_loss, **kwargs)
        if self.size_transform != "exp" or self.class_activation != "sigmoid":
            raise ValueError(
                "size_transform, class_activation: the Gaussian head has exp and sigmoid; leave them out"
            )
        self.deviation_weight = deviation_weight

    def gathered(self, rows):
        """From Darknet's order of an anchor's numbers to x, y, w, h, objectness, classes and the four deviations.

        Every second of the first eight numbers is a mean, those between them are their deviations: (..., fields) in
        and out.
        """
        return ops.concatenate([rows[..., 0:8:2], rows[..., 8:], rows[..., 1:8:2]], axis=-1)

    def scattered(self, rows):
        """From x, y, w, h, objectness and classes to Darknet's order, deviations as small as they get."""
        sure = ops.full_like(rows[..., :1], -_SURE)  # (..., 1)
        box = [number for i in range(_COORDINATES) for number in (rows[..., i : i + 1], sure)]
        return ops.concatenate([*box, rows[..., _COORDINATES:]], axis=-1)

    def _box_loss(self, objects, raw, grid):
        """The box term of each object, whose prediction is raw (B, Q, 9 + classes), deviations last: (B, Q)."""
        (width, height), places = grid.image_size, objects.places
        low, high = objects.boxes[..., :2], objects.boxes[..., 2:]  # (B, Q, 2) each
        size = ops.maximum(high - low, 1e-3)
        # In cells, and in logarithms of the anchor: x, y, w, h as they are predicted and as they are to be.
        stretch = places.reach / places.cell
        center = _passed_by(raw[..., :2], ops.sigmoid(raw[..., :2]) * stretch)  # (B, Q, 2)
        true = ((low + high) / 2 - places.origin) / places.cell
        true = ops.concatenate([true, ops.log(size / places.anchor)], axis=-1)  # (B, Q, 4)
        means = ops.concatenate([center, raw[..., 2:4]], axis=-1)  # (B, Q, 4)
        doubts = raw[..., -_COORDINATES:]
        deviations = ops.maximum(_passed_by(doubts, ops.sigmoid(doubts)), _LEAST)  # (B, Q, 4)
        scale = 2.0 - size[..., 0] * size[..., 1] / (width * height)  # (B, Q)
        # The density trains means and deviations by two terms, for a box loss may stand in for the means' one.
        doubt = scale * _unlikeliness(true - ops.stop_gradient(means), deviations)
        if self.box_loss == "paper":
            box = scale * _unlikeliness(true - means, ops.stop_gradient(deviations))
        else:
            box = BOX_LOSSES[self.box_loss](objects.boxes, decode_boxes(raw, places))
        # The caller multiplies all by the box weight, which is taken off here: the deviations have their own.
        return box + self.deviation_weight / max(self.box_weight, 1e-9) * doubt

    # The deviations stand behind the classes, which the rest of the head takes to be last.

    def _class_loss(self, objects, raw):
        return super()._class_loss(objects, raw[..., :-_COORDINATES])

    def _class_probabilities(self, logits):
        return super()._class_probabilities(logits[..., :-_COORDINATES]) * self._certainty(logits)

    def _best_class(self, logits):
        return super()._best_class(logits[..., :-_COORDINATES]) * self._certainty(logits)[..., 0]

    def _certainty(self, rows):
        """One less the mean of the deviations, with which rows end: (..., 1)."""
        return 1.0 - ops.mean(ops.sigmoid(rows[..., -_COORDINATES:]), axis=-1, keepdims=True)


def _passed_by(logits, values):
    """The values, whose gradient goes to the logits unchanged, as Darknet hands it back; both (...)."""
    return logits + ops.stop_gradient(values - logits)


def _unlikeliness(distance, deviation):
    """Half the negative logarithm of normal densities, summed over the coordinates: (..., 4) -> (...)."""
    density = ops.exp(-0.5 * (distance / deviation) ** 2) / (math.sqrt(2 * math.pi) * (deviation + _ROOM))
    return -0.5 * ops.sum(ops.log(density + _FLOOR), axis=-1)
