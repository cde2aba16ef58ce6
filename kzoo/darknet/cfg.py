"""Darknet's `.cfg` text: sections in square brackets, `key=value` lines, comments behind `#` or `;`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

# The longest of Darknet's own has 40 kB and some 400 sections.
MAX_BYTES = 2**20
MAX_SECTIONS = 1024
MAX_NUMBERS = 4096  # in a list
LARGEST = 2**31 - 1  # Darknet's numbers are C ints.
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_SPACE = re.compile(rb"[ \t\r\n\v\f]+")
_ALIASES = {
    "avg": "avgpool",
    "conn": "connected",
    "conv": "convolutional",
    "local_avg": "local_avgpool",
    "lrn": "normalization",
    "max": "maxpool",
    "network": "net",
    "silence": "empty",
    "soft": "softmax",
}


class CfgWarning(UserWarning):
    """What a reader of a cfg file passes over; in one line that begins with the file."""


@dataclass(frozen=True)
class Option:
    """What stands behind a key, spaces and comments taken out, and on which line, counted from 1."""

    value: str
    line: int


@dataclass
class Section:
    """One section.

    Attributes:
        kind: the name between the brackets, aliases resolved: "convolutional" for `[conv]`.
        file: the path of the cfg file, for messages.
        line: the number of the header's line, counted from 1.
        options: what stands behind each key; where a key stands twice, the first holds, as in Darknet.
    """

    kind: str
    file: str
    line: int
    options: dict[str, Option] = field(default_factory=dict)

    def __contains__(self, key: str) -> bool:
        return key in self.options

    def line_of(self, key: str) -> int:
        """The line of a key; the header's where it is absent."""
        return self.options[key].line if key in self.options else self.line

    def fault(self, key: str | None, why: str) -> ValueError:
        """An error that names file, line, section, key and value.

        Args:
            key: the key that is wrong, or None where the section itself is.
            why: what is wrong with it, and the remedy, as the end of the message.
        """
        what = f"[{self.kind}]"
        if key is not None:
            what += f" {key}={_shortened(self.options[key].value)}" if key in self.options else f" {key}"
        return ValueError(f"{self.file}:{self.line if key is None else self.line_of(key)}: {what}: {why}")

    def text(self, key: str, default: str | None = None) -> str:
        """The value as it stands; a key without a default must be there."""
        if key in self.options:
            return self.options[key].value
        if default is None:
            raise self.fault(key, "is missing; add it")
        return default

    def choice(self, key: str, default: str, known) -> str:
        """The value, which has to be one of the known ones."""
        value = self.text(key, default)
        if value not in known:
            raise self.fault(key, f"is unknown; use {', '.join(known)}")
        return value

    def integer(
        self, key: str, default: int | None = None, least: int | None = None, most: int = LARGEST
    ) -> int:
        """The value as a whole number within bounds."""
        text = self.text(key, None if default is None else str(default))
        if not _INTEGER.fullmatch(text):
            raise self.fault(key, "is no whole number; give one")
        value = int(text.partition(".")[0])
        least = -LARGEST - 1 if least is None else least
        if not least <= value <= most:
            raise self.fault(key, f"is out of range; give {least} to {most}")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """Whether the value is a number other than 0."""
        return bool(self.number(key, float(default)))

    def number(self, key: str, default: float | None = None, least: float = -math.inf) -> float:
        """The value as a finite number."""
        return self._number(key, self.text(key, None if default is None else repr(default)), least)

    def numbers(self, key: str) -> list[float]:
        """The value as numbers between commas; none where the key is absent. A last comma may be left over."""
        texts = self.text(key, "").split(",")
        if len(texts) > MAX_NUMBERS:
            raise self.fault(key, f"{len(texts):,} numbers are too many; give {MAX_NUMBERS:,} at most")
        if texts[-1] == "":
            texts.pop()
        return [self._number(key, text) for text in texts]

    def integers(self, key: str) -> list[int]:
        """The value as whole numbers between commas; none where the key is absent."""
        numbers = self.numbers(key)
        if not all(value == int(value) and abs(value) <= LARGEST for value in numbers):
            raise self.fault(key, "is no list of whole numbers; give such, with commas between them")
        return [int(value) for value in numbers]

    def _number(self, key: str, text: str, least: float = -math.inf) -> float:
        if not _NUMBER.fullmatch(text):
            raise self.fault(key, f"{_shortened(text)!r} is no number; give one")
        value = float(text)
        if not math.isfinite(value) or value < least:
            raise self.fault(key, f"is out of range; give a finite number from {least:g}")
        return value


