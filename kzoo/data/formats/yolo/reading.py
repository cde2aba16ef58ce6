"""YOLO datasets: a text file an image, with a line `class x y width height` in fractions of the image an object.

Two kinds of description are known, Ultralytics' `data.yaml` and Darknet's `.data`, and the layouts of tools that write
none. A line of a class and three or more points is a polygon; `kpt_shape` in a data.yaml says that key points follow
the boxes. What such a line cannot say, `difficult` and `crowd`, kzoo keeps in `flags.json` beside the description:
`{"labels/a.txt": {"difficult": [3]}}`, by line.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np

from kzoo.data.dataset import Dataset
from kzoo.data.fault import Fault, FaultError, image_fault
from kzoo.data.formats.descriptions import (
    Description,
    descriptions_in,
    is_description,
    read_description,
    unread_keys,
)
from kzoo.data.formats.inside import around
from kzoo.data.formats.name_lists import sound_names
from kzoo.data.formats.parsing import read_json
from kzoo.data.formats.text import shorten
from kzoo.data.formats.yolo.labels import find_label, label_candidates, parse, refuse_keypoints, to_pixels
from kzoo.data.formats.yolo.layouts import NAME_FILES, has_labels, is_yolo_layout, parts_of, read_layout
from kzoo.data.parts import choose_split
from kzoo.data.record import Record
from kzoo.sources.finding import IMAGE_SUFFIXES, files_in, folders_in, images_in, is_there, walk_files
from kzoo.sources.image import image_size

FLAGS = "flags.json"
_LABEL_FILES_SEEN = 100  # how many are looked at, of all, for key points that nothing tells of
# Suffixes of files in folders of images that nobody takes for images that were passed over; "" is that of none.
_NO_IMAGES = frozenset(
    (".txt", ".json", ".xml", ".csv", ".yaml", ".yml", ".names", ".labels", ".data", ".cache", ".npy", ".md", ".db",
     ".ini", "")
)  # fmt: skip


class YOLO(Dataset):
    """A YOLO dataset.

    Args:
        root: a `data.yaml`, a `.data` file, the folder that has one, or a folder of images, label files and names.
        split: "train", "val", "test" or another of its parts; None for the images of all.
        masks: whether samples carry masks of the polygons.

    Raises:
        ValueError: the description cannot be read, names are missing, there is no such split, or lines are boxes with
            key points and the description does not say that the boxes alone are wanted.
    """

    format = "yolo"

    def __init__(self, root: str | Path, split: str | None = None, masks: bool = False):
        description = describe(Path(root))
        _refuse_keypoints(description)
        self.splits = description.splits
        if split is not None:
            split = choose_split(split, self.splits, root)
        super().__init__(root, split, description.names, masks=masks)
        self._notes: list[Fault] = []
        wanted = list(description.parts) if split is None else [split]
        self._named: dict[Path, str] = {}
        for part in wanted:
            for image, where in description.images(part, self._notes).items():
                self._named.setdefault(image, where)
        self.paths = list(self._named)
        sources = [source for part in wanted for source in description.parts[part]]
        self._folders = [source for source in sources if source.is_dir()]
        self._description = description
        self._base = description.base
        self._flags = _read_flags(self._base / FLAGS)
        self._keypoints = description.keypoints
        if not description.says_keypoints:
            some = self.paths[:: len(self.paths) // _LABEL_FILES_SEEN + 1]
            refuse_keypoints(filter(None, map(find_label, some)))

    def __len__(self) -> int:
        return len(self.paths)

    def record(self, index: int) -> Record:
        path = self.paths[self._position(index)]
        label = find_label(path)
        problems = []
        try:
            size = image_size(path)
        except (OSError, ValueError) as error:
            size = (1, 1)  # boxes stay fractions: there are no pixels to count in
            problems.append(self._image_fault(path, error))
        if label is None:
            message = f"no label file {label_candidates(path)[0]}: taken as background"
            missing = Fault(path, None, "image-without-label", message, "warning")
            return Record(path, id=path.stem, problems=[*problems, missing])
        lines = parse(label, problems, self._keypoints)
        height, width = size
        with np.errstate(over="ignore", invalid="ignore"):  # numbers beyond all are told of as boxes
            shapes = [to_pixels(values, width, height, self._keypoints) for _, _, values in lines]
            boxes = np.array([box for box, _ in shapes], np.float64).astype(np.float32)
        polygons = [polygon for _, polygon in shapes]
        flags = self._flags.get(_relative(label, self._base), {}) if self._flags else {}
        numbers = [number for number, _, _ in lines]
        record = Record(
            path,
            boxes,
            [name if abs(name) < 2**31 else -1 for _, name, _ in lines],
            [number in flags.get("difficult", ()) for number in numbers],
            [number in flags.get("crowd", ()) for number in numbers],
            id=path.stem,
            source=label,
            lines=numbers,
            polygons=polygons if any(polygon is not None for polygon in polygons) else None,
            problems=problems,
        )
        for box, (_, name, _) in enumerate(lines):
            if not 0 <= name < len(self.classes):
                message = f"class {shorten(str(name), 20)}, but there are {len(self.classes)}, counted from 0"
                problems.append(record.fault("unknown-class", message, box=box))
        return record

    def label_places(self, index: int) -> list[Path]:
        return label_candidates(self.paths[self._position(index)])

    def _image_fault(self, path: Path, error: Exception) -> Fault:
        fault = image_fault(path, error)
        where = self._named[path]
        return dataclasses.replace(fault, message=f"{fault.message}, named by {where}") if where else fault

    def problems(self) -> list[Fault]:
        """What belongs to no image: label files without one, and what is passed over."""
        faults = [*unread_keys(self._description), *self._notes, *self._stray_labels()]
        for folder in self._folders:
            faults += [*_unread_files(folder), *_unread_labels(folder)]
        if self._keypoints is not None:
            message = f"kpt_shape {list(self._keypoints)}: the boxes are taken, the key points are left aside"
            faults.append(Fault(self._description.file, None, "key-points", message, "warning"))
        lost = [name for name in self._flags if not is_there(self._base / name)]
        if lost:
            message = (
                f"{len(lost)} label files are not there, {shorten(lost[0])!r} first: their flags are not used"
            )
            faults.append(Fault(self._base / FLAGS, None, "unused-flags", message, "warning"))
        return faults

    def _stray_labels(self) -> list[Fault]:
        """Label files in the folders of this part that no image belongs to."""
        named: dict[tuple[Path, Path], set[str]] = {}
        for path in self.paths:
            named.setdefault((path.parent, label_candidates(path)[0].parent), set()).add(path.stem)
        faults = []
        for (images, labels), stems in sorted(named.items(), key=lambda item: item[0]):
            faults += _other_letter_case(labels)
            stems |= {path.stem for path in files_in(images) if path.suffix.lower() != ".txt"}
            for path in files_in(labels, {".txt"}):
                if path.stem in stems or path.name.lower() in NAME_FILES:
                    continue
                # Beside images there are texts of other kinds.
                if labels != images or parse(path, []):
                    message = f"no image of that name in {images}"
                    faults.append(Fault(path, None, "label-without-image", message))
        return faults


def _refuse_keypoints(description: Description) -> None:
    """Raises where key points follow the boxes and nothing says that the boxes alone will do."""
    if description.task == "pose" and not description.says_keypoints:
        fault = Fault(description.file, None, "key-points", "task: pose, but no kpt_shape")
        raise FaultError(fault, "write kpt_shape: [points, 2 or 3] and task: detect to use the boxes alone")
    if description.keypoints is not None and description.task != "detect":
        message = (
            f"kpt_shape: {list(description.keypoints)}: boxes with key points, which kzoo does not learn"
        )
        fault = Fault(description.file, None, "key-points", message)
        raise FaultError(fault, "to use the boxes alone, add a line task: detect")


def _other_letter_case(labels: Path) -> list[Fault]:
    """A folder that would be that of labels, were it not for large letters in its name."""
    missing = next((folder for folder in (labels, *labels.parents) if folder.parent.is_dir()), labels)
    if missing.is_dir():
        return []
    alike = [folder for folder in folders_in(missing.parent) if folder.name.lower() == missing.name.lower()]
    message = f"labels are looked for in {missing}: rename this folder"
    return [Fault(folder, None, "folder-name", message, "warning") for folder in alike]


def _unread_files(folder: Path) -> list[Fault]:
    """How many files in a folder of images, and below it, no reader takes for images."""
    left = Counter(path.suffix.lower() or "none" for path in walk_files(folder))
    left = {suffix: count for suffix, count in left.items() if suffix not in IMAGE_SUFFIXES | _NO_IMAGES}
    if not left:
        return []
    kinds = ", ".join(f"{suffix} {count}" for suffix, count in sorted(left.items())[:10])
    message = f"{sum(left.values())} files are passed over, for they are no images by their suffix: {kinds}"
    return [Fault(folder, None, "unread-files", message, "warning")]


def _unread_labels(folder: Path) -> list[Fault]:
    """How many label files lie where no folder of images answers to theirs."""
    labels = label_candidates(folder / "image.png")[0].parent
    if labels == folder:
        return []
    places = {path.parent.relative_to(folder) for path in images_in(folder)}
    left = [path for path in walk_files(labels, {".txt"}) if path.parent.relative_to(labels) not in places]
    left = [path for path in left if path.name.lower() not in NAME_FILES]
    if not left or not places:
        return []
    message = (
        f"{len(left)} label files are passed over, for there are no images in {folder} for their folders"
    )
    return [Fault(left[0], None, "unread-labels", f"{message}; this is the first", "warning")]


def describe(path: Path) -> Description:
    """Reads the description of a dataset: a `.yaml` or `.data` file, the folder that has one, or the layout of one.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: there is none or more than one, it has no names or no splits, or is no YAML.
    """
    files = descriptions_in(path) if path.is_dir() else [path]
    if not files and is_yolo_layout(path):
        description = read_layout(path)
    elif len(files) == 1:
        description = read_description(files[0])
        description.folders += around(files[0], path)
    else:
        raise ValueError(f"{path}: {len(files) or 'no'} data.yaml or .data files; give the file itself")
    if not description.parts and has_labels(description.base):
        description = dataclasses.replace(description, parts=parts_of(description.base))
    if not description.parts:
        raise ValueError(f"{description.file}: names no images; add a line 'train:' with a folder or a list")
    names = sound_names(description.names, f"{description.names_file}: names")
    return dataclasses.replace(description, names=names)


def _read_flags(path: Path) -> dict[str, dict[str, list[int]]]:
    if not path.is_file():
        return {}
    flags = read_json(path)
    entries = flags.items() if isinstance(flags, dict) else [("", flags)]
    for name, entry in entries:
        if not name or not _are_flags(entry):
            message = (
                f"{shorten(name)!r}: {shorten(str(entry))} is not {{'difficult': [lines], 'crowd': [lines]}}"
            )
            raise FaultError(Fault(path, None, "malformed", message), "correct or remove the file")
    return flags


def _are_flags(entry) -> bool:
    """Whether the flags of a label file are lists of lines by one or both names."""
    return (
        isinstance(entry, dict)
        and entry.keys() <= {"difficult", "crowd"}
        and all(isinstance(lines, list) for lines in entry.values())
        and all(type(line) is int for lines in entry.values() for line in lines)
    )


def _relative(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()


def is_yolo(path: Path) -> bool:
    """Whether `path` is a YOLO description or a folder that has one."""
    return bool(descriptions_in(path)) if path.is_dir() else is_description(path)


def splits(path: Path) -> list[str]:
    """The parts its description names."""
    return describe(path).splits
