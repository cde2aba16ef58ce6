"""Datasets of outlined objects as those of semantic masks."""

from __future__ import annotations

import numpy as np

from kzoo.data.dataset import Dataset, Selection
from kzoo.data.painting.rasterise import paint
from kzoo.data.record import Record
from kzoo.structures import IGNORED


class Rasterised(Selection):
    """A dataset of outlined objects as one of semantic masks: ground is class 0, the classes follow.

    Args:
        base: the dataset; its records have polygons or run lengths.

    Raises:
        ValueError: it has more classes than a mask has values.

    Example:
        >>> Rasterised(COCO("instances_val2017.json"))[0].mask.dtype
        dtype('uint8')
    """

    def __init__(self, base: Dataset):
        super().__init__(base, range(len(base)))
        if len(base.classes) >= IGNORED:
            raise ValueError(
                f"{base.root}: {len(base.classes)} classes, but a mask has values for {IGNORED - 1}; leave some out"
            )
        self.classes = ["background", *base.classes]
        self.category_ids = [-1 if 0 in base.category_ids else 0, *base.category_ids]
        self.semantic = True

    def record(self, index: int) -> Record:
        record = super().record(index)
        record.labels = np.where(record.labels < 0, -1, record.labels + 1)
        for box in range(len(record)):
            if record.polygons is None or record.polygons[box] is None:
                message = "a box without an outline: which pixels are the object's?"
                record.problems.append(record.fault("no-outline", message, box=box))
        return record

    def mask_of(self, index: int, record: Record, size: tuple[int, int]) -> np.ndarray:
        return paint(record, size)

    def problems(self):
        return self.base.problems()
