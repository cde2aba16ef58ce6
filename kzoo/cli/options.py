"""Declared options as parameters of commands, and those that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from kzoo.options import Flag, Option, commands


def reader(option: Option) -> Callable[[Any], Any]:
    """A function that makes a word of the command line the option's value; a wrong one is a wrong usage."""

    def read(text: Any) -> Any:
        if not isinstance(text, str):  # a default
            return text
        try:
            return option.read(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    read.option = option  # for tests, which ask each command what it takes
    return read


def parameter(option: Option, *flags: str, many: bool = False, **settings) -> Any:
    """The annotation of a command's option.

    Args:
        option: the declaration, which says what it may be.
        *flags: the names on the command line, such as "--count" and "-k"; the parameter's own where left out.
        many: whether it may be given several times, which makes its value a list.
        **settings: further arguments of `typer.Option`, such as `metavar`.

    Example:
        >>> def command(count: parameter(Whole(help="Number of images.", least=1), "--count") = 3): ...
    """
    return _annotation(option, many, typer.Option, flags, settings)


def argument(option: Option, many: bool = False, **settings) -> Any:
    """The annotation of a command's argument: see `parameter`."""
    return _annotation(option, many, typer.Argument, (), settings)


def _annotation(option: Option, many: bool, kind: Callable, flags: tuple, settings: dict) -> Any:
    """`Annotated[type, typer.Option(...)]`, as Typer reads it from a command's signature."""
    settings = {"help": option.phrase, "rich_help_panel": option.panel, **settings}
    if option.otherwise:
        settings["show_default"] = option.otherwise
    if isinstance(option, Flag):
        return Annotated[bool, kind(*flags, **settings)]
    # A text to Typer, whatever the value: `parser` makes the value, and Typer takes the type for a hint alone.
    written = str | None if option.none else str
    settings = {"metavar": option.metavar, "parser": reader(option), **settings}
    return Annotated[list[str] if many else written, kind(*flags, **settings)]


def json_switch(what: str) -> Any:
    """The annotation of `--json`, which every command that prints figures has.

    Args:
        what: what is printed as JSON, such as "the report".
    """
    return Annotated[bool, typer.Option("--json", help=f"Print {what} as JSON.")]


def was_written(context: typer.Context, name: str) -> bool:
    """Whether an option stood on the command line."""
    return context.get_parameter_source(name).name == "COMMANDLINE"


def set_options(**options) -> dict[str, Any]:
    """The options that are not None, as arguments of the function behind a command."""
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
