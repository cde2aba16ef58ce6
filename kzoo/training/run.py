"""The run folder: what lies where, and the table of results."""

from __future__ import annotations

import csv
import io
import itertools
import shutil
from pathlib import Path

import yaml

from kzoo.files import write_atomically


class RunFolder:
    """A training's folder, `runs/detect/NAME/`.

    Args:
        path: of the folder.

    Attributes:
        args: `args.yaml`, the model, the data and every option.
        results: `results.csv`, a line an epoch.
        best: the model of the best epoch, to predict with.
        last: the checkpoint of the last epoch, to resume from.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.args = self.path / "args.yaml"
        self.results = self.path / "results.csv"
        self.results_plot = self.path / "results.png"
        self.best = self.path / "best.keras"
        self.last = self.path / "last.keras"
        self.precision_recall = self.path / "precision_recall.png"
        self.confusion = self.path / "confusion.png"
        self.train_batch = self.path / "train_batch.jpg"
        self.predictions = self.path / "val_predictions.jpg"
        self.logs = self.path / "tensorboard"

    @classmethod
    def create(cls, runs: str | Path, name: str) -> RunFolder:
        """A new folder `runs/name`, or `name2`, `name3`, ... where there is one already."""
        for number in itertools.count(1):
            path = Path(runs) / (name if number == 1 else f"{name}{number}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            return cls(path)

    @classmethod
    def at(cls, path: str | Path, exist_ok: bool = False) -> RunFolder:
        """The folder `path`, emptied of an earlier run.

        Raises:
            FileExistsError: there is a run in it and `exist_ok` is not set.
        """
        folder = cls(path)
        files = [value for value in vars(folder).values() if value != folder.path]
        taken = [file for file in files if file.exists()]
        if taken and not exist_ok:
            raise FileExistsError(
                f"{path}: holds a run already ({taken[0].name}); choose another folder or exist_ok"
            )
        folder.path.mkdir(parents=True, exist_ok=True)
        for file in taken:
            shutil.rmtree(file) if file.is_dir() else file.unlink()
        return folder

    def write_args(self, args: dict) -> None:
        """Saves what the training was asked to do."""
        write_atomically(self.args, yaml.safe_dump(args, sort_keys=False, allow_unicode=True))

    def read_args(self) -> dict:
        """What the training was asked to do.

        Raises:
            FileNotFoundError: this is no run folder.
        """
        if not self.args.is_file():
            raise FileNotFoundError(f"{self.path}: no run to resume there, for it has no {self.args.name}")
        return yaml.safe_load(self.args.read_text(encoding="utf-8"))

    def write_results(self, rows: list[dict]) -> None:
        """Saves one line an epoch; a figure that an epoch lacks is left empty."""
        columns = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
        write_atomically(self.results, text.getvalue())
