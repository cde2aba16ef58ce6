"""`kzoo benchmark`: what each form of a model costs."""

from __future__ import annotations

from pathlib import Path

import typer

from kzoo.cli.options import Names, Weights, argument, json_switch, parameter, set_options
from kzoo.options.exports import BENCHMARK


def benchmark(
    model: argument(
        BENCHMARK["model"].but(
            help="The model to time: a registered name, a .keras file, a run folder, hf://USER/NAME, a Darknet .cfg, "
            "or an export as it is."
        ),
        metavar="MODEL",
    ),
    image_size: parameter(BENCHMARK["image_size"]) = None,
    forms: parameter(BENCHMARK["forms"]) = None,
    runs: parameter(BENCHMARK["runs"]) = 20,
    threads: parameter(BENCHMARK["threads"]) = None,
    json: json_switch("the figures") = False,
    weights: Weights = None,
    names: Names = None,
):
    """Time a model in every form: its network, its decoding with suppression, and what prepares a photograph."""
    from rich.console import Console

    from kzoo.deploy.benchmark import benchmark as run

    console = Console(stderr=True)
    with console.status("loading") as status:
        opened = _load(model, image_size, weights, names)
        timings = run(opened, runs=runs, say=status.update, **set_options(forms=forms, threads=threads))
    report = timings.to_dict()
    if json:
        import json as json_module

        typer.echo(json_module.dumps(report, indent=1))
    else:
        _print(report)


def _load(model: str, image_size: tuple[int, int] | None, weights: Path | None, names: str | None):
    """The model of a registered name, untrained where no weights are given, or the one that a path leads to."""
    from kzoo.data.formats.names import class_names
    from kzoo.registry import build
    from kzoo.weights.opening import load
    from kzoo.weights.shipped import is_saved

    if not (Path(model).exists() or model.endswith(".cfg") or is_saved(model)):
        known = class_names(names)
        classes = {} if known is None else {"names": known, "num_classes": len(known)}
        return build(model, **set_options(image_size=image_size, weights=weights), **classes)
    opened = load(model, weights=weights, names=names)
    if image_size is not None and not hasattr(opened, "network"):
        raise ValueError(f"{model}: an export has a fixed input size; leave out --image-size")
    if image_size is not None:
        opened.image_size = opened.check_size(image_size)
    return opened


def _print(report: dict) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table

    height, width = report["image_size"]
    cores = f"{report['threads']} core{'s' * (report['threads'] > 1)}"
    print(
        f"{report['model']} at {height}x{width}, one image, {cores}; milliseconds, median and 90th percentile"
    )
    print(f"{report['resize']} of a 640x480 photograph: {_pair(report['preprocessing_ms'])}")
    headings = ("form", "network", "decoding + NMS", "both", "images/s", "memory MB", "size MB", "runs on")
    table = Table(box=None)
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    for row in report["forms"]:
        if "missing" in row:
            table.add_row(row["form"], "left out, needs", row["missing"])
            continue
        table.add_row(
            row["form"],
            *(_pair(row.get(f"{part}_ms")) for part in ("network", "decoding", "whole")),
            f"{row['images_per_second']:.1f}",
            f"{row['peak_memory_mb']:.0f}",
            f"{row['size_mb']:.1f}",
            row["runtime"],
        )
    # Off a terminal there is no width to fit into.
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    for form in dict.fromkeys(report[key] for key in ("fastest", "fastest_float32") if key in report):
        share = report["to_onnxruntime_network"][form]
        print(f"{form} with decoding takes {share:.2f} of onnxruntime's time for the network alone")


def _pair(summary: dict | None) -> str:
    return f"{summary['median']:.1f} {summary['p90']:.1f}" if summary else "-"
