"""What describes a YOLO dataset: Ultralytics' `data.yaml` or Darknet's `.data`."""

from __future__ import annotations

import difflib
import itertools
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from kzoo.data.fault import Fault
from kzoo.data.formats.inside import KIND, Folders, OutsideError
from kzoo.data.formats.lists import read_image_list
from kzoo.data.formats.name_lists import read_names, yaml_names
from kzoo.data.formats.parsing import read_yaml
from kzoo.data.formats.text import peek, read_lines, shorten
from kzoo.data.parts import is_usual_split
from kzoo.sources.finding import existing_path, files_in, images_in, is_image, is_there, split_path

_DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
# Keys of a data.yaml that are no split even where their value happens to be a file.
NO_SPLITS = frozenset(
    {"path", "names", "nc", "download", "yaml_file", "kpt_shape", "flip_idx", "channels", "task"}
)
# Keys that say who made a dataset and where it is to be had, which nothing here reads.
_ABOUT = frozenset(
    {"author", "authors", "contributor", "date", "date_created", "description", "info", "kpt_names", "licence",
     "license", "name", "roboflow", "source", "url", "version", "year"}
)  # fmt: skip
# What Darknet's `.data` files have besides: where it writes to, and what classifiers and its scores need.
_OF_DARKNET = frozenset({"classes", "names", "backup", "results", "eval", "labels", "top", "map", "tree"})
_SPLITS_OF_DARKNET = {"train": "train", "valid": "val", "val": "val", "test": "test"}
_NOTHING = ("", "~", "null", "Null", "NULL")  # as YAML writes that a value is left out


@dataclass
class Description:
    """Where the images of a YOLO dataset lie, and what its classes are called.

    Attributes:
        file: what says so: a `data.yaml`, a `.data` file, or a folder whose layout does.
        names: the class names, by class.
        names_file: where these are written.
        parts: folders of images, lists of them, or images, by the name of their split; by None where the dataset is not
            divided.
        base: the folder of the dataset.
        bases: folders that the paths in a list may count from.
        folders: where the images of lists may lie: the dataset's folder, and what the description calls its `path`.
        keypoints: how many key points follow each box, and how many numbers each has; None where none do.
        says_keypoints: whether it says if there are any.
        task: what it says its labels are for; "detect" where boxes alone are wanted of lines with key points.
        unread: keys that mean nothing here and lead nowhere, as a misspelt one does.
    """

    file: Path
    names: list[str]
    names_file: Path
    parts: dict[str | None, list[Path]]
    base: Path
    bases: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    keypoints: tuple[int, int] | None = None
    says_keypoints: bool = False
    task: str | None = None
    unread: list[str] = field(default_factory=list)

    @property
    def splits(self) -> list[str]:
        """The names of its parts."""
        return [part for part in self.parts if part is not None]

    def images(self, part: str | None, notes: list[Fault]) -> dict[Path, str]:
        """The image files of a part, in the order of its lists, or sorted where it is a folder.

        Args:
            part: the name of the part, such as "train"; None where the dataset is not divided.
            notes: a list that takes the faults of what is passed over in lists of images.

        Returns:
            {image: the line that names it, as "train.txt:3"; "" for those found in a folder}.

        Raises:
            ValueError: a folder or list is not there, or the list cannot be read.
        """
        named: dict[Path, str] = {}
        for source in self.parts[part]:
            if not is_there(source):
                shown = shorten(str(source), 200)
                raise ValueError(f"{self.file}: {part}: {shown} is no folder and no .txt list; correct it")
            if source.is_dir():
                images = dict.fromkeys(images_in(source), "")
            elif is_image(source):
                images = self._own_image(source, notes)
            else:
                folders = Folders(*self.folders, source.parent)
                images = read_image_list(source, [source.parent, *self.bases], notes, folders)
            for image, where in images.items():
                named.setdefault(image, where)
        return named

    def _own_image(self, image: Path, notes: list[Fault]) -> dict[Path, str]:
        """An image that the description itself names; none where it may not be read."""
        if Folders(*self.folders).hold(image):
            return {image: ""}
        notes.append(Fault(self.file, None, KIND, str(OutsideError(image, self.base))))
        return {}


