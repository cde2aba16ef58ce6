"""What every reader gives: `Record`s, annotations as they stand in the file, and `Sample`s, decoded."""

from __future__ import annotations

import contextlib
import dataclasses
import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kzoo.data.fault import Fault, FaultError
from kzoo.data.image import image_size, probe_image, read_image
from kzoo.data.text import read_lines
from kzoo.structures import Sample

# What the usual parts are called, in small letters and without a number behind.
_USUAL = {
    "train": frozenset({"train", "training"}),
    "val": frozenset({"val", "valid", "validation", "dev", "eval"}),
    "test": frozenset({"test", "testing"}),
}


@dataclass
class Record:
    """The annotation of one image as its file has it: nothing decoded, clipped or left out.

    Attributes:
        path: the image file.
        boxes: (N, 4) float32 xyxy pixels of the upright image, 0-based, right and bottom edges exclusive.
        labels: (N,) int64 indices into the dataset's classes; one outside of them is an unknown class.
        difficult: (N,) bool, Pascal VOC's flag.
        crowd: (N,) bool, COCO's `iscrowd`.
        id: file stem or COCO image id.
        source: the annotation file; None where there is none.
        lines: line of every box in `source`, or its position in `element`.
        size: (height, width) the annotation file claims; None where it does not say.
        polygons: for every box a list of (K, 2) float64 arrays in pixels, a COCO RLE dict, or None.
        areas: (N,) float64 square pixels the annotation file claims; None where it does not say.
        xywh: (N, 4) float64 x, y, width, height as the annotation file has them, where it has them so; None where not.
        element: the list of a JSON file that `lines` counts in.
        problems: what could not be read as a box at all.
        mask: the file of the semantic mask; None where there is none, or where it is drawn from `polygons`.
    """

    path: Path
    boxes: np.ndarray = None
    labels: np.ndarray = None
    difficult: np.ndarray = None
    crowd: np.ndarray = None
    id: str | int = ""
    source: Path | None = None
    lines: list[int] = field(default_factory=list)
    size: tuple[int, int] | None = None
    polygons: list | None = None
    areas: np.ndarray | None = None
    element: str = ""
    problems: list[Fault] = field(default_factory=list)
    mask: Path | None = None
    xywh: np.ndarray | None = None

    def __post_init__(self):
        with np.errstate(over="ignore"):  # to infinity, of which kzoo.data.check tells
            self.boxes = np.asarray(() if self.boxes is None else self.boxes, np.float32).reshape(-1, 4)
        count = len(self.boxes)
        self.labels = np.asarray(() if self.labels is None else self.labels, np.int64).reshape(count)
        for name in ("difficult", "crowd"):
            value = getattr(self, name)
            setattr(
                self, name, np.zeros(count, bool) if value is None else np.asarray(value, bool).reshape(count)
            )

    def __len__(self) -> int:
        return len(self.boxes)

    def fault(self, kind: str, message: str, severity: str = "error", box: int | None = None) -> Fault:
        """A fault of this record's annotation file, at the line of `box` where one is given."""
        line = self.lines[box] if box is not None and box < len(self.lines) else None
        return Fault(self.source or self.path, line, kind, message, severity, self.element, box)

    def select(self, keep: np.ndarray) -> Record:
        """The record with the boxes of `keep` (N bool) alone, and without problems."""
        picked = np.flatnonzero(keep)
        return dataclasses.replace(
            self,
            boxes=self.boxes[picked],
            labels=self.labels[picked],
            difficult=self.difficult[picked],
            crowd=self.crowd[picked],
            lines=[self.lines[i] for i in picked] if self.lines else [],
            polygons=None if self.polygons is None else [self.polygons[i] for i in picked],
            areas=None if self.areas is None else self.areas[picked],
            xywh=None if self.xywh is None else self.xywh[picked],
            problems=[],
        )


