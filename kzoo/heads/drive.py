"""What a driver sees of a road: other cars as boxes, where one can drive and where the lanes' lines are as pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from kzoo.heads.base import SURE
from kzoo.heads.yolo import YoloHead
from kzoo.losses.named import PixelLoss
from kzoo.options import checked
from kzoo.options.building import DRIVE
from kzoo.structures.roads import DRIVABLE, IGNORED, LANE

# Both maps have two channels: what is not there, and what is.
CHANNELS = 2


@keras.saving.register_keras_serializable("kzoo")
class DriveHead(YoloHead):
    """Three tasks at once: YOLO's boxes, and for each pixel whether it is drivable and whether it is of a lane's line.

    The network ends in the feature maps of the boxes' levels and in two maps of logits, at the images' own resolution.

    Shapes, besides those of `kzoo.heads.yolo.YoloHead`:
        features: after the levels' maps `drivable` and `lanes`, (B, H, W, 2) logits each.
        outputs: also `{"drivable": (B, H, W, 2) float32, "lanes": (B, H, W, 2) float32}`.
        targets: also `{"mask": (B, H, W) int}`: 0 nothing, 1 drivable, 2 a lane's line, 3 both, 255 ignored.
        decoded: also `{"drivable": (B, H, W) int32, "lanes": (B, H, W) int32}`, each 0 or 1.

    Args:
        num_classes: number of classes of the boxes, 1 or more.
        anchors: widths and heights in pixels, as `kzoo.heads.yolo.YoloHead` takes them.
        strides: pixels a cell of each feature map of the boxes, in the order of the maps.
        drivable_loss: the loss of drivable pixels, "ce" by default, or a sum such as "ce+dice": see
            `kzoo.losses.named.PixelLoss`.
        lane_loss: the loss of the lanes' pixels, "ce+dice" by default: they are few, and overlap counts them alike.
        drivable_weight: factor of the drivable term, 0 or more, 0.2 by default, as in the paper's program.
        lane_weight: factor of the lanes' term, 0 or more, 0.2 by default, likewise.
        **kwargs: further arguments of `kzoo.heads.yolo.YoloHead`.

    Raises:
        ValueError: an argument is out of its range, or there is no such loss.

    Source: Wu et al. 2021, YOLOP, arXiv:2108.11250, section 3. The authors' program feeds probabilities to a loss that
    takes logits, and its term of the lanes' IoU has no gradient; here logits are trained, and the overlap is Dice's.
    """

    options = DRIVE
    task = "drive"
    loss_names = (*YoloHead.loss_names, "drivable", "lanes")

    @checked(DRIVE)
    def __init__(
        self,
        num_classes: int,
        anchors: Sequence,
        strides: Sequence[int],
        drivable_loss: str | Sequence | Mapping = "ce",
        lane_loss: str | Sequence | Mapping = "ce+dice",
        drivable_weight: float = 0.2,
        lane_weight: float = 0.2,
        **kwargs,
    ):
        super().__init__(num_classes, anchors, strides, **kwargs)
        self.drivable_weight = drivable_weight
        self.lane_weight = lane_weight
        self.pixel_losses = {"drivable": PixelLoss(drivable_loss), "lanes": PixelLoss(lane_loss)}

    def build(self, input_shape):
        *levels, drivable, lanes = input_shape
        for name, shape in (("drivable", drivable), ("lanes", lanes)):
            if shape[-1] != CHANNELS:
                raise ValueError(
                    f"{name}: {shape[-1]} channels; let the network end in {CHANNELS} for each pixel"
                )
        super().build(levels)

    def call(self, features, training=None):
        *levels, drivable, lanes = features
        maps = {"drivable": ops.cast(drivable, "float32"), "lanes": ops.cast(lanes, "float32")}
        return {**super().call(levels, training=training), **maps}

    def loss(self, targets, outputs, sample_weight=None):
        losses = super().loss(targets, outputs, sample_weight)
        weights = {"drivable": self.drivable_weight, "lanes": self.lane_weight}
        for name, labels in _maps(ops.cast(targets["mask"], "int32")).items():
            terms = self.pixel_losses[name](labels, outputs[name], image_weights=sample_weight)
            losses[name] = weights[name] * sum(terms.values())
        return losses

    def encode(self, targets, sizes) -> dict:
        """Raw outputs that decode to the targets, as `kzoo.heads.yolo.YoloHead` has it, and to their mask."""
        encoded = super().encode(targets, sizes)
        for name, labels in _maps(ops.cast(targets["mask"], "int32")).items():
            there = ops.expand_dims(ops.cast(labels == 1, "float32"), -1)  # (B, H, W, 1)
            encoded[name] = SURE * ops.concatenate([1.0 - 2.0 * there, 2.0 * there - 1.0], axis=-1)
        return encoded

    def decode(self, outputs):
        """Detections, and two maps: as `kzoo.heads.detection.DetectionHead` has them, and `drivable` and `lanes`."""
        found = super().decode(outputs)
        for name in ("drivable", "lanes"):
            logits = outputs[name]  # (B, H, W, 2)
            found[name] = ops.cast(logits[..., 1] > logits[..., 0], "int32")
        return found


def _maps(mask) -> dict:
    """A mask of bits (B, H, W) as two maps of 0, 1 and 255, of the same shape."""
    ignored = mask == IGNORED
    bits = {"drivable": mask // DRIVABLE % 2, "lanes": mask // LANE % 2}
    return {name: ops.where(ignored, IGNORED, bit) for name, bit in bits.items()}
