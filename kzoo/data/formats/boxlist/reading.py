"""Lists of boxes: CSV as keras-retinanet and TensorFlow's tutorials have it, and keras-yolo3's lines.

Corners are pixels as they stand in the file, 0-based, right and bottom edges exclusive. Class names are those of a file
beside the list, `name,id` in CSV or a name a line; where there is none, those in the lists, sorted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from kzoo.data.dataset import Dataset
from kzoo.data.fault import Fault, FaultError
from kzoo.data.formats.boxlist.rows import Row, dialect, read_rows, unread_columns
from kzoo.data.formats.declared import fitted
from kzoo.data.formats.inside import Folders, OutsideError, around, told
from kzoo.data.formats.name_lists import read_names, sound_names
from kzoo.data.formats.text import read_lines, shorten
from kzoo.data.parts import choose_split, is_usual_split, order_splits
from kzoo.data.record import Record
from kzoo.sources.finding import files_in, folders_in, is_hidden, is_image, is_name

_MOST_CLASSES = 10_000
# What is around the name of a part in that of its list: "train_labels.csv", "annotations_val.csv".
_AROUND = re.compile(r"(^|[_\-. ])(annotations?|labels?|boxes|bbox(es)?|images?|data)(?=$|[_\-. ])")


class BoxList(Dataset):
    """The reader of lists of boxes: one list, or a folder with one for each part.

    Args:
        root: the list, or its folder.
        split: "train", "val", "test" or another of its parts; None for the images of all.
        masks: has no effect: there are boxes alone.

    Raises:
        ValueError: there is no list or no such split, or one cannot be read.
    """

    def __init__(self, root: str | Path, split: str | None = None, masks: bool = False):
        root = Path(root)
        lists = box_lists(root)
        self.splits = [part for part in lists if part is not None]
        if split is not None:
            split = choose_split(split, self.splits, root)
        forms = {part: dialect(file) or _form_by_suffix(file) for part, file in lists.items()}
        rows = {part: read_rows(file, forms[part]) for part, file in lists.items()}
        for part, file in lists.items():
            _refuse_strange(file, rows[part])
        classes = _class_names(lists.values(), rows.values(), set(forms.values()))
        super().__init__(root, split, classes, masks=masks)
        self.format = next(iter(forms.values()))
        self._label = _labels(self.classes, self.format)
        self._notes: list[Fault] = []
        self._rows: dict[Path, list[Row]] = {}
        self._source: dict[Path, Path] = {}
        for part, file in lists.items():
            if split in (None, part):
                self._take(file, part, rows[part])
        self.paths = list(self._rows)

    def _take(self, file: Path, part: str | None, rows: list[Row]) -> None:
        """Adds the rows of a list to those of their images."""
        unread = unread_columns(file) if self.format == "csv" else []
        if unread:
            message = f"columns that nothing is taken from: {shorten(', '.join(unread))}"
            self._notes.append(Fault(file, 1, "unread-columns", message, "warning"))
        files: dict[str, Path] = {}  # the image that each written path means: it is looked for once
        hidden, again, outside = [], [], []  # the numbers of lines that are passed over
        folders = Folders(*around(file, self.root))
        for row in rows:
            if not row.image:
                self._notes.append(Fault(file, row.line, "malformed", row.complaint))
                continue
            try:
                if row.image not in files:
                    files[row.image] = _find_image(row.image, file, part, folders)
            except OutsideError as error:
                outside.append((row.line, error))
                continue
            path = files[row.image]
            if not is_name(path):
                message = f"{shorten(row.image)!r} is too long for a path"
                self._notes.append(Fault(file, row.line, "malformed", message))
            elif is_hidden(path):
                hidden.append(row.line)
            elif self._source.setdefault(path, file) != file:
                again.append(row.line)
            else:
                self._rows.setdefault(path, []).append(row)
        for lines, kind, words in (
            (hidden, "hidden-image", "are of hidden files"),
            (again, "listed-twice", "are of images that another list has"),
        ):
            if lines:
                message = f"{len(lines)} of its lines {words}, this one first: passed over"
                self._notes.append(Fault(file, lines[0], kind, message, "warning"))
        self._notes += told(file, outside)

    def __len__(self) -> int:
        return len(self.paths)

    def record(self, index: int) -> Record:
        path = self.paths[self._position(index)]
        rows, source = self._rows[path], self._source[path]
        problems = [
            Fault(source, row.line, "malformed", row.complaint) for row in rows if row.complaint is not None
        ]
        if not path.is_file():
            message = f"no such image file, named by {source.name}:{rows[0].line}"
            problems.append(Fault(path, None, "missing-image", message))
        boxed = [row for row in rows if row.box is not None]
        with np.errstate(over="ignore"):  # numbers beyond all are told of as boxes
            boxes = np.array([row.box for row in boxed], np.float64).astype(np.float32)
        record = Record(
            path,
            boxes,
            [self._label.get(row.name, -1) for row in boxed],
            id=path.stem,
            source=source,
            lines=[row.line for row in boxed],
            size=next((row.size for row in rows if row.size is not None), None),
            problems=problems,
        )
        for box, row in enumerate(boxed):
            if record.labels[box] < 0:
                message = f"class {shorten(row.name)!r} is not in the list of classes"
                problems.append(record.fault("unknown-class", message, box=box))
        return fitted(record)

    def problems(self) -> list[Fault]:
        """What belongs to no image: lines without one, and what is passed over."""
        return list(self._notes)


def _form_by_suffix(file: Path) -> str:
    return "csv" if file.suffix.lower() == ".csv" else "keras-yolo3"


def _refuse_strange(file: Path, rows: list[Row]) -> None:
    """Raises where no line is sound, and where all corners are fractions: boxes of so few pixels are nobody's."""
    if rows and all(row.complaint is not None for row in rows):
        fault = Fault(file, rows[0].line, "malformed", rows[0].complaint)
        raise FaultError(fault, "no line of this file is one of a list of boxes")
    boxed = [row for row in rows if row.box is not None]
    corners = [corner for row in boxed for corner in row.box]
    if corners and all(0 <= corner <= 1 for corner in corners) and any(0 < corner < 1 for corner in corners):
        message = "all corners lie within 0..1, as fractions of the image do"
        fault = Fault(file, boxed[0].line, "malformed", message)
        raise FaultError(fault, "write them in pixels")


