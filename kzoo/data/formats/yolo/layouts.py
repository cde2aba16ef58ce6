"""YOLO datasets without a description, as labelling tools leave them: label files, and the names in a file beside.

labelImg writes `a.txt` and `classes.txt` beside `a.jpg`; Label Studio `images/`, `labels/`, `classes.txt` and
`notes.json`; Roboflow a folder for each part, each with `_darknet.labels`; others `obj.names`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from kzoo.data.formats.descriptions import Description
from kzoo.data.formats.lists import list_files
from kzoo.data.formats.name_lists import read_names
from kzoo.data.formats.parsing import read_json
from kzoo.data.formats.text import peek, shorten, to_number
from kzoo.data.formats.yolo.labels import find_label
from kzoo.data.parts import is_usual_split, order_splits
from kzoo.sources.finding import existing_path, files_in, folders_in, images_in, is_image

NAME_FILES = (
    "classes.txt",
    "obj.names",
    "classes.names",
    "names.txt",
    "labels.txt",
    "_classes.txt",
    "_darknet.labels",
    "predefined_classes.txt",
)
_NOTES = "notes.json"


def is_yolo_layout(path: Path) -> bool:
    """Whether `path` is a folder with images, label files to some of them, and a file of class names."""
    return path.is_dir() and bool(_name_files(path)) and has_labels(path)


def has_labels(path: Path) -> bool:
    """Whether some image in a folder has a label file whose first line is one of a label."""
    labels = filter(None, map(find_label, _images(parts_of(path))))
    return any(_reads_as_label(label) for label in labels)


def refuse_nameless(root: Path) -> None:
    """Raises where a folder has label files and no class names. It looks no further than where these usually lie."""
    if not root.is_dir():
        return
    folders = [below / "labels" for below in (root, *folders_in(root))] + folders_in(root / "labels")
    labels = (path for folder in (root, *folders) for path in files_in(folder, {".txt"}))
    if not _name_files(root) and any(_reads_as_label(path) for path in itertools.islice(labels, 20)):
        raise ValueError(
            f"{root}: label files, but no class names; write them to {root / NAME_FILES[0]}, one a line"
        )


def _images(parts: dict[str | None, list[Path]]) -> Iterator[Path]:
    for sources in parts.values():
        for source in sources:
            if source.is_dir():
                yield from images_in(source)
            else:
                paths = (
                    existing_path(line.strip(), [source.parent]) for line in peek(source) if line.strip()
                )
                yield from (path for path in paths if path is not None and path.is_file())


def _reads_as_label(path: Path) -> bool:
    first = next((line for line in peek(path, 4096) if line.strip()), "")
    words = first.split()
    return len(words) >= 5 and words[0].isdecimal() and all(to_number(word) is not None for word in words)


def read_layout(root: Path) -> Description:
    """The description that the layout of a folder stands for.

    Raises:
        ValueError: the names cannot be read, or there are several files of them that differ.
    """
    files = _name_files(root)
    names = _names(files[0])
    for other in files[1:]:
        if _names(other) != names:
            raise ValueError(f"{other}: other names than {files[0]} has; correct or remove one of them")
    return Description(root, names, files[0], parts_of(root), root, [root], [root])


def parts_of(root: Path) -> dict[str | None, list[Path]]:
    """The parts of a folder without a description: folders or lists; by None where it is not divided."""
    images = next((folder for folder in folders_in(root) if folder.name.lower() == "images"), None)
    parts = {} if images is None else _parts_in(folders_in(images), images)
    parts = parts or _parts_in([folder for folder in folders_in(root) if is_usual_split(folder.name)], root)
    if not parts:
        lists = {path.stem: [path] for path in list_files(root)}
        parts = {name: lists[name] for name in order_splits(lists)}
    return parts or {None: [images or root]}


def _parts_in(folders: list[Path], holder: Path) -> dict[str, list[Path]]:
    """Folders of images as parts, if some are called so and no image lies beside them."""
    if not any(is_usual_split(folder.name) for folder in folders) or any(map(is_image, files_in(holder))):
        return {}
    inner = {
        folder.name: next((below for below in folders_in(folder) if below.name.lower() == "images"), folder)
        for folder in folders
    }
    return {name: [inner[name]] for name in order_splits(inner) if images_in(inner[name])}


def _name_files(root: Path) -> list[Path]:
    """The files of class names in a folder, or else in those where tools put them."""
    below = [folder for folder in folders_in(root) if _may_hold_names(folder)]
    for folders in ([root], below, [inner for folder in below for inner in folders_in(folder)]):
        files = [path for folder in folders for path in _name_files_in(folder)]
        if files:
            return files
    return []


def _name_files_in(folder: Path) -> list[Path]:
    files = {path.name.lower(): path for path in files_in(folder, {".txt", ".names", ".json", ".labels"})}
    named = next((files[name] for name in (*NAME_FILES, _NOTES) if name in files), None)
    others = [path for name, path in files.items() if name.endswith(".names")]
    return [named] if named is not None else others


def _may_hold_names(folder: Path) -> bool:
    return folder.name.lower() in ("labels", "images", "data", "obj_train_data") or is_usual_split(
        folder.name
    )


def _names(file: Path) -> list[str]:
    if file.name.lower() != _NOTES:
        return read_names(file)
    content = read_json(file)
    rows = content.get("categories") if isinstance(content, dict) else None
    try:
        by_number = {row["id"]: row["name"] for row in rows}
        return [str(by_number[label]) for label in range(len(by_number))]
    except (TypeError, KeyError):
        raise ValueError(
            f'{file}: categories: {shorten(str(rows))}; write {{"categories": [{{"id": 0, "name": "cat"}}]}}'
        ) from None
