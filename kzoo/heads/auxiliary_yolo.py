"""The head of YOLOv7's largest sizes: a second one beside it helps to train the network, and is gone afterwards."""

from __future__ import annotations

import keras
from keras import ops

from kzoo.heads.yolo import YoloHead
from kzoo.ops.assign import ALL_CELLS, sound_boxes
from kzoo.options import checked
from kzoo.options.building import AUXILIARY_YOLO

AUXILIARY_WEIGHT = 0.25  # of the second head's terms


@keras.saving.register_keras_serializable("kzoo")
class AuxiliaryYoloHead(YoloHead):
    """`kzoo.heads.yolo.YoloHead` and a second, auxiliary one on earlier maps, which is trained beside it.

    Detections are those of the first head alone, and exports hold nothing of the second. Which predictions are to find
    an object hangs on what the first head predicts, for both; for the second, which sees less, five cells in the place
    of three may take it, so that it learns to miss nothing.

    Shapes, where A anchors stand in a cell:
        inputs: two feature maps a level: first those of the head itself, then, finest first again, those of the second.
        outputs: also `{"auxiliary_stride8": (B, H/8, W/8, A * (5 + num_classes)), ...}`.

    Args:
        num_classes: number of classes, 1 or more.
        anchors: widths and heights in pixels, see `YoloHead`; both heads have the same.
        strides: pixels a cell of each level.
        auxiliary_weight: factor of the second head's terms, 0 or more, 0.25 by default.
        **kwargs: arguments of `YoloHead`; `assigner` is "ratio-ota" by default. An object gets at most 20 predictions
            of either head.

    Raises:
        ValueError: the second head would have no convolutions of its own (`project=False`).

    Source: Wang et al. 2022, YOLOv7, arXiv:2207.02696, section 4.3, figure 5e; in numbers by its behaviour.
    """

    options = AUXILIARY_YOLO
    most_predictions = 20

    @checked(AUXILIARY_YOLO)
    def __init__(
        self, num_classes: int, anchors, strides, auxiliary_weight: float = AUXILIARY_WEIGHT, **kwargs
    ):
        super().__init__(num_classes, anchors, strides, **{"assigner": "ratio-ota", **kwargs})
        if not self.project:
            raise ValueError("project=False: a second head needs convolutions of its own; leave it out")
        self.auxiliary_weight = auxiliary_weight
        self.auxiliary_convs = [
            keras.layers.Conv2D(conv.filters, 1, name=f"auxiliary_{name}")
            for name, conv in zip(self.levels, self.convs, strict=True)
        ]

    def build(self, input_shape):
        count = len(self.levels)
        if len(input_shape) != 2 * count:
            raise ValueError(
                f"strides={self.strides}: {len(input_shape)} feature maps; give two for each, of both heads"
            )
        super().build(input_shape[:count])
        for conv, first, shape in zip(self.auxiliary_convs, self.convs, input_shape[count:], strict=True):
            conv.bias_initializer = first.bias_initializer
            conv.build(shape)

    def needed(self, features):
        return features[: len(self.levels)]

    def kernels(self, shapes):
        return super().kernels(self.needed(shapes))  # those of the second head come last

    def deployed(self):
        config = {key: value for key, value in self.get_config().items() if key != "auxiliary_weight"}
        return YoloHead.from_config({**config, "dtype": "float32"})

    def class_outputs(self):
        of_levels = super().class_outputs()
        second = [
            (conv, anchors, fields)
            for conv, (_, anchors, fields) in zip(self.auxiliary_convs, of_levels, strict=True)
        ]
        return [*of_levels, *second]

    def call(self, features, training=None):
        count = len(self.levels)
        outputs = super().call(features[:count], training=training)
        for name, conv, maps in zip(self.levels, self.auxiliary_convs, features[count:], strict=True):
            outputs[f"auxiliary_{name}"] = ops.cast(conv(maps), "float32")  # (B, H, W, A * fields)
        return outputs

    def loss(self, targets, outputs, sample_weight=None):
        # 1. Predictions of both heads, (B, N, 5 + classes), and the boxes of each, (B, N, 4).
        rows, grid = self._rows(outputs)
        second, _ = self._rows({name: outputs[f"auxiliary_{name}"] for name in self.levels})
        predicted = self._predicted(rows, grid)
        # 2. What each has to find, by what the first predicts.
        place = grid, sound_boxes(targets["boxes"]), targets["labels"], rows, predicted
        match, wide = self._match(*place), self._match(*place, cells=ALL_CELLS)
        # 3. The same terms of both.
        terms = self._terms(targets, rows, predicted, match, grid, sample_weight)
        of_second = self._terms(targets, second, self._predicted(second, grid), wide, grid, sample_weight)
        return {name: term + self.auxiliary_weight * of_second[name] for name, term in terms.items()}
