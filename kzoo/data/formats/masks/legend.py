"""What the values and colours of masks stand for: class names, and a colour for each."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kzoo.data.fault import Fault, FaultError
from kzoo.data.formats.descriptions import read_fields
from kzoo.data.formats.name_lists import sound_names, yaml_names
from kzoo.data.formats.text import read_lines, shorten
from kzoo.data.painting.mask_faults import NEAREST, TO_IGNORE
from kzoo.structures import IGNORED

FILES = ("classes.txt", "legend.txt", "labelmap.txt", "labels.txt", "label_colors.txt", "class_names.txt")
_NUMBERED = "_classes.csv"
_DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml")
# Names of what is no class: such pixels are ignored.
_VOID = frozenset({"ignore", "ignored", "void"})
_NO_CLASS = "__ignore__"  # labelme's first line, which stands for no value
_BORDER = (224, 224, 192)  # Pascal VOC's colour of value 255.
_UNKNOWN = 254
_LONGEST = 1000  # letters of a line
# "road 128 64 128", "road, 128, 64, 128" and CVAT's "road:128,64,128::", where parts and actions may follow.
_COLOUR = r"(?P<red>\d{1,3})[\s,]+(?P<green>\d{1,3})[\s,]+(?P<blue>\d{1,3})"
_COLOURED = re.compile(rf"(?P<name>.*?)[\s,:]+{_COLOUR}\s*(:.*)?")
_COLOUR_FIRST = re.compile(rf"{_COLOUR}[\s,:]+(?P<name>\S.*)")
_OTHERS = re.compile(r"others\s*=\s*(?P<what>.*)", re.IGNORECASE)

_Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Legend:
    """Class names, and their colours in masks that are coloured.

    Attributes:
        file: where it was read.
        names: class names, by value; none where the file says what becomes of other levels alone.
        colours: RGB by value, where there are colours; then a value of `IGNORED` may be among them.
        others: what becomes of other levels and colours: "nearest" for the class of the nearest one, "ignored", or
            None where they are faults.
    """

    file: Path
    names: tuple[str, ...] = ()
    colours: tuple[tuple[_Colour, int], ...] = ()
    others: str | None = None

    @property
    def grey(self) -> bool:
        """Whether there are colours, and all are shades of grey: then masks may be grey, too."""
        return bool(self.colours) and all(len({*rgb}) == 1 for rgb, _ in self.colours if rgb != _BORDER)

    def values(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The classes of a coloured mask.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            (H, W) uint8, and (N, 3) the colours of all pixels that the legend says nothing of.
        """
        packed = image[..., 0].astype(np.int32) << 16  # (H, W): each colour as one number
        packed |= image[..., 1].astype(np.int32) << 8
        packed |= image[..., 2]
        values = _table(self.colours)[packed]
        strange = values == _UNKNOWN
        if not strange.any():
            return values, image[:0, 0]
        if self.others is None:
            return values, image[strange]
        values[strange] = IGNORED if self.others == TO_IGNORE else self._nearest(packed[strange])
        return values, image[:0, 0]

    def _nearest(self, packed: np.ndarray) -> np.ndarray:
        """(N,) uint8: the value of the colour of the legend that each colour, as one number, is nearest to."""
        different, where = np.unique(packed, return_inverse=True)  # (K,), (N,)
        colours = np.stack([different >> 16, different >> 8 & 255, different & 255], axis=1)  # (K, 3)
        best, values = np.full(len(different), np.inf), np.zeros(len(different), np.uint8)  # (K,)
        for rgb, value in self.colours:
            # It is in every legend, and nobody has written it.
            if rgb == _BORDER:
                continue
            distance = ((colours - np.array(rgb)) ** 2).sum(axis=1)
            nearer = distance < best
            best[nearer], values[nearer] = distance[nearer], value
        return values[where]


def find_legend(root: Path, described: bool = True) -> Legend | None:
    """The legend of a dataset: `classes.txt`, `legend.txt`, `labelmap.txt` or `labels.txt` in its folder, or the
    names of a `data.yaml`.

    A line is a name, which makes the first that of value 0, or a name and its colour: "road 128 64 128", or CVAT's
    "road:128,64,128::". What is called ignore, ignored or void has a colour and is no class. A single name is that
    of the foreground. Of several files one with colours comes first. The line "others = nearest" or
    "others = ignored" says what becomes of all other levels and colours; it may stand in a file of its own.

    Args:
        root: the folder.
        described: whether a `data.yaml` in it is known to have names.

    Raises:
        ValueError: some lines have colours and some not, or a colour is given twice or beyond 255.
    """
    legends = [read_legend(root / name) for name in FILES if (root / name).is_file()]
    # Colours were written to say more than names do.
    named = next((legend for legend in legends if legend.colours), None)
    named = named or next((legend for legend in legends if legend.names), None)
    for_others = next((legend for legend in legends if legend.others), None)
    if named is None and described:
        description = next((root / name for name in _DESCRIPTIONS if (root / name).is_file()), None)
        named = None if description is None else described_legend(description)
    if named is None or for_others is None:
        return named or for_others
    return replace(named, others=for_others.others)


