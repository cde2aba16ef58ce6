"""Names of the files that writers of datasets make: what a source is called never leads out of the new folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from kzoo.data.formats.descriptions import NO_SPLITS
from kzoo.options.words import is_component
from kzoo.sources.finding import IMAGE_SUFFIXES

_LONGEST = 100  # letters of a split's name
_LONGEST_STEM = 150  # bytes of an image's, so that a folder or number and any suffix have room
_NO_FILE = re.compile(r"[/\\]")


def check_splits(names: Iterable[str], to: str) -> None:
    """Refuses names of splits that are no names of files.

    Raises:
        ValueError: one is empty, hidden, too long or has a character that leads elsewhere or cannot be written; or YOLO
            means something else by it.
    """
    for name in names:
        sound = is_component(name) and len(name) <= _LONGEST and name == name.strip()
        if not sound or name.startswith("."):
            raise ValueError(
                f"split {name[:_LONGEST]!r}: no name for a file of the new dataset; rename it in the old one"
            )
        if to == "yolo" and name in NO_SPLITS:
            raise ValueError(
                f"split {name!r}: a key of data.yaml that means something else; rename it in the old one"
            )


def check_classes(names: Iterable[str], to: str) -> None:
    """Refuses class names that a format cannot hold.

    Raises:
        ValueError: one is no text that can be written, blank, or there twice; or for Pascal VOC and YOLO has several
            lines or a control character.
    """
    counts = Counter(names)
    for name in counts:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"class {name!r}: half a character, which no file can hold; rename it") from None
        if not name.strip() or name != name.strip() or counts[name] > 1:
            raise ValueError(f"class {name!r}: {to} needs names that differ and are not blank; rename it")
        if to == "coco":
            continue
        if len(name.splitlines()) > 1:
            raise ValueError(f"class {name!r}: more than one line, which {to} cannot hold; rename it")
        if any((ord(letter) < 32 and letter != "\t") or ord(letter) in (0xFFFE, 0xFFFF) for letter in name):
            raise ValueError(f"class {name!r}: a control character, which no text can hold; rename it")


def free_name(path: Path, stems: set[str]) -> str:
    """A name for an image in the new folder, which joins `stems`: its own where that can be.

    What lists and other systems cannot hold becomes "_", and a suffix that readers do not look for ".jpg". Where
    another image has the stem, folders come before it or a number behind.
    """
    suffix = path.suffix if path.suffix.lower() in IMAGE_SUFFIXES else ".jpg"
    own = _plain(path.stem if path.suffix == suffix else path.name)
    stem, number, folders = own, 1, [part for part in path.parts[:-1] if _plain(part) == part]
    while stem.lower() in stems:
        if folders and folders[-1] not in ("/", ".."):
            stem = _plain(f"{folders.pop()}_{stem}")
        else:
            folders, number = [], number + 1
            stem = f"{own}_{number}"
    stems.add(stem.lower())
    return stem + suffix


def _plain(name: str) -> str:
    """A name without what a file's cannot have, a line of a list cannot hold, or readers pass over."""
    name = "".join(letter if letter.isprintable() else "_" for letter in _NO_FILE.sub("_", name)).strip()
    name = "_" + name.lstrip(".") if name.startswith(".") or not name else name
    return name.encode()[:_LONGEST_STEM].decode(errors="ignore").rstrip()
