"""What the values and colours of masks stand for: class names, and a colour for each."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kzoo.data.dataset import read_names
from kzoo.data.descriptions import read_description
from kzoo.structures import IGNORED

FILES = ("classes.txt", "legend.txt", "labelmap.txt", "labels.txt", "label_colors.txt")
_DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml")
# Names of what is no class: such pixels are ignored.
_VOID = frozenset({"ignore", "ignored", "void"})
_BORDER = (224, 224, 192)  # Pascal VOC's colour of value 255.
_UNKNOWN = 254
# "road 128 64 128", "road, 128, 64, 128" and CVAT's "road:128,64,128::", where parts and actions may follow.
_COLOUR = r"(?P<red>\d{1,3})[\s,]+(?P<green>\d{1,3})[\s,]+(?P<blue>\d{1,3})"
_COLOURED = re.compile(rf"(?P<name>.*?)[\s,:]+{_COLOUR}\s*(:.*)?")
_COLOUR_FIRST = re.compile(rf"{_COLOUR}[\s,:]+(?P<name>\S.*)")


@dataclass(frozen=True)
class Legend:
    """Class names, and their colours in masks that are coloured.

    Attributes:
        file: where it was read.
        names: class names, by value.
        colours: RGB by value, where there are colours; then a value of `IGNORED` may be among them.
    """

    file: Path
    names: tuple[str, ...]
    colours: tuple[tuple[tuple[int, int, int], int], ...] = ()

    @property
    def grey(self) -> bool:
        """Whether there are colours, and all are shades of grey: then masks may be grey, too."""
        return bool(self.colours) and all(len({*rgb}) == 1 for rgb, _ in self.colours if rgb != _BORDER)

    def values(self, image: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int] | None]:
        """The classes of a coloured mask.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            (H, W) uint8, and a colour that the legend does not have, or None.
        """
        packed = image[..., 0].astype(np.int32) << 16
        packed |= image[..., 1].astype(np.int32) << 8
        packed |= image[..., 2]
        values = _table(self.colours)[packed]
        strange = values == _UNKNOWN
        if not strange.any():
            return values, None
        return values, tuple(int(level) for level in image[strange][0])


def find_legend(root: Path) -> Legend | None:
    """The legend of a dataset: `classes.txt`, `legend.txt`, `labelmap.txt` or `labels.txt` in its folder, or the
    names of a `data.yaml`.

    A line is a name, which makes the first that of value 0, or a name and its colour: "road 128 64 128", or CVAT's
    "road:128,64,128::". What is called ignore, ignored or void has a colour and is no class. A single name is that
    of the foreground.

    Raises:
        ValueError: some lines have colours and some not, or a colour is given twice or beyond 255.
    """
    for name in FILES:
        if (root / name).is_file():
            return read_legend(root / name)
    for name in _DESCRIPTIONS:
        if (root / name).is_file():
            return Legend(root / name, _with_ground(read_description(root / name).names))
    return None


def read_legend(file: Path) -> Legend:
    """As `find_legend`, from one file."""
    lines = [line for line in read_names(file) if line and not line.startswith("#")]
    found = [_COLOURED.fullmatch(line) or _COLOUR_FIRST.fullmatch(line) for line in lines]
    if not any(found):
        return _checked(Legend(file, _with_ground([line.strip() for line in lines])))
    names: list[str] = []
    colours: dict[tuple[int, int, int], int] = {}
    for line, match in zip(lines, found, strict=True):
        if match is None:
            raise ValueError(f"{file}: {line!r} has no colour; write 'name red green blue' in every line")
        name = match["name"].strip()
        colour = tuple(int(level) for level in match.group("red", "green", "blue"))
        if max(colour) > 255:
            raise ValueError(f"{file}: {line!r}: a colour beyond 255; write 'name red green blue'")
        if colour in colours:
            raise ValueError(f"{file}: {line!r}: a second class of this colour; give every class its own")
        void = name.lower() in _VOID
        colours[colour] = IGNORED if void else len(names)
        if not void:
            names.append(name)
    colours.setdefault(_BORDER, IGNORED)
    return _checked(Legend(file, tuple(names), tuple(colours.items())))


def _checked(legend: Legend) -> Legend:
    if len(legend.names) > _UNKNOWN:
        raise ValueError(f"{legend.file}: {len(legend.names)} classes; a mask has values for {_UNKNOWN}")
    return legend


def _with_ground(names: list[str]) -> tuple[str, ...]:
    return ("background", *names) if len(names) == 1 else tuple(names)


@functools.lru_cache(maxsize=2)
def _table(colours: tuple[tuple[tuple[int, int, int], int], ...]) -> np.ndarray:
    """The value of every colour there is, 16 MB: a look-up is ten times as fast as sorting a mask's colours."""
    table = np.full(2**24, _UNKNOWN, np.uint8)
    for (red, green, blue), value in colours:
        table[red << 16 | green << 8 | blue] = value
    return table
