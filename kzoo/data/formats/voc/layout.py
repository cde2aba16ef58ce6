"""Where a Pascal VOC dataset has its annotation files, its images and its lists.

The challenge's own layout is `Annotations/`, `JPEGImages/` and `ImageSets/Main/`. Labelling tools write others: Label
Studio `Annotations/` and `images/`, sets on Kaggle the same in small letters, labelImg files beside the images,
Roboflow those in `train/`, `valid/` and `test/`; and any of them may have folders below.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from kzoo.data.formats.inside import Folders
from kzoo.data.formats.text import peek, read_lines
from kzoo.data.parts import is_usual_split, order_splits
from kzoo.sources.finding import (
    IMAGE_SUFFIXES,
    child_of,
    files_in,
    folders_in,
    has_file,
    split_path,
    walk_files,
)
from kzoo.system.reading import beginning

_XML = frozenset({".xml"})
_IMAGE_FOLDERS = ("JPEGImages", "images", "image", "img")
_ROOT = re.compile(rb"<([A-Za-z_][\w.-]*:)?annotation[\s>]", re.IGNORECASE)
_FLAGS = ("-1", "0", "1")


@dataclass
class Layout:
    """The files of a dataset by id: the path below its folder without the suffix, which most often is the stem.

    Attributes:
        root: the dataset.
        annotations: annotation files by id.
        images: image files by id; several where they differ in the suffix alone.
        bases: the folders that names of images count from, the likeliest first.
        annotation_folder: where annotation files are, or should be.
        lists: files of ids by split.
        parts: ids by split, where folders are the splits.
    """

    root: Path
    annotations: dict[str, Path]
    images: dict[str, list[Path]]
    bases: list[Path]
    annotation_folder: Path
    lists: dict[str, Path] = field(default_factory=dict)
    parts: dict[str, list[str]] = field(default_factory=dict)

    @property
    def splits(self) -> list[str]:
        """Train, val and test first, without lists of one class ("cat_train")."""
        return order_splits(
            [name for name in self.lists if not is_class_list(self.lists[name])] or self.parts
        )


def find_layout(root: Path) -> Layout | None:
    """The layout of the Pascal VOC dataset of boxes in a folder; None where it is none.

    Raises:
        ValueError: the folder holds several datasets.
    """
    if _separate(root):
        layout = _of_folders(root)
    elif _is_beside(root):
        layout = _of_tree(root)
    elif parts := _parts(root):
        return _joined(root, parts)
    else:
        return _only_one_below(root)
    if not layout.lists:
        layout.parts = _by_first_folder(layout.annotations)
    return layout


def has_annotations(root: Path) -> bool:
    """Whether there is a Pascal VOC dataset of boxes in a folder; as `find_layout`, without listing all of it."""
    return root.is_dir() and bool(
        _separate(root) or _is_beside(root) or _parts(root) or _datasets_below(root)
    )


def _separate(root: Path) -> bool:
    """Whether annotations are in a folder of their own."""
    annotations, classic = child_of(root, "Annotations"), child_of(root, "JPEGImages").is_dir()
    if not annotations.is_dir() or (_described(root) and not classic):
        return False
    return has_file(annotations, _XML) or (classic and not has_file(annotations, {".json"}))


def _is_beside(root: Path) -> bool:
    """Whether annotations lie beside the images, here or one folder below, but not in folders of splits."""
    if _described(root):
        return False
    folders = [folder for folder in folders_in(root) if not is_usual_split(folder.name.lower())]
    return any(_has_annotation(folder) for folder in (root, *folders) if not _separate(folder))


def _described(root: Path) -> bool:
    """Whether a description of YOLO's says what the folder is, whatever XML lies in it."""
    return bool(files_in(root, {".yaml", ".yml", ".data"}))


def _has_annotation(folder: Path) -> bool:
    """Whether the first XML files of a folder itself are Pascal VOC's: other things are XML, too."""
    return any(_ROOT.search(_beginning(path)) for path in islice(files_in(folder, _XML), 3))


def _beginning(path: Path) -> bytes:
    return beginning(path, 4096).replace(b"\0", b"")  # UTF-16 looks like this, too


def _parts(root: Path) -> dict[str, Path]:
    """Folders of splits that are datasets themselves."""
    if _described(root):
        return {}
    usual = [folder for folder in folders_in(root) if is_usual_split(folder.name.lower())]
    return {folder.name: folder for folder in usual if _separate(folder) or _has_annotation(folder)}


def _datasets_below(root: Path) -> list[Path]:
    """Datasets with folders of their own in a folder, as `VOCdevkit` has them by year."""
    return [] if _described(root) else [folder for folder in folders_in(root) if _separate(folder)]


def _only_one_below(root: Path) -> Layout | None:
    datasets = _datasets_below(root)
    if len(datasets) > 1:
        names = ", ".join(folder.name for folder in datasets)
        raise ValueError(f"{root}: several datasets of Pascal VOC; give one of its folders {names}")
    return find_layout(datasets[0]) if datasets else None


