"""The README's tables: models by family, and the backbones that each family takes."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence

from kzoo.entries import Entry
from kzoo.options.commands import TASK
from kzoo.system.messages import markdown_table

TASKS = TASK.choices  # in the order of the tables


def family_table(entries: Sequence[Entry]) -> str:
    """A Markdown table with a row for the models of one file and one paper, detectors first, the smallest model first.

    Args:
        entries: what the registry knows of each model.
    """

    def family(entry):
        return TASKS.index(entry.task), entry.target.split(":")[0], entry.paper

    heading, rows = ["models", "task", "paper", "parameters", "GFLOP", "input"], []
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
        rows.append(["<br>".join(column) for column in columns])
    return markdown_table(heading, rows)


def _paper_link(paper: str) -> str:
    """The title, linked to arXiv, and the year of `Authors year, title, arXiv:number`; anything else as it is."""
    match = re.fullmatch(r".+? (\d{4}), (.+), arXiv:([\d.]+)", paper)
    return paper if match is None else f"[{match[2]}](https://arxiv.org/abs/{match[3]}), {match[1]}"


def backbone_families(entries: Sequence[Entry]) -> list[tuple[list[str], tuple[str, ...]]]:
    """The models that are built on a backbone of one's choice.

    Args:
        entries: what the registry knows of each model.

    Returns:
        For each architecture function its models' names, the smallest first, and the backbones that it takes, its own
        first. Of models that differ in their backbone alone one is there.
    """
    from kzoo.registry import architecture_function

    families: dict[str, tuple[list[str], tuple[str, ...]]] = {}  # by the function's name
    for one in sorted(entries, key=lambda entry: (TASKS.index(entry.task), entry.parameters)):
        function, settings = architecture_function(one.name), {}
        while isinstance(function, functools.partial):  # a variant: another function with some arguments set
            function, settings = function.func, {**function.keywords, **settings}
        if function.backbones and "backbone" not in settings:
            names, _ = families.setdefault(function.__name__, ([], function.backbones))
            names.append(one.name)
    return list(families.values())


def backbone_table(entries: Sequence[Entry]) -> str:
    """A Markdown table with a row for the models of one function, and a column for each family of backbones.

    Args:
        entries: what the registry knows of each model.
    """
    from kzoo.backbones.named import FAMILIES

    heading = ["models", "of their own", *("<br>".join(f"`{name}`" for name in names) for names in FAMILIES)]
    rows = []
    for names, taken in backbone_families(entries):
        own = [f"`{name}`" for name in taken if not any(name in family for family in FAMILIES)]
        fits = [all(name in taken for name in family) for family in FAMILIES]
        rows.append(
            [
                ", ".join(f"`{name}`" for name in names),
                ", ".join(own),
                *("yes" if one else "" for one in fits),
            ]
        )
    return markdown_table(heading, rows)
