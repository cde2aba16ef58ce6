"""`kzoo demo`: the whole path in some minutes, without any data."""

from __future__ import annotations

from pathlib import Path

from kzoo.cli.options import parameter
from kzoo.options.commands import OUT, SEED


def demo(
    out: parameter(OUT.but(help="The folder of the run.", what="a folder", none=False)) = "runs/demo",
    seed: parameter(SEED.but(help="Of data, weights and augmentation.")) = 0,
) -> None:
    """Trains a small YOLOv3 on drawn shapes, evaluates, draws, exports and runs the exports."""
    from kzoo.demo import run

    run(Path(out), seed)
