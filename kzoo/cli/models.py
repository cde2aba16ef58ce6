"""`kzoo list` and `kzoo info`: what there is, and what it costs."""

from __future__ import annotations

import itertools
import json as json_module
import re
from typing import Annotated

import typer

from kzoo.cli.options import argument, parameter
from kzoo.options import Text
from kzoo.options.commands import INFO, TASK

TASKS = TASK.choices  # in the order of the table


def list_models(
    task: parameter(TASK) = None,
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="print the README's table: a row a family of models")
    ] = False,
) -> None:
    """Lists the registered models."""
    from kzoo.registry import entry
    from kzoo.registry import list_models as names

    entries = [entry(name) for name in names(task)]
    if not entries:
        raise ValueError(f"task {task!r}: no model is registered for it; use detect, segment or classify")
    if json:
        print(json_module.dumps([_row(found) for found in entries], indent=1))
        return
    if markdown:
        print(family_table(entries))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "task", "input", "parameters", "paper", box=None)
    for found in entries:
        size = "x".join(str(side) for side in found.image_size)
        table.add_row(found.name, found.task, size, f"{found.parameters:,}", found.paper.split(", ")[-1])
    Console().print(table)


def info(
    name: argument(Text(help="A registered name."), metavar="NAME"),
    num_classes: parameter(INFO["num_classes"]) = None,
    image_size: parameter(INFO["image_size"]) = None,
    width: parameter(INFO["width"]) = 1.0,
    depth: parameter(INFO["depth"]) = 1.0,
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Builds a model and counts its parameters and operations."""
    from kzoo.registry import build, entry

    found = entry(name)
    from kzoo.model import flops

    size = image_size or found.image_size
    classes = num_classes or found.num_classes
    model = build(found.name, num_classes=classes, image_size=size, width=width, depth=depth)
    row = {
        **_row(found),
        "num_classes": classes,
        "image_size": list(size),
        "parameters": model.count_params(),
        "gflops": round(flops(model) / 1e9, 2),
    }
    if json:
        print(json_module.dumps(row, indent=1))
        return
    for key, value in row.items():
        shown = f"{value:,}" if isinstance(value, int) else value
        print(f"{key:12} {'x'.join(map(str, value)) if isinstance(value, list) else shown}")


def family_table(entries: list) -> str:
    """A Markdown table with a row for the models of one file and one paper, detectors first, the smallest model first.

    Args:
        entries: what the registry knows of each model.
    """

    def family(entry):
        return TASKS.index(entry.task), entry.target.split(":")[0], entry.paper

    lines = ["| models | task | paper | parameters | GFLOP | input |", "|---|---|---|---|---|---|"]
    for (_, _, paper), members in itertools.groupby(sorted(entries, key=family), family):
        models = sorted(members, key=lambda entry: entry.parameters)
        columns = (
            [f"`{model.name}`" for model in models],
            [models[0].task],
            [_paper_link(paper)],
            [f"{model.parameters:,}" for model in models],
            ["" if model.gflops is None else f"{model.gflops:.2f}" for model in models],
            ["x".join(str(side) for side in dict.fromkeys(model.image_size)) for model in models],
        )
        lines.append(f"| {' | '.join('<br>'.join(column) for column in columns)} |")
    return "\n".join(lines)


def _paper_link(paper: str) -> str:
    """The title, linked to arXiv, and the year of `Authors year, title, arXiv:number`; anything else as it is."""
    match = re.fullmatch(r".+? (\d{4}), (.+), arXiv:([\d.]+)", paper)
    return paper if match is None else f"[{match[2]}](https://arxiv.org/abs/{match[3]}), {match[1]}"


def _row(found) -> dict:
    return {
        "name": found.name,
        "task": found.task,
        "image_size": list(found.image_size),
        "num_classes": found.num_classes,
        "parameters": found.parameters,
        "paper": found.paper,
    }
