"""Semantic segmentation: a class for every pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from kzoo.heads.base import Head
from kzoo.losses.named import PixelLoss
from kzoo.ops.resize import enlarge_bilinear, resize_bilinear
from kzoo.options import checked
from kzoo.options.building import PIXEL


@keras.saving.register_keras_serializable("kzoo")
class PixelHead(Head):
    """Classifies every pixel, from one feature map or from scores that are there already.

    Shapes, where H and W are the input's sides and s is the stride:
        features: (B, H/s, W/s, C), and a second map where there is an auxiliary classifier.
        outputs: `{"logits": (B, H, W, channels) float32}`, and `"auxiliary"` of the same shape where there is one;
            channels are the classes, or 1 where `binary`.
        targets: `{"mask": (B, H, W) int, 255 = ignored}`, with `"weights"` (B, H, W) for the loss "border".
        decoded: `{"mask": (B, H, W) int32, "probabilities": (B, H, W, num_classes) float32}`.

    Args:
        num_classes: number of classes, 1 to 255, the background among them.
        strides: pixels of the input to one of the feature map, one number in a list, (1,) by default.
        loss: name of a loss, "ce" by default, or a sum such as "ce+dice": see `kzoo.losses.named.PixelLoss`.
        class_weights: one weight a class, 0 or more, of the losses "ce", "border" and "focal"; all alike where None.
        label_smoothing: share of the target of "ce" and "border" that goes to all classes alike, 0 or more and below 1,
            0 by default.
        project: whether the head classifies the features by a 1x1 convolution (default); if not, they are the scores
            already, as many channels as there are classes.
        binary: whether two classes have one channel and a sigmoid, in the place of two and a softmax; False by default.
        auxiliary: weight of the loss of a second classifier, on the network's second feature map, which helps to
            train deep networks; 0 (default) where there is none. Source: Zhao et al. 2017, arXiv:1612.01105, section
            3.3.
        multiple: pixels that the input's sides have to be multiples of; the stride where None.
        **kwargs: arguments of every Keras layer: `name`, `dtype` and `trainable`.

    Raises:
        ValueError: an argument is out of range, or `binary` with other than two classes.
    """

    options = PIXEL
    task = "segment"
    meaning = ("strides", "project", "binary")

    @checked(PIXEL)
    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int] = (1,),
        loss: str | Sequence | Mapping = "ce",
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        project: bool = True,
        binary: bool = False,
        auxiliary: float = 0.0,
        multiple: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 1 <= num_classes <= 255:
            raise ValueError(f"num_classes={num_classes}: give 1 to 255; 255 marks pixels that are ignored")
        if binary and num_classes != 2:
            raise ValueError(
                f"binary=True with num_classes={num_classes}: one sigmoid tells two classes apart; leave it out"
            )
        if class_weights is not None and len(class_weights) != num_classes:
            raise ValueError(
                f"class_weights: {len(class_weights)} for {num_classes} classes; give one a class"
            )
        if auxiliary < 0:
            raise ValueError(f"auxiliary={auxiliary}: give a weight of 0 or more, such as 0.4")
        self.num_classes = num_classes
        self.strides = tuple(strides)
        self.project = project
        self.binary = binary
        self.auxiliary = auxiliary
        self.multiple = multiple or max(self.strides)
        self.channels = 1 if binary else num_classes
        self.pixel_loss = PixelLoss(loss, class_weights, label_smoothing)
        self.loss_names = (*self.pixel_loss.names, *(("auxiliary",) if auxiliary else ()))
        self.classifier = self._classifier("classifier") if project else None
        self.auxiliary_classifier = self._classifier("auxiliary_classifier") if auxiliary else None

    def _classifier(self, name: str):
        return keras.layers.Conv2D(self.channels, 1, name=name)

    def build(self, input_shape):
        if self.project:
            self.classifier.build(input_shape[0])
        elif input_shape[0][-1] != self.channels:
            raise ValueError(
                f"num_classes={self.num_classes}: the network ends in {input_shape[0][-1]} channels, not "
                f"{self.channels}; give as many classes, or project=True"
            )
        if self.auxiliary:
            self.auxiliary_classifier.build(input_shape[1])
        self.built = True

    def needed(self, features):
        return features[:1]

    def kernels(self, shapes):
        return [(self.classifier, shapes[0])] if self.project else []

    def deployed(self):
        return self.altered(dtype="float32", auxiliary=0.0)

    def class_outputs(self):
        layers = (self.classifier, self.auxiliary_classifier)
        return [(layer, 1, 0) for layer in layers if layer is not None and not self.binary]

    def call(self, features, training=None):
        logits = self.classifier(features[0]) if self.project else features[0]  # (B, H/s, W/s, channels)
        outputs = {"logits": enlarge_bilinear(ops.cast(logits, "float32"), self.strides[0])}
        if self.auxiliary:
            other = ops.cast(self.auxiliary_classifier(features[1]), "float32")
            outputs["auxiliary"] = resize_bilinear(other, ops.shape(outputs["logits"])[1:3])
        return outputs

    def loss(self, targets, outputs, sample_weight=None):
        mask, weights = ops.cast(targets["mask"], "int32"), targets.get("weights")  # (B, H, W) each
        if weights is not None and "border" not in self.pixel_loss.names:
            raise ValueError(
                f"targets: 'weights' of pixels are for the loss 'border', not for {'+'.join(self.pixel_loss.names)}; "
                "leave them out"
            )
        losses = self.pixel_loss(mask, outputs["logits"], weights, sample_weight)
        if self.auxiliary:
            of_second = self.pixel_loss(mask, outputs["auxiliary"], weights, sample_weight)
            losses["auxiliary"] = self.auxiliary * sum(of_second.values())
        return losses

    def decode(self, outputs):
        logits = outputs["logits"]  # (B, H, W, channels)
        if self.binary:
            foreground = ops.sigmoid(logits)  # (B, H, W, 1)
            mask = ops.cast(logits[..., 0] > 0, "int32")
            return {"mask": mask, "probabilities": ops.concatenate([1 - foreground, foreground], axis=-1)}
        return {"mask": _first_best(logits), "probabilities": ops.softmax(logits, axis=-1)}


def _first_best(logits):
    """The class of the highest score, the first of equals: (B, H, W, C) -> (B, H, W) int32.

    Keras's argmax tells -0 from 0 by bits, which LiteRT has no operator for.
    """
    count = logits.shape[-1]
    best = logits >= ops.max(logits, axis=-1, keepdims=True)  # (B, H, W, C) bool
    return ops.min(ops.where(best, ops.arange(count, dtype="int32"), count - 1), axis=-1)