def is_description(path: Path) -> bool:
    """Whether a file's name is that of a description."""
    return path.suffix.lower() in (".yaml", ".yml", ".data")


def descriptions_in(folder: Path) -> list[Path]:
    """`data.yaml`, or else every .yaml with names, or else every .data file of a folder."""
    files = files_in(folder, {".yaml", ".yml"})
    for name in _DESCRIPTIONS:
        named = [path for path in files if path.name.lower() == name]
        if named:
            return named[:1]
    return [path for path in files if _has_names(path)] or files_in(folder, {".data"})


def _has_names(path: Path) -> bool:
    lines = peek(path)
    return all(any(line.startswith(key) for line in lines) for key in ("names:", "train:"))


def read_description(file: Path) -> Description:
    """What a `.yaml` or `.data` file says, were it of the class names alone.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has no names, or is no YAML.
    """
    return _from_data(file) if file.suffix.lower() == ".data" else _from_yaml(file)


class _AsWritten(getattr(yaml, "CBaseLoader", yaml.BaseLoader)):
    """Takes every value as the text it is: YAML 1.1 makes truth values of the names "yes", "no" and "on"."""

    def construct_mapping(self, node, deep=False):
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            keys = Counter(self.construct_object(key) for key, _ in node.value)
            [(twice, _)] = keys.most_common(1)
            raise yaml.YAMLError(f"key {shorten(twice)!r} is given twice, line {node.start_mark.line + 1} on")
        return mapping


def read_fields(file: Path) -> dict:
    """What a YAML file holds by key, every value as the text it is.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no YAML, not one of keys and values, or larger than any description.
    """
    content = read_yaml(file, _AsWritten)
    if not isinstance(content, dict):
        raise ValueError(f"{file}: not a dataset: it should hold 'train', 'val' and 'names'")
    return content


def _from_yaml(file: Path) -> Description:
    content = read_fields(file)
    content = {key: value for key, value in content.items() if value not in _NOTHING or key == "kpt_shape"}
    root = content.get("path", ".")
    if not isinstance(root, str):
        raise ValueError(f"{file}: path: {shorten(str(root))}; write a folder")
    base = existing_path(root, [file.parent, file.parent.parent], [Path()])
    base = file.parent if base is None or not base.is_dir() else base
    bases = [base, file.parent]
    parts = locate(_declared(file, content), bases)
    for key, value in content.items():
        if key not in parts and key not in NO_SPLITS and _names_images(value, bases):
            parts |= locate({key: [value]}, bases)
    shape = content.get("kpt_shape")
    return Description(
        file=file,
        names=yaml_names(file, content, bases),
        names_file=file,
        parts=parts,
        base=file.parent,
        bases=bases,
        folders=[file.parent, base],
        keypoints=None if shape in (None, *_NOTHING) else _keypoints(file, shape),
        says_keypoints="kpt_shape" in content,
        task=content.get("task"),
        unread=[key for key in content if key not in parts and key.lower() not in NO_SPLITS | _ABOUT],
    )


def _declared(file: Path, content: dict) -> dict[str, list[str]]:
    """The splits by the usual names, as they are written."""
    parts = {}
    for key, value in content.items():
        if key in NO_SPLITS or not is_usual_split(key) or value == []:
            continue
        entries = value if isinstance(value, list) else [value]
        if isinstance(value, dict):
            message = f"{key}: has {shorten(', '.join(value))}, as a dataset of semantic masks"
            raise ValueError(f"{file}: {message}; for boxes write the folder of the images")
        if not entries or not all(isinstance(entry, str) and entry.strip() for entry in entries):
            raise ValueError(
                f"{file}: {key}: {shorten(str(value))}; write a folder, a list file, or a list of these"
            )
        for entry in entries:
            if "://" in entry:
                raise ValueError(
                    f"{file}: {key}: {shorten(entry)} is an address; download it and write its folder"
                )
        parts[key] = [entry.strip() for entry in entries]
    return parts


