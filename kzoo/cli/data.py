"""`kzoo data`: look at, check, convert and make datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Look at, check, convert and make datasets.", no_args_is_help=True)

Data = Annotated[
    str,
    typer.Argument(
        metavar="PATH", help="A Pascal VOC, YOLO or COCO dataset: its folder, .yaml, .data or .json."
    ),
]
Split = Annotated[str | None, typer.Option(help="The part of it, such as train or val; all where left out.")]


@app.command()
def check(
    path: Data,
    split: Split = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    all_faults: Annotated[bool, typer.Option("--all", help="Print every fault, not ten of a kind.")] = False,
    decode: Annotated[bool, typer.Option(help="Decode every image; without it, headers alone.")] = True,
):
    """Report every fault with file and line. The exit status is 1 where there are errors."""
    from kzoo.data.check import check

    report = check(path, split, decode)
    if json:
        _print_json(report.to_dict())
    else:
        typer.echo(report.format_text(limit=None if all_faults else 10))
    if report.errors:
        raise typer.Exit(1)


@app.command()
def info(
    path: Data,
    split: Split = None,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
):
    """Say what a dataset holds: format, splits, images, boxes, classes."""
    from kzoo import data

    whole = data.load(path, split)
    found = {
        "path": str(path),
        "format": whole.format,
        "classes": whole.classes,
        "splits": {
            name: _counts(data.load(path, name)) for name in data.splits(path) if split in (None, name)
        },
        "all": _counts(whole),
    }
    if json:
        return _print_json(found)
    typer.echo(f"{path}: {whole.format}")
    typer.echo(f"classes ({len(whole.classes)}): {', '.join(whole.classes)}")
    for name, counts in [*found["splits"].items(), (split or "all", found["all"])]:
        typer.echo(f"{name:12} {counts['images']:8} images {counts['boxes']:9} boxes")
    return None


@app.command()
def convert(
    path: Data,
    out: Annotated[Path, typer.Argument(help="The folder to write; it must not exist yet.")],
    to: Annotated[str, typer.Option(help="voc, yolo or coco.")],
):
    """Write a dataset in another format, with its splits, classes and every box."""
    from kzoo.data.convert import convert

    typer.echo(convert(path, out, to).summary())


@app.command()
def shapes(
    out: Annotated[Path, typer.Argument(help="The folder to write; it must not exist yet.")],
    count: Annotated[int, typer.Option(help="Images to train on; val and test get a quarter each.")] = 500,
    image_size: Annotated[int, typer.Option(help="Side in pixels.")] = 256,
    seed: Annotated[int, typer.Option(help="Another seed gives other images.")] = 0,
    to: Annotated[str, typer.Option(help="voc, yolo or coco; coco alone keeps the masks.")] = "coco",
):
    """Write the synthetic dataset of circles, rectangles and triangles as files."""
    from kzoo.data.convert import write
    from kzoo.data.shapes import make_splits

    typer.echo(write(make_splits(count, (image_size, image_size), seed), out, to).summary())


def _counts(dataset) -> dict:
    boxes = sum(len(dataset.record(index)) for index in range(len(dataset)))
    return {"images": len(dataset), "boxes": boxes}


def _print_json(content: dict) -> None:
    import json

    typer.echo(json.dumps(content, indent=2))
