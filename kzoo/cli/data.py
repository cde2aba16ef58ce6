"""`kzoo data`: look at, check, convert and make datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kzoo.cli.options import Bits, argument, json_switch, parameter
from kzoo.options import Place
from kzoo.options.commands import DATA_TASK, DATASET, LAYOUT, PREVIEW, SHAPES, SPLIT

app = typer.Typer(help="Look at, check, convert and make datasets.", no_args_is_help=True)

Data = argument(
    DATASET.but(
        help="The path of a dataset: the folder of a Pascal VOC, YOLO or COCO one, or its .yaml, .data or .json file; "
        "a .csv of boxes; a folder of images/ and masks/, of a folder for each image, or of .npy arrays; BDD100K's; or "
        "shapes, or roads.",
    ),
    metavar="PATH",
)
Task = parameter(DATA_TASK)
Split = parameter(
    SPLIT.but(help="The part of the dataset to take, such as train or val.", otherwise="all of it")
)
Folder = argument(
    Place(help="The folder to write; it must not exist yet.", what="a folder", path=True), metavar="OUT"
)


@app.command()
def check(
    path: Data,
    split: Split = None,
    task: Task = None,
    json: json_switch("the report") = False,
    all_faults: Annotated[
        bool, typer.Option("--all", help="Print every fault, not only ten of each kind.")
    ] = False,
    decode: Annotated[bool, typer.Option(help="Decode every image, or read the headers alone.")] = True,
    bits: Bits = None,
):
    """Report every fault of a dataset with file and line. The exit status is 1 where there are errors."""
    from kzoo.data.checks.check import check

    report = check(path, split, decode, task, bits)
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
    task: Task = None,
    json: json_switch("the description") = False,
):
    """Say what a dataset holds: format, splits, images, boxes, classes."""
    from kzoo import data
    from kzoo.data.checks.report import plural

    whole = data.load(path, split, task=task)
    description = {
        "path": str(path),
        "format": whole.format,
        "task": _task(whole),
        "classes": whole.classes,
        "splits": {
            name: _counts(data.load(path, name, task=task))
            for name in data.splits(path, task)
            if split is None or name == whole.split
        },
        "all": _counts(whole),
    }
    if json:
        return _print_json(description)
    has = {"segment": ", semantic masks", "instance": ", instance masks", "drive": ", masks of roads"}.get(
        _task(whole), ""
    )
    kind = f"{whole.format}{has}"
    typer.echo(f"{path}: {kind}, {plural(len(whole), 'image')}")
    typer.echo(f"classes ({len(whole.classes)}): {', '.join(whole.classes)}")
    for name, counts in [*description["splits"].items(), (split or "all", description["all"])]:
        typer.echo(f"{name:12} {counts['images']:8} images {counts['boxes']:9} boxes")
    return None


@app.command()
def convert(
    path: Data,
    out: Folder,
    to: parameter(LAYOUT),
):
    """Write a dataset in another format, with its splits, classes and every box."""
    from kzoo.data.formats.convert import convert

    typer.echo(convert(path, out, to).summary())


@app.command()
def shapes(
    out: Folder,
    count: parameter(SHAPES["count"]) = 500,
    image_size: parameter(SHAPES["image_size"]) = (256, 256),
    seed: parameter(SHAPES["seed"]) = 0,
    to: parameter(LAYOUT.but(help="The format of the dataset to write; each keeps the masks.")) = "coco",
):
    """Write the synthetic dataset of circles, rectangles and triangles as files."""
    from kzoo.data.formats.convert import write
    from kzoo.data.formats.shapes import make_splits

    typer.echo(write(make_splits(count, image_size, seed), out, to).summary())


@app.command()
def preview(
    path: Data,
    augment: parameter(PREVIEW["augment"]) = "light",
    split: parameter(
        SPLIT.but(
            help="The part of the dataset whose images are shown.",
            otherwise="train, or all where there is none",
        )
    ) = None,
    task: Task = None,
    seed: parameter(PREVIEW["seed"]) = 0,
    images: parameter(PREVIEW["images"]) = 6,
    image_size: parameter(PREVIEW["image_size"]) = (416, 416),
    resize: parameter(PREVIEW["resize"]) = "letterbox",
    width: parameter(PREVIEW["width"]) = 1200,
    bits: Bits = None,
    out: parameter(
        Place(help="The picture to write, a .png or .jpg file.", what="a .png or .jpg file", path=True)
    ) = "preview.png",
):
    """Show what augmentation does: a contact sheet, one row a transform, with boxes, masks and names drawn.

    Pictures and boxes with faults are left out. The same seed gives the same sheet.
    """
    from kzoo import data
    from kzoo.augment.compose import PRESETS
    from kzoo.data.checks.check import require_sound
    from kzoo.data.loading.preview import preview
    from kzoo.data.parts import training_part
    from kzoo.sources.image import save_picture

    out = Path(out)
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ValueError(f"{out}: cannot write this kind of picture; give a name that ends in .png or .jpg")
    split = training_part(data.splits(path, task), path, split, required=False)
    # Masks are seen through: one that is faulty would stop the sheet.
    whole = data.load(path, split, masks=True, task=task, bits=bits)
    dataset = require_sound(whole, skip_faulty=True, decode=whole.semantic)
    sheet = preview(
        dataset,
        [augment] if isinstance(augment, str) and augment not in PRESETS else augment,
        image_size=image_size,
        images=images,
        seed=seed,
        resize=resize,
        width=width,
    )
    typer.echo(save_picture(out, sheet))


def _task(dataset) -> str:
    """The task that a dataset is open for."""
    if dataset.semantic:
        return "segment"
    if dataset.roads:
        return "drive"
    return "instance" if dataset.instances else "detect"


def _counts(dataset) -> dict[str, int]:
    boxes = sum(len(dataset.record(index)) for index in range(len(dataset)))
    return {"images": len(dataset), "boxes": boxes}


def _print_json(content: dict) -> None:
    import json

    typer.echo(json.dumps(content, indent=2))