class Dataset:
    """Annotated images, read when they are asked for. Readers give `__len__` and `record`.

    Attributes:
        classes: class names; a label is an index into them.
        category_ids: the id of every class in the files; the label itself where they have none.
        root: the folder or file it was opened from.
        split: the part of it, or None for all.
        format: "voc", "yolo", "coco", "masks", "instances", "arrays" or "shapes".
        masks: whether samples carry instance masks, drawn from the records' polygons.
        bits: how many bits of 16-bit images are in use, as `kzoo.data.read_image` takes it.
        files: whether its images are image files.
        semantic: whether samples carry semantic masks. Then `classes` are the values of those, and labels of boxes
            count the same way.
    """

    format = ""
    semantic = False
    bits: int | None = None
    files = True

    def __init__(
        self,
        root: str | Path,
        split: str | None,
        classes: Sequence[str],
        category_ids: Sequence[int] | None = None,
        masks: bool = False,
    ):
        self.root = Path(root)
        self.split = split
        self.classes = list(classes)
        self.category_ids = list(range(len(self.classes)) if category_ids is None else category_ids)
        self.masks = masks

    def __len__(self) -> int:
        raise NotImplementedError

    def record(self, index: int) -> Record:
        """The annotation of image `index`, faults and all."""
        raise NotImplementedError

    def image(self, index: int) -> np.ndarray:
        """Image `index`: (H, W, 3) uint8 RGB, upright."""
        return read_image(self.record(index).path, self.bits)

    def identity(self, index: int) -> str:
        """What the pixels of image `index` come from: another text where they may have changed.

        Raises:
            OSError: there is no such file.
        """
        return file_identity(self.record(index).path) + (f"|{self.bits} bits" if self.bits else "")

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of image `index`, upright, without decoding it where its format allows."""
        return image_size(self.record(index).path)

    def probe(self, index: int) -> tuple[int, int]:
        """As `size`, and sees whether the file is there, is an image and ends where it should.

        Raises:
            FileNotFoundError, ValueError: it is not.
        """
        return probe_image(self.record(index).path)

    def mask(self, index: int) -> np.ndarray:
        """Semantic mask of image `index`: (H, W) uint8, values into `classes`, 255 = ignored.

        Raises:
            ValueError: the dataset has none, or this one cannot be used.
        """
        if not self.semantic:
            raise ValueError(f"{self.root}: opened without semantic masks; open it with task='segment'")
        return self.mask_of(self._position(index), self.record(index), self.size(index))

    def mask_of(self, index: int, record: Record, size: tuple[int, int]) -> np.ndarray:
        """As `mask`, for a `record` of image `index` and its (height, width), which are known already.

        Here it is painted from the polygons of the record. Readers of mask files override it.
        """
        from kzoo.data.rasterise import paint

        return paint(record, size)

    def problems(self) -> list[Fault]:
        """Faults that belong to no image of the dataset, such as a label file without an image."""
        return []

    def label_places(self, index: int) -> list[Path]:
        """Where a file with the annotation of image `index` alone may lie; none where one file is of many images."""
        return []

    def __getitem__(self, index: int) -> Sample:
        """Image and annotation, decoded; faulty boxes are still in it.

        Raises:
            ValueError: the image or its annotation file cannot be read.
        """
        index = self._position(index)
        record = self.record(index)
        fatal = next((fault for fault in record.problems if fault.severity == "error"), None)
        if fatal is not None:
            raise FaultError(fatal, "mend it, or leave it out with --skip-faulty")
        image = self.image(index)
        mask = self.mask_of(index, record, image.shape[:2]) if self.semantic else None
        masks = None
        if self.masks and record.polygons is not None:
            from kzoo.data.rasterise import refuse_sizes
            from kzoo.data.rle import draw_masks

            refuse_sizes(record, image.shape[:2])
            masks = draw_masks(record.polygons, image.shape[:2])
        return Sample(
            image,
            record.boxes.copy(),
            record.labels.copy(),
            masks=masks,
            mask=mask,
            difficult=record.difficult.copy(),
            crowd=record.crowd.copy(),
            id=record.id,
        )

    def __iter__(self):
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        part = f", split {self.split!r}" if self.split else ""
        counts = f"{len(self)} images, {len(self.classes)} classes"
        return f"{type(self).__name__}({str(self.root)!r}{part}: {counts})"

    def _position(self, index: int) -> int:
        index, count = operator.index(index), len(self)
        if not -count <= index < count:
            raise IndexError(f"image {index} of {count} in {self.root}")
        return index % count


class Selection(Dataset):
    """Some images of a dataset, with some of their boxes.

    Args:
        base: the dataset.
        indices: which of its images, in this order.
        keep: by position in `base`, (N,) bool: the boxes that stay. Images it does not name keep all.
    """

    def __init__(self, base: Dataset, indices: Iterable[int], keep: dict[int, np.ndarray] | None = None):
        super().__init__(base.root, base.split, base.classes, base.category_ids, base.masks)
        self.format = base.format
        self.semantic = base.semantic
        self.files = base.files
        self.base = base
        self.indices = [int(index) for index in indices]
        self.keep = dict(keep or {})

    @property
    def bits(self) -> int | None:
        """That of the base, which reads the images."""
        return self.base.bits

    @bits.setter
    def bits(self, bits: int | None) -> None:
        self.base.bits = bits

    def __len__(self) -> int:
        return len(self.indices)

    def record(self, index: int) -> Record:
        position = self.indices[self._position(index)]
        record = self.base.record(position)
        return record.select(self.keep[position]) if position in self.keep else record

    def image(self, index: int) -> np.ndarray:
        return self.base.image(self.indices[self._position(index)])

    def identity(self, index: int) -> str:
        return self.base.identity(self.indices[self._position(index)])

    def size(self, index: int) -> tuple[int, int]:
        return self.base.size(self.indices[self._position(index)])

    def probe(self, index: int) -> tuple[int, int]:
        return self.base.probe(self.indices[self._position(index)])

    def mask_of(self, index: int, record: Record, size: tuple[int, int]) -> np.ndarray:
        position = self.indices[index]
        if position in self.keep and record.mask is None:
            from kzoo.data.rasterise import ignoring

            whole = ignoring(self.base.record(position), self.keep[position])
            # Where that leaves no pixel to learn from, those that are left out are ground after all.
            with contextlib.suppress(FaultError):
                return self.base.mask_of(position, whole, size)
        return self.base.mask_of(position, record, size)

    def label_places(self, index: int) -> list[Path]:
        return self.base.label_places(self.indices[self._position(index)])


def file_identity(path: Path) -> str:
    """Where a file lies, when it was written and how long it is."""
    path = path.resolve()
    state = path.stat()
    return f"{path}|{state.st_mtime_ns}|{state.st_size}"


def choose_split(asked: str, available: Sequence[str], root: str | Path) -> str:
    """The split of `available` that `asked` means: itself, "train2017" or "Train" for "train", "Validation" for "val".

    Where there is one split alone and its name says nothing, such as CVAT's "default", it is the one to train on.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    if asked in available:
        return asked
    wanted = _usual_name(asked)
    for plain in (str.casefold, _usual_name, lambda name: _usual_name(_without_number(name))):
        for candidate in available:
            if plain(candidate) in (wanted, asked.casefold()):
                return candidate
    if wanted == "train" and len(available) == 1 and not is_usual_split(available[0]):
        return available[0]
    have = f"choose one of {', '.join(available)}" if available else "it has no splits: leave the split out"
    raise ValueError(f"{root}: no split {asked!r}; {have}")


