"""Images and semantic masks as files: `images/a.jpg` and `masks/a.png`.

A mask is a PNG of class numbers, grey or with a palette, whose colours do not matter; or it is in the colours of a
legend (see `kzoo.data.legend`); or it is 0 and 255, for ground and foreground. 255 elsewhere is ignored.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from kzoo.data.dataset import Dataset, Record, choose_split, is_usual_split, order_splits
from kzoo.data.fault import Fault, FaultError
from kzoo.data.finding import IMAGE_SUFFIXES
from kzoo.data.instances import is_instances
from kzoo.data.legend import Legend, find_legend
from kzoo.data.levels import is_palette, read_levels
from kzoo.data.lists import read_lists
from kzoo.data.mask_faults import stray_values, verified
from kzoo.structures import IGNORED

_IMAGES, _MASKS = ("images", "image", "imgs"), ("masks", "mask")
# What a mask's name may have after that of its image: "car_mask.gif", "ISIC_1_segmentation.png", "0001_L.png".
_ENDINGS = ("", "_mask", "_segmentation", "_gt", "_L")
_READ_AT_ONCE = 64


@dataclass(frozen=True)
class Item:
    """An image file and that of its mask, None where there is none."""

    id: str
    image: Path
    mask: Path | None


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
        if self.binary:
            stray = (values > 0) & (values < IGNORED)
            if stray.any():
                raise stray_values(np.unique(values[stray]), 2, record.mask)
            values = values >> 7
        return verified(values, size, len(self.classes), record.mask)


class Masks(MaskFiles):
    """A folder with `images/` and `masks/`.

    Parts are folders in both, such as `images/train` and `masks/train`; folders that have both, such as
    `train/images` and `train/masks`; or lists (see `kzoo.data.lists`). Classes are those of the legend; where there
    is none, all masks are looked through, and those of the values found are "background", "class 1", ...

    Args:
        root: the folder.
        split: the part; None for all.

    Raises:
        ValueError: there is no such split, a legend is wrong, or values leave open which classes there are.
    """

    def __init__(self, root: str | Path, split: str | None = None):
        root = Path(root)
        self._layout = _Layout(root)
        if split is not None:
            split = choose_split(split, self._layout.splits, root)
        legend = find_legend(root)
        files = [item.mask for item in self._layout.items(None) if item.mask is not None]
        names, binary = names_of_values(root, legend, stored_values(files))
        super().__init__(root, split, self._layout.items(split), names, legend, binary)

    def problems(self) -> list[Fault]:
        """Masks that no image belongs to."""
        message = "no image of that name"
        unused = self._layout.unused_masks(self.split)
        return [Fault(path, None, "mask-without-image", message) for path in unused]


def read_values(path: Path, legend: Legend | None = None) -> np.ndarray:
    """The class numbers in a mask file, 255 = ignored; of a binary one 0 and 255.

    Returns:
        (H, W) uint8.

    Raises:
        ValueError: it cannot be read, is coloured without a legend, or in a colour that the legend does not have.
    """
    levels = read_levels(path)
    if levels.ndim == 2 and (legend is None or not legend.grey or is_palette(path)):
        return levels
    if legend is not None and legend.colours:
        values, strange = legend.values(
            np.broadcast_to(levels.reshape(*levels.shape[:2], -1), (*levels.shape[:2], 3))
        )
        if strange is None:
            return values
        message = f"colour {_spaced(strange)} is none of {legend.file.name}"
        raise FaultError(
            Fault(path, None, "unknown-colour", message),
            f"add a line 'name {_spaced(strange)}' to {legend.file}, or correct the mask",
        )
    coloured = (levels != levels[..., :1]).any(axis=2)
    if not coloured.any():
        return np.ascontiguousarray(levels[..., 0])
    first = levels[coloured][0]
    message = f"colours such as {_spaced(first)}, not class numbers"
    if not (first % 64).any():
        message += " (a palette PNG that was read as RGB and saved?)"
    raise FaultError(
        Fault(path, None, "coloured-mask", message),
        "save the numbers (palette mode), or write a line 'name red green blue' for each class to legend.txt",
    )


def names_of_values(root: Path, legend: Legend | None, found: Iterable[set[int]]) -> tuple[list[str], bool]:
    """Class names, and whether the masks are binary: 0 and 255.

    Args:
        root: what errors call the dataset.
        legend: its names, where it has them.
        found: the values of some masks at a time, looked at as far as names alone do not tell.

    Raises:
        ValueError: without names, the values leave open which classes there are.
    """
    if legend is not None and (legend.colours or len(legend.names) != 2):
        return list(legend.names), False
    values: set[int] = set()
    for some in found:
        values |= some
        if legend is not None and not values <= {0, IGNORED}:
            break
    binary = IGNORED in values and values <= {0, IGNORED}
    if legend is not None:
        return list(legend.names), binary
    values.discard(IGNORED)
    highest = max(values, default=0)
    if highest >= 2 * len(values) + 8 or min(values, default=0) < 0:
        shown = ", ".join(map(str, sorted(values)[:8]))
        raise ValueError(
            f"{root}: mask values {shown}{', ...' if len(values) > 8 else ''}: which of them are classes? Write "
            f"classes.txt, one name a line from value 0, or number the classes without gaps"
        )
    return ["background", *(f"class {value}" for value in range(1, max(highest, 1) + 1))], binary


def stored_values(files: list[Path]) -> Iterator[set[int]]:
    """The sets of values in mask files, some files at a time, which several threads read."""
    for start in range(0, len(files), _READ_AT_ONCE):
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            yield set().union(*pool.map(_stored_values, files[start : start + _READ_AT_ONCE]))


def _stored_values(path: Path) -> set[int]:
    """Values in a mask; none where it cannot be used, which is told when it is asked for."""
    try:
        values = read_values(path)
    except ValueError:
        return set()
    return set(np.flatnonzero(np.bincount(values.ravel(), minlength=256)).tolist())


class _Layout:
    """Where the images and masks of a folder lie.

    Attributes:
        splits: the names of its parts.
    """

    def __init__(self, root: Path):
        self.folders = _folders(root)
        self.lists = read_lists(root) if None in self.folders else {}
        self.splits = list(self.lists) or [part for part in self.folders if part is not None]

    def items(self, split: str | None) -> list[Item]:
        """The images of a part, in the order of its list or sorted; those of all where None."""
        if split is None or split not in self.lists:
            wanted = self.folders.values() if split is None else [self.folders[split]]
            return [item for images, masks in wanted for item in _pairs(images, masks)[0]]
        images, masks = self.folders[None]
        items = _pairs(images, masks)[0]
        known = {PurePosixPath(item.id).name: item for item in items}
        missing = ((name, images / f"{name}.png") for name in self.lists[split])
        return [known.get(name) or Item(name, path, None) for name, path in missing]

    def unused_masks(self, split: str | None) -> list[Path]:
        """Masks without an image; of a list none, as others may be in another list."""
        if split in self.lists:
            return []
        wanted = self.folders.values() if split is None else [self.folders[split]]
        return [path for images, masks in wanted for path in _pairs(images, masks)[1]]


def _pairs(images: Path, masks: Path) -> tuple[list[Item], list[Path]]:
    """Images with their masks, and masks without an image."""
    left = _by_name(masks)
    items = []
    for name, path in _by_name(images).items():
        found = next((name + ending for ending in _ENDINGS if name + ending in left), None)
        items.append(Item(name, path, None if found is None else left.pop(found)))
    return items, list(left.values())


def _by_name(folder: Path) -> dict[str, Path]:
    """Image files in and below a folder, by their path in it without the suffix."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path for path in files if path.name[0] != "."
    }


