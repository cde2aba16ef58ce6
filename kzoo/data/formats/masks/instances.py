"""One folder an image: `ID/images/ID.png` and `ID/masks/*.png`, a mask for every object.

The layout of the 2018 Data Science Bowl: Caicedo et al. 2019, Nucleus segmentation across imaging experiments.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from kzoo.data.dataset import Dataset
from kzoo.data.fault import Fault, FaultError
from kzoo.data.formats.lists import read_lists
from kzoo.data.formats.masks.layout import passed_over
from kzoo.data.formats.masks.levels import read_levels
from kzoo.data.formats.name_lists import read_names
from kzoo.data.painting.mask_faults import unreadable_mask
from kzoo.data.parts import choose_split, order_splits
from kzoo.data.record import Record
from kzoo.sources.finding import IMAGE_SUFFIXES, child_of, files_in, folders_in
from kzoo.sources.image import image_size
from kzoo.structures.runs import compress_mask


class Instances(Dataset):
    """A folder of folders, each with an image and the masks of its objects, all of one class.

    A pixel of any object is the object's class, 1, in the semantic mask; ground is 0. The masks of an image are
    read once and kept as run lengths, a few hundred bytes an object.

    Args:
        root: the folder. Its parts are lists (see `kzoo.data.formats.lists`), or folders between it and the images'.
        split: the part; None for all.
        masks: whether samples carry instance masks.
        name: what the objects are; the last line of `classes.txt`, or else "object", where None.
        task: "segment", or "detect" and "instance" for objects, whose only class is theirs.

    Raises:
        ValueError: there is no such split.

    Example:
        >>> Instances("stage1_train", name="nucleus").classes
        ['background', 'nucleus']
    """

    format = "instances"

    def __init__(
        self,
        root: str | Path,
        split: str | None = None,
        masks: bool = False,
        name: str | None = None,
        task: str = "segment",
    ):
        root = Path(root)
        parts = _parts(root)
        if split is not None:
            split = choose_split(split, [part for part in parts if part], root)
        self.folders = parts[split] if split else list(dict.fromkeys(itertools.chain(*parts.values())))
        if split is None and None not in parts:
            # Those in no list belong to the whole, too.
            self.folders += [folder for folder in _folders(root) if folder not in set(self.folders)]
        if name is None:
            name = read_names(root / "classes.txt")[-1] if (root / "classes.txt").is_file() else "object"
        self.semantic = task == "segment"
        super().__init__(root, split, ["background", name] if self.semantic else [name], masks=masks)
        self._records: dict[int, Record] = {}

    def __len__(self) -> int:
        return len(self.folders)

    def record(self, index: int) -> Record:
        index = self._position(index)
        if index not in self._records:
            self._records[index] = _read(self.folders[index], int(self.semantic))
        record = self._records[index]
        return dataclasses.replace(record, problems=list(record.problems))


def _read(folder: Path, label: int) -> Record:
    """The record of one image: all its masks, decoded once."""
    images, source = child_of(folder, "images"), child_of(folder, "masks")
    image, *others = [*_images(images)] or [images / f"{folder.name}.png"]
    message = f"passed over: {image.name} is the image of this folder"
    problems = [Fault(other, None, "passed-over", message, "warning") for other in others]
    problems += passed_over(source)
    if not source.is_dir():
        problems.append(Fault(source, None, "missing-mask", "no such folder of masks"))
    boxes, shapes, size = [], [], _size_of(image)
    for path in _images(source):
        try:
            inside = _covered(path)
            size = size or inside.shape
            _refuse_other_size(inside.shape, size, path)
        except FaultError as error:
            problems.append(error.fault)
            continue
        except OSError as error:
            problems.append(unreadable_mask(path, str(error.strerror or error)).fault)
            continue
        x, y, width, height = cv2.boundingRect(inside)
        if width:
            boxes.append((x, y, x + width, y + height))
            shapes.append(compress_mask(inside))
        else:
            message = "a mask without a pixel: no object"
            problems.append(Fault(path, None, "empty-instance", message, "warning"))
    labels = np.full(len(boxes), label)
    return Record(image, boxes, labels, id=folder.name, source=source, polygons=shapes, problems=problems)


def _size_of(image: Path) -> tuple[int, int] | None:
    """(height, width) of an image; None where it cannot be read, which is told when it is asked for."""
    try:
        return image_size(image)
    except (OSError, ValueError):
        return None


def _covered(path: Path) -> np.ndarray:
    """(H, W) uint8: 1 where a mask has any level or colour but 0."""
    levels = read_levels(path)
    return (levels.any(axis=2) if levels.ndim == 3 else levels > 0).view(np.uint8)


def _refuse_other_size(shape: tuple[int, int], size: tuple[int, int], path: Path) -> None:
    if shape != size:
        message = (
            f"a mask of {shape[1]} x {shape[0]} pixels, the image or others of it have {size[1]} x {size[0]}"
        )
        fault = Fault(path, None, "mask-size", message)
        raise FaultError(fault, "make the mask anew at the size of the image")


def _images(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from files_in(folder, IMAGE_SUFFIXES)


def _folders(root: Path) -> list[Path]:
    """The folders of images in `root`, sorted."""
    return [
        folder
        for folder in folders_in(root)
        if all(child_of(folder, name).is_dir() for name in ("images", "masks"))
    ]


def _parts(root: Path) -> dict[str | None, list[Path]]:
    """Folders of images by split; by None where there are no splits."""
    if not _folders(root):
        nested = {folder.name: _folders(folder) for folder in folders_in(root)}
        return {name: nested[name] for name in order_splits(nested) if nested[name]}
    listed = read_lists(root)
    return {part: [root / name for name in names] for part, names in listed.items()} or {None: _folders(root)}


def is_instances(path: Path) -> bool:
    """Whether `path` is a folder of folders with one image and its objects' masks each."""
    if not path.is_dir():
        return False
    folders = itertools.chain(path.glob("*/[Mm]asks"), path.glob("*/*/[Mm]asks"))
    # The first few will do, should one of them lack its image.
    return any(_is_one_image(masks.parent) for masks in itertools.islice(folders, 5))


def _is_one_image(folder: Path) -> bool:
    """Whether a folder is that of one image: a part of that size has a mask with the image's name."""
    images = list(_images(child_of(folder, "images")))
    return len(images) == 1 and all(
        not mask.stem.startswith(images[0].stem) for mask in _images(child_of(folder, "masks"))
    )


def splits(path: Path) -> list[str]:
    """The parts it is divided in."""
    return [part for part in _parts(path) if part is not None]
