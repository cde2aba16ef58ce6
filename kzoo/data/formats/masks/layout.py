"""The images of a folder with their masks, by parts and lists; what belongs to nothing, and what is passed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from kzoo.data.fault import Fault
from kzoo.data.formats.lists import read_lists
from kzoo.data.formats.masks.folders import (
    ENDINGS,
    Pair,
    described_pairs,
    description_of,
    find_beside,
    find_pairs,
    rank,
    told_apart,
)
from kzoo.data.parts import is_usual_split
from kzoo.sources.finding import files_in, folders_in, images_in, is_image, walk_files

# What lies beside images without being an image that nobody can read.
_TEXTS = frozenset(
    {".txt", ".md", ".json", ".xml", ".csv", ".yaml", ".yml", ".db", ".ini", ".html", ".pdf", ".cache"}
)


@dataclass(frozen=True)
class Item:
    """An image file and that of its mask.

    Attributes:
        id: the image's path below its folder, without the suffix.
        image: the image file.
        mask: the file of its semantic mask; None where there is none.
    """

    id: str
    image: Path
    mask: Path | None


@dataclass
class _Contents:
    """What a pair of folders holds: images with their masks, masks of no image, and what is odd."""

    items: list[Item] = field(default_factory=list)
    unused: list[Path] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


class Layout:
    """Where the images and masks of a dataset lie.

    Args:
        root: the folder, or a `data.yaml`.

    Attributes:
        folder: the folder.
        file: the `data.yaml` that describes it; None where it is found by looking.
        splits: the names of its parts.

    Raises:
        ValueError: a `data.yaml` or a list is none.
    """

    def __init__(self, root: Path):
        self.folder = root if root.is_dir() else root.parent
        self.file = description_of(root)
        self.pairs = described_pairs(self.file) if self.file else find_pairs(root) or find_beside(root)
        self.lists = read_lists(self.folder) if None in self.pairs and not self.file else {}
        self.splits = list(self.lists) or [part for part in self.pairs if part is not None]
        self._contents: dict[str | None, _Contents] = {}  # by part, once it has been looked at

    def __getstate__(self) -> dict:
        # Not to send every path to worker processes twice.
        return self.__dict__ | {"_contents": {}}

    def items(self, split: str | None) -> list[Item]:
        """The images of a part, in the order of its list or sorted; those of all where None.

        Raises:
            ValueError: a name in a list is that of several images.
        """
        if split is None or split not in self.lists:
            return [item for part in self._parts(split) for item in self._look(part).items]
        known: dict[str, list[Item]] = {}
        for item in self._look(None).items:
            known.setdefault(PurePosixPath(item.id).name, []).append(item)
        return [self._listed(name, known.get(name, []), split) for name in self.lists[split]]

    def _listed(self, name: str, items: list[Item], split: str) -> Item:
        """The one of the items of a name that a list means."""
        if len(items) > 1:
            paths = " and ".join(str(item.image) for item in items[:2])
            raise ValueError(
                f"{self.folder}: {name!r} of {split} may be {paths}; give every image its own name"
            )
        return items[0] if items else Item(name, self.pairs[None].images / f"{name}.png", None)

    def problems(self, split: str | None) -> list[Fault]:
        """Masks that no image belongs to, and what is passed over. Of a list no masks: others may be in another."""
        faults = []
        for part in [None] if split in self.lists else self._parts(split):
            contents = self._look(part)
            faults += contents.faults
            if split not in self.lists:
                message = "no image of that name"
                faults += [Fault(path, None, "mask-without-image", message) for path in contents.unused]
        return faults + (self._without_masks() if split is None else [])

    def _without_masks(self) -> list[Fault]:
        """Folders of a part that have images and no masks."""
        if self.file or None in self.pairs:
            return []
        faults = []
        for folder in folders_in(self.folder):
            if folder.name in self.pairs or not is_usual_split(folder.name):
                continue
            count = len(images_in(folder))
            if count:
                message = f"{count} images without a folder of masks: passed over"
                faults.append(Fault(folder, None, "passed-over", message, "warning"))
        return faults

    def _parts(self, split: str | None) -> Iterable[str | None]:
        return self.pairs if split is None else [split]

    def _look(self, part: str | None) -> _Contents:
        if part not in self._contents:
            self._contents[part] = _look(self.pairs[part])
        return self._contents[part]


def _look(pair: Pair) -> _Contents:
    """Images with their masks, and masks without an image."""
    contents = _Contents()
    if pair.images == pair.masks:
        files, images = told_apart(files_in(pair.images))
        masks = _by_name(pair.masks, files, contents)
    else:
        images, masks = images_in(pair.images), _by_name(pair.masks, images_in(pair.masks), contents)
        for folder in (pair.images, pair.masks):
            contents.faults += passed_over(folder)
    for name, path in _by_name(pair.images, images, contents).items():
        key = next((key for key in _mask_names(name, path) if key in masks), None)
        # Each mask is of one image: those that are left in the end are of none.
        contents.items.append(Item(name, path, None if key is None else masks.pop(key)))
    contents.unused = list(masks.values())
    return contents


def _mask_names(name: str, image: Path) -> Iterator[str]:
    """What the mask of an image may be called, without its suffix; "a.jpg" for "a.jpg.png" is among it."""
    for ending in ENDINGS:
        yield name + ending
        yield name + ending.upper()
        yield name + ending.title()
    yield name + image.suffix


def _by_name(folder: Path, files: Iterable[Path], contents: _Contents) -> dict[str, Path]:
    """Files by their path in a folder without the suffix; of several of one name the likeliest mask, or the first."""
    named: dict[str, Path] = {}
    for path in files:
        name = path.relative_to(folder).with_suffix("").as_posix()
        other = named.setdefault(name, path)
        if other == path:
            continue
        kept, passed = sorted((other, path), key=rank)
        named[name] = kept
        message = f"{kept.name} has the same name: passed over"
        contents.faults.append(Fault(passed, None, "passed-over", message, "warning"))
    return named


def passed_over(folder: Path) -> list[Fault]:
    """Files that are no images that anybody here reads, counted."""
    files = [path for path in walk_files(folder) if not is_image(path) and path.suffix.lower() not in _TEXTS]
    if not files:
        return []
    more = f", with {len(files) - 1} others" if len(files) > 1 else ""
    message = f"no image that can be read: passed over{more}"
    return [Fault(files[0], None, "passed-over", message, "warning")]
