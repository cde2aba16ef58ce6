"""What evaluations ask of a dataset: its images in order, its classes in the model's words."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

READERS = 4


def open_split(path: str | Path, split: str | None = None, task: str | None = None, bits: int | None = None):
    """Opens a dataset to evaluate on.

    Args:
        path: as `kzoo.data.load` takes it.
        split: the part of it; where None the validation split, or all images if there is none.
        task: "detect" or "segment"; what the format is for where None.
        bits: of 16-bit images, as `kzoo.data.load` takes it.

    Raises:
        FileNotFoundError, ValueError: as `kzoo.data.load`.
    """
    from kzoo import data
    from kzoo.data.dataset import choose_split

    if split is None:
        # A dataset without a validation split is evaluated whole.
        with contextlib.suppress(ValueError):
            split = choose_split("val", data.splits(path, task), path)
    return data.load(path, split, task=task, bits=bits)


def data_task(model) -> str | None:
    """The `task` that `kzoo.data.load` takes for what a model is evaluated on, or calibrated with."""
    task = getattr(model, "task", "detect")
    return task if task in ("detect", "segment") else None


def image_count(dataset, limit: int | None = None) -> int:
    """How many images there are to evaluate on, up to `limit`.

    Raises:
        ValueError: there are none.
    """
    count = len(dataset) if limit is None else min(limit, len(dataset))
    if count < 1:
        raise ValueError(f"{_where(dataset)}: no images to evaluate on")
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


def _where(dataset) -> str:
    """What to call the dataset in an error."""
    split = getattr(dataset, "split", None)
    return str(getattr(dataset, "root", "the dataset")) + (f" ({split})" if split else "")


def label_map(detector, dataset) -> np.ndarray:
    """(C,) the dataset's label of each of the model's; they may be in another order, but not be others.

    A model that was built without names takes the dataset's, if it has as many classes.

    Raises:
        ValueError: they are others.
    """
    names, classes = [str(name) for name in detector.names], [str(name) for name in dataset.classes]
    count = len(names) or getattr(getattr(detector, "head", None), "num_classes", len(classes))
    if names == classes or (not names and count == len(classes)):
        return np.arange(len(classes))
    if len(set(names)) == len(names) == len(classes) and set(names) == set(classes):
        return np.array([classes.index(name) for name in names])
    raise ValueError(
        f"the model's classes are not the dataset's: the model knows {_listed(names) if names else count}, "
        f"{_where(dataset)} has {_listed(classes)}; evaluate a model that was trained on these classes"
    )


def _listed(names: Sequence[str], most: int = 8) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} ({', '.join(names[:most])}{rest})"
