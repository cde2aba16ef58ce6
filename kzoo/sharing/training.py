"""What a run folder says of its training, without the folders of the machine that it was trained on."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Any

from kzoo.options import Flag
from kzoo.options.training import RUN, SPEED, TRAIN
from kzoo.training.callbacks import score_of
from kzoo.training.config import FINE_TUNING_RATE, TrainConfig
from kzoo.training.run import RunFolder
from kzoo.weights.hub import is_address
from kzoo.weights.shipped import is_saved

UNNAMED = "a dataset without a name"
# Of the machine and of the run, not of what comes of it; a seed and a precision are.
_UNTOLD = {"name", *RUN, *SPEED} - {"seed", "precision"}


@dataclass(frozen=True)
class Training:
    """A training as strangers may read of it.

    Attributes:
        model: the registered name that was trained, or the name of the file that it started from.
        data: what the dataset is called; "" where it was no path but an object of the user's program.
        val: the same of the dataset to validate on; None where that was a part of `data`.
        options: the options that differ from their defaults, by name.
        epochs: number of epochs that were trained.
        best: the figures of the best epoch by name, as `results.csv` has them, "epoch" among them.
    """

    model: str
    data: str
    val: str | None
    options: dict[str, Any]
    epochs: int
    best: dict[str, float]

    @classmethod
    def of(cls, folder: RunFolder) -> Training | None:
        """What a run folder says; None where it has no `args.yaml`, so that nobody knows.

        Raises:
            FileNotFoundError, ValueError: its `args.yaml` or `results.csv` is missing or damaged.
        """
        if not folder.args.is_file():
            return None
        sources, config = folder.read_args()
        rows = folder.read_results()
        if not rows:
            raise ValueError(f"{folder.results}: has no epoch; train at least one before you share its model")
        data, val = (None if sources[name] is None else _dataset(sources[name]) for name in ("data", "val"))
        options = _told_options(sources["model"], config)
        return cls(public(sources["model"]), data, val, options, len(rows), max(rows, key=score_of))

    @property
    def validation(self) -> str:
        """The images that the figures are of, as Markdown: "the part `val` of `street`"."""
        part = self.options.get("val_split") or ("val" if self.val is None else None)
        name = self.data if self.val is None else self.val
        if not name:
            return UNNAMED
        return f"the part {quoted(part)} of {quoted(name)}" if part else quoted(name)

    @property
    def command(self) -> tuple[str, str]:
        """What trains such a model again, and its language: a command line, or Python where no command says it."""
        words = ["kzoo", "train", self.model, "--data", self.data, *(["--val", self.val] if self.val else [])]
        try:
            if "" in (self.data, self.val):
                raise ValueError(self.data)
            for name, value in self.options.items():
                words += _words(name, value)
            return "console", shlex.join(words)
        except (ValueError, TypeError):  # a value that cannot be written there, or a dataset without a path
            arguments = [repr(self.model), repr(self.data) if self.data else "data"]
            arguments += [f"val={self.val!r}" if self.val else "val=val"] if self.val is not None else []
            arguments += [f"{name}={value!r}" for name, value in self.options.items()]
            return "python", f"import kzoo\n\nkzoo.train({', '.join(arguments)})"


def public(value: Any) -> Any:
    """A value without the folders of this machine: of each path in it the last part alone.

    Args:
        value: a text, or texts in lists and mappings; addresses on the hub stay whole.
    """
    if isinstance(value, dict):
        return {name: public(one) for name, one in value.items()}
    if isinstance(value, list):
        return [public(one) for one in value]
    if not isinstance(value, str) or is_address(value):
        return value
    return PureWindowsPath(value).name or "data" if any(letter in value for letter in "/\\") else value


def quoted(text: str) -> str:
    """A text as Markdown's code, whatever it holds."""
    text = " ".join(text.split())
    fence = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def _dataset(path: str) -> str:
    """What a dataset is called; "" where it was an object, of which `args.yaml` has the class in angle brackets."""
    return "" if path.startswith("<") else public(path)


def _told_options(model: str, config: TrainConfig) -> dict[str, Any]:
    """The options of a training that differ from what holds where nobody gives them."""
    chosen = ("optimizer", "weights", "backbone_weights")  # which the learning rate hangs on
    defaults = TrainConfig(**{name: getattr(config, name) for name in chosen})
    expected = {**defaults.to_dict(), **dict.fromkeys(chosen), "optimizer": TrainConfig.optimizer}
    if is_saved(model):
        expected["learning_rate"] = FINE_TUNING_RATE
    options = {name: value for name, value in config.to_dict().items() if name not in _UNTOLD}
    return {name: public(value) for name, value in options.items() if value != expected[name]}


def _words(name: str, value: Any) -> list[str]:
    """An option on the command line.

    Raises:
        ValueError, TypeError: no word there means this value.
    """
    flag, option = f"--{name.replace('_', '-')}", TRAIN[name]
    if name == "head":
        return [word for key, one in value.items() for word in (flag, f"{key}={_scalar(one)}")]
    if isinstance(option, Flag):
        return [flag if value else f"--no-{flag.removeprefix('--')}"]
    word = _joined(value, "x" if name == "image_size" else ",")
    if _plain(option.read(word)) != _plain(value):
        raise ValueError(word)
    return [flag, word]


def _joined(value: Any, mark: str) -> str:
    """A list as one word: "320x416" of a size, "320x320,416x416" of several."""
    if not isinstance(value, list):
        return _scalar(value)
    return mark.join(_joined(one, "x") for one in value)


def _scalar(value: Any) -> str:
    if not isinstance(value, (str, int, float)):
        raise TypeError(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    """A value to compare: lists for tuples."""
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
