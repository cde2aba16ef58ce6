"""What evaluations ask of a dataset: its images in order, its classes in the model's words."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kzoo.data.relabel import CLASSES_REMEDY, label_table, listed, mask_table, translate, where

log = logging.getLogger("kzoo")

READERS = 4


def open_split(path: str | Path, split: str | None = None, task: str | None = None, bits: int | None = None):
    """Opens a dataset to evaluate on. What is taken for want of a validation split is logged.

    Args:
        path: the path of a dataset.
        split: the part of the dataset; where None the validation split, or else the test split, or the only part there
            is, or all images if there are no parts.
        task: "detect", "segment", "instance" or "drive"; what the format is for where None.
        bits: number of bits that 16-bit images use, 8 to 16; all where None.

    Raises:
        FileNotFoundError, ValueError: as `kzoo.data.load`; or there are parts, and none is the one to evaluate on.
    """
    from kzoo import data
    from kzoo.data.parts import evaluation_part, validation_part

    parts = data.splits(path, task)
    part = evaluation_part(parts, path, split)
    if split is None and len(parts) > 1 and validation_part(parts, path, None) is None:
        log.warning("%s: there is no part 'val': %s is evaluated on", path, part)
    return data.load(path, part, task=task, bits=bits)


def data_task(model) -> str | None:
    """The `task` that `kzoo.data.load` takes for what a model is evaluated on, or calibrated with."""
    task = getattr(model, "task", "detect")
    return task if task in ("detect", "segment", "instance", "drive") else None


def image_count(dataset, limit: int | None = None) -> int:
    """How many images there are to evaluate on, up to `limit`.

    Raises:
        ValueError: there are none.
    """
    count = len(dataset) if limit is None else min(limit, len(dataset))
    if count < 1:
        raise ValueError(f"{where(dataset)}: no images to evaluate on")
    return count


def read_ahead(places: Iterable, read: Callable, ahead: int) -> Iterator:
    """`read(place)` of every place, in their order, up to `ahead` of them made in threads before they are asked for."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="evaluate") as pool:
        waiting: deque = deque()
        try:
            for place in places:
                waiting.append(pool.submit(read, place))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class SharedClasses:
    """The classes that a model and a dataset are compared in.

    Attributes:
        names: the names of these classes.
        of_model: (C,) the position in `names` of each class of the model.
        of_data: (K,) the position in `names` of each class of the dataset.
    """

    names: list[str]
    of_model: np.ndarray
    of_data: np.ndarray

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """The dataset's labels as positions in `names`."""
        return translate(labels, self.of_data)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """(H, W) uint8: a semantic mask of the dataset in values that are positions in `names`."""
        return mask_table(self.of_data)[mask]


def shared_classes(detector, dataset) -> SharedClasses:
    """What the classes of a model and of a dataset have to do with each other, told by their names.

    Both may have the same ones in any order, and the dataset may have some of the model's alone: then those that it
    lacks are classes without an object. A model that was built without names takes the dataset's, if it has as many
    classes.

    Raises:
        ValueError: the dataset has a class that the model does not know.
    """
    names, classes = [str(name) for name in detector.names], [str(name) for name in dataset.classes]
    count = len(names) or getattr(getattr(detector, "head", None), "num_classes", len(classes))
    same = np.arange(len(classes))
    if names == classes or (not names and count == len(classes)):
        return SharedClasses(classes, same, same)
    table = label_table(classes, names)
    if table is None:
        raise ValueError(
            f"the model's classes are not the dataset's: the model knows {listed(names) if names else count}, "
            f"{where(dataset)} has {listed(classes)}; {CLASSES_REMEDY if names else 'give the names with --names'}, "
            "or evaluate a model that was trained on these classes"
        )
    if len(names) == len(classes):  # the dataset's order is that of its other tables
        return SharedClasses(classes, label_table(names, classes), same)
    return SharedClasses(names, np.arange(len(names)), table)
