"""Image classification: global average pooling and one linear layer, or logits as they come."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.base import Head, check_choice
from kzoo.heads.word_tree import WordTree
from kzoo.losses.focal import sigmoid_cross_entropy, smooth_labels
from kzoo.ops.gather import stable_top_k
from kzoo.ops.weighting import image_weighted
from kzoo.options import checked
from kzoo.options.building import CLASSIFY


@keras.saving.register_keras_serializable("kzoo")
class ClassifyHead(Head):
    """Classifies by the last feature map's mean, as Darknet's `[avgpool]`, `[convolutional]`, `[softmax]`.

    Shapes:
        features: the last map (B, H, W, C), or the logits themselves.
        outputs: `{"logits": (B, num_classes)}`.
        targets: `{"label": (B,) int}`, or (B, num_classes) float, shares of the classes, as CutMix and MixUp make them.
        decoded: `{"scores": (B, num_classes), "label": (B,)}`.

    Args:
        num_classes: number of classes, 1 or more.
        label_smoothing: share of the target that goes to all classes alike, 0 or more and below 1, 0 by default.
        project: whether the head pools and has the linear layer (default); if not, the last feature map is the logits
            already, (B, num_classes) or (B, 1, 1, num_classes).
        temperature: divisor of the logits, above 0, 1 by default: above 1 scores are more alike (`temperature` of
            Darknet's `[softmax]`).
        activation: "softmax" (default), of which one class wins; or "sigmoid", each class by itself (Darknet's
            `[logistic]`), trained by the sum of their binary cross-entropies.
        tree: for each class, where they are a tree's nodes, the number of its parent, or -1: scores are the nodes' own
            probabilities, and the label is where a walk down the tree ends (see `kzoo.heads.word_tree`). None
            (default) for classes of which none is above another.
        tree_threshold: probability above which that walk goes on below a node, 0 to 1, 0.5 by default.
        **kwargs: arguments of every Keras layer: `name`, `dtype` and `trainable`.

    Raises:
        ValueError: an argument is out of its range, or the tree has not as many nodes as there are classes.
    """

    task = "classify"
    options = CLASSIFY
    loss_names = ("class",)
    meaning = ("project", "temperature", "activation")

    @checked(CLASSIFY)
    def __init__(
        self,
        num_classes: int,
        label_smoothing: float = 0.0,
        project: bool = True,
        temperature: float = 1.0,
        activation: str = "softmax",
        tree: Sequence[int] | None = None,
        tree_threshold: float = 0.5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not temperature > 0:
            raise ValueError(f"temperature={temperature!r}: must be above 0; 1 leaves the logits as they are")
        check_choice("activation", activation, ("softmax", "sigmoid"))
        if tree is not None and len(tree) != num_classes:
            raise ValueError(f"num_classes={num_classes}: the tree has {len(tree)} nodes; give as many")
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
        self.project = project
        self.temperature = temperature
        self.activation = activation
        self.tree = None if tree is None else WordTree(tree)
        self.tree_threshold = tree_threshold
        self.classifier = keras.layers.Dense(num_classes, name="classifier") if project else None

    def build(self, input_shape):
        shape = input_shape[-1]
        if self.project:
            self.classifier.build((shape[0], shape[-1]))
        elif None not in shape[1:] and math.prod(shape[1:]) != self.num_classes:
            raise ValueError(
                f"num_classes={self.num_classes}: the network ends in {math.prod(shape[1:])} numbers an image, "
                f"{tuple(shape[1:])}; give as many classes, or project=True"
            )
        self.built = True

    def class_outputs(self):
        return [(self.classifier, 1, 0)] if self.project and self.tree is None else []

    def call(self, features, training=None):
        logits = features[-1]
        if self.project:
            logits = self.classifier(
                ops.mean(logits, axis=(1, 2))
            )  # (B, H, W, C) -> (B, C) -> (B, num_classes)
        else:
            logits = ops.reshape(logits, (ops.shape(logits)[0], self.num_classes))
        return {"logits": ops.cast(logits, "float32") / self.temperature}

    def loss(self, targets, outputs, sample_weight=None):
        logits, label = outputs["logits"], targets["label"]  # (B, C), and (B,) or (B, C)
        true = ops.cast(label, "float32") if len(label.shape) == 2 else ops.one_hot(label, self.num_classes)
        if self.tree is not None:
            each = -ops.sum(true * self.tree.log_probabilities(logits), axis=-1)  # (B,)
            return {"class": ops.mean(image_weighted(each, sample_weight))}
        if self.activation == "sigmoid":
            each = sigmoid_cross_entropy(smooth_labels(true, self.label_smoothing), logits)  # (B, C)
            return {"class": ops.mean(image_weighted(ops.sum(each, axis=-1), sample_weight))}
        # Not Keras's class of it, whose mean is divided by the number of devices, as the model's sum of losses is, too.
        each = keras.losses.categorical_crossentropy(true, logits, True, self.label_smoothing)  # (B,)
        return {"class": ops.mean(image_weighted(each, sample_weight))}

    def decode(self, outputs):
        if self.tree is not None:
            scores = ops.exp(self.tree.log_probabilities(outputs["logits"]))
            return {"scores": scores, "label": self.tree.choose(scores, self.tree_threshold)}
        # Keras's argmax tells -0 from 0 by bits, which LiteRT has no operator for.
        best = stable_top_k(outputs["logits"], 1)[1]  # (B, 1)
        scores = (ops.softmax if self.activation == "softmax" else ops.sigmoid)(outputs["logits"])
        return {"scores": scores, "label": best[..., 0]}
