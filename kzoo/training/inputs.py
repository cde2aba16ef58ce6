"""What a training reads: its datasets, and the batches made of them."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from kzoo import data as datasets
from kzoo.augment.compose import Compose
from kzoo.data.checks.check import sound_part
from kzoo.data.checks.report import plural
from kzoo.data.formats.outlined import with_outlines
from kzoo.data.loading.batch import SIZE_STEPS
from kzoo.data.loading.loader import Batches, batches
from kzoo.data.loading.workers import is_sendable
from kzoo.data.parts import evaluation_part, is_usual_split, shown_part, training_part, validation_part
from kzoo.data.relabel import relabelled
from kzoo.proposals import ProposalCache, Proposer
from kzoo.structures.cells import MASK_SIDE
from kzoo.training.config import TrainConfig

log = logging.getLogger("kzoo")

_MOST_WORKERS = 4
# Pixels of a training, of which a thread draws 10**8 a second: about ten seconds of work. Two processes are ahead of
# two threads after two seconds.
_MANY_PIXELS = 10**9
_STRIDE = 32


def open_inputs(data, val, config: TrainConfig, task: str | None) -> tuple:
    """The datasets that a training's options ask for: see `open_datasets`."""
    instances = Compose(config.augment).instances
    options = config.skip_faulty, task, instances, config.bits, config.split, config.val_split
    return open_datasets(data, val, *options)


def open_datasets(
    data,
    val,
    skip_faulty: bool = False,
    task: str | None = None,
    masks: bool = False,
    bits: int | None = None,
    split: str | None = None,
    val_split: str | None = None,
) -> tuple:
    """The datasets to train and to validate on, both sound, and of the same classes.

    What is taken where nobody says so, and may not be what was meant, is logged.

    Args:
        data: a dataset, or the path of one, of which a part is taken (see `kzoo.data.parts`).
        val: a dataset, the path of one, or None for a part of `data`.
        skip_faulty: leave faulty images and boxes out instead of refusing them.
        task: "detect", "segment" or "instance"; what each format is for where None.
        masks: whether training samples carry instance masks, where the dataset has them.
        bits: number of bits that 16-bit images use, 8 to 16; all where None.
        split: the part of `data` to train on; "train", or the only one, where None.
        val_split: the part of `val`, or else of `data`, to validate on; "val" where None.

    Returns:
        Two datasets; the second is None where there is nothing to validate on. Its labels count in the classes of the
        first, of which it may have some, in any order.

    Raises:
        ValueError: there is no such part, one cannot be read, there are faults, or the second has classes that the
            first does not have.
    """
    if bits is not None and not isinstance(data, (str, Path)):
        raise ValueError(f"bits={bits} of a dataset that is open already; open it with bits={bits}")
    load = functools.partial(datasets.load, task=task, bits=bits)
    parts = datasets.splits(data, task) if isinstance(data, (str, Path)) else []
    train = _open_training(data, split, parts, functools.partial(load, masks=masks))
    val = _open_validation(data, val, val_split, parts, getattr(train, "split", None), load)
    for dataset in (train, val):
        _check_kind(dataset, task)
    if val is None:
        return _sound(train, skip_faulty)[0], None
    val = relabelled(val, train.classes)
    (sound, files), (val_sound, val_files) = _all_sound((train, val), skip_faulty)
    shared = len(val) if val is train else len(files & val_files)
    if shared:
        log.warning(
            "%s: of the images to validate on %d of %d are trained on, too: the figures say little about others",
            describe(val),
            shared,
            len(val),
        )
    return sound, val_sound


def _open_training(data, split: str | None, parts: list[str], load: Callable):
    """The dataset to train on."""
    if not isinstance(data, (str, Path)):
        _refuse_part("split", split)
        return data
    part = training_part(parts, data, split)
    if split is None and len(parts) == 1 and not is_usual_split(part):
        log.warning("%s: its one part, %s, is trained on", data, part)
    return load(data, part)


def _open_validation(data, val, val_split: str | None, parts: list[str], trained: str | None, load: Callable):
    """The dataset to validate on: the one that is given, or a part of `data`; None where there is none."""
    if isinstance(val, (str, Path)):
        own = datasets.splits(val, load.keywords["task"])
        return load(val, evaluation_part(own, val, val_split, ("val",), "--val-split"))
    if val is not None or not isinstance(data, (str, Path)):
        _refuse_part("val_split", val_split)
        return val
    if val_split is not None:
        return load(data, val_split)
    part = validation_part(parts, data, trained)
    others = [name for name in parts if name != trained]
    if part is None and others:
        log.warning(
            "%s: none to validate on, for there is no part 'val'; --val-split %s takes another: %s",
            data,
            "test" if "test" in others else others[0],
            ", ".join(others),
        )
    return None if part is None else load(data, part)


def _refuse_part(name: str, part: str | None) -> None:
    if part is not None:
        raise ValueError(
            f"{name}={part!r}: for the path of a dataset; of one that is open already, open that part"
        )


def _check_kind(dataset, task: str | None) -> None:
    """Refuses boxes to train a segmenter on, semantic masks to train a detector on, and objects without masks."""
    if dataset is None or task is None:
        return
    # What has nothing but samples does not say whether these have masks: they are looked at one by one.
    instances = getattr(dataset, "instances", True)
    semantic = getattr(dataset, "semantic", False)
    roads = getattr(dataset, "roads", False)
    if semantic == (task == "segment") and (instances or task != "instance") and (roads or task != "drive"):
        return
    masks = {"segment": "semantic masks", "instance": "instance masks", "drive": "boxes and masks of roads"}
    wanted = masks.get(task, "boxes")
    has = "semantic masks" if semantic else "boxes"
    raise ValueError(
        f"{describe(dataset)}: has {has}, and the model trains on {wanted}; open it with task={task!r}"
    )


