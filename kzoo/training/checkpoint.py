"""Checkpoints: one file holds weights, optimizer, averages and how far the training got, so that they always agree."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import keras
import numpy as np

from kzoo.files import replacing
from kzoo.model import ZooModel
from kzoo.opening import load
from kzoo.training.optimizers import exclude_from_decay

_STATE = "training.json"


def save_checkpoint(path: Path, model: ZooModel, state: dict) -> None:
    """Writes model, optimizer and `state` into one `.keras` file, whole or not at all.

    Raises:
        OSError: it cannot be written; the checkpoint before it is untouched, and the message says so.
    """
    _save(path, model, {_STATE: json.dumps(state)})


def load_checkpoint(path: Path) -> tuple[ZooModel, dict]:
    """The compiled model as `save_checkpoint` left it, and the state.

    Raises:
        ValueError: the file is damaged, or no checkpoint of a training.
    """
    state = read_state(path)
    model = load(path, compile=True)
    exclude_from_decay(model)  # a file does not keep what is excluded
    return model, state


def read_state(path: Path) -> dict:
    """How far the training of a checkpoint got."""
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(_STATE))
    except (KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not a checkpoint that kzoo train wrote; train anew") from error


def save_model(path: Path, model: ZooModel) -> None:
    """Writes a model to predict with: without optimizer, in float32, nothing frozen.

    Raises:
        OSError: as `save_checkpoint`.
    """
    _save(path, inference_copy(model), {})


def inference_copy(model: ZooModel) -> ZooModel:
    """The same model in float32 and uncompiled; it shares the weights where no layer has to change."""
    config = model.get_config()
    changed = _plain_layers(config)
    if changed == config:
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
        reason = _disk_error(error)
        if reason is None:
            raise
        kept = "; the one before it is whole" if path.exists() else ""
        raise OSError(
            f"{path}: cannot be written ({reason}){kept}; make room and go on with --resume"
        ) from error


def _disk_error(error: BaseException | None) -> str | None:
    """What the system said; Keras and zipfile wrap it in errors of their own."""
    while error is not None:
        if isinstance(error, OSError):
            return error.strerror or str(error).splitlines()[0]
        error = error.__cause__ or error.__context__
    return None
