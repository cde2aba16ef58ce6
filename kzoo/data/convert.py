"""Writes datasets as Pascal VOC, YOLO or COCO, and so converts any of them into another."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import yaml

from kzoo.data import load, sniff
from kzoo.data import splits as split_names
from kzoo.data.coco import to_coco
from kzoo.data.dataset import Dataset, Record, Selection
from kzoo.data.yolo import FLAGS
from kzoo.draw import encode_png
from kzoo.files import replacing
from kzoo.progress import track

_IMAGE_FOLDER = {"voc": "JPEGImages", "yolo": "images", "coco": "images"}


@dataclass
class Written:
    """What was written.

    Attributes:
        out: the folder.
        format: "voc", "yolo" or "coco".
        parts: (images, boxes) by split.
        notes: what the format could not carry.
    """

    out: Path
    format: str
    parts: dict[str, tuple[int, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """A line a split, and the notes."""
        lines = [
            f"{name:12} {images:8} images {boxes:9} boxes" for name, (images, boxes) in self.parts.items()
        ]
        return "\n".join([f"{self.out}: {self.format}", *lines, *(f"note: {note}" for note in self.notes)])


@dataclass(frozen=True)
class _Item:
    """One image on its way out: its record with labels into the common classes, its name and upright size."""

    record: Record
    name: str
    size: tuple[int, int]

    @property
    def stem(self) -> str:
        return Path(self.name).stem


def convert(path: str | Path, out: str | Path, to: str) -> Written:
    """Writes the dataset at `path` in another format.

    Splits, the order of the classes, every box, `difficult` and `crowd` are kept; images are hard-linked where the
    file system can, else copied. Images in no split become "rest", or "train" where there are no splits.

    Args:
        path: a dataset that `kzoo.data.load` opens.
        out: the folder to write, which must not exist yet.
        to: "voc", "yolo" or "coco".

    Raises:
        ValueError: `to` is none of these, `out` exists, an annotation cannot be read or an image is missing.
        OSError: `out` cannot be written.
    """
    out = _new_folder(out, to)
    whole = load(path, task="detect")
    names = split_names(path, "detect")
    parts = {name: load(path, name, task="detect") for name in names}
    if sniff(path) != "shapes":
        listed = {part.record(index).path for part in parts.values() for index in range(len(part))}
        rest = [index for index in range(len(whole)) if whole.record(index).path not in listed]
        if rest:
            parts["rest" if names else "train"] = Selection(whole, rest)
    return write(parts, out, to, whole)


def write(parts: dict[str, Dataset], out: str | Path, to: str, whole: Dataset | None = None) -> Written:
    """Writes datasets as the splits of one.

    Args:
        parts: a dataset a split.
        out, to: as for `convert`.
        whole: the dataset whose classes are the common ones; the first part where None.
    """
    out = _new_folder(out, to)
    whole = next(iter(parts.values())) if whole is None else whole
    written = Written(out, to)
    with replacing(out) as fresh:
        items = _place_images(parts, whole, fresh / _IMAGE_FOLDER[to])
        _WRITERS[to](fresh, items, whole)
    shapes = {}
    for name, part in items.items():
        written.parts[name] = len(part), sum(len(item.record) for item in part)
        shapes |= {item.name: sum(shape is not None for shape in item.record.polygons or ()) for item in part}
    if to != "coco" and sum(shapes.values()):
        written.notes.append(f"{sum(shapes.values())} masks are left behind: kzoo writes them to coco alone")
    return written


def _new_folder(out: str | Path, to: str) -> Path:
    """`out`, if a dataset in the format `to` can be put there."""
    out = Path(out)
    if to not in _WRITERS:
        raise ValueError(f"format {to!r}; choose one of {', '.join(_WRITERS)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: exists already; remove it or choose another folder")
    return out


def _place_images(parts: dict[str, Dataset], whole: Dataset, folder: Path) -> dict[str, list[_Item]]:
    """Links or copies every image once, under a name whose stem is its own."""
    folder.mkdir(parents=True)
    names: dict[Path, str] = {}
    stems: set[str] = set()
    items: dict[str, list[_Item]] = {}
    for split, dataset in parts.items():
        labels = [whole.category_ids.index(identifier) for identifier in dataset.category_ids]
        items[split] = []
        for index in track(range(len(dataset)), f"writing {split}"):
            record = dataset.record(index)
            _refuse(record, len(labels))
            record.labels = np.array([labels[label] for label in record.labels], np.int64)
            if record.path not in names:
                names[record.path] = _free_name(record.path, stems)
                _place(dataset, index, record.path, folder / names[record.path])
            items[split].append(_Item(record, names[record.path], dataset.size(index)))
    return items


def _refuse(record: Record, classes: int) -> None:
    """Raises where something of the record cannot be written: it would be lost."""
    fault = next((fault for fault in record.problems if fault.severity == "error"), None)
    if fault is None:
        for box in range(len(record)):
            if not np.isfinite(record.boxes[box]).all():
                fault = record.fault("not-finite", "a box holds NaN or infinity", box=box)
            elif not 0 <= record.labels[box] < classes:
                fault = record.fault("unknown-class", f"unknown class {record.labels[box]}", box=box)
    if fault is not None:
        raise ValueError(f"{fault.place}: {fault.message}; correct it before converting")


def _free_name(path: Path, stems: set[str]) -> str:
    """The file's name, with folders before it or a number behind it where another image has that stem."""
    stem = path.stem
    folders = list(path.parts[:-1])
    number = 1
    while stem.lower() in stems:
        if folders and folders[-1] not in ("/", "..", "."):
            stem = f"{folders.pop()}_{stem}"
        else:
            folders, number = [], number + 1
            stem = f"{path.stem}_{number}"
    stems.add(stem.lower())
    return stem + path.suffix


