"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A .keras file, a run folder, a Darknet .cfg, or an export: .tflite, .onnx, SavedModel.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Of a .cfg: its .weights; those of its name beside it where left out."),
]
Names = Annotated[
    str | None, typer.Option(metavar="FILE", help="Class names: a .names or .data file, coco or voc.")
]
Resize = Annotated[
    str | None,
    typer.Option(
        metavar="letterbox|stretch|darknet",
        help="How photographs become inputs; the model's own way where left out.",
    ),
]
