"""Kinds of options. Each knows how a word of the command line becomes its value, and which values it takes."""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

MOST_PIXELS = 16384  # of a side; beyond it a single float32 image takes 3 GB


@dataclass(frozen=True, kw_only=True)
class Option:
    """What every option declares.

    Attributes:
        help: what it is, as a whole phrase; type, unit and range are added where it is shown.
        unit: what it counts, such as "pixels".
        panel: the heading that the command line's help has it under.
        none: whether None is a value, too: left out.
        needs: names of other options and the values of theirs with which alone this one has an effect.
        task: "detect" or "segment" where it has an effect with such models alone.
        neutral: values that ask for nothing, and are let pass wherever they have no effect.

    Example:
        >>> Number(help="Momentum of SGD.", least=0, below=1).check("momentum", 1.5)
        ValueError: momentum=1.5: give a number, 0 or more and below 1
    """

    metavar: ClassVar[str] = "TEXT"

    help: str = ""
    unit: str = ""
    panel: str | None = None
    none: bool = False
    needs: Mapping[str, Sequence] = field(default_factory=dict)
    task: str = ""
    neutral: Sequence = (None, False)

    def check(self, name: str, value: Any) -> Any:
        """The value as it is used.

        Args:
            name: of the option, for the message.
            value: as somebody gave it.

        Raises:
            ValueError: it is none of this kind, or out of range; the message has name, value and remedy.
        """
        if value is None and self.none:
            return None
        try:
            return self.sound(value)
        except (ValueError, TypeError, OverflowError):
            raise ValueError(f"{name}={shown(value)}: give {self.wanted}") from None

    def read(self, text: str) -> Any:
        """The value that a word of the command line stands for.

        Raises:
            ValueError: it stands for none; without the option's name.
        """
        try:
            return self.sound(self.parse(text))
        except (ValueError, TypeError, OverflowError):
            raise ValueError(f"{text!r}: give {self.wanted}") from None

    def parse(self, text: str) -> Any:
        """A word of the command line as a value that may still be out of range."""
        return text

    def sound(self, value: Any) -> Any:
        """The value as it is used; a ValueError or TypeError where it is wrong."""
        return value

    @property
    def wanted(self) -> str:
        """What to give, as a phrase: "a whole number of pixels, 1 to 16384"."""
        return "a value"

    @property
    def phrase(self) -> str:
        """The help with type, unit and range."""
        return f"{self.help.removesuffix('.')}: {self.wanted}." if self.wanted != "a value" else self.help

    def but(self, **changes) -> Option:
        """The same but for some fields."""
        return dataclasses.replace(self, **changes)


def shown(value: Any, most: int = 80) -> str:
    """A value in a message: on one line, and not a page of it."""
    text = repr(value)
    text = text if len(text) <= most else f"{text[: most - 3]}..."
    return " ".join(text.split())


