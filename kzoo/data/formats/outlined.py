"""Datasets of outlined objects, opened for the task "instance"."""

from __future__ import annotations

import dataclasses

from kzoo.data.dataset import Dataset, Selection
from kzoo.data.record import Record


class Outlined(Selection):
    """A dataset whose samples have a mask for each object, and whose batches carry these.

    Args:
        base: the dataset, open with instance masks; its records have polygons or run lengths.

    Raises:
        ValueError: objects of it have no outline at all.

    Example:
        >>> Outlined(COCO("instances_val2017.json", masks=True))[0].masks.shape
        (7, 480, 640)
    """

    def __init__(self, base: Dataset):
        super().__init__(base, range(len(base)))
        self.instances = True
        records = (base.record(index) for index in range(len(base)))
        counts = [0]
        for record in records:
            if any(shape is not None for shape in record.polygons or ()):
                return
            counts.append(len(record))
        if sum(counts):
            raise ValueError(
                f"{base.root}: {sum(counts)} boxes and no mask of an object; give one with outlines, or open it with "
                "task='detect'"
            )

    def record(self, index: int) -> Record:
        record = super().record(index)
        missing = [None] * len(record)
        told = {fault.box for fault in record.problems if fault.severity == "error"}  # why there is none
        faults = [
            record.fault("no-outline", "a box without an outline: which pixels are the object's?", box=box)
            for box, shape in enumerate(record.polygons or missing)
            if shape is None and box not in told
        ]
        return dataclasses.replace(
            record, polygons=record.polygons or missing, problems=[*record.problems, *faults]
        )

    def problems(self):
        return self.base.problems()


class WithOutlines(Selection):
    """A dataset of boxes each of which has an outline, with the objects' masks in its samples and batches.

    Args:
        base: the dataset; it need not be open with masks, for its records have the outlines.
    """

    def __init__(self, base: Dataset):
        super().__init__(base, range(len(base)))
        self.masks = self.instances = True

    def problems(self):
        return self.base.problems()


def with_outlines(dataset, truth: str | None):
    """The dataset with the objects' masks in its batches, where they are of use and each object has an outline.

    Args:
        dataset: one of boxes; one that has nothing but samples is given back as it is.
        truth: the kind of targets that is trained on, of `kzoo.structures.targets.KEYS`; any but "outlined" gives the
            dataset itself.
    """
    if truth != "outlined" or getattr(dataset, "instances", False) or not hasattr(dataset, "record"):
        return dataset
    records = (dataset.record(index) for index in range(len(dataset)))
    shapes = (record.polygons or [None] * len(record) for record in records)
    outlined = all(shape is not None for shapes_of_one in shapes for shape in shapes_of_one)
    return WithOutlines(dataset) if outlined else dataset