@dataclass
class Cfg:
    """A network description.

    Attributes:
        path: the path of the file, for messages.
        text: the whole text of the file.
        net: the first section, `[net]`: input size and training.
        sections: the sections behind it, one a layer; the place in this list is Darknet's number of the layer.
    """

    path: str
    text: str
    net: Section
    sections: list[Section]


def read(path: str | Path) -> Cfg:
    """Reads a `.cfg` file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such text; the message names file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such cfg file; give Darknet's description of the network")
    with path.open("rb") as file:
        return parse(file.read(MAX_BYTES + 1), str(path))


def parse(content: bytes | str, path: str = "cfg") -> Cfg:
    """A network description from its text.

    Args:
        content: the text, or its bytes, of which only comments may be no UTF-8.
        path: what messages call the text, usually the file's path.

    Raises:
        ValueError: it is no cfg text; the message names file and line.
    """
    content = content.encode() if isinstance(content, str) else content
    if len(content) > MAX_BYTES:
        raise ValueError(
            f"{path}: more than {MAX_BYTES:,} bytes are too many for a cfg file; is it the .weights?"
        )
    sections: list[Section] = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        text = _without_comment(line, path, number)
        if text.startswith("["):
            if not text.endswith("]") or len(text) < 3:
                raise ValueError(
                    f"{path}:{number}: {_shortened(text)} is no section; write [NAME], and nothing else on the line"
                )
            kind = _shortened(text[1:-1])
            sections.append(Section(_ALIASES.get(kind, kind), path, number))
            if len(sections) > MAX_SECTIONS:
                raise sections[-1].fault(None, f"more than {MAX_SECTIONS:,} sections; is this a network?")
        elif text:
            _add_option(sections, text, path, number)
    if not sections:
        raise ValueError(
            f"{path}: holds no sections; give Darknet's description of a network, which begins with [net]"
        )
    if sections[0].kind != "net":
        raise sections[0].fault(None, "stands first; begin with [net]")
    for section in sections[1:]:
        if section.kind == "net":
            raise section.fault(None, f"stands twice, first on line {sections[0].line}; keep one")
    return Cfg(path, content.decode("utf-8", "surrogateescape"), sections[0], sections[1:])


def _without_comment(line: bytes, path: str, number: int) -> str:
    """A line without spaces and comment, which Darknet skips."""
    line = _SPACE.sub(b"", re.split(rb"[#;]", line, maxsplit=1)[0])
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"  # refused below, as zero bytes are, which a binary file has
    if "\0" in text:
        raise ValueError(f"{path}:{number}: this is no text in UTF-8; is it a .cfg file? Save it as UTF-8")
    return text


def _add_option(sections: list[Section], text: str, path: str, number: int) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key or not value:
        raise ValueError(
            f"{path}:{number}: {_shortened(text)!r} is not KEY=VALUE; write both, or take it out"
        )
    if not sections:
        raise ValueError(f"{path}:{number}: {_shortened(text)} stands before any section; begin with [net]")
    sections[-1].options.setdefault(_shortened(key), Option(value, number))


def _shortened(text: str, most: int = 60) -> str:
    """What a message can quote of a stranger's text: not too long, and nothing that moves a terminal's cursor."""
    text = text if len(text) <= most else f"{text[:most]}..."
    return "".join(letter if letter.isprintable() else "?" for letter in text)
