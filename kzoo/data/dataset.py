"""What every reader gives: `Record`s, annotations as they stand in the file, and `Sample`s, decoded."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from kzoo.data.fault import Fault, FaultError
from kzoo.data.painting.rasterise import ignoring, paint, refuse_sizes
from kzoo.data.painting.rle import draw_masks
from kzoo.data.record import Record
from kzoo.sources.image import image_size, probe_image, read_image
from kzoo.structures import Sample
from kzoo.system.messages import check_names


class Dataset:
    """Annotated images, read when they are asked for: `dataset[i]` is a `Sample`, `dataset.record(i)` its annotation.

    A format's reader is a subclass that gives `__len__` and `record`; it overrides `image`, `size` and `mask_of` where
    these are not image files, or more is known without decoding them.

    Args:
        root: the folder or file it is opened from.
        split: the part of it, such as "train"; None for all.
        classes: class names; a label is an index into them.
        category_ids: the id of every class in the files, one a class; the labels themselves where None.
        masks: whether samples carry instance masks, drawn from the records' polygons.

    Attributes:
        classes: class names; a label is an index into them.
        category_ids: the id of every class in the files; the label itself where they have none.
        root: the folder or file it was opened from.
        split: the part of it, or None for all.
        format: "voc", "yolo", "coco", "masks", "instances", "arrays", "bdd100k", "shapes" or "roads".
        masks: whether samples carry instance masks, drawn from the records' polygons.
        bits: how many bits of 16-bit images are in use, as `kzoo.data.read_image` takes it.
        files: whether its images are image files, each with a path of its own.
        instances: whether it is open for the task "instance", whose batches carry the objects' masks.
        roads: whether it is open for the task "drive": samples carry boxes and a mask of bits, 1 drivable, 2 a lane's
            line (see `kzoo.structures.roads`), and batches both.
        semantic: whether samples carry semantic masks. Then `classes` are the values of those, and labels of boxes
            count the same way.

    Example:
        >>> dataset = kzoo.data.load("shapes:10:128")    # ten synthetic images of 128 pixels
        >>> sample = dataset[0]
        >>> sample.image.shape, sample.boxes.shape, dataset.classes[sample.labels[0]]
        ((128, 128, 3), (6, 4), 'rectangle')
    """

    format = ""
    semantic = False
    roads = False
    instances = False
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
        check_names(self.classes, self.root)
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
        """Semantic mask of image `index`: (H, W) uint8, values into `classes`, or bits of roads, 255 = ignored.

        Raises:
            ValueError: the dataset has none, or this one cannot be used.
        """
        if not self.semantic and not self.roads:
            raise ValueError(f"{self.root}: opened without semantic masks; open it with task='segment'")
        return self.mask_of(self._position(index), self.record(index), self.size(index))

    def mask_of(self, index: int, record: Record, size: tuple[int, int]) -> np.ndarray:
        """As `mask`, for a `record` of image `index` and its (height, width), which are known already.

        Here it is painted from the polygons of the record. Readers of mask files override it.
        """
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
        mask = self.mask_of(index, record, image.shape[:2]) if self.semantic or self.roads else None
        masks = None
        if self.masks and record.polygons is not None:
            refuse_sizes(record, image.shape[:2])
            masks = draw_masks(record.polygons, image.shape[:2])  # (N, H, W) bool
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
        base: the dataset that images are taken from.
        indices: positions in `base` of the images, in the order in which the view shows them.
        keep: for positions in `base` whose image loses boxes, (N,) bool, which of its N boxes stay. Images whose
            position is not among the keys keep all.

    Example:
        >>> every_tenth = Selection(dataset, range(0, len(dataset), 10))
    """

    def __init__(self, base: Dataset, indices: Iterable[int], keep: dict[int, np.ndarray] | None = None):
        super().__init__(base.root, base.split, base.classes, base.category_ids, base.masks)
        self.format = base.format
        self.semantic = base.semantic
        self.instances = base.instances
        self.roads = base.roads
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
