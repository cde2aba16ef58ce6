"""Any dataset's annotation as COCO's JSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kzoo.data.dataset import Dataset
from kzoo.data.formats.written import Item, Losses
from kzoo.data.record import Record


def to_coco(
    dataset: Dataset, category_ids: Sequence[int] | None = None, segmentations: bool = False
) -> dict[str, list[dict]]:
    """A dataset's annotation in COCO's format, read without decoding the images.

    `images` lie in the dataset's order, `categories` in the order of the labels. An annotation has `id`,
    `image_id`, `category_id`, `bbox`, `area`, `iscrowd` and `difficult`. Image ids are the records' own where
    those are distinct whole numbers, else 1, 2, ... in the order of the records' ids, by which ties are broken.

    Args:
        dataset: any `kzoo.data.Dataset`.
        category_ids: the id of every label; the dataset's own where None.
        segmentations: whether annotations carry polygons or RLE as `segmentation`.
    """
    category_ids = dataset.category_ids if category_ids is None else category_ids
    records = [dataset.record(index) for index in range(len(dataset))]
    ids = [record.id for record in records]
    if not all(isinstance(identifier, int) for identifier in ids) or len(set(ids)) < len(ids):
        order = sorted(range(len(ids)), key=lambda index: (isinstance(ids[index], str), ids[index]))
        ids = (np.argsort(order) + 1).tolist()
    images, annotations = [], []
    numbers = itertools.count(1)
    for index, (identifier, record) in enumerate(zip(ids, records, strict=True)):
        height, width = record.size or dataset.size(index)
        images.append({"id": identifier, "file_name": record.path.name, "height": height, "width": width})
        for row in _annotations(record, category_ids, segmentations):
            annotations.append({"id": next(numbers), "image_id": identifier, **row})
    named = zip(category_ids, dataset.classes, strict=True)
    categories = [{"id": int(identifier), "name": name} for identifier, name in named]
    return {"images": images, "annotations": annotations, "categories": categories}


def _annotations(record: Record, category_ids: Sequence[int], segmentations: bool):
    """The record's boxes as COCO's annotations, without their ids."""
    for box, (x, y, width, height) in enumerate(_sides(record).tolist()):
        label = int(record.labels[box])
        shape = None if record.polygons is None else record.polygons[box]
        row = {
            "category_id": int(category_ids[label]) if 0 <= label < len(category_ids) else -1,
            "bbox": [x, y, width, height],
            "area": width * height if record.areas is None else float(record.areas[box]),
            "iscrowd": int(record.crowd[box]),
            "difficult": int(record.difficult[box]),
        }
        if segmentations and shape is not None:
            flat = shape if isinstance(shape, dict) else [part.ravel().tolist() for part in shape]
            row["segmentation"] = flat
        yield row


def _sides(record: Record) -> np.ndarray:
    """(N, 4) float64 x, y, width, height: as a file of COCO's had them, where the record is from one."""
    if record.xywh is not None:
        return record.xywh
    boxes = record.boxes.astype(np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def write_coco(out: Path, items: dict[str, list[Item]], whole: Dataset, losses: Losses) -> None:
    """Writes `annotations/instances_SPLIT.json`, which holds whatever a record does.

    Args:
        out: the folder of the new dataset, in which the images lie already.
        items: the images of each split, by its name.
        whole: the dataset whose classes are the common ones.
        losses: counts what the format cannot hold.
    """
    (out / "annotations").mkdir()
    # 0 is the ground in some readers of COCO's format.
    ids = whole.category_ids if whole.format == "coco" else range(1, len(whole.classes) + 1)
    for split, part in items.items():
        content = to_coco(_Finished(part, whole), list(ids), segmentations=True)
        for image, item in zip(content["images"], part, strict=True):
            image["file_name"] = item.name
        path = out / "annotations" / f"instances_{split}.json"
        path.write_text(json.dumps(content), encoding="utf-8")


class _Finished(Dataset):
    """The items of one split as a dataset, with the sizes the images have."""

    def __init__(self, items: list[Item], whole: Dataset):
        super().__init__(whole.root, None, whole.classes, whole.category_ids)
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def record(self, index: int) -> Record:
        self._items[index].record.size = self._items[index].size
        return self._items[index].record