def _sound(dataset, skip_faulty: bool) -> tuple:
    """The dataset, without its faults, and which files its images are."""
    # Only readers can tell of faults; whoever skips wants every unreadable image found, hence decoded.
    if not hasattr(dataset, "record"):
        if skip_faulty:
            log.warning("%s: cannot be looked through for faults: taken as it is", describe(dataset))
        return dataset, set()
    sound, report = sound_part(dataset, skip_faulty, decode=skip_faulty)
    return sound, report.image_files


def _all_sound(parts: Sequence, skip_faulty: bool) -> list[tuple]:
    """What `_sound` gives of several datasets; the faults of all are told at once."""
    sound, refusals = [], []
    for dataset in parts:
        try:
            sound.append(_sound(dataset, skip_faulty))
        except ValueError as refusal:
            refusals.append(str(refusal))
    if refusals:
        raise ValueError("\n".join(refusals))
    return sound


def describe(dataset) -> str:
    """What to call a dataset in a message."""
    return str(getattr(dataset, "root", type(dataset).__name__))


def describe_parts(train, val) -> str:
    """ "training on 205 images (split train of X), validating on 87 (split val of X)"."""
    shown = f"training on {plural(len(train), 'image')} ({_shown(train)}), "
    return shown + ("none to validate on" if val is None else f"validating on {len(val)} ({_shown(val)})")


def _shown(dataset) -> str:
    return shown_part(getattr(dataset, "split", None), describe(dataset))


def training_batches(
    dataset,
    config: TrainConfig,
    image_size: tuple[int, int],
    start_epoch: int = 0,
    resize: str = "letterbox",
    task: str | None = None,
    searching: dict | None = None,
) -> Batches:
    """Endless, shuffled, augmented batches from an epoch on; with masks of objects for the task "instance".

    For "outlined" there are masks, too, where all objects have them. With `searching`, settings of a
    `kzoo.proposals.Proposer`, there are proposals beside the images.
    """
    closing = max(1, config.epochs // 10) if config.close_mosaic is None else config.close_mosaic
    return batches(
        with_outlines(dataset, task),
        input_sizes(config, image_size),
        config.batch_size,
        config.augment,
        seed=config.seed,
        workers=worker_count(config),
        worker_kind=_worker_kind(dataset, config, image_size),
        repeat=True,
        start_epoch=start_epoch,
        mosaic_epochs=config.epochs - closing,
        # Gradients that are added up are of one size.
        size_steps=SIZE_STEPS * config.accumulate,
        resize=resize,
        cache=config.cache,
        balance=config.balance,
        mask_side=_mask_side(task),
        proposals=_proposer(searching),
    )


def validation_batches(
    dataset,
    config: TrainConfig,
    image_size: tuple[int, int],
    resize: str = "letterbox",
    task: str | None = None,
    searching: dict | None = None,
) -> Batches:
    """The dataset in its order, resized, over and over; with proposals as `training_batches` has them.

    Endless, because Keras lets a stream's end count as one more batch in the means of the losses.
    """
    return batches(
        with_outlines(dataset, task),
        image_size,
        config.batch_size,
        "none",
        shuffle=False,
        workers=worker_count(config),
        repeat=True,
        resize=resize,
        mask_side=_mask_side(task),
        proposals=_proposer(searching),
    )


def searching_of(model) -> dict | None:
    """How proposals are found for a model to train on; None where it needs none."""
    return model.head.searching(training=True) if model.head.needs_proposals else None


def _proposer(searching: dict | None) -> Proposer | None:
    """What finds proposals on images as they are read, each once for all trainings; None where none are asked for."""
    return None if searching is None else Proposer(**searching, cache=ProposalCache())


def _mask_side(task: str | None) -> int | None:
    """Cells along each side of the masks that a task trains on; None where it trains on none."""
    return MASK_SIDE if task == "instance" else None


def input_sizes(config: TrainConfig, image_size: tuple[int, int]) -> list[tuple[int, int]]:
    """Heights and widths that are trained at; `image_size` alone where nothing else is asked for."""
    if config.sizes is not None:
        return [tuple(size) for size in config.sizes]
    return sizes(image_size) if config.multi_scale else [tuple(image_size)]


def sizes(image_size: tuple[int, int]) -> list[tuple[int, int]]:
    """Input sizes to train at: two thirds to four thirds of (height, width), in steps of the stride.

    Source: Redmon & Farhadi 2016, YOLO9000: Better, Faster, Stronger, arXiv:1612.08242, "Multi-Scale Training".
    """
    height, width = image_size
    reach = max(1, round(min(height, width) / 3 / _STRIDE))
    steps = [step * _STRIDE for step in range(-reach, reach + 1)]
    return [(height + step, width + step) for step in steps if min(height, width) + step >= _STRIDE]


def worker_count(config: TrainConfig) -> int:
    """Threads or processes that make batches: those that are asked for, or one a core, four at most."""
    return min(_MOST_WORKERS, os.cpu_count() or 1) if config.workers is None else config.workers


def _worker_kind(dataset, config: TrainConfig, image_size: tuple[int, int]) -> str:
    """Processes where they are worth starting, and need neither the user's script nor a cache each."""
    if config.worker_kind != "auto":
        return config.worker_kind
    pixels = config.epochs * len(dataset) * image_size[0] * image_size[1]
    if worker_count(config) < 2 or pixels < _MANY_PIXELS or config.cache == "memory" or os.name != "posix":
        return "thread"
    return "process" if is_sendable((dataset, config.augment)) else "thread"
