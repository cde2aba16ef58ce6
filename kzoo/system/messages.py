"""What is said in one line, whatever files are called, and in tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def one_line(text: str | Path) -> str:
    """A text or path with the control characters that names of files may have written out: a fault is one line."""
    text = str(text)
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(letter: str) -> str:
    return letter.encode("unicode_escape").decode() if letter < " " or letter == "\x7f" else letter


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown.

    Args:
        heads: what stands above each column.
        rows: the cells of each row, in Markdown, as many as there are columns.

    Example:
        >>> print(markdown_table(["name", "bytes"], [["a", "12"]]))
        | name | bytes |
        |---|---|
        | a | 12 |
    """
    lines = [f"| {' | '.join(line)} |" for line in (heads, *rows)]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]])
