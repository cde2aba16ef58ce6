"""Declared options as parameters of commands, and those that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from kzoo.options import Flag, Option, commands


def reader(option: Option) -> Callable[[Any], Any]:
    """What makes a word of the command line a value; a wrong one is a wrong usage."""

    def read(text: Any) -> Any:
        if not isinstance(text, str):  # a default
            return text
        try:
            return option.read(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    read.option = option  # for whoever asks what the command takes
    return read


def parameter(option: Option, *flags: str, many: bool = False, **more) -> Any:
    """The annotation of a command's option.

    Args:
        option: what it may be.
        *flags: "--name"; the parameter's own name where left out.
        many: whether it may be given again.
        **more: as `typer.Option` takes it.

    Example:
        >>> def command(count: parameter(Whole(help="How many.", least=1), "--count") = 3): ...
    """
    return Annotated[*_parts(option, many, typer.Option, flags, more)]


def argument(option: Option, many: bool = False, **more) -> Any:
    """The annotation of a command's argument: see `parameter`."""
    return Annotated[*_parts(option, many, typer.Argument, (), more)]


def _parts(option: Option, many: bool, kind: Callable, flags: tuple, more: dict) -> tuple:
    more = {"help": option.phrase, "metavar": option.metavar, **more}
    if option.panel:
        more["rich_help_panel"] = option.panel
    if isinstance(option, Flag):
        more.pop("metavar")
        return bool, kind(*flags, **more)
    return list[str] if many else (str | None if option.none else str), kind(
        *flags, parser=reader(option), **more
    )


def was_written(context: typer.Context, name: str) -> bool:
    """Whether an option stood on the command line."""
    return context.get_parameter_source(name).name == "COMMANDLINE"


def given(**options) -> dict[str, Any]:
    """Those that were given, as arguments of the function behind a command."""
    return {name: value for name, value in options.items() if value is not None}


Model = argument(commands.MODEL, metavar="MODEL")
Weights = parameter(commands.DARKNET_WEIGHTS, metavar="FILE")
Names = parameter(commands.CLASS_NAMES, metavar="FILE")
Resize = parameter(commands.RESIZE)
Nms = parameter(commands.NMS, metavar="KIND")
Bits = parameter(commands.BITS)
Method = parameter(commands.METHOD)
Overlap = parameter(commands.OVERLAP)
Flips = parameter(commands.MIRRORED)
