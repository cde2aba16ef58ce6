"""The pages' tables: lines of families, models by family, and the backbones that each family takes."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence

from kzoo.entries import Entry
from kzoo.options.commands import TASK
from kzoo.published import AP
from kzoo.system.messages import markdown_table

TASKS = TASK.choices  # in the order of the tables
# What goes back to one idea: how the names begin of the files in kzoo/models that build it.
LINES = {
    "YOLO": ("yolo", "scaled_yolo", "pp_yoloe"),
    "SSD, RetinaNet": ("ssd", "retinanet"),
    "R-CNN, in two stages": ("r_cnn", "spp_net", "fast", "iou_net"),
    "instance masks": ("mask_rcnn",),
    "objects as points": ("corner", "extreme", "center", "fcos"),
    "queries (DETR)": (
        "detr",
        "conditional",
        "dn_detr",
        "anchor",
        "smca",
        "dab",
        "deformable",
        "efficient_detr",
        "dino",
        "rt_",
        "d_fine",
    ),
    "segmenters": ("fcn", "unet", "dilated", "deeplab"),
}


def line_table(entries: Sequence[Entry]) -> str:
    """A Markdown table with a row for each of `LINES`: the smallest model of each of its families, and how many.

    Args:
        entries: what the registry knows of each model.
    """
    heading, rows = ["line", "families, by their smallest model", "models", "parameters, M", "years"], []
    for line, files in LINES.items():
        models = [one for one in entries if module_of(one).startswith(files)]
        by_year = sorted(models, key=lambda one: (_year(one), module_of(one), one.parameters))
        # The last one of a file stays: the smallest, of several alike the one with the shortest name.
        falling = sorted(models, key=lambda one: (one.parameters, len(one.name)), reverse=True)
        smallest = {module_of(one): one for one in falling}
        counts = [one.parameters / 1e6 for one in models]
        rows.append(
            [
                line,
                ", ".join(f"`{smallest[module].name}`" for module in dict.fromkeys(map(module_of, by_year))),
                str(len(models)),
                f"{min(counts):.1f} to {max(counts):.0f}",
                " to ".join(dict.fromkeys(str(_year(one)) for one in (by_year[0], by_year[-1]))),
            ]
        )
    return markdown_table(heading, rows)


def module_of(entry: Entry) -> str:
    """The file in kzoo/models that builds a model, without its folder."""
    return entry.target.partition(":")[0].rpartition(".")[2]


def _year(entry: Entry) -> int:
    """The year of the paper, the first that it names."""
    return int(re.search(r"\b(?:19|20)\d\d\b", entry.paper)[0])


def family_table(entries: Sequence[Entry]) -> str:
    """A Markdown table with a row for the models of one file and one paper, detectors first, the smallest model first.

    Args:
        entries: what the registry knows of each model.
    """

    def family(entry):
        return TASKS.index(entry.task), entry.target.split(":")[0], entry.paper

    heading, rows = ["models", "task", "paper", "parameters", "GFLOP", "input", "published AP"], []
    for (_, _, paper), members in itertools.groupby(sorted(entries, key=family), family):
        models = sorted(members, key=lambda entry: entry.parameters)
        columns = (
            [f"`{model.name}`" for model in models],
            [models[0].task],
            [_paper_link(paper)],
            [f"{model.parameters:,}" for model in models],
            ["" if model.gflops is None else f"{model.gflops:.2f}" for model in models],
            ["x".join(str(side) for side in dict.fromkeys(model.image_size)) for model in models],
            [f"{AP[model.name]:.1f}" if model.name in AP else "" for model in models],
        )
        rows.append(["<br>".join(column) if any(column) else "" for column in columns])
    if not any(row[-1] for row in rows):
        heading, rows = heading[:-1], [row[:-1] for row in rows]
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
