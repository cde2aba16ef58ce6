"""`kzoo tune`: learning rates, augmentations and sizes are tried until the time is up; a table and a plot."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from kzoo.options import checked
from kzoo.options.tuning import TUNE
from kzoo.system.files import write_atomically
from kzoo.system.ray import cluster, import_ray
from kzoo.training.callbacks import score_of
from kzoo.training.config import LEARNING_RATES, TrainConfig
from kzoo.training.fitting import resume, train
from kzoo.training.origins import origin_of
from kzoo.training.run import RunFolder
from kzoo.training.tuned import Trial, lines, plot, table, write_table

_STRIDE = 32  # pixels; sides are multiples of it
_SIDES = (0.75, 1.0, 1.25)  # of the input's own size
_RATES = (0.1, 3.0)  # of the learning rate that trainings have where nothing is said
_AUGMENTS = {"segment": ("none", "light"), "detect": ("none", "light", "mosaic")}
_FEWEST_EPOCHS = 8  # the share of all, one in so many, that each training gets before it may be ended
_ASKED, _TRIALS = "tune.json", "ray"


@checked(TUNE)
def tune(
    model: str | Path,
    data: str | Path,
    val: str | Path | None = None,
    minutes: float = 60,
    trials: int | None = None,
    parallel: int = 1,
    learning_rates: Sequence[float] | None = None,
    augments: Sequence[str] | None = None,
    sides: Sequence[int] | None = None,
    out: str | Path = "runs/tune",
    verbose: bool = True,
    **options,
) -> list[Trial]:
    """Tries learning rates, augmentations and input sizes on Ray, and stops trainings early that fall behind.

    What is tried is drawn at random: rates on a logarithmic scale between two, the rest from lists. After an eighth of
    the epochs, and after each doubling, half of the trainings are ended (asynchronous successive halving). The folder
    holds each run folder, `tune.csv` and `tune.png`.

    Args:
        model: what to train, as `kzoo.train` takes it, but for a model that is open already.
        data: the path of a dataset.
        val: the path of a dataset to validate on; the part "val" of `data` where None.
        minutes: time after which all is stopped, above 0; of each call, where one goes on with another's work.
        trials: number of trainings; as many as the time has room for where None.
        parallel: number of trainings at the same time.
        learning_rates: the lowest and the highest rate; a tenth and three times the usual one where None.
        augments: names of presets of augmentation; those of the task where None.
        sides: sides of the input in pixels; 3/4, 1 and 5/4 of the model's own where None.
        out: folder of all runs. Where it holds a search that was stopped, that goes on.
        verbose: whether the table is printed.
        **options: further fields of `kzoo.training.TrainConfig`, the same for all.

    Returns:
        The trainings, the best first.

    Raises:
        ImportError: Ray is not installed.
        ValueError: an option is wrong, the folder holds another search, or no training came as far as an epoch.

    Example:
        >>> tune("yolov3-tiny", "data/street", minutes=120, epochs=40)[0].learning_rate
    """
    import_ray()
    folder = Path(out).absolute()
    space = _space(model, learning_rates, augments, sides, options)
    asked = {"model": str(model), "data": _path(data), "val": _path(val), "space": space, "options": options}
    _check_folder(folder, asked)
    with cluster(parallel):
        errors = _search(folder, asked, minutes, trials, parallel)
    found = table(folder)
    if not found:
        why = (
            f"they failed: {errors[0].strip().splitlines()[-1]}"
            if errors
            else "give more minutes (--minutes)"
        )
        raise ValueError(f"{folder}: no training came to the end of an epoch; {why}")
    write_table(found, folder)
    plot(found, folder / "tune.png")
    if verbose:
        for line in lines(found):
            print(line)
        print(f"{folder}: tune.csv, tune.png, and the run folder of each training")
    return found


def _path(data: str | Path | None) -> str | None:
    """A path as it is from wherever a worker runs; names of drawn datasets stay as they are."""
    return str(Path(data).absolute()) if data is not None and Path(data).exists() else data


def _space(model, learning_rates, augments, sides, options) -> dict[str, Any]:
    """What is tried: two rates, and lists of the rest.

    Raises:
        ValueError: a value is wrong, or one of them is also asked for in all trainings.
    """
    for name, plural in (
        ("learning_rate", "--learning-rates"),
        ("augment", "--augments"),
        ("image_size", "--sides"),
    ):
        if name in options:
            raise ValueError(f"{name}={options[name]!r}: is what is searched for; give {plural} instead")
    for name in ("run", "runs", "name", "exist_ok"):
        if name in options:
            raise ValueError(f"{name}={options[name]!r}: the runs lie in the folder of --out; leave it out")
    origin = origin_of(model, options)
    config = TrainConfig.of(origin.options)
    usual = LEARNING_RATES[config.optimizer] if not config.starts_from_weights else config.learning_rate
    own = max(origin.image_size or (416, 416))
    rounded = {max(_STRIDE, round(own * share / _STRIDE) * _STRIDE) for share in _SIDES}
    low, high = sorted(learning_rates or [usual * share for share in _RATES])
    space = {
        "learning_rate": [low, high],
        "augment": list(augments or _AUGMENTS.get(origin.task, _AUGMENTS["detect"])),
        "image_size": sorted(sides or rounded),
    }
    for augment in space["augment"]:
        TrainConfig.of({**origin.options, "augment": augment})
    return space


def _check_folder(folder: Path, asked: dict) -> None:
    """Keeps what is asked for; refuses a folder in which something else was searched for.

    Raises:
        ValueError: it does.
    """
    file = folder / _ASKED
    written = json.dumps(asked, indent=2, default=str, sort_keys=True)
    if file.is_file() and file.read_text() != written:
        raise ValueError(
            f"{folder}: holds another search, see {_ASKED}; give the same options to go on with it, or another --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(file, written)


def _search(folder: Path, asked: dict, minutes: float, trials: int | None, parallel: int) -> list[str]:
    """Runs the trainings, or goes on with those of an earlier call, until the time is up; gives what went wrong."""
    from ray import tune as ray_tune
    from ray.tune.schedulers import ASHAScheduler

    ray = import_ray()
    epochs = TrainConfig.of(asked["options"]).epochs
    each = {"gpu": 1} if ray.cluster_resources().get("GPU") else {"cpu": 1}
    trainable = ray_tune.with_resources(
        ray_tune.with_parameters(_trial, asked=asked, folder=str(folder)), each
    )
    space, seed = asked["space"], asked["options"].get("seed", 0)
    random.seed(seed)  # by which Ray draws
    drawn = {
        "learning_rate": ray_tune.loguniform(*space["learning_rate"]),
        "augment": ray_tune.choice(space["augment"]),
        "image_size": ray_tune.choice(space["image_size"]),
        "number": ray_tune.randint(0, 2**31),
    }
    place = folder / _TRIALS
    # What Ray itself says of this is true as soon as a search has been described, before anything was tried.
    if any(place.glob("experiment_state-*.json")):
        tuner = ray_tune.Tuner.restore(str(place), trainable, resume_unfinished=True, param_space=drawn)
    else:
        halving = ASHAScheduler(
            time_attr="epoch",
            max_t=epochs + 1,  # none is ended at its end, where the report is still to be written
            grace_period=max(1, epochs // _FEWEST_EPOCHS),
            reduction_factor=2,
        )
        how = ray_tune.TuneConfig(
            metric="score",
            mode="max",
            num_samples=trials or -1,
            max_concurrent_trials=parallel,
            time_budget_s=60 * minutes,
            scheduler=halving,
        )
        told = ray_tune.RunConfig(name=_TRIALS, storage_path=str(folder), verbose=0)
        tuner = ray_tune.Tuner(trainable, param_space=drawn, tune_config=how, run_config=told)
    return [str(error) for error in tuner.fit().errors]


def _trial(drawn: dict, asked: dict, folder: str) -> None:
    """One training, or the rest of it."""
    settings = {name: drawn[name] for name in ("learning_rate", "augment", "image_size")}
    run = Path(folder) / f"{drawn['number']:010d}"
    inputs, quiet = (asked["data"], asked["val"]), {"callbacks": [Reported()], "verbose": 0}
    if RunFolder(run).last.is_file():
        resume(run, *inputs, **quiet)
    else:
        train(asked["model"], *inputs, run=str(run), exist_ok=True, **asked["options"], **settings, **quiet)


class Reported(keras.callbacks.Callback):
    """Tells Ray each epoch's score, by which trainings that fall behind are ended.

    An epoch is told of when the next one begins: Ray may end the process at once, and by then its run folder is
    written.
    """

    def __init__(self):
        super().__init__()
        self.last: dict | None = None

    def on_epoch_begin(self, epoch, logs=None):
        self._tell()

    def on_epoch_end(self, epoch, logs=None):
        row = {name: float(value) for name, value in (logs or {}).items()}
        self.last = {"epoch": epoch + 1, "score": score_of(row)}

    def on_train_end(self, logs=None):
        self._tell()

    def _tell(self) -> None:
        from ray import tune as ray_tune

        if self.last is not None:
            ray_tune.report(self.last)
        self.last = None
