"""Training as a Darknet `.cfg` says: its keys as options of `TrainConfig`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kzoo.darknet import cfg as cfg_files
from kzoo.darknet import keys
from kzoo.darknet.beside import read_map
from kzoo.darknet.cfg import Cfg, Section
from kzoo.darknet.plan import HEADS
from kzoo.data.loading.loader import steps_per_epoch
from kzoo.training.config import TrainConfig
from kzoo.training.darknet_options import head_section, options_of

# What becomes of each key: an option of `TrainConfig`, or part of one. The head has the others from the importer.
_NET_OPTIONS = {
    **{"batch": "accumulate", "subdivisions": "batch_size", "max_batches": "epochs", "resize_step": "sizes"},
    **{key: key for key in ("burn_in", "learning_rate", "momentum")},
    **{"decay": "weight_decay", "ema_alpha": "ema_momentum"},
    **{"adam": "optimizer", "B1": "beta_1", "B2": "beta_2", "eps": "epsilon"},
    **dict.fromkeys(("policy", "power", "steps", "scales", "step", "scale", "gamma"), "schedule"),
    **dict.fromkeys(("sgdr_cycle", "sgdr_mult", "learning_rate_min"), "schedule"),
    **dict.fromkeys(("angle", "saturation", "exposure", "hue", "flip", "mosaic"), "augment"),
}
_HEAD_OPTIONS = {"jitter": "augment", "resize": "augment", "random": "sizes"}
_REASONS = {"cutmix": "Darknet itself has it for classifiers alone"}


def is_cfg(model) -> bool:
    """Whether a model is given as the path of a `.cfg`."""
    return isinstance(model, (str, Path)) and str(model).endswith(".cfg")


@dataclass(frozen=True)
class CfgTraining:
    """What a `.cfg` says of training.

    Attributes:
        cfg: what the file says, section by section.
        overrides: options of `TrainConfig` that hold in the place of the file's.
        options: all options of `TrainConfig`, the overrides among them, but for `epochs`, which depends on the dataset.
    """

    cfg: Cfg
    overrides: dict[str, Any]
    options: dict[str, Any]

    @classmethod
    def read(cls, path: str | Path, overrides: dict[str, Any]) -> CfgTraining:
        """Reads a `.cfg`.

        Args:
            path: the file.
            overrides: options of `TrainConfig` that hold in the place of the file's.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it cannot be trained so; the message names file, line, key and value.
        """
        cfg = cfg_files.read(path)
        keys.check(cfg)
        TrainConfig.of(overrides)  # so that what is wrong in them is told now
        return cls(cfg, dict(overrides), options_of(cfg, overrides))

    def completed(self, config: TrainConfig, dataset) -> TrainConfig:
        """The options with the epochs in which the dataset is gone through `max_batches` times.

        Raises:
            ValueError: the file is for another number of classes, or does not say how long to train.
        """
        _check_classes(self.cfg, dataset.classes)
        if "epochs" in self.overrides:
            return config
        iterations = self.cfg.net.integer("max_batches", 0, least=0)
        if not iterations:
            raise self.cfg.net.fault(
                "max_batches", "says nothing of how long to train; add it, or give epochs"
            )
        batches = iterations * config.accumulate
        epochs = math.ceil(batches / steps_per_epoch(len(dataset), config.batch_size))
        return dataclasses.replace(config, epochs=epochs)

    def lines(self, config: TrainConfig) -> list[str]:
        """What to tell of it: how the file is trained, the keys that are honoured, those that are not."""
        net, head = self.cfg.net, head_section(self.cfg)
        honoured = [key for key in net.options if _NET_OPTIONS.get(key, "epochs") not in self.overrides]
        images = config.batch_size * config.accumulate
        honoured = [
            key for key in honoured if key in _NET_OPTIONS and (key != "batch" or net.integer(key) == images)
        ]
        of_head = [key for key in head.options if key in keys.training(head)]
        of_head = [key for key in of_head if _HEAD_OPTIONS.get(key) not in self.overrides]
        settings = ", ".join(
            f"{key}={section.text(key)}"
            for section, names in ((net, honoured), (head, of_head))
            for key in names
        )
        ignored = _ignored(self.cfg)
        epochs = f"{config.epochs} epoch{'s' * (config.epochs > 1)}"
        lines = [f"{self.cfg.path}: {epochs}, {images} images a step; {settings}"]
        return [*lines, f"{self.cfg.path}: ignored: {ignored}"] if ignored else lines


def _ignored(cfg: Cfg) -> str:
    """The keys without effect, each with its lines and, where there is one, the reason."""
    lines: dict[str, list[str]] = {}
    for key, line in keys.ignored(cfg):
        lines.setdefault(key, []).append(str(line))
    return ", ".join(
        f"{key} (line{'s' * (len(at) > 1)} {', '.join(at)}{'; ' + _REASONS[key] if key in _REASONS else ''})"
        for key, at in lines.items()
    )


def _check_classes(cfg: Cfg, classes: Sequence[str]) -> None:
    """Refuses a file with a head for another number of classes than the dataset has."""
    count = len(classes)
    for section in (section for section in cfg.sections if section.kind in HEADS):
        of_head = section.integer("classes", 1 if section.kind == "detection" else 20)
        if "tree" in section and "map" in section and of_head != count:
            of_head = len(
                read_map(section, of_head)
            )  # those of the tree's nodes that detections are named by
        if of_head != count:
            why = f"the dataset has {count}: give classes={count}, and {_outputs(section, count)}"
            raise section.fault("classes", why)


def _outputs(section: Section, classes: int) -> str:
    """How many channels a head of so many classes has to be fed with."""
    boxes = section.integer("num", 1)
    if section.kind == "detection":
        side = section.integer("side", 7)
        return (
            f"output=side*side*(classes+5*num)={side**2 * (classes + 5 * boxes)} in the [connected] before it"
        )
    boxes = len(section.numbers("mask")) or boxes
    fields = 9 if section.kind == "Gaussian_yolo" else 5
    return f"filters=(classes+{fields})*{boxes}={(classes + fields) * boxes} in the [convolutional] before it"