def _of_folders(root: Path) -> Layout:
    annotations = child_of(root, "Annotations")
    folders = [folder for name in _IMAGE_FOLDERS if (folder := child_of(root, name)).is_dir()]
    images: dict[str, list[Path]] = {}
    for folder in folders:
        _add_images(images, folder, walk_files(folder, IMAGE_SUFFIXES))
    if not images:
        _add_images(images, root, files_in(root, IMAGE_SUFFIXES))
        _add_images(images, annotations, walk_files(annotations, IMAGE_SUFFIXES))
    files = {_id(path, annotations): path for path in walk_files(annotations, _XML)}
    bases = [*folders, root, annotations] if folders else [root / _IMAGE_FOLDERS[0], root, annotations]
    return Layout(root, files, images, bases, annotations, _lists(root))


def _of_tree(root: Path) -> Layout:
    files = {_id(path, root): path for path in walk_files(root, _XML)}
    images: dict[str, list[Path]] = {}
    _add_images(images, root, walk_files(root, IMAGE_SUFFIXES))
    return Layout(root, files, images, [root], root, _lists(root))


def _joined(root: Path, parts: dict[str, Path]) -> Layout:
    """One layout of those of its parts, whose ids begin with the part's name."""
    whole = Layout(root, {}, {}, [root], root)
    for name in order_splits(parts):
        folder = parts[name]
        part = _of_folders(folder) if _separate(folder) else _of_tree(folder)
        whole.annotations |= {f"{name}/{key}": path for key, path in part.annotations.items()}
        whole.images |= {f"{name}/{key}": paths for key, paths in part.images.items()}
        whole.bases += part.bases
        whole.parts[name] = [f"{name}/{key}" for key in part.annotations]
    return whole


def _by_first_folder(annotations: dict[str, Path]) -> dict[str, list[str]]:
    """Ids by the folder that they are in, if all of these are called as splits are."""
    by_folder: dict[str, list[str]] = {}
    for key in annotations:
        by_folder.setdefault(key.partition("/")[0] if "/" in key else "", []).append(key)
    are_splits = all(name and is_usual_split(name.lower()) for name in by_folder)
    return by_folder if by_folder and are_splits else {}


def _add_images(images: dict[str, list[Path]], folder: Path, paths: Iterable[Path]) -> None:
    for path in paths:
        images.setdefault(_id(path, folder), []).append(path)


def _id(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _lists(root: Path) -> dict[str, Path]:
    """Lists of ids by split: those of `ImageSets/Main`, or of `ImageSets`, or `train.txt` and its like."""
    sets = child_of(root, "ImageSets")
    for folder in (child_of(sets, "Main"), sets):
        if files := files_in(folder, {".txt"}):
            return {path.stem: path for path in files}
    return {path.stem: path for path in files_in(root, {".txt"}) if is_usual_split(path.stem.lower())}


def is_class_list(path: Path) -> bool:
    """Whether the lines of a list have a flag after the id, which says whether the list's class is on the image."""
    first = next((line.split() for line in peek(path) if line.strip()), [])
    return len(first) == 2 and first[1] in _FLAGS


class Ids:
    """The ids of a dataset, and which of them a name in a list means."""

    def __init__(self, known: Iterable[str]):
        self.known = frozenset(known)
        self._by_stem: dict[str, str | None] = {}
        for key in self.known:
            stem = PurePosixPath(key).name
            self._by_stem[stem] = None if stem in self._by_stem else key

    def listed(self, path: Path) -> list[str]:
        """The ids of a list. A line of a class's list has a flag after the id; ids may have spaces themselves."""
        names = [line.strip() for line in read_lines(path)]
        return [self._meant(name) for name in names if name]

    def _meant(self, name: str) -> str:
        words = name.split()
        if len(words) == 2 and words[1] in _FLAGS and name not in self.known:
            name = words[0]
        if name in self.known:
            return name
        # Some tools write the image's name, or its path.
        path = PurePosixPath(*split_path(name)) if split_path(name) else PurePosixPath(name)
        suffixed = path.suffix.lower() in IMAGE_SUFFIXES | _XML
        keys = [key for key in (str(path), str(path.with_suffix("")) if suffixed else "") if key]
        for key in keys:
            parts = key.split("/")
            tails = ["/".join(parts[start:]) for start in range(len(parts))]
            meant = next((tail for tail in tails if tail in self.known), self._by_stem.get(parts[-1]))
            if meant:
                return meant
        return keys[-1]


def image_of(key: str, claims: dict[str, str], layout: Layout, by_stem: dict[str, list[Path]]) -> Path | None:
    """The image of an annotation file: that of its name, or else that which it names; None where there is none.

    Args:
        key: the id of the annotation file.
        claims: the texts of the file's elements "folder", "filename" and "path", of those that it has.
        layout: the files of the dataset.
        by_stem: the dataset's images by the stem of their name alone, whatever their folder.

    Raises:
        OutsideError: it names one outside of the dataset's folder.
    """
    alike = layout.images.get(key) or by_stem.get(PurePosixPath(key).name, [])
    if len(alike) == 1:
        return alike[0]
    names = ["/".join(split_path(claims.get("path", "")))]
    names += [f"{claims.get('folder', '')}/{claims.get('filename', '')}", claims.get("filename", "")]
    bases = [layout.annotations[key].parent, *layout.bases]
    allowed = Folders(layout.root)
    written = (allowed.find(name.lstrip("/"), bases) for name in names if name.strip("/"))
    named = next((path for path in written if path and path.suffix.lower() in IMAGE_SUFFIXES), None)
    return named if named or not alike else alike[0]