def _find_image(written: str, file: Path, part: str | None, allowed: Folders) -> Path:
    """The image that a list names: beside it, or in the folders where tutorials put images."""
    folders = [file.parent, file.parent.parent]
    parts = [part, file.stem] if part is not None else [file.stem]
    below = ["", "images", *parts, *(f"images/{name}" for name in parts), "JPEGImages"]
    bases = [folder / name for folder in folders for name in below]
    suffixes = ("",) if is_image(Path(written)) else ("", ".jpg", ".jpeg", ".png")
    candidates = (allowed.find(written + suffix, bases, [Path()]) for suffix in suffixes)
    path = next((path for path in candidates if path is not None and not path.is_dir()), None)
    return file.parent / written if path is None else path


def _class_names(files: Iterable[Path], rows: Iterable[list[Row]], forms: set[str]) -> list[str]:
    """The names in a file beside the lists, or else those that the lists have."""
    files = list(files)
    beside = _names_file(files)
    if beside is not None:
        names = _names_by_id(beside) if beside.suffix.lower() == ".csv" else read_names(beside)
        return sound_names(names, f"{beside}: names")
    used = {row.name for part in rows for row in part if row.box is not None}
    if not all(name.isdecimal() for name in used):
        return sorted(used)
    if forms != {"keras-yolo3"}:
        return sorted(used, key=int)
    count = max(map(int, used), default=-1) + 1
    if count > _MOST_CLASSES:
        raise ValueError(f"{files[0]}: a class {count - 1}; write the class names to classes.txt, beside it")
    return [str(label) for label in range(count)]


def _labels(classes: list[str], form: str) -> dict[str, int]:
    """The label for a class as the lists write it: keras-yolo3's are numbers."""
    if form == "keras-yolo3":
        return {str(label): label for label in range(len(classes))}
    return {name: label for label, name in enumerate(classes)}


