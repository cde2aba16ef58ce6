"""What a resumed training may do otherwise than it was first asked to."""

from __future__ import annotations

import dataclasses

import keras

from kzoo.augment.compose import transforms
from kzoo.training.config import TrainConfig
from kzoo.training.run import RunFolder

# The rest makes another training: other steps, other images or another model.
CHANGEABLE = ("epochs", "patience", "workers", "worker_kind", "cache", "devices")
# Iterations of Darknet's schedules that are places in the training.
_STRETCHED = ("steps", "max_batches", "cycle")


def changed(folder: RunFolder, asked: TrainConfig, changes: dict, trained: int) -> TrainConfig:
    """The options that a resumed run goes on with.

    Args:
        folder: the folder of the run.
        asked: the options that the run has had so far.
        changes: options by name, with the values that hold from now on.
        trained: number of epochs that the run has behind it.

    Raises:
        ValueError: a change is unknown, out of range or not to be made within a run, or there are fewer epochs than
            were trained.
    """
    config = TrainConfig.of({**asked.to_dict(), **changes})
    kept = [
        name for name in changes if name not in CHANGEABLE and getattr(config, name) != getattr(asked, name)
    ]
    if kept:
        name = kept[0]
        raise ValueError(
            f"{name}={changes[name]!r}: {folder.path} goes on with {getattr(asked, name)!r}, for a resumed run changes "
            f"{', '.join(CHANGEABLE)} alone; leave it out, or start a new run with weights={folder.best}"
        )
    if config.epochs < trained:
        raise ValueError(f"epochs={config.epochs}: {folder.path} has trained {trained} already; give more")
    if config.epochs != asked.epochs and isinstance(asked.schedule, dict):
        schedule = _stretched(asked.schedule, config.epochs / asked.epochs)
        config = dataclasses.replace(config, schedule=schedule)
    return config


def with_transforms(folder: RunFolder, config: TrainConfig, augment) -> TrainConfig:
    """The options with the transforms that `args.yaml` could not keep, for some were the user's own.

    Raises:
        ValueError: it has kept them, and they are others.
    """
    replaced = dataclasses.replace(config, augment=augment)
    try:
        transforms(config.augment)
    except ValueError:  # of an object of the user's own, args.yaml has kept no more than its name
        return replaced
    if replaced.to_dict()["augment"] != config.to_dict()["augment"]:
        raise ValueError(
            f"augment={augment!r}: {folder.path} goes on with {config.augment!r}; leave it out, or start a new run "
            f"with weights={folder.best}"
        )
    return config


def _stretched(schedule: dict, factor: float) -> dict:
    """A schedule of Darknet's whose places in the training lie where they lay, in shares of it."""

    def at(value):
        if isinstance(value, (list, tuple)):
            return [round(one * factor) for one in value]
        return round(value * factor)

    return {name: at(value) if name in _STRETCHED and value else value for name, value in schedule.items()}


def go_on(state: dict, changes: dict) -> None:
    """Lets a training that patience has stopped go on, and wait anew, where epochs or patience are given."""
    if state["stopped"] and ("epochs" in changes or "patience" in changes):
        state.update(stopped=False, resumed_after=state["epoch"])


def laid_out(optimizer, config: TrainConfig, trained: int) -> str:
    """What to say of the learning rate where the number of epochs has changed."""
    rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    policy = config.schedule["policy"] if isinstance(config.schedule, dict) else config.schedule
    return (
        f"schedule {policy}: laid over {config.epochs} epochs, as if asked for from the beginning; epoch "
        f"{trained + 1} starts with a learning rate of {rate:.3g}"
    )


def nothing_to_do(folder: RunFolder, config: TrainConfig, state: dict) -> str:
    """What to say of a run that has nothing left to train, and how it may go on nevertheless."""
    anew = f"or start a new run from its weights with --weights {folder.best}"
    if state["epoch"] >= config.epochs:
        return (
            f"{folder.path}: nothing to do, for all {config.epochs} epochs are trained; to train more give --epochs "
            f"and a number above {state['epoch']}, {anew}"
        )
    return (
        f"{folder.path}: nothing to do, for it stopped after epoch {state['epoch']} of {config.epochs}, when "
        f"patience={config.patience} had run out; to train on give --epochs or --patience, {anew}"
    )
