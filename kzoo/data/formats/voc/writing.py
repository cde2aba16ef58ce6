"""Datasets as Pascal VOC's: an XML file an image, and where objects have outlines, PNG files of masks."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from kzoo.data.dataset import Dataset
from kzoo.data.formats.masks.legend import read_legend
from kzoo.data.formats.written import Item, Losses, write_label
from kzoo.data.painting.rle import draw_union
from kzoo.structures import IGNORED

_MOST_OBJECTS = IGNORED - 1  # numbers that a mask of objects has


def write_voc(out: Path, items: dict[str, list[Item]], whole: Dataset, losses: Losses) -> None:
    """Writes `Annotations/` and `ImageSets/Main/`; with outlines `SegmentationClass/` and its like, too.

    Args:
        out: the folder of the new dataset, in which the images lie already.
        items: the images of each split, by its name.
        whole: the dataset whose classes are the common ones.
        losses: counts what the format cannot hold.
    """
    (out / "Annotations").mkdir()
    lists = out / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    masks = _Masks(out, losses) if _can_have_masks(out, items, whole, losses) else None
    # The legend of the masks is read before labels.txt, and classes.txt before the legend.
    names = out / ("classes.txt" if masks is None else "labels.txt")
    names.write_text("".join(f"{name}\n" for name in whole.classes), encoding="utf-8")
    for split, part in items.items():
        _write_list(lists / f"{split}.txt", part)
        for item in part:
            write_label(out / "Annotations" / f"{item.stem}.xml", _xml(item, whole.classes), item)
        if masks is not None:
            _write_list(masks.lists / f"{split}.txt", [item for item in part if masks.write(item)])


def _write_list(path: Path, items: list[Item]) -> None:
    path.write_text("".join(f"{item.stem}\n" for item in items), encoding="utf-8")


def _can_have_masks(out: Path, items: dict[str, list[Item]], whole: Dataset, losses: Losses) -> bool:
    """Whether there are outlines, and masks and their legend can hold the classes."""
    outlined = [
        item
        for part in items.values()
        for item in part
        if any(shape is not None for shape in item.record.polygons or ())
    ]
    if not outlined:
        return False
    legend, strange = out / "legend.txt", f"{len(whole.classes)} classes are too many"
    if len(whole.classes) < IGNORED:
        names = ["background", *whole.classes]
        legend.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        strange = _misread(legend, names)
    if strange is None:
        return True
    legend.unlink(missing_ok=True)
    for item in outlined:
        losses.add(item, f"the outlines of {{}} images are left behind: {strange} for a legend of masks")
    return False


def _misread(legend: Path, names: list[str]) -> str | None:
    """What a legend would take for something else than a class, such as a comment or a colour; None for nothing."""
    try:
        read = list(read_legend(legend).names)
    except ValueError:
        read = []
    if read == names:
        return None
    strange = next((name for name in names if name not in read), names[-1])
    return f"a name such as {strange!r} means something else"


def _xml(item: Item, classes: list[str]) -> str:
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
    """A box as Pascal VOC's xmin, ymin, xmax, ymax, such that `kzoo.data.formats.voc.reading` reads the same box again.

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


class _Masks:
    """Writes the masks of a dataset: classes from 1 on, objects by their numbers in the annotation file, 0 is ground.

    Crowds and difficult objects are ignored pixels, and a later object lies on top of an earlier.
    """

    def __init__(self, out: Path, losses: Losses):
        self.losses = losses
        self.classes, self.objects = out / "SegmentationClass", out / "SegmentationObject"
        self.lists = out / "ImageSets" / "Segmentation"
        for folder in (self.classes, self.objects, self.lists):
            folder.mkdir()

    def write(self, item: Item) -> bool:
        """Writes the masks of an image, if every object on it has an outline."""
        record = item.record
        shapes = record.polygons or [None] * len(record)
        if any(shape is None for shape in shapes):
            self.losses.add(item, "{} images have boxes without an outline: they get no mask")
            return False
        classes, objects = (np.zeros(item.size, np.uint8) for _ in range(2))
        hidden = 0
        for number, shape in enumerate(shapes):
            inside = draw_union([shape], item.size)
            hidden += len(np.unique(objects[inside & (objects > 0)]))
            aside = record.crowd[number] or record.difficult[number]
            classes[inside] = IGNORED if aside else record.labels[number] + 1
            objects[inside] = number + 1 if number < _MOST_OBJECTS else IGNORED
        self.losses.add(item, "{} times an object hides pixels of another in the masks", hidden)
        beyond = len(shapes) - _MOST_OBJECTS
        self.losses.add(
            item, "{} objects beyond the 254 of an image have no number in SegmentationObject", max(beyond, 0)
        )
        aside = int((record.crowd | record.difficult).sum())
        self.losses.add(item, "{} crowds and difficult objects are ignored pixels in the masks", aside)
        for folder, values in ((self.classes, classes), (self.objects, objects)):
            (folder / f"{item.stem}.png").write_bytes(indexed_png(values))
        return True


def indexed_png(values: np.ndarray) -> bytes:
    """(H, W) uint8 as a palette PNG in Pascal VOC's colours; readers get the values.

    Source: VOClabelcolormap.m of the development kit, Everingham et al. 2010.
    """
    labels = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((labels >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    height, width = values.shape
    rows = np.pad(values, ((0, 0), (1, 0)))  # each row begins with its filter, 0 for none
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 6)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
