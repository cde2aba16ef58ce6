"""Every option of a training, once: `kzoo.train`, the command line and `args.yaml` all read it here."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# And their learning rates from scratch. Every convolution is batch-normalised: AdamW's usual 1e-3 takes twice the
# epochs on blood cells and on shapes.
OPTIMIZERS = {"adamw": 5e-3, "sgd": 1e-2}
FINE_TUNING_RATE = 1e-3  # where training starts from weights
SCHEDULES = ("cosine", "step", "constant")
# Darknet's learning rates, which a mapping asks for: see `kzoo.training.schedules.DarknetSchedule`.
POLICIES = ("constant", "exp", "poly", "random", "sgdr", "sigmoid", "step", "steps")
WORKER_KINDS = ("auto", "thread", "process")
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")


def _option(default, help: str):
    """A field with the words that the command line shows."""
    return dataclasses.field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Every field's meaning stands beside it.

    Raises:
        ValueError: a value is out of its range; the message names the option.

    Example:
        >>> TrainConfig(epochs=100, optimizer="sgd").learning_rate
        0.01
    """

    epochs: int = _option(50, "Passes over the training images.")
    batch_size: int = _option(16, "Images a step, of all devices together.")
    image_size: int | Sequence[int] | None = _option(
        None, "Side in pixels, or height and width; the model's own where left out."
    )
    split: str | None = _option(
        None, "The part of the dataset to train on; train, or its only one, where left out."
    )
    val_split: str | None = _option(
        None, "The part of --val, or else of --data, to validate on; val where left out."
    )
    seed: int = _option(0, "Of weights, order and augmentation.")
    optimizer: str = _option("adamw", "adamw or sgd.")
    learning_rate: float | None = _option(
        None, "The highest; 0.005 for adamw and 0.01 for sgd, 0.001 from weights."
    )
    weight_decay: float = _option(5e-4, "On kernels, not on biases and batch normalisation.")
    momentum: float = _option(0.9, "Of sgd.")
    nesterov: bool = _option(True, "Let the momentum of sgd look ahead.")
    beta_1: float = _option(0.9, "Momentum of adamw.")
    beta_2: float = _option(0.999, "Of adamw's mean square.")
    epsilon: float = _option(1e-7, "Of adamw's denominator.")
    schedule: str | Mapping = _option(
        "cosine", "cosine, step (a tenth at 80 % and 90 % of the steps) or constant."
    )
    burn_in: int | None = _option(None, "Steps to warm up in; 3 epochs but at most 1000 where left out.")
    ema: bool = _option(True, "Validate and keep an exponential moving average of the weights.")
    ema_momentum: float | None = _option(None, "Of that average; by the number of steps where left out.")
    clip_norm: float = _option(10.0, "Largest norm of all gradients together; 0 is no limit.")
    accumulate: int = _option(1, "Batches whose gradients make one step.")
    patience: int = _option(
        0, "Stop after so many epochs without a better average precision or mean IoU; 0 is never."
    )
    precision: str = _option("auto", "auto, float32, mixed_bfloat16 or mixed_float16.")
    freeze_backbone: bool = _option(False, "Train neck and head alone.")
    multi_scale: bool = _option(False, "Another input size every ten steps, from 2/3 to 4/3.")
    rectangular: bool = _option(False, "Validate on batches of images of one shape, with little grey around.")
    sizes: Sequence | None = _option(None, "The input sizes of that, joined by commas, such as 320,352,384.")
    augment: str | Sequence[str] = _option(
        "light", "none, light, mosaic, yolov4, or transforms joined by commas."
    )
    sat: float = _option(
        0.0, "Share of batches that the network alters against itself first (self-adversarial training)."
    )
    close_mosaic: int | None = _option(
        None, "Epochs without mosaics at the end; a tenth of them where left out."
    )
    balance: float | None = _option(
        None, "Show classes that a smaller share of the images has more often (repeat factors), such as 0.2."
    )
    cache: str | None = _option(
        None, "Keep the decoded training images: memory, disk (in Keras's folder) or disk:FOLDER."
    )
    workers: int | None = _option(
        None, "Threads or processes that make batches; by the cores where left out."
    )
    worker_kind: str = _option(
        "auto",
        "thread; process, twice as fast with two, but half a second and up to 400 MB each; or auto: processes for "
        "long trainings, unless the images are cached in memory, which each process does for itself.",
    )
    width: float | None = _option(None, "Scales the channels.")
    depth: float | None = _option(None, "Scales the blocks of a stage.")
    anchors: str | Sequence = _option(
        "auto", "auto (from the training boxes), default, or widths and heights."
    )
    box_loss: str | None = _option(
        None,
        "Of detectors: iou, giou, diou or ciou; of YOLO also paper, of RetinaNet and SSD l1 or smooth_l1.",
    )
    loss: str | None = _option(
        None, "Of segmenters: ce, focal, dice, jaccard, tversky, lovasz, ... or a sum such as ce+dice."
    )
    head: dict = dataclasses.field(
        default_factory=dict, metadata={"help": "Other arguments of the model's head, as NAME=VALUE."}
    )
    weights: str | None = _option(
        None, "A .keras, .weights.h5 or .weights file of the same model to start from."
    )
    stop_at: int | None = _option(None, "Of a .cfg: take so many of its layers from that file, and no more.")
    backbone_weights: str | None = _option(None, "A .keras file of a model with the same backbone.")
    skip_faulty: bool = _option(False, "Leave faulty images and boxes out instead of refusing them.")
    bits: int | None = _option(
        None,
        "How many bits of 16-bit images are in use, such as 12 where levels go to 4095; all where left out.",
    )
    name: str = _option("exp", "Of the run; a number is added where it is taken.")
    runs: str | None = _option(None, "The folder of runs; runs/detect or runs/segment where left out.")
    run: str | None = _option(None, "The run's folder itself, in the place of runs and name.")
    exist_ok: bool = _option(False, "Write over a run that is in that folder.")

    def __post_init__(self):
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer={self.optimizer!r} is unknown; use {' or '.join(OPTIMIZERS)}")
        policy = self.schedule.get("policy") if isinstance(self.schedule, dict) else None
        if policy not in POLICIES and (isinstance(self.schedule, dict) or self.schedule not in SCHEDULES):
            raise ValueError(f"schedule={self.schedule!r} is unknown; use {', '.join(SCHEDULES)}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision!r} is unknown; use {', '.join(PRECISIONS)}")
        if self.worker_kind not in WORKER_KINDS:
            raise ValueError(f"worker_kind={self.worker_kind!r} is unknown; use {', '.join(WORKER_KINDS)}")
        if self.learning_rate is None:
            pretrained = self.weights is not None or self.backbone_weights is not None
            rate = FINE_TUNING_RATE if pretrained else OPTIMIZERS[self.optimizer]
            object.__setattr__(self, "learning_rate", rate)
        if isinstance(self.image_size, int):
            object.__setattr__(self, "image_size", (self.image_size, self.image_size))
        if self.sizes is not None:
            sizes = [(size, size) if isinstance(size, int) else tuple(size) for size in self.sizes]
            object.__setattr__(self, "sizes", sizes)
        self._check_ranges()

    def _check_ranges(self) -> None:
        least = {"epochs": 1, "batch_size": 1, "accumulate": 1, "seed": 0, "patience": 0, "weight_decay": 0}
        least |= {"clip_norm": 0, "stop_at": 0, "burn_in": 0, "workers": 0, "close_mosaic": 0}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and not value >= bound:
                raise ValueError(f"{name}={value}: give {bound} or more")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate={self.learning_rate}: give a number above 0")
        for name in ("momentum", "beta_1", "beta_2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name}={getattr(self, name)}: give a number from 0 up to, not including, 1"
                )
        if self.bits is not None and not 8 <= self.bits <= 16:
            raise ValueError(f"bits={self.bits}: give how many bits of 16 are in use, 8 to 16")
        if not 0 <= self.sat <= 1:
            raise ValueError(f"sat={self.sat}: give a share from 0 to 1")
        if self.ema_momentum is not None and not 0 <= self.ema_momentum < 1:
            raise ValueError(
                f"ema_momentum={self.ema_momentum}: give a number from 0 up to, not including, 1"
            )
        if self.image_size is not None and (len(self.image_size) != 2 or min(self.image_size) < 1):
            raise ValueError(f"image_size={self.image_size}: give a side in pixels, or height and width")
        if any(len(size) != 2 or min(size) < 1 for size in self.sizes or ()):
            raise ValueError(f"sizes={self.sizes}: give sides in pixels, or heights and widths")

    @classmethod
    def of(cls, options: dict) -> TrainConfig:
        """The configuration of named options.

        Raises:
            ValueError: an option is unknown; the message has the nearest one.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in options:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                raise ValueError(f"train: unknown option {name!r}; {hint}")
        return cls(**options)

    def to_dict(self) -> dict:
        """Plain data, as `args.yaml` holds it."""
        return {key: _plain(value) for key, value in dataclasses.asdict(self).items()}

    def model_arguments(self) -> dict:
        """What `kzoo.build` takes besides classes, names, image size and anchors."""
        names = ("width", "depth", "box_loss", "loss", "weights", "backbone_weights")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return {**given, **self.head}


def _plain(value):
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Path) or callable(value):
        return str(value)
    return value.item() if hasattr(value, "item") else value
