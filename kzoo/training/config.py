"""Every option of a training with its default: `kzoo.train`, the command line and `args.yaml` all read it here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from kzoo.options import Option, check_known
from kzoo.options.building import IMAGENET
from kzoo.options.forms import ALL
from kzoo.options.training import TRAIN

# Learning rates from scratch. Every convolution is batch-normalised: AdamW's usual 1e-3 takes twice the epochs on blood
# cells and on shapes.
LEARNING_RATES = {"adamw": 5e-3, "sgd": 1e-2}
FINE_TUNING_RATE = 1e-3  # where training starts from weights


@dataclass(frozen=True)
class TrainConfig:
    """How to train. What each field means, and what it may be, stands in `kzoo.options.training`.

    None is what holds where nothing is said: a value that follows from the model, the dataset or another option.

    Raises:
        ValueError: a value is of another type or out of its range; the message names option, value and remedy.

    Example:
        >>> TrainConfig(epochs=100, optimizer="sgd").learning_rate
        0.01
    """

    options: ClassVar[Mapping[str, Option]] = TRAIN

    epochs: int = 50
    batch_size: int | str = 16
    image_size: int | Sequence[int] | None = None
    split: str | None = None
    val_split: str | None = None
    seed: int = 0
    optimizer: str = "adamw"
    learning_rate: float | None = None
    weight_decay: float = 5e-4
    momentum: float = 0.9
    nesterov: bool = True
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    schedule: str | Mapping = "cosine"
    burn_in: int | None = None
    ema: bool = True
    ema_momentum: float | None = None
    clip_norm: float = 10.0
    accumulate: int = 1
    patience: int = 0
    precision: str = "auto"
    devices: int | str = ALL
    checkpoint_gradients: bool = False
    freeze_backbone: int | str = 0
    backbone_rate: float = 1.0
    multi_scale: bool = False
    rectangular: bool = False
    sizes: Sequence | None = None
    augment: str | Sequence[str] = "light"
    sat: float = 0.0
    close_mosaic: int | None = None
    balance: float | None = None
    cache: str | None = None
    workers: int | None = None
    worker_kind: str = "auto"
    width: float | None = None
    depth: float | None = None
    backbone: str | None = None
    anchors: str | Sequence = "auto"
    box_loss: str | None = None
    loss: str | None = None
    head: dict = field(default_factory=dict)
    weights: str | None = None
    stop_at: int | None = None
    backbone_weights: str | None = None
    pretrained: bool = False
    pretrain: str | None = None
    pretrain_epochs: int = 10
    skip_faulty: bool = False
    bits: int | None = None
    name: str = "exp"
    runs: str | None = None
    run: str | None = None
    exist_ok: bool = False

    def __post_init__(self):
        # The class is frozen, also for itself: checked values have to be put in past that.
        for name, option in self.options.items():
            object.__setattr__(self, name, option.check(name, getattr(self, name)))
        if self.learning_rate is None:
            rate = FINE_TUNING_RATE if self.starts_from_weights else LEARNING_RATES[self.optimizer]
            object.__setattr__(self, "learning_rate", rate)

    @property
    def starts_from_weights(self) -> bool:
        """Whether any part of a new model starts from weights that were trained before, on other pictures.

        A backbone that has learnt from crops of the same ones is none: what larger steps undo it learns again, and
        small ones take twice the epochs for neck and head.
        """
        return self.weights is not None or self.backbone_weights is not None or self.pretrained

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> TrainConfig:
        """The configuration of named options.

        Raises:
            ValueError: an option is unknown, and the message has the nearest one; or its value is wrong.
        """
        check_known("train", options, cls.options)
        return cls(**options)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """What each option is where it is not given; None where that depends on others."""
        return {one.name: {} if one.name == "head" else one.default for one in dataclasses.fields(cls)}

    def to_dict(self) -> dict:
        """Plain data, as `args.yaml` holds it."""
        return {key: _plain(value) for key, value in dataclasses.asdict(self).items()}

    def model_arguments(self) -> dict:
        """What `kzoo.build` takes besides classes, names, image size and anchors."""
        names = ("width", "depth", "backbone", "box_loss", "loss", "weights", "backbone_weights")
        asked_for = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.pretrained:
            asked_for["backbone_weights"] = IMAGENET
        return {**asked_for, **self.head}


def _plain(value):
    """A value as YAML keeps it: tuples as lists, paths and transforms of the user's own as texts."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Path) or callable(value):
        return str(value)
    return value.item() if hasattr(value, "item") else value