def _place(dataset: Dataset, index: int, source: Path, target: Path) -> None:
    if dataset.format == "shapes":
        target.write_bytes(encode_png(dataset.image(index)))
        return
    if not source.is_file():
        raise ValueError(f"{source}: no such image file; kzoo data check lists what is missing")
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _write_voc(out: Path, items: dict[str, list[_Item]], whole: Dataset) -> None:
    for name in whole.classes:
        if not name.strip() or name != name.strip() or "\n" in name or whole.classes.count(name) > 1:
            raise ValueError(
                f"class {name!r}: Pascal VOC needs names that differ and are not blank; rename it"
            )
    (out / "Annotations").mkdir()
    lists = out / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (out / "classes.txt").write_text("".join(f"{name}\n" for name in whole.classes), encoding="utf-8")
    for split, part in items.items():
        (lists / f"{split}.txt").write_text("".join(f"{item.stem}\n" for item in part), encoding="utf-8")
        for item in part:
            _write_label(out / "Annotations" / f"{item.stem}.xml", _voc_xml(item, whole.classes), item)


def _voc_xml(item: _Item, classes: list[str]) -> str:
    height, width = item.size
    lines = [
        "<annotation>",
        "\t<folder>JPEGImages</folder>",
        f"\t<filename>{escape(item.name)}</filename>",
        f"\t<size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
        "\t<segmented>0</segmented>",
    ]
    record = item.record
    for box, corners in enumerate(record.boxes.astype(np.float64).tolist()):
        xmin, ymin, xmax, ymax = voc_corners(corners)
        lines += [
            "\t<object>",
            f"\t\t<name>{escape(classes[record.labels[box]])}</name>",
            "\t\t<pose>Unspecified</pose>",
            "\t\t<truncated>0</truncated>",
            f"\t\t<difficult>{int(record.difficult[box])}</difficult>",
            *(["\t\t<crowd>1</crowd>"] if record.crowd[box] else []),
            f"\t\t<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox>",
            "\t</object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])


def voc_corners(corners: list[float]) -> list[str]:
    """A box as Pascal VOC's xmin, ymin, xmax, ymax, such that `kzoo.data.voc` reads the same box again.

    There xmin = xmax is a box of no width, so a strip of exactly one pixel is written .0001 wider.
    """
    low, high = [], []
    for near, far in (corners[::2], corners[1::2]):
        first, last = round(near + 1, 4), round(far, 4)
        if round(near, 4) == last:
            last = first
        elif first == last:
            last += 1e-4
        low.append(first)
        high.append(last)
    texts = [f"{value:.4f}" for value in (*low, *high)]
    return [text.rstrip("0").rstrip(".") for text in texts]


def _write_yolo(out: Path, items: dict[str, list[_Item]], whole: Dataset) -> None:
    (out / "labels").mkdir()
    flags = {}
    for split, part in items.items():
        lines = [f"./images/{item.name}\n" for item in part]
        (out / f"{split}.txt").write_text("".join(lines), encoding="utf-8")
        for item in part:
            label = out / "labels" / f"{item.stem}.txt"
            _write_label(label, "".join(_yolo_lines(item)), item)
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
    (out / "data.yaml").write_text(text, encoding="utf-8")


def _yolo_lines(item: _Item) -> Iterator[str]:
    height, width = item.size
    for label, (x1, y1, x2, y2) in zip(item.record.labels, item.record.boxes.astype(np.float64), strict=True):
        values = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
        yield f"{label} {' '.join(f'{value:.9f}' for value in values)}\n"


def _write_coco(out: Path, items: dict[str, list[_Item]], whole: Dataset) -> None:
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

    def __init__(self, items: list[_Item], whole: Dataset):
        super().__init__(whole.root, None, whole.classes, whole.category_ids)
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def record(self, index: int) -> Record:
        self._items[index].record.size = self._items[index].size
        return self._items[index].record


def _write_label(path: Path, text: str, item: _Item) -> None:
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{item.record.path}: annotated differently in two splits; convert one split at a time"
        )
    path.write_text(text, encoding="utf-8")


_WRITERS = {"voc": _write_voc, "yolo": _write_yolo, "coco": _write_coco}
