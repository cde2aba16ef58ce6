"""Every option of a training, once: `kzoo.train`, the command line and `args.yaml` all read it here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kzoo.options import (
    Flag,
    Number,
    Option,
    Place,
    Size,
    Sizes,
    Whole,
    Word,
    check_known,
    declared,
    forms,
)
from kzoo.options.building import DEPTH, WEIGHTS, WIDTH
from kzoo.options.checking import ANY
from kzoo.options.commands import BITS, SEED, SPLIT, TRAIN_BATCH
from kzoo.options.forms import POLICIES, SCHEDULES  # noqa: F401
from kzoo.options.kinds import Component

# And their learning rates from scratch. Every convolution is batch-normalised: AdamW's usual 1e-3 takes twice the
# epochs on blood cells and on shapes.
OPTIMIZERS = {"adamw": 5e-3, "sgd": 1e-2}
FINE_TUNING_RATE = 1e-3  # where training starts from weights
WORKER_KINDS = ("auto", "thread", "process")
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")

# Headings of the command line's help, in their order.
FIRST, DATA, MODEL, OPTIMIZER, SCHEDULE = "Used first", "Data", "Model", "Optimiser", "Schedule"
AUGMENTATION, RUN, SPEED = "Augmentation", "Run", "Speed"
PANELS = (FIRST, DATA, MODEL, OPTIMIZER, SCHEDULE, AUGMENTATION, RUN, SPEED)

_SGD, _ADAMW = {"optimizer": ("sgd",)}, {"optimizer": ("adamw",)}


def option(default, kind: Option):
    """A field of a configuration, with what it may be."""
    return dataclasses.field(default=default, metadata={"option": kind, "help": kind.phrase})


_HEAD = forms.HEAD.but(
    help="Another argument of the model's head; may be given again for the next.", panel=MODEL
)


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Every field's meaning stands beside it, with its type, its range and beside what it has an effect.

    Raises:
        ValueError: a value is of another type or out of its range; the message names option, value and remedy.

    Example:
        >>> TrainConfig(epochs=100, optimizer="sgd").learning_rate
        0.01
    """

    epochs: int = option(
        50, Whole(help="Passes over the training images.", least=1, most=1_000_000, panel=FIRST)
    )
    batch_size: int = option(16, TRAIN_BATCH.but(help="Images a step, of all devices together.", panel=FIRST))
    image_size: int | Sequence[int] | None = option(
        None, Size(help="Of the network's input; the model's own where left out.", none=True, panel=FIRST)
    )
    split: str | None = option(
        None,
        SPLIT.but(
            help="The part of the dataset to train on; train, or its only one, where left out.", panel=DATA
        ),
    )
    val_split: str | None = option(
        None,
        SPLIT.but(
            help="The part of --val, or else of --data, to validate on; val where left out.", panel=DATA
        ),
    )
    seed: int = option(0, SEED.but(help="Of weights, order and augmentation.", panel=RUN))
    optimizer: str = option(
        "adamw", Word(help="What follows the gradients.", choices=tuple(OPTIMIZERS), panel=OPTIMIZER)
    )
    learning_rate: float | None = option(
        None,
        Number(
            help="The highest learning rate; 0.005 of adamw and 0.01 of sgd, 0.001 from weights, where left out.",
            above=0,
            none=True,
            panel=FIRST,
        ),
    )
    weight_decay: float = option(
        5e-4,
        Number(
            help="Weight decay of kernels, not of biases and batch normalisation.",
            least=0,
            most=10,
            panel=OPTIMIZER,
        ),
    )
    momentum: float = option(
        0.9, Number(help="Momentum of sgd.", least=0, below=1, needs=_SGD, panel=OPTIMIZER)
    )
    nesterov: bool = option(
        True,
        Flag(help="Let the momentum of sgd look ahead.", needs=_SGD, neutral=(None,), panel=OPTIMIZER),
    )
    beta_1: float = option(
        0.9, Number(help="Momentum of adamw.", least=0, below=1, needs=_ADAMW, panel=OPTIMIZER)
    )
    beta_2: float = option(
        0.999,
        Number(
            help="Of adamw: share of the old mean square that a step keeps.",
            least=0,
            below=1,
            needs=_ADAMW,
            panel=OPTIMIZER,
        ),
    )
    epsilon: float = option(
        1e-7,
        Number(
            help="Of adamw: what is added to the root of the mean square before it divides.",
            above=0,
            most=1,
            needs=_ADAMW,
            panel=OPTIMIZER,
        ),
    )
    schedule: str | Mapping = option(
        "cosine",
        forms.SCHEDULE.but(
            help="How the learning rate goes on after the burn-in; step is a tenth at 80 % and 90 % of the steps.",
            panel=SCHEDULE,
        ),
    )
    burn_in: int | None = option(
        None,
        Whole(
            help="Steps in which the learning rate rises; those of 3 epochs, but at most 1000, where left out.",
            unit="steps",
            least=0,
            most=10**9,
            none=True,
            panel=SCHEDULE,
        ),
    )
    ema: bool = option(
        True, Flag(help="Validate and keep an exponential moving average of the weights.", panel=OPTIMIZER)
    )
    ema_momentum: float | None = option(
        None,
        Number(
            help="Share of the old average that a step keeps; by the number of steps where left out.",
            least=0,
            below=1,
            none=True,
            needs={"ema": (True,)},
            panel=OPTIMIZER,
        ),
    )
    clip_norm: float = option(
        10.0, Number(help="Largest norm of all gradients together; 0 is no limit.", least=0, panel=OPTIMIZER)
    )
    accumulate: int = option(
        1,
        Whole(
            help="Batches whose gradients make one step.",
            unit="batches",
            least=1,
            most=1_000_000,
            panel=OPTIMIZER,
        ),
    )
    patience: int = option(
        0,
        Whole(
            help="Stop after so many epochs without a better average precision, mean IoU or loss; 0 is never.",
            unit="epochs",
            least=0,
            most=1_000_000,
            panel=SCHEDULE,
        ),
    )
    precision: str = option("auto", Word(help="Of the layers' arithmetic.", choices=PRECISIONS, panel=SPEED))
    freeze_backbone: bool = option(False, Flag(help="Train neck and head alone.", panel=MODEL))
    multi_scale: bool = option(
        False,
        Flag(
            help="Another input size every ten steps, from 2/3 to 4/3.",
            needs={"sizes": (None,)},
            panel=AUGMENTATION,
        ),
    )
    rectangular: bool = option(
        False,
        Flag(
            help="Validate detectors on batches of images of one shape, with little grey around.",
            task="detect",
            panel=DATA,
        ),
    )
    sizes: Sequence | None = option(
        None,
        Sizes(
            help="The input sizes to train at, another one every ten steps, joined by commas, such as 320,352,384.",
            none=True,
            panel=AUGMENTATION,
        ),
    )
    augment: str | Sequence[str] = option(
        "light",
        forms.AUGMENT.but(
            help="How training images are changed.",
            none=True,
            panel=FIRST,
        ),
    )
    sat: float = option(
        0.0,
        Number(
            help="Share of batches that the network alters against itself first (self-adversarial training).",
            least=0,
            most=1,
            panel=AUGMENTATION,
        ),
    )
    close_mosaic: int | None = option(
        None,
        Whole(
            help="Epochs at the end without pictures made of several; a tenth of them where left out.",
            unit="epochs",
            least=0,
            most=1_000_000,
            none=True,
            panel=AUGMENTATION,
        ),
    )
    balance: float | None = option(
        None,
        Number(
            help="Show classes that a smaller share of the images has more often (repeat factors), such as 0.2.",
            above=0,
            most=1,
            none=True,
            panel=DATA,
        ),
    )
    cache: str | None = option(
        None,
        Word(
            help="Keep the decoded training images; disk is in Keras's folder.",
            choices=("memory", "disk"),
            prefixes=("disk:",),
            none=True,
            panel=SPEED,
        ),
    )
    workers: int | None = option(
        None,
        Whole(
            help="Threads or processes that make batches; by the cores where left out.",
            least=0,
            most=256,
            none=True,
            panel=SPEED,
        ),
    )
    worker_kind: str = option(
        "auto",
        Word(
            help="What makes batches; process is twice as fast with two, but half a second and up to 400 MB each; "
            "auto takes processes for long trainings, unless the images are cached in memory, which each process does "
            "for itself.",
            choices=WORKER_KINDS,
            panel=SPEED,
        ),
    )
    width: float | None = option(None, WIDTH.but(none=True, panel=MODEL))
    depth: float | None = option(None, DEPTH.but(none=True, panel=MODEL))
    anchors: str | Sequence = option(
        "auto",
        forms.ANCHORS.but(
            help="Of detectors: auto takes them from the training boxes, default from the model.",
            task="detect",
            panel=MODEL,
        ),
    )
    box_loss: str | None = option(
        None,
        Word(
            help="Loss of detectors' boxes; paper of YOLO alone, l1 and smooth_l1 of RetinaNet and SSD.",
            choices=("iou", "giou", "diou", "ciou", "paper", "l1", "smooth_l1"),
            none=True,
            task="detect",
            panel=MODEL,
        ),
    )
    loss: str | None = option(
        None,
        forms.LOSS.but(
            help="Of segmenters: ce, focal, dice, jaccard, tversky, lovasz, ... or a sum such as ce+dice.",
            none=True,
            task="segment",
            panel=MODEL,
        ),
    )
    head: dict = dataclasses.field(default_factory=dict, metadata={"option": _HEAD, "help": _HEAD.phrase})
    weights: str | None = option(None, WEIGHTS.but(panel=FIRST))
    stop_at: int | None = option(
        None,
        Whole(
            help="Of a .cfg: take so many of its layers from the weights, and no more.",
            unit="layers",
            least=0,
            most=1_000_000,
            none=True,
            needs={"weights": (ANY,)},
            panel=MODEL,
        ),
    )
    backbone_weights: str | None = option(
        None,
        Place(
            help="A .keras file of a model with the same backbone, Darknet's, torchvision's or timm's, or imagenet.",
            what="a file of weights, or imagenet",
            none=True,
            needs={"weights": (None,)},
            panel=MODEL,
        ),
    )
    skip_faulty: bool = option(
        False, Flag(help="Leave faulty images and boxes out instead of refusing them.", panel=DATA)
    )
    bits: int | None = option(None, BITS.but(panel=DATA))
    name: str = option(
        "exp",
        Component(
            help="Of the run: its folder in the folder of runs; a number is added where it is taken.",
            needs={"run": (None,)},
            panel=FIRST,
        ),
    )
    runs: str | None = option(
        None,
        Place(
            help="The folder of runs; runs/detect or runs/segment where left out.",
            what="a folder",
            none=True,
            needs={"run": (None,)},
            panel=RUN,
        ),
    )
    run: str | None = option(
        None,
        Place(
            help="The run's folder itself, in the place of runs and name.",
            what="a folder",
            none=True,
            panel=RUN,
        ),
    )
    exist_ok: bool = option(
        False, Flag(help="Write over a run that is in that folder.", needs={"run": (ANY,)}, panel=RUN)
    )

    def __post_init__(self):
        for name, kind in declared(type(self)).items():
            object.__setattr__(self, name, kind.check(name, getattr(self, name)))
        if self.learning_rate is None:
            pretrained = self.weights is not None or self.backbone_weights is not None
            rate = FINE_TUNING_RATE if pretrained else OPTIMIZERS[self.optimizer]
            object.__setattr__(self, "learning_rate", rate)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> TrainConfig:
        """The configuration of named options.

        Raises:
            ValueError: an option is unknown, and the message has the nearest one; or its value is wrong.
        """
        check_known("train", options, declared(cls))
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
