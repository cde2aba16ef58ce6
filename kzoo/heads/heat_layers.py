"""What heads of heat maps compute: for each kind of map, and each stack of the network, a branch of convolutions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import keras
from keras import layers, ops

from kzoo.heads.detection import DetectionHead
from kzoo.ops.assign import sound_boxes
from kzoo.ops.assign.task_aligned import points_unknown
from kzoo.ops.boxes import area
from kzoo.ops.points import lay_points

# A map of classes starts out with next to nothing anywhere: 0.1.
PRIOR_LOGIT = math.log(0.1 / 0.9)


class HeatLayers(DetectionHead):
    """From the feature maps of every stack to maps: of classes, of sizes, of offsets and so on.

    Raw outputs are called by their kind, those of stacks before the last also by their number: "heat", "heat_1".

    Attributes:
        stride: pixels a cell.
        stacks: number of stacks of the network, of which the last is the one that counts in the end.

    Args:
        num_classes: number of classes, 1 or more.
        stride: pixels a cell.
        stacks: number of the network's stacks, 1 or more.
        branch_width: channels between the two convolutions of a branch.
        multiple: pixels that the images' sides are multiples of.
        branch_size: side of the first convolution's kernel in cells, 1 or more, 3 by default.
        **kwargs: arguments of `kzoo.heads.detection.DetectionHead`.

    Raises:
        ValueError: the network gives another number of maps.
    """

    def __init__(
        self,
        num_classes: int,
        stride: int,
        stacks: int,
        branch_width: int,
        multiple: int,
        branch_size: int = 3,
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        self.stride, self.stacks = stride, stacks
        self.branch_width, self.multiple, self.branch_size = branch_width, multiple, branch_size

    def make_branches(
        self,
        kinds: Mapping[str, int],
        heats: Sequence[str],
        sources: Mapping[str, int] | None = None,
        rare: Sequence[str] = (),
    ) -> None:
        """Makes the branches.

        Args:
            kinds: for each kind of map its number of channels.
            heats: names of the kinds that are scores of classes.
            sources: for each kind which of a stack's feature maps it is made of, from 0; the first of all where None.
            rare: names of further kinds whose probabilities begin small.
        """
        self.kinds, self.heats, self.rare = dict(kinds), tuple(heats), (*heats, *rare)
        self.sources = {kind: (sources or {}).get(kind, 0) for kind in kinds}
        self.maps = 1 + max(self.sources.values())  # feature maps of a stack
        self.branches = [
            {kind: self._branch(f"{kind}{stack or ''}", kind, count) for kind, count in self.kinds.items()}
            for stack in range(self.stacks - 1, -1, -1)
        ]

    def _branch(self, name: str, kind: str, channels: int) -> list:
        """Two convolutions, the second of 1x1, with a bias each, and a ReLU between them."""
        uniform = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        bias = keras.initializers.Constant(PRIOR_LOGIT) if kind in self.rare else "zeros"
        return [
            layers.Conv2D(
                self.branch_width,
                self.branch_size,
                padding="same",
                activation="relu",
                kernel_initializer=uniform,
                name=f"{name}_first",
            ),
            layers.Conv2D(
                channels,
                1,
                kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
                bias_initializer=bias,
                name=f"{name}_last",
            ),
        ]

    def build(self, input_shape):
        if len(input_shape) != self.stacks * self.maps:
            each = "one" if self.maps == 1 else self.maps
            raise ValueError(f"stacks={self.stacks}: {len(input_shape)} feature maps; give {each} a stack")
        for (first, last), shape in self._laid(input_shape):
            first.build(shape)
            last.build((*shape[:-1], self.branch_width))
        self.built = True

    def _laid(self, maps) -> list:
        """Each branch, stack by stack, and which of the feature maps it is laid on."""
        return [
            (branch, maps[stack * self.maps + self.sources[kind]])
            for stack, branches in enumerate(self.branches)
            for kind, branch in branches.items()
        ]

    def class_outputs(self):
        return [(branches[kind][1], 1, 0) for branches in self.branches for kind in self.heats]

    def needed(self, features):
        return features[-self.maps :]  # of the last stack

    def deployed(self):
        return self.altered(dtype="float32", stacks=1)

    def kernels(self, shapes):
        laid = [(conv, shape) for branch, shape in self._laid(shapes) for conv in branch]
        return laid[-2 * len(self.kinds) :]  # of the last stack; two convolutions a branch

    def call(self, features, training=None):
        names = [self.output_name(kind, stack) for stack in range(self.stacks) for kind in self.kinds]
        # In float32 whatever the policy: half precision has too few digits for losses and boxes.
        return {
            name: ops.cast(last(first(maps)), "float32")
            for name, ((first, last), maps) in zip(names, self._laid(features), strict=True)
        }

    def sizes(self, outputs) -> list:
        """Height and width of each stack's maps in cells, from the raw outputs."""
        kind = self.heats[0]
        return [ops.shape(outputs[self.output_name(kind, stack)])[1:3] for stack in range(self.stacks)]

    def output_name(self, kind: str, stack: int) -> str:
        """What a stack's map is called: by its kind alone, if the stack is the last."""
        behind = self.stacks - 1 - stack
        return f"{kind}_{behind}" if behind else kind

    def of_stack(self, outputs: dict, stack: int) -> dict:
        """The maps of one stack by their kinds."""
        return {kind: outputs[self.output_name(kind, stack)] for kind in self.kinds}

    def objects(self, targets):
        """The objects of a batch: boxes (B, M, 4) in cells, and labels (B, M) int32, -1 also of those without area."""
        boxes = sound_boxes(targets["boxes"]) / self.stride
        return boxes, ops.where(area(boxes) > 0, ops.cast(targets["labels"], "int32"), -1)

    def known(self, targets, height, width):
        """1 for cells that are object or background, 0 for those in regions that are neither: (B, h, w, 1)."""
        boxes, labels = sound_boxes(targets["boxes"]), targets["labels"]
        points, _ = lay_points([(height, width)], [self.stride])  # (h * w, 2)
        return ops.reshape(1.0 - points_unknown(points, boxes, labels), (-1, height, width, 1))

    def written(self, found: Mapping, there, height, width) -> dict:
        """Maps that say of each object in its cell what is to be found there: raw outputs, for tests.

        Args:
            found: what is said of each object, (B, M, channels), 0 or more, by kind.
            there: (B, M) int32, the cells, counted row by row, of the objects; -1 for none.
            height: cells of the maps.
            width: cells of the maps.
        """
        # Each object spread over all cells but its own by multiplication with 0: (B, M, h * w, 1).
        spread = ops.expand_dims(ops.one_hot(there, height * width), -1)
        maps = {
            kind: ops.max(spread * ops.expand_dims(ops.cast(values, "float32"), 2), axis=1)
            for kind, values in found.items()
        }  # (B, h * w, channels)
        return {
            kind: ops.reshape(values, (-1, height, width, values.shape[-1])) for kind, values in maps.items()
        }

    def of_all_stacks(self, maps: Mapping) -> dict:
        """Raw outputs in which every stack gives the same maps."""
        return {
            self.output_name(kind, stack): values
            for stack in range(self.stacks)
            for kind, values in maps.items()
        }
