"""What a training starts from: a registered name, a saved model, a Darknet `.cfg`, or a model that is there already."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kzoo.model import ZooModel
from kzoo.registry import entry
from kzoo.training import devices
from kzoo.training.assembly import adopt_model, build_cfg, build_model, build_saved
from kzoo.training.config import FINE_TUNING_RATE, TrainConfig
from kzoo.training.darknet import CfgTraining, is_cfg
from kzoo.weights.saved import task_of
from kzoo.weights.shipped import is_saved, model_file


class Origin:
    """Where the model of a training comes from, known before it is built: its data are opened and checked first.

    Attributes:
        options: the options of `TrainConfig` that hold: the user's, and with them those that the origin itself has.
        task: the model's task, "detect", "segment" or "instance".
        image_size: height and width in pixels that the model was made for; None where only building it tells.
        is_new: whether options of new models, such as `width`, have an effect.
        is_cfg: whether it is a Darknet `.cfg`.
    """

    is_new = False
    is_cfg = False
    task: str
    image_size: tuple[int, int] | None = None

    def __init__(self, options: Mapping[str, Any]):
        self.options = dict(options)

    def completed(self, config: TrainConfig, dataset) -> TrainConfig:
        """The options, with those that depend on the dataset."""
        return config

    def notes(self, config: TrainConfig) -> list[str]:
        """Lines to print before the training begins."""
        return []

    def strategy(self, config: TrainConfig):
        """The context to build the model in, so that all devices share its batches."""
        return devices.strategy(config.batch_size, config.devices, config.accumulate)

    def build(self, dataset, config: TrainConfig) -> ZooModel:
        """The model for the dataset's classes.

        Raises:
            ValueError: an option is wrong for this model, or the model does not fit the dataset.
        """
        raise NotImplementedError

    def source(self, model: ZooModel) -> str:
        """What `args.yaml` calls it, once `model` has been built from it."""
        return model.name


class Registered(Origin):
    """A registered name: a new model, with random weights or those of the option `weights`."""

    is_new = True

    def __init__(self, name: str | Path, options: Mapping[str, Any]):
        super().__init__(options)
        registered = entry(name)
        self.name, self.task, self.image_size = name, registered.task, registered.image_size

    def build(self, dataset, config):
        return build_model(self.name, dataset, config)


class Cfg(Origin):
    """A Darknet `.cfg`: a new model that is trained as the file says, where no option says otherwise."""

    is_new = True
    is_cfg = True
    task = "detect"

    def __init__(self, path: str | Path, options: Mapping[str, Any]):
        self.path = path
        self.training = CfgTraining.read(path, dict(options))
        super().__init__(self.training.options)

    def completed(self, config, dataset):
        return self.training.completed(config, dataset)

    def notes(self, config):
        return self.training.lines(config)

    def build(self, dataset, config):
        return build_cfg(self.path, dataset, config)

    def source(self, model):
        return str(self.path)


class Saved(Origin):
    """A `.keras` file, here or on the hub: its settings and weights, and new rows for classes that it does not know."""

    def __init__(self, path: str | Path, options: Mapping[str, Any]):
        super().__init__({"learning_rate": FINE_TUNING_RATE, **options})
        self.path = path

    @functools.cached_property
    def task(self) -> str:
        return task_of(Path(model_file(self.path)))

    def build(self, dataset, config):
        return build_saved(self.path, dataset, config)

    def source(self, model):
        return str(self.path)


class Adopted(Origin):
    """A model that the user has built: it is compiled anew and trained from the weights that it has."""

    def __init__(self, model: ZooModel, options: Mapping[str, Any]):
        super().__init__({"learning_rate": FINE_TUNING_RATE, **options})
        self.model, self.task, self.image_size = model, model.task, model.image_size

    def strategy(self, config):
        return devices.strategy_of(self.model)

    def build(self, dataset, config):
        return adopt_model(self.model, dataset, config)


def origin_of(model: str | Path | ZooModel, options: Mapping[str, Any]) -> Origin:
    """The origin that the `model` of `kzoo.train` means.

    Args:
        model: a registered name, the path of a `.keras` file or of a `.cfg`, `hf://USER/NAME`, or a model.
        options: options of `TrainConfig` by name, as the user gave them.

    Raises:
        ValueError: the name is unknown, or the `.cfg` cannot be trained.
        FileNotFoundError: there is no such `.cfg`.
    """
    if is_saved(model):
        return Saved(model, options)
    if is_cfg(model):
        return Cfg(model, options)
    return Registered(model, options) if isinstance(model, (str, Path)) else Adopted(model, options)
