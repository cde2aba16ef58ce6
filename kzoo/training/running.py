"""The epochs of a training, from the first or from the next one, and the report at their end."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from kzoo.metrics import DetectionMetrics, SegmentationMetrics
from kzoo.model import ZooModel
from kzoo.options.forms import ALL
from kzoo.proposals import ProposalCache
from kzoo.training import callbacks, machines
from kzoo.training.adversarial import Adversary
from kzoo.training.checkpoint import save_model
from kzoo.training.config import TrainConfig
from kzoo.training.freezing import Release, described
from kzoo.training.inputs import describe_parts, searching_of, validation_batches
from kzoo.training.plots import plot_results
from kzoo.training.resuming import nothing_to_do
from kzoo.training.run import RunFolder
from kzoo.training.svm import finish
from kzoo.training.tasks import picture_predictions, task_of
from kzoo.weights.opening import load


@dataclass(frozen=True)
class TrainResult:
    """What a training leaves.

    Attributes:
        folder: the folder of the run.
        model: the model of the best epoch, in float32.
        best_epoch: the number of that epoch, from 1.
        metrics: the figures of that model on the validation images; None where there are none.
        rows: the figures of every epoch, as `results.csv` holds them.
    """

    folder: Path
    model: ZooModel
    best_epoch: int
    metrics: DetectionMetrics | SegmentationMetrics | None
    rows: list[dict]


def run_epochs(
    model: ZooModel,
    config: TrainConfig,
    batches,
    datasets: tuple,
    recorder: callbacks.Recorder,
    user_callbacks: Sequence[keras.callbacks.Callback],
    verbose: str | int,
) -> TrainResult:
    """Runs the epochs that are left, then writes the report.

    Args:
        model: the compiled model, as it is after the epochs that `recorder` knows of.
        config: the training's options.
        batches: endless training batches, from the next epoch on.
        datasets: the dataset to train on, and the one to validate on or None.
        recorder: what keeps the run folder, and how far the training has got.
        user_callbacks: callbacks that the user adds.
        verbose: 0 for silence, 1 for a bar, 2 for a line an epoch; "auto" is a bar on a terminal, else lines.
    """
    if verbose == "auto":
        verbose = 1 if sys.stdout.isatty() else 2
    verbose = verbose if machines.is_first() else 0
    folder, state, (train_set, val_set) = recorder.folder, recorder.state, datasets
    if verbose:
        _print_header(model, train_set, val_set, folder, state["epoch"], described(config))
    if state["epoch"] < config.epochs and not state["stopped"]:
        _fit(model, config, batches, val_set, recorder, user_callbacks, verbose)
    elif verbose:
        print(nothing_to_do(folder, config, state))
    machines.told(None)  # until the first machine has written, none reads
    if not machines.is_first():
        return TrainResult(folder.path, load(folder.best), state["best_epoch"], None, state["rows"])
    if hasattr(model.head, "scores"):
        _finish(folder, config, train_set, verbose)
    return _report(folder, config, val_set, state, verbose)


def _fit(model, config: TrainConfig, batches, val_set, recorder, user_callbacks, verbose: int) -> None:
    """Keras's `fit`, with the curves drawn also where it is stopped."""
    state, val_batches, altered = recorder.state, None, contextlib.nullcontext()
    if val_set is not None:
        val_batches = validation_batches(
            val_set, config, model.image_size, model.resize, model.truth, searching_of(model)
        )
    if config.sat:
        altered = Adversary(model, config.sat, seed=config.seed).at_work()
    try:
        with altered, _input_errors_told(batches, val_batches):
            model.fit(
                batches,
                steps_per_epoch=len(batches),
                shuffle=False,  # the batches are shuffled already
                epochs=config.epochs,
                initial_epoch=state["epoch"],
                callbacks=_ordered_callbacks(config, val_set, val_batches, recorder, user_callbacks),
                verbose=verbose,
            )
    except BaseException:
        if state["rows"] and machines.is_first():
            with contextlib.suppress(OSError):  # what stopped the training is what is to be told
                plot_results(state["rows"], recorder.folder.results_plot)
        raise


def _finish(folder: RunFolder, config: TrainConfig, train_set, verbose) -> None:
    """What comes after the epochs, of heads whose last layers no gradient trains: the best model gets them."""
    model = load(folder.best)
    if model.head.scores != "softmax":  # a training that is looked at again has got them
        return
    if verbose:
        print("fitting a support vector machine and box regressors a class")
    save_model(folder.best, finish(model, train_set, config.seed, ProposalCache()))


@contextlib.contextmanager
def _input_errors_told(*streams):
    """Raises what went wrong in making batches itself: it comes out of TensorFlow wrapped in a page of its own."""
    try:
        yield
    except Exception:
        for stream in streams:
            if stream is not None and stream.error is not None:
                raise stream.error from None
        raise


def _ordered_callbacks(config: TrainConfig, val_set, val_batches, recorder, user_callbacks) -> list:
    """Figures first, then the user's callbacks, which may look at them, then what keeps and shows the figures."""
    figures = [callbacks.StopOnNaN()]
    if val_set is not None:
        options = {"batch_size": config.batch_size, "rectangular": config.rectangular}
        figures.append(callbacks.Validation(val_set, val_batches, **options))
    figures.append(callbacks.LearningRate())
    release, event_logs = [], []
    if config.freeze_backbone and config.freeze_backbone != ALL:
        release.append(Release(config.freeze_backbone, recorder.state["frozen"]))
    if keras.backend.backend() == "tensorflow" and machines.is_first():
        event_logs.append(callbacks.EventLog(recorder.folder.logs))
    return [*release, *figures, *user_callbacks, *event_logs, recorder, callbacks.EpochBar()]


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


def _print_header(model: ZooModel, train_set, val_set, folder: RunFolder, epoch: int, backbone: str) -> None:
    height, width = model.image_size
    print(
        f"{model.name}: {model.count_params():,} parameters, {width} x {height} pixels, {model.dtype_policy.name}"
    )
    print(f"{describe_parts(train_set, val_set)}; {', '.join(model.names)}")
    if backbone:
        print(backbone)
    print(f"{folder.path}: " + (f"goes on after epoch {epoch}" if epoch else "a new run"))
