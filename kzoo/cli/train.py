"""`kzoo train`: from a dataset into a run folder. Its options are the fields of `TrainConfig`."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Annotated, Any

import typer

from kzoo.training.config import TrainConfig


def _size(text: str) -> int | tuple[int, ...]:
    """A side, or height and width: "320", "320x416"."""
    sides = tuple(int(side) for side in text.lower().split("x"))
    return sides[0] if len(sides) == 1 else sides


def _sizes(text: str) -> list[int | tuple[int, ...]]:
    """Several of them, joined by commas."""
    return [_size(part) for part in text.split(",")]


def _names(text: str) -> str | list[str]:
    """One name, or several joined by commas."""
    return text.split(",") if "," in text else text


def _anchors(text: str) -> str | list[float]:
    """A word, or widths and heights joined by commas."""
    return [float(side) for side in text.split(",")] if "," in text else text


def _setting(text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as YAML reads it."""
    import yaml

    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r}: write NAME=VALUE")
    return name.replace("-", "_"), yaml.safe_load(value)


_PARSERS = {"image_size": _size, "sizes": _sizes, "augment": _names, "anchors": _anchors, "schedule": str}
_TYPES = {"int": int, "float": float, "str": str, "bool": bool}


def _parameters() -> list[inspect.Parameter]:
    """A command-line option for every field of the configuration."""
    parameters = []
    for field in dataclasses.fields(TrainConfig):
        flag, text = field.name.replace("_", "-"), field.metadata["help"]
        default = None if field.default is dataclasses.MISSING else field.default
        # Types are strings here: "int | None" is an int that may be left out.
        kind = _TYPES.get(field.type.removesuffix(" | None"), Any)
        names, more = [f"--{flag}"], {}
        if field.name == "head":
            kind, more = list[str], {"metavar": "NAME=VALUE"}
        elif field.name in _PARSERS:
            more = {"parser": _PARSERS[field.name], "metavar": "TEXT"}
        elif kind is bool and default:
            names = [f"--{flag}/--no-{flag}"]
        elif kind is bool:
            names = [f"--{flag}"]
        kind = kind if default is not None else kind | None if kind is not Any else Any
        annotation = Annotated[kind, typer.Option(*names, help=text, **more)]
        parameters.append(
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
        )
    return parameters


def train(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]", help="A name that `kzoo list` shows, a .keras file or a Darknet .cfg."
        ),
    ] = None,
    *,
    data: Annotated[str | None, typer.Option(help="A dataset of boxes or masks, or shapes.")] = None,
    val: Annotated[
        str | None, typer.Option(help="A dataset to validate on, if not that one's val split.")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="Go on with a run that was stopped; with --epochs also beyond its end."
        ),
    ] = None,
    **options,
):
    """Train a detector or a segmenter; a run folder keeps its models, figures and pictures."""
    given = {name: value for name, value in options.items() if value is not None}
    if resume is not None:
        if model is not None:
            raise typer.BadParameter("a resumed run keeps its model: leave MODEL out")
        from kzoo.training import resume as go_on

        changes = {name: value for name, value in given.items() if _was_written(context, name)}
        if "head" in changes:
            changes["head"] = dict(_setting(text) for text in changes["head"])
        go_on(resume, data, val, **changes)
        return
    if model is None or data is None:
        raise typer.BadParameter("give MODEL and --data PATH, or --resume RUN")
    if model.endswith(".cfg"):  # it says itself what is not written here
        given = {name: value for name, value in given.items() if _was_written(context, name)}
    given["head"] = dict(_setting(text) for text in given.get("head", ()))
    from kzoo.training import train as fit

    fit(model, data, val, **given)


def _was_written(context: typer.Context, name: str) -> bool:
    """Whether an option stood on the command line."""
    return context.get_parameter_source(name).name == "COMMANDLINE"


_own = [p for p in inspect.signature(train, eval_str=True).parameters.values() if p.name != "options"]
_options = _parameters()
# Typer reads the signature: the options stand there as if they had been written out.
train.__signature__ = inspect.Signature([*_own, *_options])
train.__annotations__ = {parameter.name: parameter.annotation for parameter in (*_own, *_options)}