def _names_file(files: list[Path]) -> Path | None:
    """The file of class names beside some lists."""
    for folder in dict.fromkeys(file.parent for file in files):
        for path in files_in(folder, {".csv", ".txt", ".names"}):
            stem = path.stem.lower()
            known = (
                "class" in stem or stem in ("names", "labels", "labelmap") or path.suffix.lower() == ".names"
            )
            if path not in files and known:
                return path
    return None


def _names_by_id(file: Path) -> list[str]:
    """Names by their numbers, from the lines `name,id`."""
    by_id: dict[int, str] = {}
    for number, line in enumerate(read_lines(file), 1):
        name, comma, text = (part.strip().strip('"') for part in line.rpartition(","))
        if not line.strip() or (number == 1 and text.lower() in ("id", "class_id", "label")):
            continue
        if not comma or not name or not re.fullmatch(r"\d{1,9}", text):
            fault = Fault(file, number, "malformed", f"{shorten(line)!r} is not 'name,id'")
            raise FaultError(fault, "correct it")
        if int(text) in by_id:
            fault = Fault(file, number, "malformed", f"class {text} is given twice")
            raise FaultError(fault, "number the classes from 0")
        by_id[int(text)] = name
    missing = next((label for label in range(len(by_id)) if label not in by_id), None)
    if missing is not None or not by_id:
        raise ValueError(f"{file}: there is no class {missing or 0}; number the classes from 0 without a gap")
    return [by_id[label] for label in range(len(by_id))]


def box_lists(root: Path) -> dict[str | None, Path]:
    """The lists by split; by None where there is one for the whole.

    Raises:
        ValueError: there is none, or a part has several.
    """
    if root.is_file():
        return {None: root}
    for folder in (root, root / "annotations", root / "data"):
        lists = _lists_in(folder)
        if lists:
            return _by_split(lists)
    nested = {folder.name: _lists_in(folder) for folder in folders_in(root) if is_usual_split(folder.name)}
    several = next((files for files in nested.values() if len(files) > 1), None)
    if several is not None:
        raise ValueError(f"{several[1].parent}: {len(several)} lists of boxes; give the file itself")
    by_split = {name: files[0] for name, files in nested.items() if files}
    if not by_split:
        raise ValueError(f"{root}: no list of boxes in it")
    return {name: by_split[name] for name in order_splits(by_split)}


def _lists_in(folder: Path) -> list[Path]:
    """The lists of a folder: tables, and texts that are called as parts or annotations are."""
    tables = [path for path in files_in(folder, {".csv"}) if dialect(path) is not None]
    if tables:
        return tables
    texts = [
        path
        for path in files_in(folder, {".txt"})
        if is_usual_split(_part_name(path)) or not _part_name(path)
    ]
    return [path for path in texts if dialect(path) is not None]


def _by_split(files: list[Path]) -> dict[str | None, Path]:
    if len(files) == 1 and not is_usual_split(_part_name(files[0])):
        return {None: files[0]}
    named = {_part_name(file) or file.stem: file for file in files}
    if len(named) < len(files):
        raise ValueError(
            f"{files[0].parent}: {len(files)} lists of boxes, some for the same part; give the file itself"
        )
    return {name: named[name] for name in order_splits(named)}


def _part_name(file: Path) -> str:
    """What the name of a list says of its part: "train" for "train_labels.csv"; "" for "_annotations.csv"."""
    return _AROUND.sub("", file.stem.lower()).strip("_-. ")


def is_boxlist(path: Path) -> bool:
    """Whether `path` is a list of boxes, or a folder of such."""
    if path.is_file():
        return path.suffix.lower() == ".csv" or (path.suffix.lower() == ".txt" and dialect(path) is not None)
    try:
        return path.is_dir() and bool(box_lists(path))
    except ValueError:
        return False


def splits(path: Path) -> list[str]:
    """The parts that the names of its lists tell."""
    return [part for part in box_lists(path) if part is not None]
