"""`kzoo train --ray N`: a training whose batches Ray's workers share, and which goes on where one of them is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from kzoo.options.forms import AUTO
from kzoo.system.ray import cluster, import_ray
from kzoo.training import machines
from kzoo.training.config import TrainConfig
from kzoo.training.fitting import resume, train
from kzoo.training.origins import origin_of
from kzoo.training.run import RunFolder

MOST_LOSSES = 8  # after which a cluster is not to be trained on


def train_on_ray(
    count: int, model: str | Path, data, val=None, verbose: str | int = "auto", **options
) -> Path:
    """Trains as `kzoo.train`, by workers of Ray's that share each batch: one machine each, or parts of one.

    A worker that is lost is replaced, and all go on from the checkpoint of the last epoch. Model and data are read by
    every worker, and the run folder by all that write and read it: they lie where each machine finds them.

    Args:
        count: number of workers, 1 or more; each has all GPUs that Ray gives it, or else a CPU.
        model: what to train, as `kzoo.train` takes it, but for a model that is open already.
        data: a dataset, or the path of one.
        val: a dataset to validate on, or the path of one.
        verbose: what is printed: 0 nothing, 2 a line an epoch; "auto" is 2.
        **options: the fields of `kzoo.training.TrainConfig`.

    Returns:
        The run folder.

    Raises:
        ImportError: Ray is not installed.
        ValueError: an option is wrong, or the training cannot go on.

    Example:
        >>> train_on_ray(4, "yolov3-tiny", "/shared/street", epochs=50, run="/shared/runs/street")
    """
    origin = origin_of(model, options)
    config = TrainConfig.of(origin.options)
    if config.batch_size == AUTO:
        raise ValueError(f"batch_size={AUTO}: {count} workers (--ray) share a batch; give a number of images")
    if config.batch_size % count:
        raise ValueError(
            f"batch_size={config.batch_size}: {count} workers (--ray) share it; give a multiple of {count}"
        )
    if config.run is None:
        folder = RunFolder.create(config.runs or f"runs/{origin.task}", config.name)
    else:
        folder = RunFolder.at(config.run, config.exist_ok)
    kept = {name: value for name, value in options.items() if name not in ("run", "runs", "name", "exist_ok")}
    run_workers(
        folder, count, {"model": model, "data": data, "val": val, "options": kept, "verbose": verbose}
    )
    return folder.path


def resume_on_ray(
    count: int, run: str | Path, data=None, val=None, verbose: str | int = "auto", **changes
) -> Path:
    """Goes on with a training by workers of Ray's: see `train_on_ray`, and `kzoo.training.resume` for the rest.

    Args:
        count: number of workers, 1 or more.
        run: the run folder.
        data: the dataset to train on, where the training was not given the path of one.
        val: the dataset to validate on, where the training was not given the path of one.
        verbose: what is printed: 0 nothing, 2 a line an epoch; "auto" is 2.
        **changes: options that differ from now on.
    """
    folder = RunFolder(run)
    folder.check_resumable()
    run_workers(folder, count, {"data": data, "val": val, "changes": changes, "verbose": verbose})
    return folder.path


def run_workers(folder: RunFolder, workers: int, asked: dict[str, Any]) -> None:
    """Trains in each worker of a cluster, and in all of them again where one is lost.

    Args:
        folder: the run's folder.
        workers: number of workers.
        asked: data and options for `_part`.

    Raises:
        ValueError: workers fail by themselves, or are lost again and again.
    """
    ray = import_ray()
    from ray import train as ray_train
    from ray.train.tensorflow import TensorflowTrainer

    path = folder.path.absolute()
    verbose = 2 if asked["verbose"] == "auto" else asked["verbose"]
    with cluster(workers):
        each = {"GPU": 1} if ray.cluster_resources().get("GPU") else {"CPU": 1}
        trainer = TensorflowTrainer(
            _part,
            train_loop_config={**asked, "run": str(path), "verbose": verbose},
            scaling_config=ray_train.ScalingConfig(
                num_workers=workers, use_gpu="GPU" in each, resources_per_worker=each
            ),
            run_config=ray_train.RunConfig(
                name="ray",
                storage_path=str(path / "ray"),
                failure_config=ray_train.FailureConfig(max_failures=MOST_LOSSES),
            ),
        )
        try:
            trainer.fit()
        except ray_train.TrainingFailedError as error:
            raise ValueError(f"{path}: the training on Ray failed: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The last line of what went wrong in a worker, which Ray tells as a page."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _part(asked: dict[str, Any]) -> None:
    """What one worker does: begins the training, or goes on with it."""
    machines.strategy()
    run = Path(asked["run"])
    inputs, callbacks = (asked["data"], asked["val"]), [Reported()]
    # All do what the first one says, which may already have written when others look.
    if machines.told(RunFolder(run).last.is_file()):
        resume(run, *inputs, callbacks=callbacks, verbose=asked["verbose"], **asked.get("changes", {}))
        return
    train(
        asked["model"],
        *inputs,
        callbacks=callbacks,
        verbose=asked["verbose"],
        run=str(run),
        exist_ok=True,
        **asked["options"],
    )


class Reported(keras.callbacks.Callback):
    """Tells Ray at the end of each epoch that the worker is alive, and its figures."""

    def on_epoch_end(self, epoch, logs=None):
        from ray import train as ray_train

        ray_train.report({"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}})
