"""What is said in one line, whatever files are called."""

from __future__ import annotations

from pathlib import Path


def one_line(text: str | Path) -> str:
    """A text or path with the control characters that names of files may have written out: a fault is one line."""
    text = str(text)
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(letter: str) -> str:
    return letter.encode("unicode_escape").decode() if letter < " " or letter == "\x7f" else letter
