"""`kzoo benchmark`: what each form of a model costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kzoo.cli.options import Names, Weights


def benchmark(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A registered name, a .keras file, a run folder, a Darknet .cfg, or an export as it is.",
        ),
    ],
    image_size: Annotated[
        int | None, typer.Option(help="Side of the input in pixels; the model's own where left out.")
    ] = None,
    forms: Annotated[
        str, typer.Option(help="Of keras, saved_model, tflite, tflite-float16, tflite-int8, onnx.")
    ] = "keras,saved_model,tflite,tflite-int8,onnx",
    runs: Annotated[int, typer.Option(min=1, help="Of every form, taken in turn.")] = 20,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Cores each form may use; all where left out.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    weights: Weights = None,
    names: Names = None,
):
    """Time a model in every form: network, decoding with suppression, and pre-processing of a photograph."""
    from rich.console import Console

    from kzoo.deploy.benchmark import benchmark as run

    console = Console(stderr=True)
    with console.status("loading") as status:
        found = run(_load(model, image_size, weights, names), forms.split(","), runs, threads, status.update)
    report = found.to_dict()
    if json:
        import json as json_module

        typer.echo(json_module.dumps(report, indent=1))
    else:
        _print(report)


def _load(model: str, image_size: int | None, weights: Path | None, names: str | None):
    from kzoo.opening import load
    from kzoo.registry import build

    size = {"image_size": (image_size, image_size)} if image_size else {}
    if not Path(model).exists() and not model.endswith(".cfg"):
        return build(model, **size, **({"weights": weights} if weights else {}))
    found = load(model, weights=weights, names=names)
    if size and not hasattr(found, "network"):
        raise ValueError(f"{model}: an export has a fixed input size; leave out --image-size")
    if size:
        found.image_size = size["image_size"]
    return found


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
            table.add_row(row["form"], "not installed:", row["missing"])
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
