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
# `kzoo.augment.RESIZES`, which would take OpenCV to import: help comes at once.
RESIZE_HELP = (
    "letterbox (also -black, -mean: what is beside the picture), corner (top left; also -black, -mean), stretch, "
    "stretch-cubic, darknet or darknet-letterbox (letter_box=1)"
)
Resize = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"How photographs become inputs: {RESIZE_HELP}; the model's own way where left out.",
    ),
]

Nms = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Of detectors: greedy, diou, soft-linear, soft-gaussian, softer, matrix, matrix-linear or weighted "
        "(boxes fusion); the model's own where left out.",
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(
        min=8,
        max=16,
        help="How many bits of 16-bit images are in use: 12 where levels go to 4095; all where left out.",
    ),
]

Method = Annotated[
    str | None,
    typer.Option(
        metavar="resize|window",
        help="Of segmenters: whole images at the input's size, or tiles at their own; resize where left out.",
    ),
]
Overlap = Annotated[int | None, typer.Option(help="Of tiles, pixels; a quarter of them where left out.")]
Flips = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Of segmenters: average over mirror images too: horizontal,vertical."),
]


def inference_options(method: str | None, overlap: int | None, flips: str | None) -> dict:
    """Those that were given, as arguments of `kzoo.evaluate` and `kzoo.predict.predict`."""
    given = {"method": method, "overlap": overlap, "flips": flips.split(",") if flips else None}
    return {name: value for name, value in given.items() if value is not None}
