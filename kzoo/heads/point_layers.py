"""What the head of points computes: convolutions that give every cell's numbers, level by level."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import layers, ops

from kzoo.heads.detection import DetectionHead
from kzoo.heads.levels import level_names

# What a class or an objectness starts out with: next to nothing anywhere (RetinaNet, section 4.1).
PRIOR = 0.01
_DECAY = 0.5  # how much less likely, as a logarithm, a distance starts out than the next shorter one
_USUAL_SIDE = 640  # pixels of the images that YOLOv8's first guess is for
_USUAL_OBJECTS = 5  # and how many objects it expects on them


class PointLayers(DetectionHead):
    """From two feature maps a level to raw outputs: for every cell its box, an objectness, and the logits of classes.

    The arguments are those of `kzoo.heads.points.PointHead` that have these names.

    Raises:
        ValueError: there are not two feature maps a stride.
    """

    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        bins: int,
        objectness: bool,
        kernel_size: int,
        prior: float | None,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        self.strides = tuple(strides)
        self.levels = level_names(self.strides)
        self.bins = bins
        self.objectness = objectness
        self.kernel_size = kernel_size
        self.prior = prior
        self.box_fields = 4 * max(bins, 1)  # numbers of a cell for its box
        self.fields = self.box_fields + int(objectness) + num_classes

    def make_convs(self, box_bias: float) -> None:
        """Makes the convolutions, once it is known what a box's numbers begin with where they are no distribution."""
        self.box_layers, self.objectness_layers, self.class_layers = [], [], []
        for name, stride in zip(self.levels, self.strides, strict=True):
            self.box_layers.append(self._conv("box", name, self.box_fields, self._box_bias(box_bias)))
            self.class_layers.append(self._conv("class", name, self.num_classes, self._class_bias(stride)))
            if self.objectness:
                self.objectness_layers.append(self._conv("objectness", name, 1, _logit(PRIOR)))

    def _box_bias(self, bias: float) -> float | list[float]:
        """The numbers that a box starts out with.

        Of distributions short distances are the likelier: about one and a half strides on average, of the size of what
        a level is to find. Where all were alike, boxes would begin far too large to overlap anything, and objects are
        assigned by what overlaps.
        """
        return [-_DECAY * i for i in range(self.bins)] * 4 if self.bins else bias

    def _conv(self, kind: str, level: str, filters: int, bias: float | list[float]):
        return layers.Conv2D(
            filters,
            self.kernel_size,
            padding="same",
            kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
            bias_initializer=keras.initializers.Constant(bias),
            name=f"{kind}_{level}",
        )

    def _class_bias(self, stride: int) -> float:
        """The logit that a class starts out with."""
        if self.prior is not None:
            return _logit(self.prior)
        return math.log(_USUAL_OBJECTS / self.num_classes / (_USUAL_SIDE / stride) ** 2)

    def build(self, input_shape):
        if len(input_shape) != 2 * len(self.levels):
            raise ValueError(
                f"strides={self.strides}: {len(input_shape)} feature maps; give two for each, of boxes and of classes"
            )
        for convs, shapes in self._laid(list(input_shape)):
            for conv, shape in zip(convs, shapes, strict=False):
                conv.build(shape)
        self.built = True

    def _laid(self, maps: list):
        """The layers of each kind, one a level, and the feature maps, or their shapes, that they are laid on."""
        of_boxes, of_classes = maps[::2], maps[1::2]
        return (
            (self.box_layers, of_boxes),
            (self.objectness_layers, of_boxes),
            (self.class_layers, of_classes),
        )

    def class_outputs(self):
        return [(conv, 1, 0) for conv in self.class_layers]

    def kernels(self, shapes):
        return [pair for convs, laid in self._laid(shapes) for pair in zip(convs, laid, strict=False)]

    def call(self, features, training=None):
        # Each kind's maps by level: (B, H, W, 4 or 4 * bins), (B, H, W, 1), (B, H, W, classes).
        kinds = [
            [conv(maps) for conv, maps in zip(convs, laid, strict=False)]
            for convs, laid in self._laid(features)
            if convs
        ]
        # In float32 whatever the policy: half precision has too few digits for losses and boxes.
        return {
            name: ops.cast(ops.concatenate(maps, axis=-1), "float32")  # (B, H, W, fields)
            for name, maps in zip(self.levels, zip(*kinds, strict=True), strict=True)
        }

    def sizes(self, outputs) -> list:
        """Height and width of each feature map in cells, from the raw outputs."""
        return [ops.shape(outputs[name])[1:3] for name in self.levels]

    def rows(self, outputs):
        """All cells' numbers in one row each, level by level: (B, N, fields)."""
        rows = []
        for name, (height, width) in zip(self.levels, self.sizes(outputs), strict=True):
            raw = outputs[name]  # (B, H, W, fields)
            rows.append(ops.reshape(raw, (ops.shape(raw)[0], height * width, self.fields)))
        return ops.concatenate(rows, axis=1)

    def parts(self, rows):
        """Numbers of cells (..., fields) as those of boxes, the objectness (..., 1) or None, and those of classes."""
        # A split, whose gradient is joined in one pass; that of slices would be padded and summed up.
        if not self.objectness:
            box, classes = ops.split(rows, [self.box_fields], axis=-1)
            return box, None, classes
        return ops.split(rows, [self.box_fields, self.box_fields + 1], axis=-1)


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
