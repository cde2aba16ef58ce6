"""What every family's head promises."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import keras

from kzoo.options import Option, check_known
from kzoo.policy import dtype_policy

SURE = 20.0  # logit of a probability that rounds to 1
# What every layer of Keras takes.
_LAYER = ("name", "dtype", "trainable", "activity_regularizer", "autocast")


class Head(keras.layers.Layer):
    """Everything that makes a family itself: what raw outputs mean, how they are trained, how they are read.

    A subclass takes plain data in its constructor, so that Keras serialises it by itself, and implements
    `build`, `call`, `loss` and `decode`; a detector also `encode`.

    Attributes:
        task: "detect", "segment", "instance", "drive" or "classify".
        truth: the kind of targets, of `kzoo.structures.targets.KEYS`, that it is trained on; that of its task where "".
        loss_names: the keys of what `loss` returns.
        meaning: arguments that say what raw outputs mean: weights mean something else under others.
        options: for each of the constructor's arguments that is checked its type and range.
        needs_proposals: whether the network takes boxes in which objects may be, beside the images, and hands them on
            as the last of what it gives.
        loss_by_device: whether each of several devices computes the loss of its own images, and the mean of theirs is
            the batch's: of heads most of whose layers run in `loss`. Else each computes that of the whole batch.
    """

    task: str = ""
    truth: str = ""
    loss_names: tuple[str, ...] = ()
    meaning: tuple[str, ...] = ()
    options: ClassVar[Mapping[str, Option]] = {}
    needs_proposals: bool = False
    loss_by_device: bool = False

    def __init__(self, **kwargs):
        check_known(type(self).__name__, kwargs, (*_LAYER, *self.arguments()))
        super().__init__(**kwargs)

    @classmethod
    def arguments(cls) -> list[str]:
        """The names of the constructor's arguments, those that it hands on included."""
        # A constructor hands what it has no name for on to the next class's: all signatures together say what there is.
        signatures = [
            inspect.signature(one.__init__).parameters.values()
            for one in cls.__mro__
            if issubclass(one, Head) and "__init__" in vars(one)
        ]
        own = [one.name for each in signatures for one in each if one.kind is one.POSITIONAL_OR_KEYWORD]
        return [name for name in dict.fromkeys(own) if name != "self"]

    @classmethod
    def from_config(cls, config):
        """The head of a configuration. Its layers are made with it, hence under its own policy, not the global one."""
        with dtype_policy(config.get("dtype", keras.config.dtype_policy())):
            return super().from_config(config)

    def altered(self, **options) -> Head:
        """A head of the same arguments but for those in `options`, and without weights."""
        arguments = {**self.get_config(), "dtype": self.dtype_policy.name, **options}
        with dtype_policy(arguments["dtype"]):
            return type(self)(**arguments)

    def call(self, features, training=None) -> dict:
        """Raw outputs by name from the network's list of feature maps (B, H, W, C). Never sees ground truth."""
        raise NotImplementedError

    def hidden(self, features) -> list:
        """What the layers that give the raw outputs take: maps that bear being rounded, as in int8 exports."""
        return features

    def finish(self, hidden) -> dict:
        """Raw outputs from `hidden`: `call` is the one after the other."""
        return self(hidden)

    def needed(self, features: list) -> list:
        """Those of the network's feature maps that are looked at in inference, too: all."""
        return features

    def deployed(self) -> Head:
        """A head of float32, without weights, that gives the same results from `needed` feature maps.

        Of layers that serve training alone it has none; the others are called as this one's.
        """
        return self.altered(dtype="float32")

    def kernels(self, shapes: list) -> list:
        """The layers whose kernels are laid on feature maps in inference, and the shapes (B, H, W, C) they are laid on.

        Args:
            shapes: shapes (B, H, W, C) of the feature maps, in their order.
        """
        layers = [layer for layer in leaves(self) if hasattr(layer, "kernel")]
        return list(zip(layers, shapes, strict=False))

    def operations(self, shapes: list) -> float:
        """Floating-point operations of one image, two a multiply-add of the layers' kernels.

        Args:
            shapes: shapes (1, H, W, C) of the feature maps, in their order.
        """
        return sum(laid_operations(layer, shape) for layer, shape in self.kernels(shapes))

    def class_outputs(self) -> list[tuple[keras.layers.Layer, int, int]]:
        """What counts the classes along its last axis; nothing where the network itself does.

        Returns:
            Layers, each with how many groups of numbers it gives, one an anchor, and how many numbers of a group stand
            before those of the classes.
        """
        return []

    def loss(self, targets: dict, outputs: dict, sample_weight=None) -> dict:
        """Assignment and loss: one scalar a name, already weighted, to be summed.

        Args:
            targets: the truth of each image, by name.
            outputs: raw outputs by name, as `call` gives them.
            sample_weight: (B,) factors of what each image adds to the sums; the numbers that the sums are divided by
                are the same as without. So 1 for all changes nothing, 10 for all is ten times the loss, and an image
                of 0 trains nothing. None (default) is 1 for all.
        """
        raise NotImplementedError

    def decode(self, outputs: dict) -> dict:
        """Results of fixed shapes from raw outputs: boxes, scores, labels; or a mask; or class scores."""
        raise NotImplementedError


def laid_operations(layer: keras.layers.Layer, shape: Sequence[int]) -> float:
    """Floating-point operations of a layer's kernels, two a multiply-add.

    Args:
        layer: a layer with a kernel, or several.
        shape: shape (1, H, W, C) of the map that a kernel of four axes is laid on every place of; others are a layer's
            whole.
    """
    return sum(
        2 * math.prod(kernel.shape) * (shape[1] * shape[2] if len(kernel.shape) == 4 else 1)
        for kernel in getattr(layer, "kernels", [layer.kernel])
    )


def leaves(layer: keras.layers.Layer) -> list:
    """The layers inside a layer that are not made of others, in their order."""
    return [one for one in layer._flatten_layers(include_self=False) if not one._layers]


def check_choice(name: str, value, choices: Iterable):
    """Refuses what an argument may not be.

    Args:
        name: name of the argument, for the message.
        value: the value that was given for it.
        choices: the values that it may have, two or more.

    Raises:
        ValueError: `value` is none of `choices`.
    """
    *others, last = choices
    if value not in (*others, last):
        raise ValueError(f"{name}={value!r} is unknown; use {', '.join(map(str, others))} or {last}")
