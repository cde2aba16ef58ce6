"""`kzoo train`: from a dataset into a run folder. Its options are the fields of `TrainConfig`."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any

import typer

from kzoo.cli.options import argument, parameter, was_written
from kzoo.options import Flag, Option, commands, declared
from kzoo.options.kinds import Place, Special
from kzoo.training.config import DATA, FIRST, PANELS, TrainConfig


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
    flag, more = f"--{name.replace('_', '-')}", {}
    if name == "head":
        setting = Special(reads=_setting, says="NAME=VALUE, such as focal_gamma=2")
        option, default = setting.but(help=option.help, panel=option.panel, none=True), None
        more = {"metavar": "NAME=VALUE", "many": True}
    elif isinstance(option, Flag) and default:
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=parameter(option, flag, **more)
    )


def _parameters() -> list[inspect.Parameter]:
    """An option for every field of the configuration, those of a heading together."""
    defaults = TrainConfig.defaults()
    fields = declared(TrainConfig).items()
    return [
        _option(name, option, defaults[name])
        for name, option in sorted(fields, key=lambda one: PANELS.index(one[1].panel))
    ]


_MODEL = Place(
    help="A name that `kzoo list` shows, a .keras file or a Darknet .cfg.",
    what="a model, or its name",
    none=True,
)
_DATA = commands.DATASET.but(help="A dataset of boxes or masks, or shapes.", none=True, panel=FIRST)
_VAL = _DATA.but(help="A dataset to validate on, if not that one's val split.", panel=DATA)
_RESUME = Place(
    help="Go on with a run that was stopped; with --epochs also beyond its end.",
    what="a run folder",
    none=True,
    panel=FIRST,
)


def train(
    context: typer.Context,
    model: argument(_MODEL, metavar="[MODEL]") = None,
    *,
    data: parameter(_DATA) = None,
    resume: parameter(_RESUME, metavar="RUN") = None,
    val: parameter(_VAL) = None,
    **options,
):
    """Train a detector or a segmenter; a run folder keeps its models, figures and pictures."""
    given = {name: value for name, value in options.items() if was_written(context, name)}
    if "head" in given:
        given["head"] = dict(given["head"])
    if resume is not None:
        if model is not None:
            raise typer.BadParameter("a resumed run keeps its model: leave MODEL out")
        from kzoo.training import resume as go_on

        go_on(resume, data, val, **given)
        return
    if model is None or data is None:
        raise typer.BadParameter("give MODEL and --data PATH, or --resume RUN")
    from kzoo.training import train as fit

    fit(model, data, val, **given)


_own = [p for p in inspect.signature(train, eval_str=True).parameters.values() if p.name != "options"]
_options = _parameters()
# Typer reads the signature: the options stand there as if they had been written out.
train.__signature__ = inspect.Signature([*_own, *_options])
train.__annotations__ = {parameter.name: parameter.annotation for parameter in (*_own, *_options)}
