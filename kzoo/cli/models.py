"""`kzoo list` and `kzoo info`: what there is, what it costs, and which arguments it takes."""

from __future__ import annotations

import dataclasses
import functools
import json as json_module
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from kzoo.cli.options import argument, json_switch, parameter
from kzoo.cli.tables import backbone_families, backbone_table, family_table, line_table
from kzoo.entries import Entry
from kzoo.options import Number, Option, Text
from kzoo.options.commands import INFO, TASK
from kzoo.options.documented import REQUIRED, Argument, documented
from kzoo.published import AP

# How docstrings tell a range: "0 or more", "1 to 255", "above 0 and up to 16".
_RANGE = re.compile(r"\b\d[\d.,]* (or more|to )|\babove \d")


def list_models(
    task: parameter(TASK) = None,
    json: json_switch("the list") = False,
    backbones: Annotated[
        bool,
        typer.Option("--backbones", help="List the backbones that detectors and segmenters are built on."),
    ] = False,
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown",
            help="Print a table for a page: of lines of families, or with --task of its families with their models.",
        ),
    ] = False,
) -> None:
    """List the registered models with their task, input size, number of parameters and paper."""
    from kzoo.registry import entry
    from kzoo.registry import list_models as names

    entries = [entry(name) for name in names(task)]
    if not entries:
        raise ValueError(
            f"task {task!r}: no model is registered for it; use detect, instance, segment or classify"
        )
    if json and markdown:
        raise typer.BadParameter("--json and --markdown: give one of them")
    if backbones:
        _list_backbones(entries, json, markdown)
        return
    if json:
        print(json_module.dumps([_row(one) for one in entries], indent=1))
        return
    if markdown:
        print(line_table(entries) if task is None else family_table(entries))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "task", "input", "parameters", "paper", box=None)
    for one in entries:
        size = "x".join(str(side) for side in one.image_size)
        table.add_row(one.name, one.task, size, f"{one.parameters:,}", one.paper.split(", ")[-1])
    Console().print(table)


def _list_backbones(entries: list[Entry], json: bool, markdown: bool) -> None:
    """Prints which backbones which models take."""
    families = backbone_families(entries)
    if not families:
        raise ValueError(
            "--backbones: classifiers are backbones themselves; give --task detect or segment, or neither"
        )
    if markdown:
        print(backbone_table(entries))
        return
    taken = {name: backbones for names, backbones in families for name in names}
    if json:
        print(json_module.dumps(taken, indent=1))
        return
    for name, backbones in taken.items():
        print(f"{name}: {', '.join(backbones)}")


def info(
    name: argument(Text(help="A name that `kzoo list` shows."), metavar="NAME"),
    num_classes: parameter(INFO["num_classes"]) = None,
    image_size: parameter(INFO["image_size"]) = None,
    width: parameter(INFO["width"]) = 1.0,
    depth: parameter(INFO["depth"]) = 1.0,
    json: json_switch("all of it") = False,
) -> None:
    """Build a model, count its parameters and operations, and list every argument it takes with its meaning."""
    from kzoo.model import flops
    from kzoo.registry import build, entry

    registered = entry(name)
    size = image_size or registered.image_size
    classes = num_classes or registered.num_classes
    model = build(registered.name, num_classes=classes, image_size=size, width=width, depth=depth)
    figures = {
        **_row(registered),
        "num_classes": classes,
        "image_size": list(size),
        "parameters": model.count_params(),
        "gflops": round(flops(model) / 1e9, 2),
    }
    of_model, of_head = arguments(registered.name, model.head)
    if json:
        listed = {
            "arguments": _rows(of_model),
            "head": type(model.head).__name__,
            "head_arguments": _rows(of_head),
        }
        print(json_module.dumps({**figures, **listed}, indent=1, default=str))
        return
    for key, value in figures.items():
        if value is None:  # published nowhere
            continue
        shown = f"{value:,}" if isinstance(value, int) else value
        print(f"{key:12} {'x'.join(map(str, value)) if isinstance(value, list) else shown}")
    _print_arguments(f"arguments of kzoo.build({registered.name!r}, ...)", of_model)
    if of_head:
        title = f"further ones, for its {type(model.head).__name__}; also kzoo train --head NAME=VALUE"
        _print_arguments(title, of_head)


def arguments(name: str, head=None) -> tuple[list[Argument], list[Argument]]:
    """Every argument that `kzoo.build` takes for a model.

    Args:
        name: a registered name.
        head: the head of such a model, whose settings are the defaults, for families have others than their heads'
            classes; those of the class where None.

    Returns:
        The arguments of the architecture function, and those that it hands on to its head.
    """
    from kzoo.options.building import MODEL
    from kzoo.registry import architecture_function

    function, preset = architecture_function(name), {}
    of_model = _with_ranges(documented(function).values(), MODEL)
    while isinstance(function, functools.partial):  # a variant: another function with some arguments set
        function, preset = function.func, {**function.keywords, **preset}
    settings = {**(head.get_config() if head is not None else {}), **preset}
    of_class, handed_on = documented(function.head), function.head_arguments
    of_head = [
        dataclasses.replace(of_class[one], default=settings.get(one, of_class[one].default))
        for one in handed_on
    ]
    # A variant's signature has the head's arguments that it sets, too.
    of_model = [one for one in of_model if one.name not in handed_on]
    return of_model, _with_ranges(of_head, function.head.options)


def _with_ranges(arguments: Iterable[Argument], table: Mapping[str, Option]) -> list[Argument]:
    """The arguments, with the ranges of numbers whose docstrings tell none; what those tell may be narrower."""
    complete = []
    for one in arguments:
        option, meaning = table.get(one.name), one.meaning
        if meaning and isinstance(option, Number) and not _RANGE.search(meaning):
            meaning = f"{meaning.removesuffix('.')}; {option.range}."
        complete.append(dataclasses.replace(one, meaning=meaning))
    return complete


def _rows(arguments: Iterable[Argument]) -> list[dict[str, Any]]:
    """Arguments for JSON; one without a default has none there."""
    return [{key: value for key, value in vars(one).items() if value is not REQUIRED} for one in arguments]


def _print_arguments(title: str, arguments: Iterable[Argument]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as Plain  # which takes the brackets of `Sequence[int]` for what they are

    table = Table(box=None, title=title, title_justify="left", pad_edge=False)
    for heading, widest in (("argument", None), ("type", 24), ("default", 28), ("meaning", None)):
        table.add_column(heading, max_width=widest, overflow="fold")
    for one in arguments:
        default = "required" if one.default is REQUIRED else repr(one.default)
        table.add_row(*(Plain(text) for text in (one.name, one.type, default, one.meaning)))
    # Off a terminal there is no width to fit into.
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print()
    console.print(table)


def _row(entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "task": entry.task,
        "image_size": list(entry.image_size),
        "num_classes": entry.num_classes,
        "parameters": entry.parameters,
        "published_ap": AP.get(entry.name),
        "paper": entry.paper,
    }
