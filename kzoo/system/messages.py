"""What is said in one line, whatever files are called, and in tables."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

# What turns the reading direction of all that follows: a name with one looks like another.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_INVISIBLE = ("Cc", "Cs", "Zl", "Zp")  # Unicode's control characters, halves of characters, ends of lines
_LONGEST_NAME = 1000  # letters


def one_line(text: str | Path) -> str:
    """A text or path with the control characters that names may have written out: a fault is one line."""
    text = str(text)
    return text if text.isprintable() else "".join(map(_visible, text))


def printable(text: str) -> str:
    """As `one_line`, of a text whose lines and tabs stay: what a terminal gets is nothing but letters."""
    return "".join(letter if letter in "\n\t" else _visible(letter) for letter in text)


def check_names(names: Iterable[str], place: str | Path) -> None:
    """Refuses names of classes and models that would steer the terminal they are printed on, or fill it.

    Args:
        names: the names; what is no text is not looked at.
        place: the file, folder or option that they are from, for the message.

    Raises:
        ValueError: one has a control character other than a tab, or more than 1,000 letters.
    """
    for name in names:
        if not isinstance(name, str):
            continue
        if len(name) > _LONGEST_NAME:
            raise ValueError(
                f"{one_line(place)}: a name of {len(name)} letters; give at most {_LONGEST_NAME}"
            )
        if not is_plain(name):
            raise ValueError(
                f"{one_line(place)}: name '{one_line(name)}' has a control character, which no terminal is to get; "
                "rename it"
            )


def is_plain(name: str) -> bool:
    """Whether a name can be shown as it is: nothing in it controls a terminal but tabs."""
    return name.isprintable() or not any(map(_controls, name.replace("\t", " ")))


def _controls(letter: str) -> bool:
    return letter in _DIRECTIONS or unicodedata.category(letter) in _INVISIBLE


def _visible(letter: str) -> str:
    return letter.encode("unicode_escape").decode() if _controls(letter) else letter


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