def _names_images(value, bases: list[Path]) -> bool:
    """Whether the value of some other key is a folder of images or a list of them: a part of one's own name."""
    if not isinstance(value, str):
        return False
    path = existing_path(value, (), bases)
    if path is None or path.resolve() in {base.resolve() for base in bases}:
        return False
    if path.is_dir():
        return bool(images_in(path))
    first = split_path(next(iter(peek(path)), "").strip())
    return path.suffix.lower() == ".txt" and bool(first) and is_image(Path(first[-1]))


def locate(entries: dict[str, list[str]], bases: list[Path]) -> dict[str, list[Path]]:
    """The folders and files that the paths of a description mean.

    What is found by the end of its path alone and holds another part is not taken: that would be a part twice.

    Args:
        entries: paths as they are written, by split.
        bases: the folders that they may count from.
    """
    written = list(dict.fromkeys(itertools.chain(*entries.values())))
    paths = {entry: existing_path(entry, bases, [Path()]) for entry in written}

    def taken(entry: str) -> Path:
        path, parts = paths[entry], split_path(entry)
        if path is None:
            return bases[0] / entry
        others = [other for key, other in paths.items() if key != entry and other is not None]
        cut = parts and split_path(str(path))[-len(parts) :] != parts
        if cut and any(path == other or path in other.parents for other in others):
            return bases[0] / entry
        return path

    return {part: [taken(entry) for entry in values] for part, values in entries.items()}


def unread_keys(description: Description) -> list[Fault]:
    """That keys of a description were not understood, in one warning with what they may have meant."""
    if not description.unread:
        return []
    wanted = ("path", "train", "val", "test", "names", "nc", "kpt_shape", "task")
    shown = []
    for key in description.unread[:10]:
        near = difflib.get_close_matches(key.lower(), wanted, 1)
        shown.append(f"{shorten(key)!r}" + (f" (did you mean {near[0]}?)" if near else ""))
    message = f"{len(description.unread)} keys are not read, for they name no folder and no list: {', '.join(shown)}"
    return [Fault(description.file, None, "unread-keys", message, "warning")]


def _keypoints(file: Path, shape) -> tuple[int, int]:
    """The two numbers of `kpt_shape`: how many points there are, and how many numbers each has."""
    numbers = shape if isinstance(shape, list) else []
    if len(numbers) != 2 or not all(re.fullmatch(r"[1-9]\d{0,3}", str(number)) for number in numbers):
        raise ValueError(f"{file}: kpt_shape: {shorten(str(shape))}; write [points, 2] or [points, 3]")
    points, each = (int(number) for number in numbers)
    if each not in (2, 3):
        raise ValueError(
            f"{file}: kpt_shape: [{points}, {each}]; a key point has 2 numbers, or 3 with its visibility"
        )
    return points, each


def _from_data(file: Path) -> Description:
    fields: dict[str, str] = {}
    for number, line in enumerate(read_lines(file), 1):
        key, equals, value = (part.strip() for part in line.partition("#")[0].partition("="))
        if equals and key in fields:
            raise ValueError(f"{file}:{number}: {shorten(key)!r} is given twice; remove one line")
        if equals:
            fields[key] = value
    # Darknet's paths are relative to where it is run, most often the folder above the .data file.
    bases = [file.parent, file.parent.parent]
    if not fields.get("names"):
        raise ValueError(f"{file}: no 'names ='; give the file of class names")
    names_file = existing_path(fields["names"], bases, [Path()])
    if names_file is None or not names_file.is_file():
        raise ValueError(f"{file}: names = {shorten(fields['names'])}: no such file; correct it")
    names = read_names(names_file)
    if "classes" in fields and fields["classes"] != str(len(names)):
        raise ValueError(
            f"{file}: classes = {shorten(fields['classes'])}, but {names_file} has {len(names)} names; correct one"
        )
    entries = {part: [fields[key]] for key, part in _SPLITS_OF_DARKNET.items() if fields.get(key)}
    return Description(
        file=file,
        names=names,
        names_file=names_file,
        parts=locate(entries, bases),
        base=file.parent,
        bases=bases,
        folders=[file.parent],
        unread=[key for key in fields if key not in _OF_DARKNET | _SPLITS_OF_DARKNET.keys()],
    )
