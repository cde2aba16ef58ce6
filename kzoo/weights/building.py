"""Models of files made in bounds: no more variables than the file has numbers for."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import keras

from kzoo.system.messages import one_line
from kzoo.weights.archives import ExpandingError


class Bounds:
    """What a model may have, and whether that was too little.

    Attributes:
        left: numbers that are left for further variables.
        error: the refusal, once a variable was too large; Keras wraps it in words of its own.
    """

    def __init__(self, numbers: int):
        self.left = numbers
        self.error: ExpandingError | None = None


@contextlib.contextmanager
def building_in_bounds(path: str | Path, numbers: int) -> Iterator[Bounds]:
    """Lets layers have as many numbers in their variables as a file can fill, while the block runs.

    Keras makes all variables that a configuration asks for, and only then compares them with the file's.

    Args:
        path: the file, for the message.
        numbers: how many the variables of all layers may have.

    Raises:
        ExpandingError: a layer asks for more, before its variable is made.
    """
    bounds, original = Bounds(numbers), keras.layers.Layer.add_weight

    def add_weight(layer, shape=None, *args, **kwargs):
        wanted = math.prod(side or 1 for side in shape or ())
        bounds.left -= wanted
        if bounds.left < 0:
            bounds.error = ExpandingError(
                f"{one_line(path)}: layer {one_line(layer.name)[:100]} asks for {wanted} numbers, and the model may "
                f"have {numbers} for such a file; fetch it anew, or do not open it"
            )
            raise bounds.error
        return original(layer, shape, *args, **kwargs)

    keras.layers.Layer.add_weight = add_weight
    try:
        yield bounds
    finally:
        keras.layers.Layer.add_weight = original
