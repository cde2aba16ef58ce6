"""What the head of RetinaNet and SSD computes: convolutions that give every anchor's numbers, level by level."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

from keras import ops

from kzoo.heads.base import check_choice
from kzoo.heads.detection import DetectionHead
from kzoo.heads.levels import anchors_by_level, level_names
from kzoo.heads.subnets import level_convs, shared_convs

# A detector starts out finding nothing at 99 anchors of 100 (RetinaNet, section 4.1).
PRIOR_LOGIT = -math.log((1 - 0.01) / 0.01)


class AnchorLayers(DetectionHead):
    """From feature maps to raw outputs: for every anchor the logits of its classes and four differences of its box.

    Two subnets, one for classes and one for boxes, are either one convolution for each level (SSD) or a tower that
    all levels go through (RetinaNet).

    The arguments are those of `kzoo.heads.anchor.AnchorHead` that have these names.

    Attributes:
        tower_bias: whether convolutions before a normalisation have biases.

    Raises:
        ValueError: a tower is not shared, or levels that share convolutions have unequally many anchors.
    """

    tower_bias = False

    def __init__(
        self,
        num_classes: int,
        anchors: Sequence,
        strides: Sequence[int],
        tower: int,
        tower_width: int,
        tower_norm: str | None,
        shared: bool,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        check_choice("tower_norm", tower_norm, (None, "group"))
        self.strides = tuple(strides)
        self.levels = level_names(self.strides)
        self.anchors = anchors_by_level(anchors, len(self.strides))
        self.tower = tower
        self.tower_width = tower_width
        self.tower_norm = tower_norm
        self.shared = shared
        if tower and not shared:
            raise ValueError(f"tower={tower}: levels share their towers; give shared=True, or tower=0")
        if shared and len({len(level) for level in self.anchors}) > 1:
            raise ValueError(
                f"anchors: levels have {[len(level) for level in self.anchors]} of them; shared convolutions take "
                "equally many"
            )

    def make_subnets(self, fields: int, rare: bool) -> None:
        """Makes the convolutions, once it is known how many numbers an anchor's class has.

        Args:
            fields: numbers that stand for an anchor's class: K of them.
            rare: whether shared convolutions begin with the belief that next to no anchor has an object.
        """
        self.fields = fields
        self.class_layers = self._subnet("class", fields, "class_logits", PRIOR_LOGIT if rare else None)
        self.box_layers = self._subnet("box", 4, "box_deltas", None)

    def _subnet(self, kind: str, fields: int, last: str, prior: float | None) -> list:
        """The layers that give `fields` numbers an anchor: in a row where shared, one for each level where not."""
        channels = [len(level) * fields for level in self.anchors]
        if not self.shared:
            return level_convs(kind, self.levels, channels)
        tower = (self.tower, self.tower_width, self.tower_norm)
        return shared_convs(kind, last, channels[0], *tower, prior, self.tower_bias)

    def check_levels(self, shapes: Sequence) -> None:
        """Refuses feature maps, given by their shapes, that are not as many as there are strides."""
        if len(shapes) != len(self.levels):
            raise ValueError(f"strides={self.strides}: {len(shapes)} feature maps; give a stride for each")

    def build(self, input_shape):
        self.check_levels(input_shape)
        for subnet in (self.class_layers, self.box_layers):
            if not self.shared:
                for conv, shape in zip(subnet, input_shape, strict=True):
                    conv.build(shape)
                continue
            shape = input_shape[0]
            for layer in subnet:
                layer.build(shape)
                shape = layer.compute_output_shape(shape)
        self.built = True

    def class_outputs(self):
        before = self.fields - self.num_classes
        last = self.class_layers[-1:] if self.shared else self.class_layers
        return [(layer, len(level), before) for layer, level in zip(last, self.anchors, strict=False)]

    def call(self, features, training=None):
        return self.finish(self.hidden(features))

    def hidden(self, features):
        """The maps (B, H, W, tower_width) that leave the towers: first the classes' of all levels, then the boxes'."""
        if not self.tower:
            return features
        return [
            functools.reduce(lambda maps, layer: layer(maps), subnet[:-1], x)
            for subnet in (self.class_layers, self.box_layers)
            for x in features
        ]

    def finish(self, hidden):
        maps = iter(hidden if self.tower else [*hidden, *hidden])
        outputs = {}
        for kind, subnet in (("class", self.class_layers), ("box", self.box_layers)):
            last = subnet[-1:] * len(self.levels) if self.shared else subnet
            for name, layer in zip(self.levels, last, strict=True):
                outputs[f"{kind}_{name}"] = ops.cast(
                    layer(next(maps)), "float32"
                )  # (B, H, W, A * K or A * 4)
        return outputs

    def kernels(self, shapes):
        laid = []
        for subnet in (self.class_layers, self.box_layers):
            convs = [layer for layer in subnet if hasattr(layer, "kernel")]
            laid += itertools.product(convs, shapes) if self.shared else zip(convs, shapes, strict=True)
        return laid

    def sizes(self, outputs) -> list:
        """Height and width of each feature map in cells, from the raw outputs."""
        return [ops.shape(outputs[f"class_{name}"])[1:3] for name in self.levels]

    def rows(self, outputs):
        """All predictions in one row each, level by level, cell by cell, anchor by anchor.

        Args:
            outputs: raw outputs by name, as `call` gives them.

        Returns:
            class logits (B, N, K) and box differences (B, N, 4).
        """
        return self._rows(outputs, "class", self.fields), self._rows(outputs, "box", 4)

    def _rows(self, outputs, kind: str, fields: int):
        """One kind of output of all levels: (B, H, W, A * fields) each, to (B, N, fields)."""
        rows = []
        for name, (height, width), level in zip(self.levels, self.sizes(outputs), self.anchors, strict=True):
            raw = outputs[f"{kind}_{name}"]
            rows.append(ops.reshape(raw, (ops.shape(raw)[0], height * width * len(level), fields)))
        return ops.concatenate(rows, axis=1)
