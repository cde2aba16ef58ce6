"""`kzoo.train` and `kzoo.training.resume`: from a dataset to a run folder, around `model.fit`."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras

from kzoo.model import ZooModel
from kzoo.options import Place, checked, commands
from kzoo.options.forms import AUTO
from kzoo.training import devices, machines
from kzoo.training.assembly import compile_model
from kzoo.training.callbacks import Recorder
from kzoo.training.checkpoint import check_state, load_checkpoint, read_state, save_checkpoint
from kzoo.training.config import TrainConfig
from kzoo.training.fitness import check_data, check_model, check_options
from kzoo.training.freezing import trained_backbone
from kzoo.training.inputs import open_inputs, searching_of, training_batches
from kzoo.training.optimizers import follow_options, swap_averages
from kzoo.training.origins import Adopted, origin_of
from kzoo.training.pretraining import cut_crops, pretrain
from kzoo.training.resuming import changed, go_on, laid_out, with_transforms
from kzoo.training.room import with_fitting_batch
from kzoo.training.run import SOURCES, RunFolder
from kzoo.training.running import TrainResult, run_epochs
from kzoo.training.signals import Stopped, stopped_by_signals
from kzoo.training.tasks import picture_batch, task_of


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
        model: a registered name; the path of a `.keras` file, or `hf://USER/NAME`, whose settings and weights are
            taken, all but the rows of classes that the dataset has and it has not; the path of a Darknet `.cfg`, which
            is trained as it says, unless options say otherwise; or a model, which is compiled anew and ends up with
            the weights of the best epoch.
        data: a dataset, or the path of one, whose parts "train" and "val" are taken, or those that `split` and
            `val_split` name.
        val: a dataset to validate on, or the path of one. Its classes may be some of those trained on.
        callbacks: further Keras callbacks; their logs have the figures of `kzoo.training.Evaluation`.
        verbose: what is printed: 0 nothing, 1 a bar, 2 a line an epoch; "auto" is a bar on a terminal, else lines.
        **options: the fields of `kzoo.training.TrainConfig`, such as `epochs`, `image_size` and `batch_size`.

    Raises:
        ValueError: an option is wrong, the dataset has faults, or the loss is no longer finite.
        OSError: data cannot be read, or the run folder not be written.

    Example:
        >>> kzoo.train("yolov3-tiny", "data/street", epochs=50, image_size=320).metrics.map50
        >>> kzoo.train("unet", "data/cells", epochs=50, width=0.25, loss="ce+dice").metrics.mean_iou
    """
    machines.strategy()  # which has to be there before anything is computed
    origin = origin_of(model, options)
    config = TrainConfig.of(origin.options)
    check_options(options, config, origin.task, origin.is_new, origin.is_cfg)
    datasets = open_inputs(data, val, config, origin.task)
    config = origin.completed(config, datasets[0])
    if verbose:
        for line in origin.notes(config):
            print(line)
    check_data(options, config, *datasets, config.image_size or origin.image_size)
    keras.utils.set_random_seed(config.seed)
    with origin.strategy(config):
        trained = origin.build(datasets[0], config)
        check_model(trained, config, datasets[1])
        frozen = trained_backbone(trained)
        if config.batch_size == AUTO:
            config, line = with_fitting_batch(trained, config, datasets[0])
            check_data(options, config, *datasets, trained.image_size)
            if verbose:
                print(line)
        batches = training_batches(
            datasets[0],
            config,
            trained.image_size,
            resize=trained.resize,
            task=trained.truth,
            searching=searching_of(trained),
        )
        compile_model(trained, config, len(batches))
    crops = None if config.pretrain is None else cut_crops(trained, config, *datasets)
    task = task_of(trained)
    folder = _new_folder(trained, config)
    sources = dict(zip(SOURCES, (origin.source(trained), _path(data), _path(val)), strict=True))
    with _guarded(folder):
        if config.run is not None and machines.is_first():
            RunFolder.at(config.run, config.exist_ok)
        folder.write_args({**sources, **config.to_dict()})
        if crops is not None:
            pretrain(trained, config, *crops, frozen, verbose)
            del crops  # of up to half a gigabyte
        recorder = Recorder(folder, config.patience)
        recorder.state["frozen"] = frozen
        if machines.is_first():
            save_checkpoint(folder.last, trained, recorder.state)
            picture_batch(task, batches.maker.batch(0, 0), trained.names, folder.train_batch)
        result = run_epochs(trained, config, batches, datasets, recorder, callbacks, verbose)
    if isinstance(origin, Adopted):
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
        data: the dataset to train on, where the training was not given the path of one.
        val: the dataset to validate on, where the training was not given the path of one.
        augment: the transforms, where some objects of your own were among them.
        callbacks: further Keras callbacks; their logs have the figures of `kzoo.training.Evaluation`.
        verbose: what is printed: 0 nothing, 1 a bar, 2 a line an epoch; "auto" is a bar on a terminal, else lines.
        **changes: options that differ from now on: `epochs`, `patience`, `workers`, `worker_kind`, `cache`,
            `devices`. A training that `patience` has stopped goes on where `epochs` or `patience` is given.

    Raises:
        FileNotFoundError: there is no run, or it has no checkpoint yet.
        BlockingIOError: the run is still training.
        ValueError: the dataset is not at hand, the checkpoint or `args.yaml` is damaged, or a change is wrong.

    Example:
        >>> kzoo.training.resume("runs/detect/exp", epochs=100).metrics.map50
    """
    machines.strategy()
    folder = RunFolder(run)
    folder.check_resumable()
    with _guarded(folder):
        sources, asked = folder.read_args()
        state = check_state(folder.last, read_state(folder.last))
        config = changed(folder, asked, changes, state["epoch"])
        if augment is not None:
            config = with_transforms(folder, config, augment)
        data = _dataset_again(data, sources["data"], "data", folder)
        val = _dataset_again(val, sources["val"], "val", folder)
        with devices.strategy(config.batch_size, config.devices, config.accumulate):
            model, _ = load_checkpoint(folder.last)
            model.checkpoint_gradients = config.checkpoint_gradients
            devices.synchronize(model)
            if state.pop("averaged", False):
                swap_averages(model)
        datasets = open_inputs(data, val, config, model.task)
        batches = training_batches(
            datasets[0],
            config,
            model.image_size,
            state["epoch"],
            model.resize,
            model.truth,
            searching_of(model),
        )
        follow_options(model.optimizer, config, len(batches))
        if changes:
            folder.write_args({**sources, **config.to_dict()})
            go_on(state, changes)
        if verbose and config.epochs != asked.epochs:
            print(laid_out(model.optimizer, config, state["epoch"]))
        recorder = Recorder(folder, config.patience, state)
        folder.write_results(state["rows"])  # a kill may have come between checkpoint and table
        return run_epochs(model, config, batches, datasets, recorder, callbacks, verbose)


def _new_folder(model: ZooModel, config: TrainConfig) -> RunFolder:
    """The folder of a new run; of several machines the first one makes it."""
    if config.run is not None:
        return RunFolder(config.run)
    folder = None
    if machines.is_first():
        folder = str(RunFolder.create(config.runs or f"runs/{model.task}", config.name).path)
    return RunFolder(machines.told(folder))


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


def _path(data) -> str | None:
    """What `args.yaml` says of a dataset: its path, or in angle brackets that it had none."""
    if data is None:
        return None
    return str(data) if isinstance(data, (str, Path)) else f"<{type(data).__name__}>"


def _dataset_again(data, path: str | None, name: str, folder: RunFolder):
    """The dataset to resume with: the one that is passed, or the one whose path `args.yaml` has.

    Raises:
        ValueError: none is passed, and the training had one without a path.
    """
    if data is not None:
        return data
    if path is not None and path.startswith("<"):
        raise ValueError(f"{folder.args}: {name} was {path}, which has no path; pass it as `{name}`")
    return path