def order_splits(names: Iterable[str]) -> list[str]:
    """Names of splits, train, val and test first, whatever number they end in; the others by name."""
    usual = list(_USUAL)

    def rank(name: str) -> tuple[int, str]:
        plain = _usual_name(_without_number(name))
        return usual.index(plain) if plain in usual else len(usual), name

    return sorted(names, key=rank)


def is_usual_split(name: str) -> bool:
    """Whether a name is one that parts of datasets have, in any letter case: "train", "Valid", "test2017"."""
    return _usual_name(_without_number(name)) in _USUAL


def _usual_name(split: str) -> str:
    """ "train", "val" or "test" for the names that mean it; else the name, in small letters."""
    plain = split.casefold()
    return next((usual for usual, names in _USUAL.items() if plain in names), plain)


def _without_number(split: str) -> str:
    return re.sub(r"[\W_]*\d+$", "", split)


def read_names(path: Path) -> list[str]:
    """Class names from a text file, one a line; blank lines at the end are left out."""
    names = [line.strip() for line in read_lines(path)]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise ValueError(f"{path}: no class names in it; write one a line")
    return names


def image_fault(path: Path, error: Exception) -> Fault:
    """The fault of an image file that `read_image` or `image_size` refused with `error`."""
    if isinstance(error, FileNotFoundError):
        return Fault(path, None, "missing-image", "no such image file")
    return Fault(path, None, "unreadable-image", str(error).removeprefix(f"{path}: ").partition(";")[0])
