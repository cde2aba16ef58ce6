"""Text files of strangers: one place that decodes them, so that every refusal names the file.

UTF-8 with or without its mark and UTF-16 with its mark are read; anything else is refused in one line.
"""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

from kzoo.data.fault import Fault, FaultError

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_REMEDY = "save it as UTF-8"


def read_text(path: str | Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its mark.

    Raises:
        FileNotFoundError: there is no such file.
        FaultError: it is in another encoding or no text; the message names file, line and byte.
    """
    path = Path(path)
    return decode(path.read_bytes(), path)


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
    with path.open("rb") as file:
        content = file.read(count)
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    return content.decode(encoding, errors="replace").splitlines()


def shorten(text: str, most: int = 60) -> str:
    """What to show of a text in a message: on one line, and cut where it is long."""
    shown = " ".join(text[: 4 * most].split())
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def to_number(text: str) -> float | None:
    """The number that a text is, NaN and infinity among them; None where it is none."""
    try:
        return None if "_" in text else float(text)  # Python's own numbers may have underscores
    except ValueError:
        return None


def read_json(path: str | Path) -> Any:
    """What a JSON file holds.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no JSON, or nested too deep; the message names file and line.
    """
    path = Path(path)
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        fault = Fault(path, error.lineno, "malformed", f"not JSON: {error.msg} at column {error.colno}")
    except RecursionError:
        fault = Fault(path, None, "malformed", "not usable: lists nested too deep")
    except ValueError as error:  # a number of more digits than Python converts
        fault = Fault(path, None, "malformed", f"not usable: {str(error).partition(';')[0]}")
    raise FaultError(fault, "correct or remove it")
