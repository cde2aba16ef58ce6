"""`kzoo.train`: from a dataset to a run folder, around `model.fit`."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from kzoo.metrics import DetectionMetrics, SegmentationMetrics
from kzoo.model import ZooModel
from kzoo.opening import load
from kzoo.options import Place, checked, commands
from kzoo.registry import entry
from kzoo.training import callbacks as hooks
from kzoo.training import devices
from kzoo.training.adversarial import Adversary
from kzoo.training.assembly import (
    adopt_model,
    build_cfg,
    build_model,
    build_saved,
    compile_model,
    is_saved,
)
from kzoo.training.checkpoint import check_state, load_checkpoint, read_state, save_checkpoint
from kzoo.training.config import FINE_TUNING_RATE, TrainConfig
from kzoo.training.darknet import CfgTraining, is_cfg
from kzoo.training.fitness import check_data, check_model, check_options
from kzoo.training.inputs import describe_parts, open_inputs, training_batches, validation_batches
from kzoo.training.optimizers import follow_options, swap_averages
from kzoo.training.plots import plot_results
from kzoo.training.resuming import changed, go_on, laid_out, nothing_to_do, with_transforms
from kzoo.training.run import SOURCES, RunFolder
from kzoo.training.signals import Stopped, stopped_by_signals
from kzoo.training.tasks import picture_batch, picture_predictions, task_of
from kzoo.weights.saved import task_of as task_of_saved


@dataclass(frozen=True)
class TrainResult:
    """What a training leaves.

    Attributes:
        folder: of the run.
        model: of the best epoch, in float32.
        best_epoch: its number, from 1.
        metrics: its figures on the validation images; None without such.
        rows: the figures of every epoch, as `results.csv` holds them.
    """

    folder: Path
    model: ZooModel
    best_epoch: int
    metrics: DetectionMetrics | SegmentationMetrics | None
    rows: list[dict]


@checked({"model": commands.MODEL, "data": commands.DATASET, "val": commands.DATASET.but(none=True)})
def train(
    model: str | Path | ZooModel,
    data,
    val=None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
    **options,
) -> TrainResult:
    """Trains a detector or a segmenter and keeps all that comes of it in a run folder.

    Args:
        model: a registered name; the path of a `.keras` file, whose settings and weights are taken, all but the rows
            of classes that the dataset has and it has not; the path of a Darknet `.cfg`, which is trained as it says,
            unless options say otherwise; or a model, which is compiled anew and ends up with the weights of the best
            epoch.
        data: a dataset, or the path of one, whose parts "train" and "val" are taken, or those that `split` and
            `val_split` name.
        val: a dataset to validate on, or the path of one. Its classes may be some of those trained on.
        callbacks: further Keras callbacks; their logs have the figures of `kzoo.training.Evaluation`.
        verbose: as in `fit`: 0 silent, 1 a bar, 2 a line an epoch; "auto" is a bar on a terminal, else lines.
        **options: the fields of `kzoo.training.TrainConfig`, such as `epochs`, `image_size` and `batch_size`.

    Raises:
        ValueError: an option is wrong, the dataset has faults, or the loss is no longer finite.
        OSError: data cannot be read, or the run folder not be written.

    Example:
        >>> kzoo.train("yolov3-tiny", "data/street", epochs=50, image_size=320).metrics.map50
        >>> kzoo.train("unet", "data/cells", epochs=50, width=0.25, loss="ce+dice").metrics.mean_iou
    """
    named, saved = isinstance(model, (str, Path)), is_saved(model)
    says = CfgTraining.read(model, options) if is_cfg(model) else None
    given = options
    if says:
        options = says.options
    elif named and not saved:
        entry(model)  # a wrong name is told before the data are read
    config = TrainConfig.of(
        options if named and not saved else {"learning_rate": FINE_TUNING_RATE, **options}
    )
    task = _task_name(model, says)
    check_options(given, config, task, named and not saved, says is not None)
    parts = open_inputs(data, val, config, task)
    if says:
        config = says.completed(config, parts[0])
        if verbose:
            print(*says.lines(config), sep="\n")
    check_data(given, config, *parts, config.image_size or _own_size(model, says))
    keras.utils.set_random_seed(config.seed)
    with devices.strategy(config.batch_size) if named else devices.strategy_of(model):
        built = _builder(model, says)(model, parts[0], config)
        check_model(built, config, parts[1])
        batches = training_batches(parts[0], config, built.image_size, resize=built.resize)
        compile_model(built, config, len(batches))
    task = task_of(built)
    if config.run is None:
        folder = RunFolder.create(config.runs or f"runs/{built.task}", config.name)
    else:
        folder = RunFolder(config.run)
    sources = (str(model) if says or saved else built.name, _source(data), _source(val))
    with _guarded(folder):
        if config.run is not None:
            RunFolder.at(config.run, config.exist_ok)
        folder.write_args({**dict(zip(SOURCES, sources, strict=True)), **config.to_dict()})
        recorder = hooks.Recorder(folder, config.patience)
        save_checkpoint(folder.last, built, recorder.state)
        picture_batch(task, batches.maker.batch(0, 0), built.names, folder.train_batch)
        result = _fit(built, config, batches, parts, recorder, callbacks, verbose)
    if not named:
        model.set_weights(result.model.get_weights())
    return result


@checked({"run": Place(what="a run folder"), "data": commands.DATASET.but(none=True)})
def resume(
    run: str | Path,
    data=None,
    val=None,
    augment=None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
    **changes,
) -> TrainResult:
    """Goes on with a training that was stopped, killed or finished, at the epoch after its last checkpoint.

    With more `epochs` the schedule is laid over all of them: the learning rate of an epoch is what it is in a
    training that was asked for as many from its beginning, and so are burn-in, mosaics at the end and the average
    of the weights.

    Args:
        run: the run folder.
        data: the dataset, where the training was not given the path of one.
        val: the validation dataset, likewise.
        augment: the transforms, where there were some of your own among them.
        callbacks: as for `train`.
        verbose: as for `train`.
        **changes: options that differ from now on: `epochs`, `patience`, `workers`, `worker_kind`, `cache`. A
            training that `patience` has stopped goes on where `epochs` or `patience` is given.

    Raises:
        FileNotFoundError: there is no run, or it has no checkpoint yet.
        BlockingIOError: the run is still training.
        ValueError: the dataset is not at hand, the checkpoint or `args.yaml` is damaged, or a change is wrong.

    Example:
        >>> kzoo.training.resume("runs/detect/exp", epochs=100).metrics.map50
    """
    folder = RunFolder(run)
    folder.check_resumable()
    with _guarded(folder):
        sources, asked = folder.read_args()
        state = check_state(folder.last, read_state(folder.last))
        config = changed(folder, asked, changes, state["epoch"])
        if augment is not None:
            config = with_transforms(folder, config, augment)
        data, val = _again(data, sources["data"], "data", folder), _again(val, sources["val"], "val", folder)
        with devices.strategy(config.batch_size):
            model, _ = load_checkpoint(folder.last)
            if state.pop("averaged", False):
                swap_averages(model)
        parts = open_inputs(data, val, config, model.task)
        batches = training_batches(parts[0], config, model.image_size, state["epoch"], model.resize)
        follow_options(model.optimizer, config, len(batches))
        if changes:
            folder.write_args({**sources, **config.to_dict()})
            go_on(state, changes)
        if verbose and config.epochs != asked.epochs:
            print(laid_out(model.optimizer, config, state["epoch"]))
        recorder = hooks.Recorder(folder, config.patience, state)
        folder.write_results(state["rows"])  # a kill may have come between checkpoint and table
        return _fit(model, config, batches, parts, recorder, callbacks, verbose)


@contextlib.contextmanager
def _guarded(folder: RunFolder) -> Iterator[None]:
    """Holds the folder; whoever stops the training is told how to go on, where that can be done."""
    with folder.held():
        try:
            with stopped_by_signals():
                yield
        except (KeyboardInterrupt, Stopped):
            if folder.last.is_file():
                command = f"kzoo train --resume {shlex.quote(str(folder.path))}"
                print(f"\nstopped; go on with: {command}", file=sys.stderr)
            raise


def _fit(model, config, batches, parts, recorder, callbacks, verbose) -> TrainResult:
    """Runs the epochs that are left, then writes the report."""
    verbose = (1 if sys.stdout.isatty() else 2) if verbose == "auto" else verbose
    folder, state, (train_set, val_set) = recorder.folder, recorder.state, parts
    if verbose:
        _print_header(model, train_set, val_set, folder, state["epoch"])
    if state["epoch"] >= config.epochs or state["stopped"]:
        if verbose:
            print(nothing_to_do(folder, config, state))
    else:
        checks = (
            None if val_set is None else validation_batches(val_set, config, model.image_size, model.resize)
        )
        hooks_in_order = _callbacks(config, val_set, checks, recorder, callbacks)
        try:
            _run_epochs(model, config, batches, checks, state["epoch"], hooks_in_order, verbose)
        except BaseException:
            if state["rows"]:
                with contextlib.suppress(OSError):  # what stopped the training is what is to be told
                    plot_results(state["rows"], folder.results_plot)
            raise
    return _report(folder, config, val_set, state, verbose)


def _run_epochs(model, config, batches, checks, epoch: int, callbacks, verbose) -> None:
    altered = Adversary(model, config.sat, seed=config.seed).at_work() if config.sat else None
    try:
        with altered or contextlib.nullcontext():
            model.fit(
                batches,
                steps_per_epoch=len(batches),
                shuffle=False,  # the batches are shuffled already
                epochs=config.epochs,
                initial_epoch=epoch,
                callbacks=callbacks,
                verbose=verbose,
            )
    except Exception:
        # What went wrong in the input comes out of TensorFlow wrapped in a page of its own.
        for source in (batches, checks):
            if source is not None and source.error is not None:
                raise source.error from None
        raise


def _callbacks(config: TrainConfig, val_set, checks, recorder, others) -> list:
    """Figures first, then the user's callbacks, then what keeps the figures."""
    first = [hooks.StopOnNaN()]
    if val_set is not None:
        options = {"batch_size": config.batch_size, "rectangular": config.rectangular}
        first += [hooks.Validation(val_set, checks, **options)]
    logs = [hooks.EventLog(recorder.folder.logs)] if keras.backend.backend() == "tensorflow" else []
    return [*first, hooks.LearningRate(), *others, *logs, recorder, hooks.EpochBar()]


