"""`kzoo predict`: objects in images, folders and videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kzoo.cli.options import Model, Names, Resize, Weights

Source = Annotated[
    list[str], typer.Argument(metavar="SOURCE...", help="Images, folders, globs or video files.")
]
Out = Annotated[
    Path | None, typer.Option(help="The folder for results; runs/predict/NAME of the source where left out.")
]


def predict(
    model: Model,
    source: Source,
    out: Out = None,
    json: Annotated[bool, typer.Option("--json", help="Write predictions.json.")] = False,
    txt: Annotated[
        bool, typer.Option("--txt", help="Write YOLO label files with scores to labels/.")
    ] = False,
    pictures: Annotated[bool, typer.Option(help="Write annotated pictures and videos.")] = True,
    score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Leave out what scores lower.")] = 0.25,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at once.")] = 1,
    resize: Resize = None,
    weights: Weights = None,
    names: Names = None,
):
    """Find objects in images, folders, globs and videos, and write annotated pictures."""
    from kzoo.predict import load
    from kzoo.predict import predict as run
    from kzoo.sources import expand

    paths = expand(source)
    out = out or Path("runs") / "predict" / _name(source, paths)
    detector = load(model, weights=weights, names=names)
    outcome = run(detector, paths, out, score, batch_size, pictures, json, txt, typer.echo, resize)
    if pictures or json or txt:
        typer.echo(f"results in {out}")
    if outcome.faults:
        raise typer.Exit(1)


def _name(source: list[str], paths: list[Path]) -> str:
    """What to call the results of a source: the file or folder it is or starts from."""
    first = Path(source[0])
    if len(source) > 1 or not first.exists():
        first = paths[0].parent
    return first.resolve().stem if first.is_file() else first.resolve().name
