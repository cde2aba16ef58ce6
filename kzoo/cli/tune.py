"""`kzoo tune`: trainings with other learning rates, augmentations and sizes, until the time is up."""

from __future__ import annotations

import functools

import typer

from kzoo.cli.options import argument, parameter, set_options
from kzoo.cli.train import FIRST, with_fields, written_fields
from kzoo.options.tuning import TUNE

_SEARCHED = ("learning_rate", "augment", "image_size", "name", "runs", "run", "exist_ok")
_OPTIONS = {name: option.but(panel=FIRST) for name, option in TUNE.items()}


@functools.partial(with_fields, without=_SEARCHED)
def tune(
    context: typer.Context,
    model: argument(TUNE["model"], metavar="MODEL"),
    *,
    data: parameter(_OPTIONS["data"]),
    val: parameter(_OPTIONS["val"]) = None,
    minutes: parameter(_OPTIONS["minutes"]) = 60,
    trials: parameter(_OPTIONS["trials"]) = None,
    parallel: parameter(_OPTIONS["parallel"]) = 1,
    learning_rates: parameter(_OPTIONS["learning_rates"], metavar="LOW,HIGH") = None,
    augments: parameter(_OPTIONS["augments"], metavar="NAME,...") = None,
    sides: parameter(_OPTIONS["sides"], metavar="SIDE,...") = None,
    out: parameter(_OPTIONS["out"], metavar="FOLDER") = "runs/tune",
    **options,
):
    """Search learning rate, augmentation and input size on Ray, and write a table and a plot."""
    from kzoo.training.tuning import tune as search

    asked = set_options(trials=trials, learning_rates=learning_rates, augments=augments, sides=sides)
    search(model, data, val, minutes, parallel=parallel, out=out, **asked, **written_fields(context, options))
