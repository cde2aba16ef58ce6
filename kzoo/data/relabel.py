"""A dataset in another list of classes, told apart by their names."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from kzoo.data.dataset import Dataset, Selection
from kzoo.data.record import Record
from kzoo.structures import IGNORED, Sample

CLASSES_REMEDY = (
    "correct the names, or list the known ones in order in a classes.txt in the folder (YOLO: data.yaml)"
)


def relabelled(dataset, classes: Sequence[str]):
    """The dataset with labels, and values of semantic masks, that count in `classes`; itself where they do already.

    Args:
        dataset: a `kzoo.data.Dataset`, or whatever has `__len__`, `__getitem__ -> Sample` and `classes`.
        classes: names, among them all of the dataset's, in any order.

    Raises:
        ValueError: a class of the dataset is none of them, or a name is there twice.

    Example:
        >>> relabelled(kzoo.data.load("test"), ["kettle", "teacup"]).classes    # all photographs are of kettles
        ['kettle', 'teacup']
    """
    if list(dataset.classes) == list(classes):
        return dataset
    return (Relabelled if isinstance(dataset, Dataset) else _Samples)(dataset, classes)


def label_table(known: Sequence[str], classes: Sequence[str]) -> np.ndarray | None:
    """Which label each class gets in another list of classes.

    Args:
        known: K class names, of the labels as they are.
        classes: C class names, of the labels as they are to be.

    Returns:
        (K,) int64 the position in `classes` of each known name; None where one is not there, or a name is there twice.
    """
    places = {name: label for label, name in enumerate(classes)}
    if len(places) < len(classes) or len(set(known)) < len(known) or not places.keys() >= set(known):
        return None
    return np.array([places[name] for name in known], np.int64)


def translate(labels: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Labels as another list of classes counts them.

    Args:
        labels: (N,) labels.
        table: (K,) the new label of each old one, as `label_table` gives it.

    Returns:
        (N,) new labels; -1 for those below 0 or beyond the table.
    """
    labels = np.asarray(labels)
    inside = (labels >= 0) & (labels < len(table))
    # The appended row takes what lies outside: position -1 is the last.
    return np.append(table, -1)[np.where(inside, labels, -1)]


class Relabelled(Selection):
    """A dataset in another list of classes; see `relabelled`."""

    def __init__(self, base: Dataset, classes: Sequence[str]):
        super().__init__(base, range(len(base)))
        self._table = _table(base, classes)
        self.classes = list(classes)
        self.category_ids = list(range(len(self.classes)))

    def record(self, index: int) -> Record:
        record = super().record(index)
        return dataclasses.replace(record, labels=translate(record.labels, self._table))

    def mask_of(self, index: int, record: Record, size: tuple[int, int]) -> np.ndarray:
        if self.roads:  # bits, not classes
            return super().mask_of(index, record, size)
        # Where masks are painted, it is from the labels of the record that is given: here in the base's classes.
        back = np.full(len(self.classes), -1, np.int64)
        back[self._table] = np.arange(len(self._table))
        in_base = dataclasses.replace(record, labels=translate(record.labels, back))
        return mask_table(self._table)[super().mask_of(index, in_base, size)]

    def problems(self):
        return self.base.problems()


class _Samples:
    """As `Relabelled`, for datasets that have nothing but samples."""

    def __init__(self, base, classes: Sequence[str]):
        self.base = base
        self.classes = list(classes)
        self._table = _table(base, classes)
        self.semantic = getattr(base, "semantic", False)
        self.instances = getattr(base, "instances", False)
        self.roads = getattr(base, "roads", False)

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: int) -> Sample:
        sample = self.base[index]
        mask = sample.mask
        if mask is not None and not self.roads:  # whose mask is of bits, not of classes
            mask = mask_table(self._table)[mask]
        return dataclasses.replace(sample, labels=translate(sample.labels, self._table), mask=mask)


def _table(dataset, classes: Sequence[str]) -> np.ndarray:
    """(K,) the new label of each of the dataset's.

    Raises:
        ValueError: there is none.
    """
    table = label_table(dataset.classes, classes)
    if table is None:
        raise ValueError(f"{where(dataset)}: {class_difference(dataset.classes, classes)}")
    return table


def class_difference(names: Sequence[str], known: Sequence[str]) -> str:
    """What stands against taking a dataset's names for some of the `known` ones, and what to do about it."""
    there = set(known)
    strange = [name for name in names if name not in there]
    if not strange:
        return (
            f"a class is named twice among {listed(names)} and {listed(known)}; give each a name of its own"
        )
    return f"has {listed(strange)}, none of the {listed(known)} that are known; {CLASSES_REMEDY}"


def where(dataset) -> str:
    """What to call a dataset in an error."""
    split = getattr(dataset, "split", None)
    return str(getattr(dataset, "root", "the dataset")) + (f" ({split})" if split else "")


def listed(names: Sequence[str], most: int = 8) -> str:
    """How many names, and the first of them: "3 (ant, cat, dog)"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} ({', '.join(map(str, names[:most]))}{more})"


def mask_table(table: np.ndarray) -> np.ndarray:
    """(256,) uint8: the new value of each value of a mask, by the new label of each class; 255 stays ignored."""
    values = np.full(256, IGNORED, np.uint8)
    values[: len(table)] = table
    return values
