"""What a writer of datasets gets, and what it says in the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from kzoo.data.record import Record


@dataclass
class Written:
    """What was written.

    Attributes:
        out: the folder.
        format: "voc", "yolo" or "coco".
        parts: (images, boxes) by split.
        notes: what the format could not carry.
    """

    out: Path
    format: str
    parts: dict[str, tuple[int, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """A line a split, and the notes."""
        lines = [
            f"{name:12} {images:8} images {boxes:9} boxes" for name, (images, boxes) in self.parts.items()
        ]
        return "\n".join([f"{self.out}: {self.format}", *lines, *(f"note: {note}" for note in self.notes)])


@dataclass(frozen=True)
class Item:
    """One image on its way out.

    Attributes:
        record: the image's annotation, whose labels are indices into the common classes of all parts.
        name: the name of the image file in the new folder, with suffix.
        size: (height, width) of the upright image in pixels.
    """

    record: Record
    name: str
    size: tuple[int, int]

    @property
    def stem(self) -> str:
        return Path(self.name).stem


class Losses:
    """Counts what a format could not carry, of each image once, however many splits it is in."""

    def __init__(self):
        self._counts: Counter[str] = Counter()
        self._seen: set[tuple[str, str]] = set()

    def add(self, item: Item, what: str, count: int = 1) -> None:
        """Counts what is lost of one image; a second time the same of the same image counts nothing.

        Args:
            item: the image.
            what: the note that is made of it, with {} in the place of the number.
            count: how often it is lost, 0 or more.
        """
        if count and (item.name, what) not in self._seen:
            self._seen.add((item.name, what))
            self._counts[what] += count

    def notes(self) -> list[str]:
        return [what.replace("{}", str(count), 1) for what, count in self._counts.items()]


def write_label(path: Path, text: str, item: Item) -> None:
    """Writes an image's own annotation file.

    Args:
        path: the file to write.
        text: what it is to hold.
        item: the image, for the message.

    Raises:
        ValueError: another split has the same image with another annotation.
    """
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{item.record.path}: annotated differently in two splits; convert one split at a time"
        )
    path.write_text(text, encoding="utf-8")
