"""What YOLO's head computes from its second version on: every anchor's numbers, and where in the image they sit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.detection import DetectionHead
from kzoo.heads.levels import anchors_by_level, level_names, one_a_level
from kzoo.heads.yolo_grid import YoloGrid

# A detector starts out finding nothing in 99 cells of 100 (RetinaNet, section 4.1).
OBJECTNESS_PRIOR = 0.01
# YOLOv5 expects some objects in an image of this side, and shares its classes' probability out among them.
PRIOR_SIDE = 640
PRIOR_CLASS, ALMOST_ONE = 0.6, 0.99999


class YoloLayers(DetectionHead):
    """From feature maps to raw outputs: for every anchor of every cell x, y, w, h, objectness and class logits.

    The arguments are those of `kzoo.heads.yolo.YoloHead` that have these names.

    Raises:
        ValueError: anchors or factors do not fit the strides.
    """

    box_fields = 5  # numbers of an anchor before its classes; the last of them is the objectness

    def __init__(
        self,
        num_classes: int,
        anchors: Sequence,
        strides: Sequence[int],
        spare_anchors: Sequence,
        scale_xy: float | Sequence[float],
        project: bool,
        image_size: Sequence[int] | None,
        prior_objects: float | None = None,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        self.strides = tuple(strides)
        self.levels = level_names(self.strides)
        self.anchors = anchors_by_level(anchors, len(self.strides))
        self.spare_anchors = []
        if len(spare_anchors):
            self.spare_anchors = anchors_by_level(spare_anchors, 1, "spare_anchors")[0]
        self.scale_xy = one_a_level("scale_xy", scale_xy, len(self.strides))
        self.project = project
        self.image_size = None if image_size is None else tuple(image_size)
        self.prior_objects = prior_objects
        self.multiple = None if image_size is None else 1  # of the sides, where not the strides say
        self.fields = self.box_fields + num_classes
        self.convs = [
            keras.layers.Conv2D(len(level) * self.fields, 1, name=name)
            for name, level in zip(self.levels, self.anchors, strict=True)
            if project
        ]

    def build(self, input_shape):
        if len(input_shape) != len(self.levels):
            raise ValueError(
                f"strides={self.strides}: {len(input_shape)} feature maps; give a stride for each"
            )
        for i, (name, shape, anchors) in enumerate(zip(self.levels, input_shape, self.anchors, strict=True)):
            wanted = len(anchors) * self.fields
            if self.project:
                self.convs[i].bias_initializer = keras.initializers.Constant(
                    self._prior_bias(self.strides[i]) * len(anchors)
                )
                self.convs[i].build(shape)
            elif shape[-1] != wanted:
                raise ValueError(
                    f"{name}: {shape[-1]} channels are not {len(anchors)} anchors x ({self.box_fields} + "
                    f"{self.fields - self.box_fields} classes) = {wanted}; give the layer before it {wanted} "
                    "filters, or project=True"
                )
        self.built = True

    def _prior_bias(self, stride: int) -> list[float]:
        """The biases of one anchor's numbers: 0, but for the objectness, whose logistic starts at the prior.

        Where the prior is a number of objects, the classes start at a prior of theirs, too.
        """
        bias = [0.0] * self.fields
        bias[self.box_fields - 1] = -math.log((1 - OBJECTNESS_PRIOR) / OBJECTNESS_PRIOR)
        if self.prior_objects is not None:
            bias[self.box_fields - 1] = math.log(self.prior_objects / (PRIOR_SIDE / stride) ** 2)
            # The logit of a single class is far above 0: its probability is as good as 1.
            classes = math.log(PRIOR_CLASS / (self.num_classes - ALMOST_ONE))
            bias[self.box_fields :] = [classes] * (self.fields - self.box_fields)
        return bias

    def class_outputs(self):
        convs = zip(self.convs, self.anchors, strict=False)  # of heads that do not project there are none
        return [(conv, len(anchors), self.box_fields) for conv, anchors in convs]

    def call(self, features, training=None):
        if self.project:
            features = [conv(feature) for conv, feature in zip(self.convs, features, strict=True)]
        # Each (B, H, W, A * fields).
        return {name: ops.cast(raw, "float32") for name, raw in zip(self.levels, features, strict=True)}

    def sizes(self, outputs) -> list:
        """Height and width of each feature map in cells, from the raw outputs."""
        return [ops.shape(outputs[name])[1:3] for name in self.levels]

    def _grid(self, sizes) -> YoloGrid:
        """Where the predictions of maps of these heights and widths in cells sit."""
        return YoloGrid(sizes, self.strides, self.anchors, self.scale_xy, self.spare_anchors, self.image_size)

    def _rows(self, outputs):
        """All predictions in one row each, (B, N, 5 + num_classes), and the grid on which they sit."""
        grid = self._grid(self.sizes(outputs))
        rows = []
        for name, count in zip(self.levels, grid.counts, strict=True):
            raw = outputs[name]  # (B, H, W, A * fields)
            rows.append(ops.reshape(raw, (ops.shape(raw)[0], count, self.fields)))
        return self.gathered(ops.concatenate(rows, axis=1)), grid

    def gathered(self, rows):
        """An anchor's numbers (..., fields) as x, y, w, h, objectness, classes, and what else there is."""
        return rows

    def scattered(self, rows):
        """x, y, w, h, objectness and classes (..., 5 + num_classes) as an anchor's numbers (..., fields)."""
        return rows
