"""Text files of strangers: one place that decodes them, so that every refusal names the file.

UTF-8 with or without its mark and UTF-16 with its mark are read; anything else is refused in one line.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from kzoo.data.fault import Fault, FaultError
from kzoo.system.messages import one_line
from kzoo.system.reading import UnfitFileError, beginning, read_bytes

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_REMEDY = "save it as UTF-8"


def read_text(path: str | Path, most: int | None = None) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its mark.

    Args:
        path: the file.
        most: bytes that it may have; `kzoo.system.reading.MOST_BYTES` where None.

    Raises:
        FileNotFoundError: there is no such file.
        FaultError: it is a pipe, a device or too large, or in another encoding or no text; the message names file, line
            and byte.
    """
    path = Path(path)
    try:
        content = read_bytes(path, most)
    except UnfitFileError as error:
        raise FaultError(Fault(path, None, "unfit-file", error.reason), error.remedy) from None
    return decode(content, path)


def decode(content: bytes, path: Path) -> str:
    """As `read_text`, for what `path` is known to hold."""
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{content[error.start]:02x} is no {encoding.removesuffix('-sig').upper()}"
        raise FaultError(Fault(path, line, "not-utf8", message), _REMEDY) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise FaultError(
            Fault(path, line, "not-utf8", "a zero byte: no text, or UTF-16 without its mark"), _REMEDY
        )
    return text


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file without their ends; see `read_text`."""
    return read_text(path).splitlines()


def peek(path: Path, count: int = 2**16) -> list[str]:
    """The first lines of a file, `count` bytes at most, whatever it holds: to tell what it is, not to use it."""
    content = beginning(path, count)
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    return content.decode(encoding, errors="replace").splitlines()


def shorten(text: str, most: int = 60) -> str:
    """What to show of a text in a message: on one line, and cut where it is long."""
    shown = one_line(" ".join(text[: 4 * most].split()))
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def to_number(text: str) -> float | None:
    """The number that a text is, NaN and infinity among them; None where it is none."""
    try:
        return None if "_" in text else float(text)  # Python's own numbers may have underscores
    except ValueError:
        return None