def _report(folder: RunFolder, config: TrainConfig, val_set, state: dict, verbose) -> TrainResult:
    """Measures the best model and draws what it does."""
    plot_results(state["rows"], folder.results_plot)
    model = load(folder.best)
    metrics = None
    if val_set is not None:
        task = task_of(model)
        options = {"batch_size": config.batch_size, "rectangular": config.rectangular}
        metrics = task.evaluator(val_set, model, **options)(model)
        task.plot(metrics, folder)
        picture_predictions(task, model, val_set, folder.predictions)
    if verbose:
        print(f"best epoch {state['best_epoch']} of {state['epoch']}" + (f": {metrics}" if metrics else ""))
        print(f"{folder.path}: best.keras, last.keras, results.csv, pictures and logs")
    return TrainResult(folder.path, model, state["best_epoch"], metrics, state["rows"])


def _builder(model, says):
    """What makes the model that is trained of what was given."""
    if says:
        return build_cfg
    if is_saved(model):
        return build_saved
    return build_model if isinstance(model, (str, Path)) else adopt_model


def _task_name(model, says) -> str:
    """The task of what is going to be trained, before it is built."""
    if says:
        return "detect"
    if is_saved(model):
        return task_of_saved(Path(model))
    return entry(model).task if isinstance(model, (str, Path)) else model.task


def _own_size(model, says) -> tuple[int, int] | None:
    """Height and width that the model was made for; None where its file has to be built first."""
    if says or is_saved(model):
        return None
    return entry(model).image_size if isinstance(model, (str, Path)) else model.image_size


def _print_header(model, train_set, val_set, folder: RunFolder, epoch: int) -> None:
    height, width = model.image_size
    print(
        f"{model.name}: {model.count_params():,} parameters, {width} x {height} pixels, {model.dtype_policy.name}"
    )
    print(f"{describe_parts(train_set, val_set)}; {', '.join(model.names)}")
    print(f"{folder.path}: " + (f"goes on after epoch {epoch}" if epoch else "a new run"))


def _source(data) -> str | None:
    """What `args.yaml` says of a dataset: its path, or in angle brackets that it had none."""
    if data is None or isinstance(data, (str, Path)):
        return None if data is None else str(data)
    return f"<{type(data).__name__}>"


def _again(given, source: str | None, name: str, folder: RunFolder):
    """The dataset to resume with: the one given, or that of `args.yaml`."""
    if given is None and source is not None and source.startswith("<"):
        raise ValueError(f"{folder.args}: {name} was {source}, which has no path; pass it as `{name}`")
    return source if given is None else given
