"""Writes datasets as Pascal VOC, YOLO or COCO, and so converts any of them into another."""

from __future__ import annotations

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import numpy as np

from kzoo.data.dataset import Dataset, Selection
from kzoo.data.formats.coco.writing import write_coco
from kzoo.data.formats.inside import KIND as OUTSIDE
from kzoo.data.formats.out_names import check_classes, check_splits, free_name
from kzoo.data.formats.voc.reading import has_masks
from kzoo.data.formats.voc.writing import voc_corners, write_voc
from kzoo.data.formats.written import Item, Losses, Written
from kzoo.data.formats.yolo.writing import write_yolo
from kzoo.data.opening import load, sniff
from kzoo.data.opening import splits as split_names
from kzoo.data.painting.rasterise import refuse_sizes
from kzoo.data.record import Record
from kzoo.structures.draw import encode_png
from kzoo.system.files import replacing
from kzoo.system.progress import track

__all__ = ["Written", "convert", "voc_corners", "write"]

_DRAWN = ("shapes", "roads")  # formats of images that are no files
_IMAGE_FOLDER = {"voc": "JPEGImages", "yolo": "images", "coco": "images"}


def convert(path: str | Path, out: str | Path, to: str) -> Written:
    """Writes the dataset at `path` in another format.

    Splits, the order of the classes, every box, `difficult` and `crowd` are kept; images are hard-linked where the
    file system can, else copied. Images in no split become "rest", or "train" where there are no splits.

    Args:
        path: a dataset that `kzoo.data.load` opens.
        out: the folder to write, which must not exist yet or be empty.
        to: "voc", "yolo" or "coco".

    Returns:
        How many images and boxes each split has, and in `notes` what the format could not carry.

    Raises:
        ValueError: `to` is none of these, `out` exists, an annotation cannot be read or an image is missing.
        OSError: `out` cannot be written.

    Example:
        >>> print(convert("VOCdevkit/VOC2012", "voc-as-yolo", to="yolo").summary())
    """
    out = _new_folder(out, to)
    whole = load(path, task="detect")
    outside = next((fault for fault in whole.problems() if fault.kind == OUTSIDE), None)
    if outside is not None:
        raise ValueError(f"{outside.place}: {outside.message}")
    names = split_names(path, "detect")
    parts = {name: load(path, name, task="detect") for name in names}
    if sniff(path) not in _DRAWN:
        listed = {part.record(index).path for part in parts.values() for index in range(len(part))}
        unlisted = [index for index in range(len(whole)) if whole.record(index).path not in listed]
        if unlisted:
            parts[_unused_name("rest", names) if names else "train"] = Selection(whole, unlisted)
    return write(parts, out, to, whole)


def write(parts: dict[str, Dataset], out: str | Path, to: str, whole: Dataset | None = None) -> Written:
    """Writes datasets as the splits of one.

    Outlines are written as COCO's polygons or run lengths, as YOLO's polygons, or as Pascal VOC's masks of classes and
    objects. What a format cannot hold is counted in the notes.

    Args:
        parts: a dataset a split.
        out: the folder to write, which must not exist yet or be empty.
        to: "voc", "yolo" or "coco".
        whole: the dataset whose classes are the common ones; the first part where None.

    Raises:
        ValueError: `to` is none of these, `out` exists, there are no images, an annotation cannot be read, an image is
            missing, or the name of a split or class cannot be written.
        OSError: `out` cannot be written.
    """
    out = _new_folder(out, to)
    whole = next(iter(parts.values())) if whole is None else whole
    check_splits(parts, to)
    check_classes(whole.classes, to)
    if not any(map(len, parts.values())):
        raise ValueError(f"{whole.root}: no images, so there is nothing to convert; kzoo data check says why")
    written, losses = Written(out, to), Losses()
    with replacing(out) as fresh:
        items = _place_images(parts, whole, fresh / _IMAGE_FOLDER[to])
        _count_losses(items, whole, to, losses)
        _WRITERS[to](fresh, items, whole, losses)
    for name, part in items.items():
        written.parts[name] = len(part), sum(len(item.record) for item in part)
    written.notes += [*losses.notes(), *_passed_over(parts, whole)]
    return written


