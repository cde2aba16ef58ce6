"""What every family's head promises."""

from __future__ import annotations

from collections.abc import Sequence

import keras


class Head(keras.layers.Layer):
    """Everything that makes a family itself: what raw outputs mean, how they are trained, how they are read.

    A subclass takes plain data in its constructor, so that Keras serialises it by itself, and implements
    `build`, `call`, `loss` and `decode`; a detector also `encode`.

    Attributes:
        task: "detect", "segment", "instance" or "classify".
        loss_names: the keys of what `loss` returns.
    """

    task: str = ""
    loss_names: tuple[str, ...] = ()

    def call(self, features, training=None) -> dict:
        """Raw outputs from the network's list of feature maps. Never sees ground truth."""
        raise NotImplementedError

    def hidden(self, features) -> list:
        """What the layers that give the raw outputs take: maps that bear being rounded, as in int8 exports."""
        return features

    def finish(self, hidden) -> dict:
        """Raw outputs from `hidden`: `call` is the one after the other."""
        return self(hidden)

    def kernels(self, shapes: list) -> list:
        """The layers whose kernels are laid on feature maps, and the shapes (B, H, W, C) they are laid on.

        Args:
            shapes: of the feature maps.
        """
        layers = [layer for layer in self._flatten_layers(include_self=False) if hasattr(layer, "kernel")]
        return list(zip(layers, shapes, strict=False))

    def loss(self, targets: dict, outputs: dict) -> dict:
        """Assignment and loss: one scalar a name, already weighted, to be summed."""
        raise NotImplementedError

    def decode(self, outputs: dict) -> dict:
        """Results of fixed shapes from raw outputs: boxes, scores, labels; or a mask; or class scores."""
        raise NotImplementedError


def check_choice(name: str, value, choices: Sequence):
    """Refuses what an argument may not be.

    Raises:
        ValueError: `value` is none of `choices`.
    """
    if value not in choices:
        raise ValueError(
            f"{name}={value!r} is unknown; use {', '.join(map(str, choices[:-1]))} or {choices[-1]}"
        )
