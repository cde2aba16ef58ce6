"""Options that are texts: free ones, paths, and words out of a list."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from kzoo.options.kinds import Option

_ELSEWHERE = re.compile(r"[/\\]|^[A-Za-z]:")  # what leads from a folder to another, or to another drive
_LONGEST = 200  # bytes of a part of a path; no file system takes more than 255


@dataclass(frozen=True, kw_only=True)
class Text(Option):
    """A text that is not empty."""

    def sound(self, value: Any) -> str:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise TypeError(value)
        return value

    @property
    def wanted(self) -> str:
        return "a text that is not empty"


def is_component(name: str) -> bool:
    """Whether a name is one part of a path on every system, so that what is called so lies in its folder.

    It is not empty, neither "." nor "..", not a drive's, has no slash of either kind and no control character, and no
    more than 200 bytes.

    Example:
        >>> is_component("val"), is_component("../val"), is_component("C:val")
        (True, False, False)
    """
    sound = name.isprintable() and name.strip() and name not in (".", "..") and not _ELSEWHERE.search(name)
    return bool(sound) and len(name.encode()) <= _LONGEST


@dataclass(frozen=True, kw_only=True)
class Component(Text):
    """A text that is one part of a path: what is made of it stays in its folder."""

    def sound(self, value: Any) -> str:
        value = super().sound(value)
        if not is_component(value):
            raise ValueError(value)
        return value

    @property
    def wanted(self) -> str:
        return "a name that is one part of a path, without / and \\"


@dataclass(frozen=True, kw_only=True)
class Place(Text):
    """The path of a file or folder.

    Attributes:
        what: the kind of thing that lies there, as in "a file".
        others: whether things that are no paths are taken, too, such as a dataset that is open already.
        path: whether a word of the command line becomes a `Path`.
    """

    metavar: ClassVar[str] = "PATH"

    what: str = "a file or folder"
    others: bool = False
    path: bool = False

    def parse(self, text: str) -> str | Path:
        return Path(text) if self.path and text else text

    def sound(self, value: Any) -> Any:
        if isinstance(value, (str, os.PathLike)):
            # Path("") is the folder one is in: nobody means that by nothing.
            super().sound(os.fspath(value))
        elif not self.others:
            raise TypeError(value)
        return value

    @property
    def wanted(self) -> str:
        return f"the path of {self.what}"


@dataclass(frozen=True, kw_only=True)
class Word(Text):
    """One of some words.

    Attributes:
        choices: the words.
        prefixes: beginnings of further ones that are taken, if something follows, such as "disk:".
    """

    metavar: ClassVar[str] = "CHOICE"

    choices: Sequence[str] = ()
    prefixes: Sequence[str] = ()

    def sound(self, value: Any) -> str:
        value = super().sound(value)
        longer = any(value.startswith(one) and len(value) > len(one) for one in self.prefixes)
        if value not in self.choices and not longer:
            raise ValueError(value)
        return value

    @property
    def wanted(self) -> str:
        return _either([*self.choices, *(f"{beginning}..." for beginning in self.prefixes)])

    @property
    def limits(self) -> str:
        return f": {self.wanted}"


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


@dataclass(frozen=True, kw_only=True)
class Names(Word):
    """Several of some words, each once; joined by commas on the command line.

    Attributes:
        least: the fewest words that are taken, 0 by default.
    """

    metavar: ClassVar[str] = "CHOICE,..."

    least: int = 0

    def parse(self, text: str) -> list[str]:
        return text.split(",")

    def sound(self, value: Any) -> list[str]:
        if isinstance(value, str) or len(value) < self.least or len(set(value)) < len(value):
            raise TypeError(value)
        return [super(Names, self).sound(one) for one in value]

    @property
    def wanted(self) -> str:
        return f"a list out of {', '.join(self.choices)}, each once"

    @property
    def limits(self) -> str:
        return f": one or more of {', '.join(self.choices)}, joined by commas"
