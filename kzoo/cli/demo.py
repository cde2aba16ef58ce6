"""`kzoo demo`: the whole path in some minutes, without any data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="folder of the run")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(help="of data, weights and augmentation")] = 0,
) -> None:
    """Trains a small YOLOv3 on drawn shapes, evaluates, draws, exports and runs the exports."""
    from kzoo.demo import run

    run(out, seed)
