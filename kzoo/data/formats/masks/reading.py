"""Images and semantic masks as files: `images/a.jpg` and `masks/a.png`.

A mask is a PNG of class numbers, grey or with a palette, whose colours do not matter; or it is in the colours or
levels of a legend (see `kzoo.data.formats.masks.legend`); or it is 0 and 255, for ground and foreground. 255 elsewhere
is ignored.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from kzoo.data.dataset import Dataset
from kzoo.data.fault import Fault, FaultError
from kzoo.data.formats.descriptions import read_fields
from kzoo.data.formats.masks.folders import description_of, find_beside, find_pairs
from kzoo.data.formats.masks.instances import is_instances
from kzoo.data.formats.masks.layout import Item, Layout
from kzoo.data.formats.masks.legend import (
    Legend,
    described_legend,
    find_legend,
    numbered_legend,
    other_legends,
)
from kzoo.data.formats.masks.levels import is_palette, read_levels
from kzoo.data.formats.masks.values import BEYOND, names_of_values, settle, to_classes
from kzoo.data.painting.mask_faults import verified
from kzoo.data.parts import choose_split
from kzoo.data.record import Record

_READ_AT_ONCE = 64


class MaskFiles(Dataset):
    """Images with a mask file each.

    Args:
        root: the folder of the dataset.
        split: the part of it that `items` are.
        items: the images.
        names: class names by value.
        legend: names and colours, where masks may be coloured.
        binary: whether 255 is foreground, not ignored.
    """

    format = "masks"
    semantic = True

    def __init__(
        self,
        root: Path,
        split: str | None,
        items: list[Item],
        names: list[str],
        legend: Legend | None = None,
        binary: bool = False,
        masks: bool = False,
    ):
        super().__init__(root, split, names, masks=masks)
        self.items = items
        self.legend = legend
        self.binary = binary

    def __len__(self) -> int:
        return len(self.items)

    def record(self, index: int) -> Record:
        item = self.items[self._position(index)]
        record = Record(item.image, id=item.id, source=item.mask, mask=item.mask)
        if item.mask is None and item.image.is_file():
            record.problems.append(Fault(item.image, None, "missing-mask", "no mask of that name"))
        return record

    def mask_of(self, index: int, record: Record, size: tuple[int, int]) -> np.ndarray:
        if record.mask is None:
            fault = Fault(record.path, None, "missing-mask", "no mask of that name")
            raise FaultError(fault, "add it, or leave the image out with --skip-faulty")
        values = read_values(record.mask, self.legend)
        values = settle(values, self.legend, self.binary, len(self.classes), record.mask)
        return verified(values, size, len(self.classes), record.mask)


class Masks(MaskFiles):
    """A folder of images and masks, laid out as `kzoo.data.formats.masks.folders` says.

    Parts are folders in both, such as `images/train` and `masks/train`; folders that have both, such as
    `train/images` and `train/masks`; lists (see `kzoo.data.formats.lists`); or those of a `data.yaml`. Classes are
    those of the legend; where there is none, all masks are looked through, and those of the values found are
    "background", "class 1", ...

    Args:
        root: the folder, or its `data.yaml`.
        split: the part; None for all.

    Raises:
        ValueError: there is no such split, a legend is wrong, or values leave open which classes there are.
    """

    def __init__(self, root: str | Path, split: str | None = None):
        root = Path(root)
        self._layout = layout = Layout(root)
        if split is not None:
            split = choose_split(split, layout.splits, root)
        legend = _legend(layout)
        self._passed_over = other_legends(layout.folder, legend)
        files = [item.mask for item in layout.items(None) if item.mask is not None]
        names, binary = names_of_values(root, legend, stored_values(files, legend))
        super().__init__(root, split, layout.items(split), names, legend, binary)

    def problems(self) -> list[Fault]:
        """Masks that no image belongs to, and what is passed over."""
        return self._layout.problems(self.split) + legends_passed_over(self.legend, self._passed_over)


def legends_passed_over(legend: Legend | None, files: list[Path]) -> list[Fault]:
    """What to say of files of class names that another one goes before."""
    return [
        Fault(
            file, None, "passed-over", f"passed over: the classes are those of {legend.file.name}", "warning"
        )
        for file in files
    ]


def _legend(layout: Layout) -> Legend | None:
    """The names of the description, or else those that lie in the folder."""
    if layout.file is None:
        folders = [folder for pair in layout.pairs.values() for folder in (pair.masks, pair.masks.parent)]
        return find_legend(layout.folder) or numbered_legend([layout.folder, *folders])
    if {"names", "nc"}.isdisjoint(read_fields(layout.file)):
        return find_legend(layout.folder, described=False)
    in_folder = find_legend(layout.folder)
    if in_folder is not None and in_folder.colours:
        return in_folder
    return replace(described_legend(layout.file), others=None if in_folder is None else in_folder.others)


def read_values(path: Path, legend: Legend | None = None) -> np.ndarray:
    """The class numbers in a mask file, 255 = ignored; of a binary one 0 and 255.

    Args:
        path: the mask file.
        legend: names and colours; None where the numbers in the file are classes.

    Returns:
        (H, W) uint8.

    Raises:
        ValueError: it cannot be read, is coloured without a legend, or in a colour that the legend does not have.
    """
    levels = read_levels(path, colours=legend is not None and bool(legend.colours))
    return to_classes(levels, legend, is_palette(path), path)


def stored_values(files: list[Path], legend: Legend | None) -> Iterator[np.ndarray]:
    """How many pixels have each value, some files at a time, which several threads read.

    Args:
        files: the mask files.
        legend: names and colours; None where the numbers in the files are classes.

    Yields:
        (257,) int64 pixels of some of the files by value, the last for values beyond 255.
    """
    for start in range(0, len(files), _READ_AT_ONCE):
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            counts = pool.map(lambda path: _stored(path, legend), files[start : start + _READ_AT_ONCE])
            yield np.sum(list(counts), axis=0)


def _stored(path: Path, legend: Legend | None) -> np.ndarray:
    """Values in a mask; none where it cannot be used, which is told when it is asked for."""
    try:
        return np.bincount(read_values(path, legend).ravel(), minlength=BEYOND + 1)
    except (OSError, ValueError):
        return np.zeros(BEYOND + 1, np.int64)


def is_masks(path: Path) -> bool:
    """Whether `path` is a folder with images and masks, or of such folders for its parts, not for its images."""
    if description_of(path) is not None:
        return True
    return path.is_dir() and bool(find_pairs(path)) and not is_instances(path)


def is_masks_beside(path: Path) -> bool:
    """Whether `path` is a folder, or holds those of parts, with images and masks side by side."""
    return path.is_dir() and bool(find_beside(path))


def splits(path: Path) -> list[str]:
    """The parts it is divided in."""
    return Layout(path).splits
