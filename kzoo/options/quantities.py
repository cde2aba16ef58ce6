"""Options that are numbers: counts, rates and shares, and the sides of images."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any, ClassVar

from kzoo.options.kinds import Option

MOST_PIXELS = 16384  # of a side; beyond it a single float32 image takes 3 GB


@dataclass(frozen=True, kw_only=True)
class Number(Option):
    """A finite number.

    Attributes:
        least: the lowest value; None for no bound.
        above: the bound below all values, itself none of them, in the place of `least`.
        most: the highest value; None for no bound.
        below: the bound above all values, itself none of them, in the place of `most`.
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
    def limits(self) -> str:
        return f", {self.range}" if self.range else ""

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

    metavar: ClassVar[str] = "INTEGER"

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
class Size(Option):
    """Height and width in pixels, or one side for both.

    Attributes:
        least: the fewest pixels of the shorter side.
        most: the most pixels of the longer side.
    """

    metavar: ClassVar[str] = "SIDE|HxW"

    least: int = 1
    most: int = MOST_PIXELS

    def parse(self, text: str) -> tuple[int, ...]:
        return tuple(int(side) for side in text.lower().split("x"))

    def sound(self, value: Any) -> tuple[int, int]:
        side = Whole(least=self.least, most=self.most)
        sides = (value,) if isinstance(value, numbers.Integral) else tuple(value)
        height, width = sides * 2 if len(sides) == 1 else sides
        return side.sound(height), side.sound(width)

    @property
    def wanted(self) -> str:
        return f"a side in pixels, {self.least} to {self.most}, or height and width"

    @property
    def limits(self) -> str:
        return f": {self.wanted}"


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
