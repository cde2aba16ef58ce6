"""What a two-stage detector asks of each region: of which class it is, and how its box is off."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers, ops

from kzoo.heads.region_tower import build_in_a_row, through
from kzoo.layers.residual import batch_normalization, relu_initializer


class BoxBranch(keras.layers.Layer):
    """Layers from pooled features to class logits and box differences, region by region.

    Shapes, of R regions, K classes and the background, which is the first:
        inputs: (R, h, w, C) pooled features; `counted` (R,), 0 for padding, for batch normalisation.
        outputs: `class` (R, K + 1) logits; `box` (R, 4, K + 1) differences of x, y, width and height, or (R, 4, 1)
            where all classes share them; with `deviations` also `deviation` of the shape of `box`, the logarithms of
            variances.

    Args:
        num_classes: number of classes, 1 or more, without the background, K.
        convs: number of 3x3 convolutions before the dense layers, each with batch normalisation, 0 or more.
        conv_width: channels of these convolutions.
        dense: units of the dense layers, one after another, each with a ReLU.
        agnostic: whether all classes share their differences.
        dropout: share of the dense layers' outputs that is left out in training, 0 to below 1.
        prefix: how the names of the layers begin.
        ranks: for each dense layer the units of a linear layer before it, which together with it stands for a larger
            one, 0 for none; none where None (default): see `kzoo.compress`.
        deviations: whether the uncertainty of each difference is predicted as well; False by default.

    Source: Girshick 2015, arXiv:1504.08083, section 2.1; with convolutions: torchvision,
        `models/detection/faster_rcnn.py`.
    """

    def __init__(
        self,
        num_classes: int,
        convs: int,
        conv_width: int,
        dense: Sequence[int],
        agnostic: bool,
        dropout: float,
        prefix: str,
        deviations: bool = False,
        ranks: Sequence[int] | None = None,
        **kwargs,
    ):
        super().__init__(name=f"{prefix}branch", **kwargs)
        self.num_classes = num_classes
        self.boxes = 1 if agnostic else num_classes + 1
        self.tower = []
        for i in range(convs):
            self.tower += [
                layers.Conv2D(
                    conv_width,
                    3,
                    padding="same",
                    use_bias=False,
                    kernel_initializer=relu_initializer(),
                    name=f"{prefix}tower{i}_conv",
                ),
                batch_normalization("trained", f"{prefix}tower{i}_bn"),
                layers.ReLU(name=f"{prefix}tower{i}_relu"),
            ]
        self.tower.append(layers.Flatten(name=f"{prefix}flatten"))
        for i, (units, rank) in enumerate(zip(dense, ranks or (0,) * len(dense), strict=True)):
            if rank:
                self.tower.append(layers.Dense(rank, use_bias=False, name=f"{prefix}dense{i}_down"))
            self.tower.append(layers.Dense(units, activation="relu", name=f"{prefix}dense{i}"))
            if dropout:
                self.tower.append(layers.Dropout(dropout, name=f"{prefix}dropout{i}"))
        self.class_layer = _last(num_classes + 1, 0.01, f"{prefix}class")
        self.box_layer = _last(4 * self.boxes, 0.001, f"{prefix}box")
        self.deviation_layer = _last(4 * self.boxes, 1e-4, f"{prefix}deviation") if deviations else None

    def build(self, input_shape):
        shape = build_in_a_row(self.tower, input_shape)
        for layer in self.last_layers():
            layer.build(shape)
        self.built = True

    def last_layers(self) -> list:
        """The layers whose outputs leave the branch."""
        return [
            layer for layer in (self.class_layer, self.box_layer, self.deviation_layer) if layer is not None
        ]

    def class_outputs(self) -> list:
        """As `kzoo.heads.base.Head.class_outputs` has it."""
        by_class = [] if self.boxes == 1 else [(layer, 4, 1) for layer in self.last_layers()[1:]]
        return [(self.class_layer, 1, 1), *by_class]

    def call(self, pooled, counted=None, training=None) -> dict:
        x = through(self.tower, pooled, counted)  # (R, units)
        outputs = {
            "class": self.class_layer(x),  # (R, K + 1)
            "box": ops.reshape(self.box_layer(x), (-1, 4, self.boxes)),
        }
        if self.deviation_layer is not None:
            outputs["deviation"] = ops.reshape(self.deviation_layer(x), (-1, 4, self.boxes))
        # In float32 whatever the policy: half precision has too few digits for losses and boxes.
        return {name: ops.cast(value, "float32") for name, value in outputs.items()}


def _last(units: int, deviation: float, name: str):
    """A dense layer that begins with hardly a preference."""
    return layers.Dense(
        units, kernel_initializer=keras.initializers.RandomNormal(stddev=deviation), name=name
    )
