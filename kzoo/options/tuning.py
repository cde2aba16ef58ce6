"""Options of `kzoo tune` beside those of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kzoo.options.commands import DATASET, OUT
from kzoo.options.kinds import Option, Special
from kzoo.options.quantities import MOST_PIXELS, Number, Whole
from kzoo.options.words import Place, Text


def _rates(value: Any) -> list[float]:
    """Two learning rates."""
    low, high = (Number(above=0, most=100).sound(one) for one in value)
    return [low, high]


def _sides(value: Any) -> list[int]:
    """Sides of inputs."""
    if isinstance(value, str) or not len(value):
        raise TypeError(value)
    return [Whole(least=32, most=MOST_PIXELS).sound(one) for one in value]


def _names(value: Any) -> list[str]:
    """Names of presets."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise TypeError(value)
    return [Text().sound(one) for one in value]


TUNE: dict[str, Option] = {
    "model": Place(help="The model to train, as kzoo train takes it.", what="a model, or its name"),
    "data": DATASET.but(help="The path of a dataset with boxes or masks, or shapes, which are drawn."),
    "val": DATASET.but(
        help="The path of a dataset to validate on.", otherwise="the part val of --data", none=True
    ),
    "minutes": Number(help="Minutes after which all is stopped.", above=0, most=10**6),
    "trials": Whole(
        help="Number of trainings.",
        otherwise="as many as the time has room for",
        unit="trainings",
        least=1,
        most=10**6,
        none=True,
    ),
    "parallel": Whole(
        help="Number of trainings at the same time, each with a CPU or a GPU.",
        unit="trainings",
        least=1,
        most=4096,
    ),
    "learning_rates": Special(
        help="The lowest and the highest learning rate.",
        otherwise="a tenth and three times the usual one",
        reads=lambda text: [float(one) for one in text.split(",")],
        takes=_rates,
        form="two numbers above 0, joined by a comma",
        none=True,
    ),
    "augments": Special(
        help="Augmentations to try.",
        otherwise="none,light,mosaic; none,light of segmenters",
        reads=lambda text: text.split(","),
        takes=_names,
        form="names of presets, joined by commas",
        none=True,
    ),
    "sides": Special(
        help="Sides of the input to try.",
        otherwise="3/4, 1 and 5/4 of the model's own",
        reads=lambda text: [int(one) for one in text.split(",")],
        takes=_sides,
        form="whole numbers of pixels, 32 or more, joined by commas",
        none=True,
    ),
    "out": OUT.but(
        help="The folder of all runs; where it holds a search that was stopped, that goes on.", none=False
    ),
}
