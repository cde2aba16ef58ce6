"""A network in plain numbers: each layer's inputs, shape and weights, and where the next one is about to stand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kzoo.darknet.cfg import Cfg, Section

IMAGE = -1  # stands for the network's input among the numbers of layers
HEADS = ("yolo", "Gaussian_yolo", "region", "detection")
MAX_SIDE = 2**14
MAX_CHANNELS = 2**18
MAX_OUTPUT = 2**28  # Numbers that one layer gives for one image.

Shape = tuple[int, int, int]  # height, width, channels


@dataclass(frozen=True)
class Layer:
    """One of Darknet's layers.

    Attributes:
        index: Darknet's number of the layer, the first after `[net]` being 0.
        section: the section of the cfg that describes the layer.
        inputs: numbers of the layers whose outputs it takes, the main one first; `IMAGE` for the image.
        shape: height, width and channels of the output; of a head those of its input.
        tensors: names and shapes of the weights, in the order and layout of `.weights` files.
        settings: what else is needed to build the layer, checked and in plain numbers.
    """

    index: int
    section: Section
    inputs: tuple[int, ...]
    shape: Shape
    tensors: dict[str, tuple[int, ...]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return self.section.kind

    @property
    def floats(self) -> int:
        """How many weights it has."""
        return sum(math.prod(shape) for shape in self.tensors.values())


@dataclass(frozen=True)
class Plan:
    """A whole network.

    Attributes:
        cfg: the description that the plan was worked out from.
        shape: height, width and channels of the input.
        layers: every layer, in Darknet's order; the place is its number.
    """

    cfg: Cfg
    shape: Shape
    layers: list[Layer]

    @property
    def floats(self) -> int:
        """How many weights the network has."""
        return sum(layer.floats for layer in self.layers)

    @property
    def heads(self) -> list[Layer]:
        """The detection heads, in their order."""
        return [layer for layer in self.layers if layer.kind in HEADS]

    @property
    def classes(self) -> int:
        """How many the network tells apart."""
        if self.heads:
            return self.heads[-1].settings["classes"]
        return self.last.shape[2]

    @property
    def last(self) -> Layer:
        """The layer whose output is the network's: `[cost]`, which ends old classifiers, is of training alone."""
        return next((layer for layer in reversed(self.layers) if layer.kind != "cost"), self.layers[-1])

    def shape_of(self, index: int) -> Shape:
        """The shape of a layer's output, or of the image."""
        return self.shape if index == IMAGE else self.layers[index].shape


@dataclass(frozen=True)
class Site:
    """Where a layer is about to be built: what a planner looks at.

    Attributes:
        plan: the network up to here: the layers before this one.
        index: the number that the layer will have.
        section: the section of the cfg that describes the layer.
    """

    plan: Plan
    index: int
    section: Section

    @property
    def before(self) -> int:
        """The layer before this one, whose output it takes unless it says otherwise."""
        if self.index and self.plan.layers[self.index - 1].kind in HEADS:
            raise self.section.fault(
                None, f"takes the output of layer {self.index - 1}, a head; put a [route] between"
            )
        return self.index - 1

    @property
    def shape(self) -> Shape:
        """The shape of the output of the layer before."""
        return self.plan.shape_of(self.before)

    def others(self, key: str) -> list[int]:
        """Numbers of the layers that a key names, negative ones counted from here."""
        numbers = self.section.integers(key)
        if not numbers:
            raise self.section.fault(key, "is missing; give numbers of layers before this one")
        return [self._other(key, number) for number in numbers]

    def _other(self, key: str, number: int) -> int:
        index = self.index + number if number < 0 else number
        if index >= self.index:
            raise self.section.fault(
                key,
                f"layer {number} does not come before this one, layer {self.index}: a cycle; name earlier ones",
            )
        if index < 0:
            raise self.section.fault(
                key, f"{number} from layer {self.index} is before the first; name layers that are there"
            )
        if self.plan.layers[index].kind in HEADS:
            raise self.section.fault(key, f"layer {index} is a head; name the layer that it is fed with")
        return index

    def layer(
        self, shape: Shape, inputs: tuple[int, ...] | None = None, tensors: dict | None = None, **settings
    ) -> Layer:
        """The layer, which takes the one before where no inputs are given."""
        inputs = (self.before,) if inputs is None else inputs
        return Layer(self.index, self.section, inputs, shape, tensors or {}, settings)


Planner = Callable[[Site], Layer]
