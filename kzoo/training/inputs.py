"""What a training reads: its datasets, and the batches made of them."""

from __future__ import annotations

import os
from pathlib import Path

from kzoo import data as datasets
from kzoo.data.batch import SIZE_STEPS
from kzoo.data.check import require_sound
from kzoo.data.dataset import choose_split
from kzoo.data.loader import Batches, batches
from kzoo.data.workers import is_sendable
from kzoo.training.config import TrainConfig

_MOST_WORKERS = 4
# Pixels of a training, of which a thread draws 10**8 a second: about ten seconds of work. Two processes are ahead of
# two threads after two seconds.
_MANY_PIXELS = 10**9
_STRIDE = 32


def open_datasets(
    data,
    val,
    skip_faulty: bool = False,
    task: str | None = None,
    masks: bool = False,
    bits: int | None = None,
) -> tuple:
    """The datasets to train and to validate on, both sound.

    Args:
        data: a dataset, or the path of one, whose splits "train" and, without `val`, "val" are taken. One without
            splits is trained on whole.
        val: a dataset, the path of one, or None.
        skip_faulty: leave faulty images and boxes out instead of refusing them.
        task: "detect" or "segment"; what each format is for where None.
        masks: whether training samples carry instance masks, where the dataset has them.
        bits: of 16-bit images, as `kzoo.data.load` takes it.

    Returns:
        Two datasets; the second is None where there is nothing to validate on.

    Raises:
        ValueError: there is no such split, there are faults, or the classes of the two differ.
    """
    train = data
    if bits is not None and not isinstance(data, (str, Path)):
        raise ValueError(f"bits={bits} of a dataset that is open already; open it with bits={bits}")
    if isinstance(data, (str, Path)):
        parts = datasets.splits(data, task)
        train = datasets.load(data, choose_split("train", parts, data) if parts else None, masks, task, bits)
        if val is None:
            val = _split(data, "val", task, bits)
    if isinstance(val, (str, Path)):
        val = _split(val, "val", task, bits) or datasets.load(val, task=task, bits=bits)
    for dataset in (train, val):
        _check_kind(dataset, task)
    if val is not None and list(val.classes) != list(train.classes):
        raise ValueError(
            f"{describe(val)}: its classes {list(val.classes)} are not {list(train.classes)}, those trained on; "
            "give both the same names in the same order"
        )
    return _sound(train, skip_faulty), None if val is None else _sound(val, skip_faulty)


def _check_kind(dataset, task: str | None) -> None:
    """Refuses boxes to train a segmenter on, and semantic masks to train a detector on."""
    semantic = getattr(dataset, "semantic", False)
    if dataset is None or task is None or semantic == (task == "segment"):
        return
    have, want = ("semantic masks", "boxes") if semantic else ("boxes", "semantic masks")
    raise ValueError(
        f"{describe(dataset)}: has {have}, and the model trains on {want}; open it with task={task!r}"
    )


def _sound(dataset, skip_faulty: bool):
    # Only readers can tell of faults; whoever skips wants every unreadable image found, hence decoded.
    return require_sound(dataset, skip_faulty, decode=skip_faulty) if hasattr(dataset, "record") else dataset


def describe(dataset) -> str:
    """What to call a dataset in a message."""
    return str(getattr(dataset, "root", type(dataset).__name__))


def _split(path, name: str, task: str | None, bits: int | None):
    try:
        return datasets.load(
            path, choose_split(name, datasets.splits(path, task), path), task=task, bits=bits
        )
    except ValueError:
        return None


def training_batches(
    dataset,
    config: TrainConfig,
    image_size: tuple[int, int],
    start_epoch: int = 0,
    resize: str = "letterbox",
) -> Batches:
    """Endless, shuffled, augmented batches from an epoch on."""
    closing = max(1, config.epochs // 10) if config.close_mosaic is None else config.close_mosaic
    return batches(
        dataset,
        _sizes(config, image_size),
        config.batch_size,
        config.augment,
        seed=config.seed,
        workers=_workers(config),
        worker_kind=_worker_kind(dataset, config, image_size),
        repeat=True,
        start_epoch=start_epoch,
        mosaic_epochs=config.epochs - closing,
        # Gradients that are added up are of one size.
        size_steps=SIZE_STEPS * config.accumulate,
        resize=resize,
        cache=config.cache,
        balance=config.balance,
    )


def validation_batches(
    dataset, config: TrainConfig, image_size: tuple[int, int], resize: str = "letterbox"
) -> Batches:
    """The dataset in its order, resized, over and over.

    Endless, because Keras lets a stream's end count as one more batch in the means of the losses.
    """
    return batches(
        dataset,
        image_size,
        config.batch_size,
        "none",
        shuffle=False,
        workers=_workers(config),
        repeat=True,
        resize=resize,
    )


def _sizes(config: TrainConfig, image_size: tuple[int, int]):
    if config.sizes is not None:
        return [tuple(size) for size in config.sizes]
    return sizes(image_size) if config.multi_scale else image_size


def sizes(image_size: tuple[int, int]) -> list[tuple[int, int]]:
    """Input sizes to train at: two thirds to four thirds of (height, width), in steps of the stride.

    Source: Redmon & Farhadi 2016, YOLO9000: Better, Faster, Stronger, arXiv:1612.08242, "Multi-Scale Training".
    """
    height, width = image_size
    reach = max(1, round(min(height, width) / 3 / _STRIDE))
    steps = [step * _STRIDE for step in range(-reach, reach + 1)]
    return [(height + step, width + step) for step in steps if min(height, width) + step >= _STRIDE]


def _workers(config: TrainConfig) -> int:
    return min(_MOST_WORKERS, os.cpu_count() or 1) if config.workers is None else config.workers


def _worker_kind(dataset, config: TrainConfig, image_size: tuple[int, int]) -> str:
    """Processes where they are worth starting, and need neither the user's script nor a cache each."""
    if config.worker_kind != "auto":
        return config.worker_kind
    pixels = config.epochs * len(dataset) * image_size[0] * image_size[1]
    if _workers(config) < 2 or pixels < _MANY_PIXELS or config.cache == "memory" or os.name != "posix":
        return "thread"
    return "process" if is_sendable((dataset, config.augment)) else "thread"
