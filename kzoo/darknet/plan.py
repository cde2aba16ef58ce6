"""What a `.cfg` describes, worked out in plain numbers: each layer's inputs, shape and weights.

Everything is checked here, before Keras is started or a single weight is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kzoo.darknet import keys
from kzoo.darknet.cfg import Cfg, Section

IMAGE = -1  # stands for the network's input among the numbers of layers
HEADS = ("yolo", "Gaussian_yolo", "region", "detection")
_OF_LEVELS = ("yolo", "Gaussian_yolo")  # of which there may be several
MAX_FLOATS = 2**30  # Weights of a network: four gigabytes. Darknet's largest has a quarter of it.
MAX_SIDE = 2**14
MAX_CHANNELS = 2**18
MAX_OUTPUT = 2**28  # Numbers that one layer gives for one image.

Shape = tuple[int, int, int]  # height, width, channels


@dataclass(frozen=True)
class Layer:
    """One of Darknet's layers.

    Attributes:
        index: its number, the first after `[net]` being 0.
        section: that describes it.
        inputs: numbers of the layers it takes, the main one first; `IMAGE` for the image.
        shape: height, width and channels of its output; of a head the input's.
        tensors: names and shapes of its weights, in the order and layout of `.weights` files.
        settings: what else is needed to build it.
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
        cfg: that describes it.
        shape: height, width and channels of the input.
        layers: in Darknet's order.
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
        return next(
            (layer for layer in reversed(self.layers) if layer.kind != "cost"), self.layers[-1]
        ).shape[2]

    def shape_of(self, index: int) -> Shape:
        """The shape of a layer's output, or of the image."""
        return self.shape if index == IMAGE else self.layers[index].shape


def make_plan(cfg: Cfg, features: bool = False) -> Plan:
    """Works out a network from its description.

    Args:
        cfg: the description.
        features: whether it may end in a feature map, without a head.

    Raises:
        ValueError: it cannot be built; the message names file, line, key and value.
    """
    from kzoo.darknet.sections import PLANNERS

    keys.check(cfg)
    if not cfg.sections:
        raise cfg.net.fault(None, "is followed by no layer; add some")
    sides = tuple(cfg.net.integer(key, least=1, most=MAX_SIDE) for key in ("height", "width"))
    channels = cfg.net.integer("channels", 3)
    if channels not in (1, 3):
        raise cfg.net.fault("channels", "images are RGB here, or made grey; only 3 and 1 are built")
    plan = Plan(cfg, (*sides, channels), [])
    floats = 0
    for index, section in enumerate(cfg.sections):
        layer = PLANNERS[section.kind](Site(plan, index, section))
        _check_size(layer)
        floats += layer.floats
        if floats > MAX_FLOATS:
            raise section.fault(
                None,
                f"with it the network has {floats:,} weights, more than the {MAX_FLOATS:,} that are built",
            )
        plan.layers.append(layer)
    _check_end(plan, features)
    return plan


def _check_size(layer: Layer) -> None:
    height, width, channels = layer.shape
    if min(layer.shape) < 1:
        raise layer.section.fault(
            None, f"its output would be {width}x{height}x{channels}; the image is too small for this network"
        )
    too_large = max(height, width) > MAX_SIDE or channels > MAX_CHANNELS
    if too_large or math.prod(layer.shape) > MAX_OUTPUT or layer.floats > MAX_FLOATS:
        raise layer.section.fault(
            None,
            f"its output of {width}x{height}x{channels} with {layer.floats:,} weights is larger than what is built",
        )


def _check_end(plan: Plan, features: bool) -> None:
    """The heads are of one kind; or the network ends in a vector of class scores, or in a map that was asked for."""
    heads, last = plan.heads, plan.layers[-1]
    for head in heads[1:]:
        if head.kind != heads[0].kind or head.kind not in _OF_LEVELS:
            raise head.section.fault(
                None,
                f"is a second head after [{heads[0].kind}] on line {heads[0].section.line}; keep one kind",
            )
    if not heads and last.shape[:2] != (1, 1) and not features:
        height, width, channels = last.shape
        raise last.section.fault(
            None,
            f"the network ends here, in a map of {width}x{height}x{channels} and without a head; add [yolo], "
            "[Gaussian_yolo], [region], [detection], [softmax] or [logistic], or ask for its features",
        )


@dataclass(frozen=True)
class Site:
    """Where a layer is about to be built: what a planner looks at.

    Attributes:
        plan: with the layers before it.
        index: its number.
        section: that describes it.
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