def _count_losses(items: dict[str, list[Item]], whole: Dataset, to: str, losses: Losses) -> None:
    """Counts what is lost whatever the format, and what COCO's alone could hold."""
    for item in (item for part in items.values() for item in part):
        if item.name != item.record.path.name:
            losses.add(item, "{} images are renamed, as another has the name or it cannot be written")
        unread = sum(fault.kind == "bad-outline" for fault in item.record.problems)
        losses.add(item, "{} outlines that cannot be read are left behind", unread)
        if to != "coco" and whole.format == "coco":
            losses.add(
                item, f"the ids and areas of COCO are left behind, of {{}} images: {to} has no place for them"
            )


def _passed_over(parts: dict[str, Dataset], whole: Dataset) -> list[str]:
    """What the source has that belongs to none of the images, counted."""
    kinds = {"label-without-image": "labels without an image", "malformed": "entries that cannot be read"}
    counts = Counter(kinds[fault.kind] for fault in whole.problems() if fault.kind in kinds)
    notes = [f"{count} {what} are left behind: kzoo data check lists them" for what, count in counts.items()]
    if whole.format == "voc" and has_masks(whole.root):
        notes.append("the masks of SegmentationClass are left behind: they belong to no box")
    if whole.format in ("bdd100k", "roads"):
        notes.append("the masks of roads are left behind: they belong to no box")
    return notes


def _unused_name(name: str, names: Collection[str]) -> str:
    numbers = (f"{name}{number}" for number in itertools.count(2))
    return next(choice for choice in itertools.chain([name], numbers) if choice not in names)


def _new_folder(out: str | Path, to: str) -> Path:
    """`out`, if a dataset in the format `to` can be put there."""
    out = Path(out)
    if to not in _WRITERS:
        raise ValueError(f"format {to!r}; choose one of {', '.join(_WRITERS)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: exists already; remove it or choose another folder")
    return out


def _place_images(parts: dict[str, Dataset], whole: Dataset, folder: Path) -> dict[str, list[Item]]:
    """Links or copies every image once, under a name whose stem is its own."""
    folder.mkdir(parents=True)
    names: dict[Path, str] = {}
    stems: set[str] = set()
    items: dict[str, list[Item]] = {}
    label_of = {identifier: label for label, identifier in enumerate(whole.category_ids)}
    for split, dataset in parts.items():
        labels = [label_of[identifier] for identifier in dataset.category_ids]
        items[split] = []
        for index in track(range(len(dataset)), f"writing {split}"):
            record = dataset.record(index)
            _refuse(record, len(labels))
            record.labels = np.array([labels[label] for label in record.labels], np.int64)
            if record.path not in names:
                names[record.path] = free_name(record.path, stems)
                _place(dataset, index, record.path, folder / names[record.path])
            size = dataset.size(index)
            refuse_sizes(record, size)
            items[split].append(Item(record, names[record.path], size))
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


def _place(dataset: Dataset, index: int, source: Path, target: Path) -> None:
    if dataset.format in _DRAWN:
        target.write_bytes(encode_png(dataset.image(index)))
        return
    if not source.is_file():
        raise ValueError(f"{source}: no such image file; kzoo data check lists what is missing")
    folder = dataset.root if dataset.root.is_dir() else dataset.root.parent
    real = source.resolve()
    try:
        # What is written through a link would change a file that is none of the dataset's.
        if not real.is_relative_to(folder.resolve()):
            raise OSError
        os.link(real, target)
    except OSError:  # another folder or file system, or one without links
        shutil.copyfile(source, target)


_WRITERS = {"voc": write_voc, "yolo": write_yolo, "coco": write_coco}
