"""Lists of images in text files, and which images of a folder are for training and which for testing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from kzoo.data.fault import Fault
from kzoo.data.formats.inside import Folders, OutsideError, told
from kzoo.data.formats.parsing import read_json
from kzoo.data.formats.text import read_lines, shorten
from kzoo.data.parts import is_usual_split, order_splits
from kzoo.sources.finding import IMAGE_SUFFIXES, files_in, is_image, is_name, split_path

_DOTTED = re.compile(r"(^|[/\\])\.(?!\.?([/\\]|$))")  # some name in a path begins with a dot


def read_image_list(
    file: Path, bases: Iterable[Path], notes: list[Fault], folders: Folders
) -> dict[Path, str]:
    """The images that a text file names, a path a line, in its order.

    Args:
        file: the list.
        bases: folders that its paths may count from; see `kzoo.sources.finding.existing_path`.
        notes: takes how many lines are passed over: hidden names, images that are named again, and those that lie
            elsewhere.
        folders: where the images may lie.

    Returns:
        {image: the line that names it, as "train.txt:3"}; one that is nowhere stands below the first base.

    Raises:
        FaultError: it is no text.
    """
    bases = list(bases)
    places: dict[Path, str] = {}  # of each image, the line that names it
    hidden, again, outside = [], [], []  # the numbers of lines that are passed over
    for number, line in enumerate(read_lines(file), 1):
        written = line.strip()
        if not written:
            continue
        try:
            there = folders.find(written, bases, [Path()])
        except OutsideError as error:
            outside.append((number, error))
            continue
        path = there or bases[0] / written
        if there is None and not is_name(path):
            notes.append(Fault(file, number, "malformed", f"{shorten(written)!r} is too long for a path"))
        elif not is_image(path) and path.is_dir():
            notes.append(Fault(file, number, "malformed", f"{shorten(written)!r} is a folder, not an image"))
        elif _DOTTED.search(written) and _is_hidden(path, bases):
            hidden.append(number)
        elif path in places:
            again.append(number)
        else:
            places[path] = f"{file.name}:{number}"
    for numbers, kind, words in (
        (hidden, "hidden-image", "are of hidden files"),
        (again, "listed-twice", "name an image for a second time"),
    ):
        if numbers:
            message = f"{len(numbers)} of its lines {words}, this one first: passed over"
            notes.append(Fault(file, numbers[0], kind, message, "warning"))
    notes += told(file, outside)
    return places


def _is_hidden(path: Path, bases: list[Path]) -> bool:
    """Whether an image's name, or that of a folder below the dataset's, begins with a dot."""
    base = next((base for base in bases if path.is_relative_to(base)), path.parent)
    return any(part[0] == "." and part != ".." for part in path.relative_to(base).parts)


def read_lists(root: Path) -> dict[str, list[str]]:
    """Names of images by split; empty where there are no lists.

    Args:
        root: the folder of the dataset. Looked at are `splits.json`, `{"train": [names], ...}`; `splits/*.txt`,
            `ImageSets/Segmentation/*.txt` and `ImageSets/*.txt`; `train.txt`, `val.txt` and `test.txt`: a name, or
            the path of an image, a line.

    Returns:
        {split: names without folder and suffix}, train, val and test first.

    Raises:
        ValueError: `splits.json` is not such a file.
    """
    file = root / "splits.json"
    if file.is_file():
        return _from_json(file)
    for folder in ("splits", "ImageSets/Segmentation", "ImageSets"):
        files = files_in(root / folder, {".txt"})
        if files:
            break
    else:
        files = list_files(root)
    by_split = {path.stem: _names(read_lines(path), path) for path in files}
    return {split: by_split[split] for split in order_splits(by_split)}


def list_files(folder: Path) -> list[Path]:
    """The text files of a folder that are called as parts are: `train.txt`, `Val.txt`, `trainval.txt`."""
    return [
        path
        for path in files_in(folder, {".txt"})
        if is_usual_split(path.stem) or path.stem.lower() == "trainval"
    ]


def _from_json(file: Path) -> dict[str, list[str]]:
    content = read_json(file)
    sound = isinstance(content, dict) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in content.values()
    )
    if not sound:
        raise ValueError(f'{file}: not lists of names; write {{"train": ["a", "b"], "val": ["c"]}}')
    return {split: _names(content[split], file) for split in order_splits(content)}


def _names(lines: list[str], file: Path) -> list[str]:
    names = [_stem(line.strip()) for line in lines if line.strip()]
    wrong = next((name for name in names if "\0" in name or not is_name(Path(name))), None)
    if wrong is not None:
        raise ValueError(f"{file}: {shorten(wrong)!r} is no name of an image; correct it")
    return [name for name in names if not name.startswith(".")]


def _stem(written: str) -> str:
    path = Path(*split_path(written)[-1:])
    # Not every dot begins a suffix: names such as "frame_1.5" are common.
    known = path.suffix.lower() in IMAGE_SUFFIXES or (
        len(path.suffix) in (4, 5) and path.suffix[1:].isalpha()
    )
    return path.stem if known else path.name
