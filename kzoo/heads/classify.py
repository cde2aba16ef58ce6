"""Image classification: global average pooling and one linear layer."""

from __future__ import annotations

import keras
from keras import ops

from kzoo.heads.base import Head
from kzoo.ops.gather import stable_top_k


@keras.saving.register_keras_serializable("kzoo")
class ClassifyHead(Head):
    """Classifies by the last feature map's mean, as Darknet's `[avgpool]`, `[convolutional]`, `[softmax]`.

    Targets are `{"label": (B,) int}`; outputs `{"logits": (B, num_classes)}`; decoded they are
    `{"scores": (B, num_classes), "label": (B,)}`.

    Args:
        num_classes: how many.
        label_smoothing: share of the target that goes to all classes alike.
    """

    task = "classify"
    loss_names = ("class",)

    def __init__(self, num_classes: int, label_smoothing: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.num_classes, self.label_smoothing = num_classes, label_smoothing
        self.classifier = keras.layers.Dense(num_classes, name="classifier")

    def build(self, input_shape):
        self.classifier.build((input_shape[-1][0], input_shape[-1][-1]))
        self.built = True

    def call(self, features, training=None):
        return {"logits": ops.cast(self.classifier(ops.mean(features[-1], axis=(1, 2))), "float32")}

    def loss(self, targets, outputs):
        logits = outputs["logits"]
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=self.label_smoothing)
        return {"class": loss(ops.one_hot(targets["label"], self.num_classes), logits)}

    def decode(self, outputs):
        # Keras's argmax tells -0 from 0 by bits, which LiteRT has no operator for.
        best = stable_top_k(outputs["logits"], 1)[1]
        return {"scores": ops.softmax(outputs["logits"]), "label": best[..., 0]}
