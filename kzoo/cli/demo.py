"""`kzoo demo`: the whole path in some minutes, without any data."""

from __future__ import annotations

from pathlib import Path

from kzoo.cli.options import parameter
from kzoo.options.commands import OUT, SEED


def demo(
    out: parameter(
        OUT.but(help="The folder that everything is written to.", what="a folder", none=False)
    ) = "runs/demo",
    seed: parameter(SEED.but(help="Seed of the drawn images, the first weights and the augmentation.")) = 0,
) -> None:
    """Train a small YOLOv3 on drawn shapes, evaluate it, draw what it finds, export it and run the exports."""
    from kzoo.demo import run

    run(Path(out), seed)
