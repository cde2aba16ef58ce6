"""Checkpoints: one file holds weights, optimizer, averages and how far the training got, so that they always agree."""

from __future__ import annotations

import json
import warnings
import zipfile
import zlib
from pathlib import Path

import keras
import numpy as np

from kzoo.data.fault import FaultError
from kzoo.model import ZooModel
from kzoo.system.files import disk_error, replacing
from kzoo.training.optimizers import exclude_from_decay
from kzoo.weights.archives import open_archive, read_json_member
from kzoo.weights.opening import load

_STATE, _SEEDS = "training.json", "seeds.json"
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    OverflowError,
)


def save_checkpoint(path: Path, model: ZooModel, state: dict) -> None:
    """Writes model, optimizer, the layers' random states and `state` into one `.keras` file, whole or not at all.

    Raises:
        OSError: it cannot be written; the checkpoint before it is untouched, and the message says so.
    """
    # Keras's files hold all of dropout but how far its chance has got.
    seeds = [keras.ops.convert_to_numpy(seed).tolist() for seed in _seeds(model)]
    _save(path, model, {_STATE: json.dumps(state), _SEEDS: json.dumps(seeds)})


def load_checkpoint(path: Path) -> tuple[ZooModel, dict]:
    """The compiled model as `save_checkpoint` left it, and the state.

    Raises:
        ValueError: the file is damaged, or no checkpoint of a training.
    """
    state = read_state(path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = load(path, compile=True)
    # Keras warns of an optimizer's state that it cannot use, and goes on without.
    lost = next((str(one.message) for one in told if "optimizer" in str(one.message).lower()), None)
    if lost or model.optimizer is None or not model.optimizer.built:
        raise _unusable(path, "the optimizer's state is damaged")
    _restore_seeds(path, model)
    exclude_from_decay(model)  # a file does not keep what is excluded
    return model, state


def read_state(path: Path) -> dict:
    """How far the training of a checkpoint got.

    Raises:
        ValueError: the file is damaged, or no checkpoint of a training.
    """
    state = _member(path, _STATE)
    if not isinstance(state, dict):
        raise _unusable(path, f"{_STATE} in it holds no state")
    return state


def check_state(path: Path, state: dict) -> dict:
    """The state of a run's checkpoint, if all is there that resuming needs.

    Raises:
        ValueError: something is not.
    """
    rows, epoch, best = (state.get(name) for name in ("rows", "epoch", "best_epoch"))
    sound = {
        "epoch": _is_count(epoch),
        "best_epoch": _is_count(best) and _is_count(epoch) and best <= epoch,
        "rows": isinstance(rows, list) and len(rows) == epoch and all(map(_is_row, rows)),
        "best": "best" in state and (_is_number(state["best"]) or (state["best"] is None and epoch == 0)),
        "stopped": isinstance(state.get("stopped"), bool),
    }
    for name, holds in sound.items():
        if not holds:
            raise _unusable(path, f"{name} in {_STATE} is damaged")
    return state


def _is_count(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_row(row) -> bool:
    return isinstance(row, dict) and "epoch" in row and all(map(_is_number, row.values()))


def _unusable(path: Path, why: str) -> ValueError:
    return ValueError(f"{path}: not a checkpoint that kzoo train wrote, or damaged ({why}); train anew")


def _member(path: Path, name: str):
    """What a member of the archive says, once all of the archive has been found whole."""
    try:
        with open_archive(path) as archive:
            broken = archive.testzip()  # HDF5 reads wrong bytes without a word
            if broken is not None:
                raise _unusable(path, f"{broken} in it is damaged")
        return read_json_member(path, name)
    except FaultError as error:
        raise _unusable(path, f"{name} in it is {error.fault.message}") from error
    except KeyError as error:
        raise _unusable(path, f"no {name} in it") from error
    except _DAMAGED as error:
        if str(error).startswith(str(path)):
            raise
        raise _unusable(path, next(iter(str(error).splitlines()), type(error).__name__)) from error


def _seeds(model: ZooModel) -> list[keras.Variable]:
    """The states of the layers that draw at random, in the layers' order."""
    return [variable for variable in model.variables if variable.name == "seed_generator_state"]


def _restore_seeds(path: Path, model: ZooModel) -> None:
    with zipfile.ZipFile(path) as archive:
        if _SEEDS not in archive.namelist():  # an earlier version wrote it
            return
    kept, seeds = _member(path, _SEEDS), _seeds(model)
    if not isinstance(kept, list) or len(kept) != len(seeds) or not all(map(_is_seed, kept)):
        raise _unusable(path, f"{_SEEDS} in it is damaged")
    for seed, value in zip(seeds, kept, strict=True):
        seed.assign(np.asarray(value, seed.dtype))


def _is_seed(value) -> bool:
    """Whether it is two numbers of 32 bits."""
    return isinstance(value, list) and len(value) == 2 and all(_is_count(v) and v < 2**32 for v in value)


def save_model(path: Path, model: ZooModel) -> None:
    """Writes a model to predict with: without optimizer, in float32, nothing frozen.

    Raises:
        OSError: as `save_checkpoint`.
    """
    _save(path, inference_copy(model), {})


def inference_copy(model: ZooModel, alone: bool = False) -> ZooModel:
    """The same model in float32 and uncompiled; it shares the weights where no layer has to change.

    Args:
        model: the model.
        alone: whether the copy has weights of its own, on one device, in any case; False by default.
    """
    config = model.get_config()
    changed = _plain_layers(config)
    if changed == config and not alone:
        return model.remade(model.network, model.head)
    copy = ZooModel.from_config(changed)
    copy.set_weights(model.get_weights())
    return copy


def _plain_layers(config):
    """A layer's configuration, and all inside it, in float32 and trainable."""
    if isinstance(config, (list, tuple)):
        return type(config)(_plain_layers(item) for item in config)
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy" and "name" in config.get("config", {}):
        return {**config, "config": {**config["config"], "name": "float32"}}
    changed = {key: _plain_layers(value) for key, value in config.items()}
    return {**changed, "trainable": True} if changed.get("trainable") is False else changed


def _save(path: Path, model: keras.Model, members: dict[str, str]) -> None:
    for weight in model.weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            raise ValueError(
                f"{path}: not written, for {weight.path} is no longer finite; lower the learning rate"
            )
    try:
        with replacing(path) as fresh:
            model.save(fresh)
            with zipfile.ZipFile(fresh, "a") as archive:
                for name, content in members.items():
                    archive.writestr(name, content)
    except Exception as error:
        reason = disk_error(error) or (error if isinstance(error, OSError) else None)
        if reason is None:
            raise
        words = reason.strerror or str(reason).splitlines()[0]
        kept = "; the one before it is whole; make room and go on with --resume"
        raise OSError(
            f"{path}: cannot be written ({words}){kept if path.exists() else '; make room and train anew'}"
        ) from error