def _folders(root: Path) -> dict[str | None, tuple[Path, Path]]:
    """The folders of images and of masks by split; by None where there is one pair. None at all: an empty dict."""
    pair = _pair(root)
    if pair is not None:
        images, masks = pair
        common = {path.name for path in images.iterdir() if path.is_dir() and (masks / path.name).is_dir()}
        direct = any(path.suffix.lower() in IMAGE_SUFFIXES for path in images.iterdir())
        if common and not direct and all(map(is_usual_split, common)):
            return {name: (images / name, masks / name) for name in order_splits(common)}
        return {None: pair}
    nested = {folder.name: _pair(folder) for folder in sorted(root.iterdir()) if folder.is_dir()}
    return {name: nested[name] for name in order_splits(nested) if nested[name] is not None}


def _pair(folder: Path) -> tuple[Path, Path] | None:
    for images, masks in itertools.product(_IMAGES, _MASKS):
        if (folder / images).is_dir() and (folder / masks).is_dir():
            return folder / images, folder / masks
    return None


def is_masks(path: Path) -> bool:
    """Whether `path` is a folder with images and masks, or of such folders for its parts, not for its images."""
    return path.is_dir() and bool(_folders(path)) and not is_instances(path)


def splits(path: Path) -> list[str]:
    """The parts it is divided in."""
    return _Layout(path).splits


def _spaced(colour) -> str:
    return " ".join(str(int(level)) for level in colour)