def other_legends(root: Path, legend: Legend | None) -> list[Path]:
    """Files in a folder that are legends, too, and are passed over for the one that was found."""
    if legend is None or not legend.names:
        return []
    files = [root / name for name in FILES if (root / name).is_file()]
    return [file for file in files if file != legend.file and read_legend(file).names]


def numbered_legend(folders: Iterable[Path]) -> Legend | None:
    """The legend of Roboflow's `_classes.csv` in each part, with lines "0, background"; None where there is none.

    Raises:
        ValueError: a line is none, a number is missing or twice, or the parts have other names.
    """
    files = [folder / _NUMBERED for folder in dict.fromkeys(folders) if (folder / _NUMBERED).is_file()]
    legends = [_checked(Legend(file, tuple(names_by_number(file)))) for file in files]
    other = next((legend for legend in legends if legend.names != legends[0].names), None)
    if other is not None:
        raise ValueError(f"{other.file}: other names than {legends[0].file} has; correct one of them")
    return legends[0] if legends else None


def names_by_number(file: Path) -> list[str]:
    """Names by their numbers, from lines "number, name" below a header.

    Raises:
        FaultError: a line is none, or a number is missing or given twice.
    """
    names: dict[int, str] = {}
    for line, text in enumerate(read_lines(file)[1:], 2):
        number, _, name = (part.strip() for part in text.partition(","))
        if not text.strip():
            continue
        if not re.fullmatch(r"\d{1,3}", number, re.ASCII) or not name or int(number) in names:
            message = f"{shorten(text)!r} is no new 'number, name'"
            raise FaultError(Fault(file, line, "malformed", message), "number the classes from 0")
        names[int(number)] = name
    missing = next((value for value in range(len(names)) if value not in names), None)
    if missing is not None or not names:
        raise ValueError(f"{file}: there is no class {missing or 0}; number the classes from 0 without a gap")
    return sound_names([names[value] for value in range(len(names))], f"{file}: names")


def described_legend(file: Path) -> Legend:
    """The class names of a `data.yaml`, as a legend."""
    names = yaml_names(file, read_fields(file), [file.parent])
    return _checked(Legend(file, _with_ground(names)))


def read_legend(file: Path) -> Legend:
    """As `find_legend`, from one file."""
    lines = [line.strip() for line in read_lines(file)]
    lines = [line for line in lines if line and not line.startswith("#") and line != _NO_CLASS]
    for line in lines:
        if len(line) > _LONGEST:
            message = f"a line of {len(line)} letters: no name of a class"
            raise FaultError(Fault(file, None, "malformed", message), "write one a line")
    lines, others = _without_others(file, lines)
    if not lines and others is None:
        raise ValueError(f"{file}: no class names in it; write one a line")
    matches = [_COLOURED.fullmatch(line) or _COLOUR_FIRST.fullmatch(line) for line in lines]
    if not any(matches):
        return _checked(Legend(file, _with_ground(lines), others=others))
    names: list[str] = []
    colours: dict[_Colour, int] = {}
    for line, match in zip(lines, matches, strict=True):
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
    if not names:
        raise ValueError(f"{file}: colours to ignore, and no class; write 'name red green blue' for each")
    colours.setdefault(_BORDER, IGNORED)
    return _checked(Legend(file, tuple(names), tuple(colours.items()), others))


def _without_others(file: Path, lines: list[str]) -> tuple[list[str], str | None]:
    """The lines that are classes, and what is said of other levels and colours."""
    others, kept = None, []
    for line in lines:
        match = _OTHERS.fullmatch(line)
        if match is None:
            kept.append(line)
            continue
        others = match["what"].strip().lower()
        if others not in (NEAREST, TO_IGNORE):
            raise ValueError(f"{file}: {line!r}; write 'others = nearest' or 'others = ignored'")
    return kept, others


def _checked(legend: Legend) -> Legend:
    if len(legend.names) > _UNKNOWN:
        raise ValueError(f"{legend.file}: {len(legend.names)} classes; a mask has values for {_UNKNOWN}")
    return legend


def _with_ground(names: list[str]) -> tuple[str, ...]:
    return ("background", *names) if len(names) == 1 else tuple(names)


@functools.lru_cache(maxsize=2)
def _table(colours: tuple[tuple[_Colour, int], ...]) -> np.ndarray:
    """The value of every colour there is, 16 MB: a look-up is ten times as fast as sorting a mask's colours."""
    table = np.full(2**24, _UNKNOWN, np.uint8)
    for (red, green, blue), value in colours:
        table[red << 16 | green << 8 | blue] = value
    return table
