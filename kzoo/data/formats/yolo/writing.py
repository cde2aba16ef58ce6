"""Datasets as YOLO's: a line an object, of its box or its outline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

from kzoo.data.dataset import Dataset
from kzoo.data.formats.parsing import MOST_YAML
from kzoo.data.formats.written import Item, Losses, write_label
from kzoo.data.formats.yolo.reading import FLAGS
from kzoo.data.painting.outlines import joined, to_polygons

_BOX_MOVED = 1.0  # pixels from which on a box is another one than its outline's


def write_yolo(out: Path, items: dict[str, list[Item]], whole: Dataset, losses: Losses) -> None:
    """Writes `data.yaml`, a list of images a split, and a label file an image.

    Args:
        out: the folder of the new dataset, in which the images lie already.
        items: the images of each split, by its name.
        whole: the dataset whose classes are the common ones.
        losses: counts what the format cannot hold.

    Raises:
        ValueError: the names of the classes are too long for a `data.yaml` that is read again.
    """
    _refuse_size(sum(len(name.encode()) + len("0: \n") for name in whole.classes), whole)
    (out / "labels").mkdir()
    flags = {}
    for split, part in items.items():
        lines = [f"./images/{item.name}\n" for item in part]
        (out / f"{split}.txt").write_text("".join(lines), encoding="utf-8")
        for item in part:
            label = out / "labels" / f"{item.stem}.txt"
            write_label(label, "".join(_lines(item, losses)), item)
            record = item.record
            lists = {"difficult": record.difficult, "crowd": record.crowd}
            numbers = {
                key: (np.flatnonzero(value) + 1).tolist() for key, value in lists.items() if value.any()
            }
            if numbers:
                flags[f"labels/{label.name}"] = numbers
    if flags:
        (out / FLAGS).write_text(json.dumps(flags, indent=1), encoding="utf-8")
    content = {split: f"{split}.txt" for split in items} | {"names": dict(enumerate(whole.classes))}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    _refuse_size(len(text.encode()), whole)
    (out / "data.yaml").write_text(text, encoding="utf-8")


def _refuse_size(count: int, whole: Dataset) -> None:
    """Raises where a `data.yaml` of so many bytes, at the least, would not be read again."""
    if count > MOST_YAML:
        raise ValueError(
            f"{whole.root}: {len(whole.classes)} class names take more than the {MOST_YAML} bytes of a data.yaml that "
            "is read; choose coco"
        )


def _lines(item: Item, losses: Losses) -> Iterator[str]:
    height, width = item.size
    record = item.record
    for box, corners in enumerate(record.boxes.astype(np.float64)):
        outline = None if record.polygons is None else _outline(item, box, losses)
        if outline is None:
            x1, y1, x2, y2 = corners
            values = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
        else:
            values = (outline / (width, height)).ravel().tolist()
        yield f"{record.labels[box]} {' '.join(f'{value:.9f}' for value in values)}\n"


def _outline(item: Item, box: int, losses: Losses) -> np.ndarray | None:
    """An object's outline as one polygon, (K, 2) pixels; None where its box alone can be written."""
    shape = item.record.polygons[box]
    if shape is None:
        return None
    polygons = to_polygons(shape, item.size)
    if not polygons:
        losses.add(
            item, "{} images have masks of no pixel or of more than 500 pieces: those are written as boxes"
        )
        return None
    if len(polygons) > 1:
        losses.add(item, "{} images have outlines of several parts: those are joined by seams of no width")
    outline = joined(polygons)
    around = np.concatenate([outline.min(0), outline.max(0)])
    if np.abs(around - item.record.boxes[box]).max() > _BOX_MOVED:
        losses.add(item, "{} images have boxes that are not their outlines': YOLO's are")
    return outline
