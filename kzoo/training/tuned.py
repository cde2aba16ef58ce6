"""What a search has tried: a table and a plot of its trainings, read from their run folders."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kzoo.system.files import replacing, write_atomically
from kzoo.training.callbacks import score_of
from kzoo.training.run import RunFolder


@dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
        folder: name of the run folder.
        learning_rate: the highest learning rate.
        augment: how its images were changed.
        image_size: side of its input in pixels.
        epochs: number of epochs that it got.
        score: the best epoch's score, see `kzoo.training.callbacks.score_of`: average precision, IoU, or minus the
            loss.
        best_epoch: the number of that epoch, from 1.
    """

    folder: str
    learning_rate: float
    augment: str
    image_size: int
    epochs: int
    score: float
    best_epoch: int


def table(folder: Path) -> list[Trial]:
    """The trainings of a folder that came to the end of an epoch, the best first."""
    found = []
    for path in sorted(folder.iterdir()):
        run = RunFolder(path)
        if not run.results.is_file() or not run.args.is_file():
            continue
        rows = run.read_results()
        if not rows:
            continue
        _, config = run.read_args()
        best = max(rows, key=score_of)
        side = config.image_size if isinstance(config.image_size, int) else max(config.image_size)
        found.append(
            Trial(
                path.name,
                config.learning_rate,
                str(config.augment),
                side,
                len(rows),
                score_of(best),
                int(best["epoch"]),
            )
        )
    return sorted(found, key=lambda trial: -trial.score)


def write_table(trials: Sequence[Trial], folder: Path) -> None:
    """Writes `tune.csv`, a line a training, the best first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(vars(trials[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in vars(one).items()}
        for one in trials
    )
    write_atomically(folder / "tune.csv", text.getvalue())


def lines(trials: Sequence[Trial], most: int = 10) -> list[str]:
    """The best trainings as a table."""
    shown = [f"{'score':>8}  {'learning rate':>13}  {'augment':<10}  {'size':>5}  {'epochs':>6}  run"]
    shown += [
        f"{one.score:8.4f}  {one.learning_rate:13.2e}  {one.augment:<10}  {one.image_size:5d}  {one.epochs:6d}  "
        f"{one.folder}"
        for one in trials[:most]
    ]
    return shown


def plot(trials: Sequence[Trial], path: Path) -> None:
    """Draws scores over learning rates: a colour an augmentation, larger dots for larger inputs, pale ones cut short.

    Args:
        trials: one training or more.
        path: the picture to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    longest, largest = max(one.epochs for one in trials), max(one.image_size for one in trials)
    for augment in sorted({one.augment for one in trials}):
        own = [one for one in trials if one.augment == augment]
        axes.scatter(
            [one.learning_rate for one in own],
            [one.score for one in own],
            s=[20 + 80 * (one.image_size / largest) ** 2 for one in own],
            alpha=[0.35 + 0.6 * one.epochs / longest for one in own],
            label=augment,
        )
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("score of the best epoch")
    axes.grid(alpha=0.25)
    axes.legend(title="augment")
    with replacing(path) as fresh:
        figure.savefig(fresh)