@dataclass(frozen=True, kw_only=True)
class Number(Option):
    """A finite number.

    Attributes:
        least: the lowest; None for no bound.
        above: what it is above, in the place of `least`.
        most: the highest.
        below: what it is below, in the place of `most`.
    """

    metavar: ClassVar[str] = "NUMBER"

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def parse(self, text: str) -> float:
        return float(text)

    def sound(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
            raise ValueError(value)
        low = (self.least is None or value >= self.least) and (self.above is None or value > self.above)
        high = (self.most is None or value <= self.most) and (self.below is None or value < self.below)
        if not (low and high):
            raise ValueError(value)
        return value.item() if hasattr(value, "item") else value

    @property
    def wanted(self) -> str:
        unit = f" of {self.unit}" if self.unit else ""
        return f"{self._what}{unit}{', ' if self.range else ''}{self.range}"

    @property
    def _what(self) -> str:
        return "a number"

    @property
    def range(self) -> str:
        """The bounds in words."""
        least = "" if self.least is None else f"{_figure(self.least)} or more"
        above = "" if self.above is None else f"above {_figure(self.above)}"
        if self.most is not None:
            most = _figure(self.most)
            return f"{_figure(self.least)} to {most}" if least else f"{above} and up to {most}"
        if self.below is not None:
            return f"{least or above} and below {_figure(self.below)}"
        return least or above


def _figure(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


@dataclass(frozen=True, kw_only=True)
class Whole(Number):
    """A whole number."""

    metavar: ClassVar[str] = "WHOLE"

    def parse(self, text: str) -> int:
        return int(text)

    def sound(self, value: Any) -> int:
        if not isinstance(value, numbers.Integral):
            raise TypeError(value)
        return int(super().sound(value))

    @property
    def _what(self) -> str:
        return "a whole number"


@dataclass(frozen=True, kw_only=True)
class Flag(Option):
    """True or false; on the command line a switch."""

    def parse(self, text: str) -> bool:
        return {"true": True, "false": False}[text.lower()] if text.lower() in ("true", "false") else text

    def sound(self, value: Any) -> bool:
        if not isinstance(value, bool) and type(value).__name__ not in ("bool_", "bool"):
            raise TypeError(value)
        return bool(value)

    @property
    def wanted(self) -> str:
        return "true or false"

    @property
    def phrase(self) -> str:
        return self.help


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

    @property
    def phrase(self) -> str:
        return self.help


@dataclass(frozen=True, kw_only=True)
class Component(Text):
    """A text that is one part of a path: what is made of it stays in its folder."""

    def sound(self, value: Any) -> str:
        value = super().sound(value)
        parts = {"/", "\\", os.sep, *map(chr, range(32))}
        if value in (".", "..") or any(part in value for part in parts) or len(os.fsencode(value)) > 200:
            raise ValueError(value)
        return value

    @property
    def wanted(self) -> str:
        return "a name that is one part of a path, without / and \\"


@dataclass(frozen=True, kw_only=True)
class Place(Text):
    """The path of a file or folder.

    Attributes:
        what: it is the path of, as in "a file".
        others: whether things that are no paths are taken, such as a dataset that is open already.
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
        choices: these.
        prefixes: beginnings of others that are taken as well, if something follows, such as "disk:".
    """

    metavar: ClassVar[str] = "WORD"

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
        return _either([*self.choices, *(f"{one}..." for one in self.prefixes)])

    @property
    def phrase(self) -> str:
        return f"{self.help.removesuffix('.')}: {self.wanted}."


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


@dataclass(frozen=True, kw_only=True)
class Names(Word):
    """Several of some words, each once; joined by commas on the command line.

    Attributes:
        least: how many there have to be.
    """

    metavar: ClassVar[str] = "WORD,..."

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


@dataclass(frozen=True, kw_only=True)
class Size(Option):
    """Height and width in pixels, or one side for both.

    Attributes:
        least: pixels of the shorter side.
        most: of the longer.
        square: whether one side alone is taken.
    """

    metavar: ClassVar[str] = "SIDE|HxW"

    least: int = 1
    most: int = MOST_PIXELS
    square: bool = False

    def parse(self, text: str) -> tuple[int, ...]:
        return tuple(int(side) for side in text.lower().split("x"))

    def sound(self, value: Any) -> tuple[int, int]:
        side = Whole(least=self.least, most=self.most)
        sides = (value,) if isinstance(value, numbers.Integral) else tuple(value)
        height, width = sides * 2 if len(sides) == 1 else sides
        if self.square and height != width:
            raise ValueError(value)
        return side.sound(height), side.sound(width)

    @property
    def wanted(self) -> str:
        return f"a side in pixels, {self.least} to {self.most}{self._pair}"

    @property
    def _pair(self) -> str:
        return "" if self.square else ", or height and width"


@dataclass(frozen=True, kw_only=True)
class Sizes(Size):
    """Several of them, joined by commas on the command line."""

    metavar: ClassVar[str] = "SIDE|HxW,..."

    def parse(self, text: str) -> list[tuple[int, ...]]:
        return [super(Sizes, self).parse(part) for part in text.split(",")]

    def sound(self, value: Any) -> list[tuple[int, int]]:
        if isinstance(value, str) or not len(value):
            raise TypeError(value)
        return [super(Sizes, self).sound(one) for one in value]

    @property
    def wanted(self) -> str:
        return f"sides in pixels, {self.least} to {self.most}, or heights and widths"


@dataclass(frozen=True, kw_only=True)
class Special(Option):
    """What has a form of its own.

    Attributes:
        reads: a word of the command line -> the value.
        takes: a value -> the value as it is used; raises ValueError or TypeError where it is wrong.
        says: what to give.
    """

    reads: Callable[[str], Any] = str
    takes: Callable[[Any], Any] = field(default=lambda value: value)
    says: str = ""

    def parse(self, text: str) -> Any:
        return self.reads(text)

    def sound(self, value: Any) -> Any:
        return self.takes(value)

    @property
    def wanted(self) -> str:
        return self.says
