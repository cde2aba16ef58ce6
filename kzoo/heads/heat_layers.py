"""What heads of heat maps compute: for each kind of map, and each stack of the network, a branch of convolutions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import keras
from keras import layers, ops

from kzoo.heads.detection import DetectionHead

# A map of classes starts out with next to nothing anywhere: 0.1.
PRIOR_LOGIT = math.log(0.1 / 0.9)


class HeatLayers(DetectionHead):
    """From the last feature map of every stack to maps: of classes, of sizes, of offsets and so on.

    Raw outputs are called by their kind, those of stacks before the last also by their number: "heat", "heat_1".

    Attributes:
        stride: pixels a cell.
        stacks: number of feature maps that the network gives, of which the last is the one that counts in the end.

    Args:
        num_classes: number of classes, 1 or more.
        stride: pixels a cell.
        stacks: number of the network's feature maps, 1 or more.
        branch_width: channels between the two convolutions of a branch.
        multiple: pixels that the images' sides are multiples of.
        **kwargs: arguments of `kzoo.heads.detection.DetectionHead`.

    Raises:
        ValueError: the network gives another number of maps.
    """

    def __init__(
        self, num_classes: int, stride: int, stacks: int, branch_width: int, multiple: int, **kwargs
    ):
        super().__init__(num_classes, **kwargs)
        self.stride, self.stacks = stride, stacks
        self.branch_width, self.multiple = branch_width, multiple

    def make_branches(self, kinds: Mapping[str, int], heats: Sequence[str]) -> None:
        """Makes the branches.

        Args:
            kinds: for each kind of map its number of channels.
            heats: names of the kinds that are scores of classes.
        """
        self.kinds, self.heats = dict(kinds), tuple(heats)
        self.branches = [
            {kind: self._branch(f"{kind}{stack or ''}", kind, count) for kind, count in self.kinds.items()}
            for stack in range(self.stacks - 1, -1, -1)
        ]

    def _branch(self, name: str, kind: str, channels: int) -> list:
        """A 3x3 and a 1x1 convolution, with a bias each, and a ReLU between them."""
        uniform = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        bias = keras.initializers.Constant(PRIOR_LOGIT) if kind in self.heats else "zeros"
        return [
            layers.Conv2D(
                self.branch_width,
                3,
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
        if len(input_shape) != self.stacks:
            raise ValueError(f"stacks={self.stacks}: {len(input_shape)} feature maps; give one a stack")
        for shape, branches in zip(input_shape, self.branches, strict=True):
            for first, last in branches.values():
                first.build(shape)
                last.build((*shape[:-1], self.branch_width))
        self.built = True

    def class_outputs(self):
        return [(branches[kind][1], 1, 0) for branches in self.branches for kind in self.heats]

    def kernels(self, shapes):
        return [
            (conv, shape)
            for shape, branches in zip(shapes, self.branches, strict=True)
            for branch in branches.values()
            for conv in branch
        ]

    def call(self, features, training=None):
        outputs = {}
        for stack, (maps, branches) in enumerate(zip(features, self.branches, strict=True)):
            for kind, (first, last) in branches.items():
                # In float32 whatever the policy: half precision has too few digits for losses and boxes.
                outputs[self.output_name(kind, stack)] = ops.cast(last(first(maps)), "float32")
        return outputs

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
