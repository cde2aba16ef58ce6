"""The run folder: what lies where, who writes in it, and the table of results."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml

from kzoo.data.fault import FaultError
from kzoo.data.formats.parsing import read_yaml
from kzoo.data.formats.text import read_text
from kzoo.system.files import hold, release, sweep, write_atomically
from kzoo.training import machines
from kzoo.training.config import TrainConfig

SOURCES = ("model", "data", "val")  # what `args.yaml` says besides the options


class RunFolder:
    """A training's folder: `runs/detect/exp`, `runs/detect/exp2`, ... where nothing else is asked for.

    Args:
        path: the folder, which need not exist.

    Attributes:
        path: the folder.
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

    @property
    def _files(self) -> list[Path]:
        return [value for value in vars(self).values() if value != self.path]

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
        taken = [file for file in folder._files if file.exists()]
        if taken and not exist_ok:
            raise FileExistsError(
                f"{path}: holds a run already ({taken[0].name}); choose another folder or exist_ok"
            )
        folder.path.mkdir(parents=True, exist_ok=True)
        for file in taken:
            shutil.rmtree(file) if file.is_dir() else file.unlink()
        return folder

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps every other training out of the folder for the time of the block, and removes what killed ones left.

        The system lets go of it with the process, however that ends. The folder is made where there is none. Of several
        machines the first one holds it, and it alone writes.

        Raises:
            BlockingIOError: another training is at work in it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if not machines.is_first():
            yield
            return
        try:
            descriptor = hold(self.path)
        except BlockingIOError:
            raise BlockingIOError(
                f"{self.path}: another training is at work in this folder; wait for its end, or choose another folder"
            ) from None
        try:
            sweep(self.path, {file.name for file in self._files})
            yield
        finally:
            release(descriptor)

    def check_resumable(self) -> None:
        """Looks whether there is what a resumption needs.

        Raises:
            FileNotFoundError: this is no run folder, or has no checkpoint.
        """
        if not self.args.is_file():
            raise FileNotFoundError(f"{self.path}: no run to resume there, for it has no {self.args.name}")
        if not self.last.is_file():
            raise FileNotFoundError(
                f"{self.last}: the run was stopped before its first checkpoint; train anew"
            )

    def write_args(self, args: dict) -> None:
        """Saves what the training was asked to do."""
        if machines.is_first():
            write_atomically(self.args, yaml.safe_dump(args, sort_keys=False, allow_unicode=True))

    def read_args(self) -> tuple[dict, TrainConfig]:
        """What the training was asked to do: the model's and the data's names by `SOURCES`, and the options.

        Raises:
            ValueError: the file is damaged; the message has the line or the field, and what to do.
        """
        args = self._parsed_args()
        sources = {}
        for name in SOURCES:
            if name not in args:
                raise self._damaged(f"{name} is missing")
            value = sources[name] = args.pop(name)
            if not (isinstance(value, str) and value) and not (name == "val" and value is None):
                raise self._damaged(f"{name}={value!r} is no name or path")
        try:
            return sources, TrainConfig.of(args)
        except (ValueError, TypeError) as error:
            raise self._damaged(_first_line(error)) from error

    def _parsed_args(self) -> dict:
        try:
            args = read_yaml(self.args)
        except FaultError as error:
            if error.fault.kind != "malformed":  # of the file or of the text's encoding
                raise
            line = "" if error.fault.line is None else f"line {error.fault.line}: "
            raise self._damaged(f"{line}{error.fault.message}") from error
        if not isinstance(args, dict):
            raise self._damaged("no options, as NAME: VALUE")
        wrong = next((name for name in args if not isinstance(name, str)), None)
        if wrong is not None:
            raise self._damaged(f"{wrong!r} is no option's name")
        return args

    def _damaged(self, what: str) -> ValueError:
        return ValueError(f"{self.args}: {what}; correct it there, or train anew")

    def write_results(self, rows: list[dict]) -> None:
        """Saves one line an epoch; a figure that an epoch lacks is left empty."""
        columns = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
        if machines.is_first():
            write_atomically(self.results, text.getvalue())

    def read_results(self) -> list[dict[str, float]]:
        """The figures of each epoch by name, the epoch's number among them; without those that an epoch lacks.

        Raises:
            FileNotFoundError: the run has no table, for it was stopped before the end of its first epoch.
            ValueError: the table is damaged; the message has the line.
        """
        rows = []
        for number, row in enumerate(csv.DictReader(io.StringIO(read_text(self.results))), 2):
            try:
                rows.append({name: float(value) for name, value in row.items() if value})
            except (ValueError, TypeError):  # no number; more or fewer cells than columns
                raise ValueError(
                    f"{self.results}:{number}: not a line of numbers; correct or remove it"
                ) from None
            if "epoch" not in rows[-1]:
                raise ValueError(f"{self.results}:{number}: has no epoch; correct or remove it")
        return rows


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
