"""Lists of class names as descriptions of datasets write them, and what makes them sound."""

from __future__ import annotations

import re
from pathlib import Path

from kzoo.data.formats.text import read_lines, shorten
from kzoo.sources.finding import existing_path
from kzoo.system.messages import check_names

_MOST_CLASSES = 100_000


def read_names(path: Path) -> list[str]:
    """Class names from a text file, one a line; blank lines at the end are left out."""
    names = [line.strip() for line in read_lines(path)]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise ValueError(f"{path}: no class names in it; write one a line")
    check_names(names, path)
    return names


def sound_names(names: list[str], place: str) -> list[str]:
    """Class names, if none is blank, all differ, and none would steer a terminal.

    Raises:
        ValueError: they are not; the message begins with `place`.
    """
    names = [name.strip() for name in names]
    check_names(names, place)
    seen: dict[str, int] = {}
    for label, name in enumerate(names):
        if not name:
            raise ValueError(f"{place}: class {label} has no name; write one")
        if name in seen:
            raise ValueError(
                f"{place}: {shorten(name)!r} is the name of classes {seen[name]} and {label}; rename one of them"
            )
        seen[name] = label
    return names


def yaml_names(file: Path, content: dict, bases: list[Path]) -> list[str]:
    """The class names of a `data.yaml`, from its `names`, a list, numbered names or a file of them, or its `nc`.

    Args:
        file: the description.
        content: what it holds, every value as the text it is.
        bases: folders that the path of a file of names may count from.

    Raises:
        ValueError: there are none, they are no names, or not as many as `nc` says.
    """
    names, count = content.get("names"), _count(file, content.get("nc"))
    if isinstance(names, str):
        names = _names_of_text(file, names, bases)
    if isinstance(names, dict):
        names = _numbered(file, names)
    if names is None and count:
        names = [str(label) for label in range(count)]
    if not names:
        raise ValueError(f"{file}: no 'names'; list the class names")
    for label, name in enumerate(names):
        if not isinstance(name, str):
            raise ValueError(f"{file}: names: class {label} is {shorten(str(name))}; write one name a class")
    if count is not None and count != len(names):
        raise ValueError(f"{file}: nc is {count}, but there are {len(names)} names; correct one of them")
    return sound_names(names, f"{file}: names")


def _names_of_text(file: Path, text: str, bases: list[Path]) -> list[str]:
    """The names that a text in the place of a list stands for: those of the file it names."""
    path = existing_path(text, bases)
    if path is None or not path.is_file():
        raise ValueError(
            f"{file}: names: {shorten(text)!r} is no list of names and no file of them; "
            f"write a list, such as names: [{shorten(text)}]"
        )
    return read_names(path)


def _numbered(file: Path, names: dict) -> list:
    """Names by their numbers, as a list."""
    wrong = next((key for key in names if not re.fullmatch(r"\s*\d{1,9}\s*", key)), None)
    if wrong is not None:
        raise ValueError(f"{file}: names: key {shorten(wrong)!r} is no number; number the classes from 0")
    by_number = {int(key): name for key, name in names.items()}
    missing = next((label for label in range(len(names)) if label not in by_number), None)
    if missing is not None:
        raise ValueError(
            f"{file}: names: there is no class {missing}; number the classes from 0 without a gap, "
            "and give those that do not occur a name of their own"
        )
    return [by_number[label] for label in range(len(names))]


def _count(file: Path, nc) -> int | None:
    """The number of classes that `nc` is; None where it is not given."""
    if nc is None:
        return None
    if not isinstance(nc, str) or not re.fullmatch(r"\d{1,9}", nc) or int(nc) > _MOST_CLASSES:
        raise ValueError(
            f"{file}: nc: {shorten(str(nc))}; write the number of classes, at most {_MOST_CLASSES}"
        )
    return int(nc)
