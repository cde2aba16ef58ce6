"""`kzoo train`: from a dataset into a run folder. Its options are the fields of `TrainConfig`."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import typer

from kzoo.cli.options import argument, parameter, was_written
from kzoo.options import Flag, Option, Place, Special, commands
from kzoo.options.ray import TRAINING
from kzoo.options.training import PANELS, TRAIN
from kzoo.training.config import TrainConfig

FIRST = next(iter(PANELS))  # the heading that the command's own options stand under, too


def _setting(text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as YAML reads it, and 1e-3 as a number, which YAML takes for a text."""
    import yaml

    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise ValueError(text)
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(text) from error
    if isinstance(read, str):
        with contextlib.suppress(ValueError):
            read = float(read)
    return name.strip().replace("-", "_"), read


def _option(name: str, option: Option, default: Any) -> inspect.Parameter:
    """A field of the configuration as an option of the command."""
    flag, settings = f"--{name.replace('_', '-')}", {}
    if name == "head":
        setting = Special(reads=_setting, form="NAME=VALUE, such as focal_gamma=2")
        option, default = setting.but(help=option.help, panel=option.panel, none=True), None
        settings = {"metavar": "NAME=VALUE", "many": True}
    elif isinstance(option, Flag) and default:
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=parameter(option, flag, **settings)
    )


def with_fields(command: Callable, without: Sequence[str] = (), last: Sequence[str] = ()) -> Callable:
    """The command with an option for every field of `TrainConfig` in the place of its `**options`.

    Typer makes a command's options from its signature, and cannot read `**options`. Here it gets a signature in which
    the fields stand as if they had been written out one by one, so that an option is declared in one place alone; the
    function still receives them by name in `options`.

    Args:
        command: the function behind the command.
        without: names of fields that it does not take; none by default.
        last: names of its own options that stand behind the fields in its help; none by default.
    """
    defaults = TrainConfig.defaults()
    fields = [_option(name, option, defaults[name]) for name, option in TRAIN.items() if name not in without]
    signature = inspect.signature(command, eval_str=True)
    own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    first, behind = ([one for one in own if (one.name in last) == late] for late in (False, True))
    command.__signature__ = signature.replace(parameters=[*first, *fields, *behind])
    command.__annotations__ = {one.name: one.annotation for one in (*own, *fields)}
    return command


def written_fields(context: typer.Context, options: dict[str, Any]) -> dict[str, Any]:
    """Those of the fields that stood on the command line."""
    written = {name: value for name, value in options.items() if was_written(context, name)}
    if "head" in written:
        written["head"] = dict(written["head"])
    return written


_MODEL = Place(
    help="The model to train: a name that `kzoo list` shows, a .keras file or hf://USER/NAME to go on from, or "
    "a Darknet .cfg.",
    what="a model, or its name",
    none=True,
)
_DATA = commands.DATASET.but(
    help="The path of a dataset with boxes or masks, or shapes, which are drawn.", none=True, panel=FIRST
)
_VAL = _DATA.but(help="The path of a dataset to validate on.", otherwise="the part val of --data")
_RESUME = Place(
    help="The folder of a run that was stopped and is to go on; with --epochs also beyond its end.",
    what="a run folder",
    none=True,
    panel=FIRST,
)

_RAY = TRAINING.but(panel="Speed")


@functools.partial(with_fields, last=("ray",))
def train(
    context: typer.Context,
    model: argument(_MODEL, metavar="[MODEL]") = None,
    *,
    data: parameter(_DATA) = None,
    val: parameter(_VAL) = None,
    resume: parameter(_RESUME, metavar="RUN") = None,
    ray: parameter(_RAY) = None,
    **options,
):
    """Train a detector or a segmenter, and keep its models, figures and pictures in a run folder."""
    written = written_fields(context, options)
    if resume is not None:
        if model is not None:
            raise typer.BadParameter("a resumed run keeps its model: leave MODEL out")
        if ray is not None:
            from kzoo.training.workers import resume_on_ray

            resume_on_ray(ray, resume, data, val, **written)
            return
        from kzoo.training import resume as go_on

        go_on(resume, data, val, **written)
        return
    if model is None or data is None:
        raise typer.BadParameter("give MODEL and --data PATH, or --resume RUN")
    if ray is not None:
        from kzoo.training.workers import train_on_ray

        train_on_ray(ray, model, data, val, **written)
        return
    from kzoo.training import train as fit

    fit(model, data, val, **written)
