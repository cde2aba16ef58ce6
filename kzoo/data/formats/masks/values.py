"""From the numbers and colours in masks to classes: which values are classes, and what is done with the others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from kzoo.data.fault import Fault, FaultError
from kzoo.data.formats.masks.legend import Legend
from kzoo.data.painting.mask_faults import FEW, NEAREST, stray_values
from kzoo.structures import IGNORED

BEYOND = 256  # where values that no mask can have are counted
_SHOWN = 20  # levels in a message
# What makes a level more than a stray: this share of all pixels, or of those of the commonest level but 0.
_OF_ALL, _OF_MOST = 0.01, 0.05


def to_classes(levels: np.ndarray, legend: Legend | None, indices: bool, file: Path) -> np.ndarray:
    """The class numbers that levels stand for, 255 = ignored; of a binary mask 0 and 255.

    Args:
        levels: (H, W) or (H, W, 3) uint8.
        legend: names and colours; None where the numbers are classes.
        indices: whether they are those of a palette: then a legend of greys is not about them.
        file: what errors call the mask.

    Returns:
        (H, W) uint8.

    Raises:
        ValueError: it is coloured without a legend, or in a colour that the legend does not have.
    """
    if levels.ndim == 2 and (legend is None or not legend.grey or indices):
        return levels
    if legend is not None and legend.colours:
        full = (*levels.shape[:2], 3)
        values, strange = legend.values(np.broadcast_to(levels.reshape(*levels.shape[:2], -1), full))
        if not len(strange):
            return values
        raise _unknown_colours(strange, levels.shape[0] * levels.shape[1], legend, file)
    coloured = (levels != levels[..., :1]).any(axis=2)
    if not coloured.any():
        return np.ascontiguousarray(levels[..., 0])
    first = levels[coloured][0]
    message = f"colours such as {_spaced(first)}, not class numbers"
    if not (first % 64).any():
        message += " (a palette PNG that was read as RGB and saved?)"
    raise FaultError(
        Fault(file, None, "coloured-mask", message),
        "save the numbers (palette mode), or write a line 'name red green blue' for each class to legend.txt",
    )


def _unknown_colours(strange: np.ndarray, pixels: int, legend: Legend, file: Path) -> FaultError:
    """The error of a mask with (N, 3) colours of pixels that its legend does not have."""
    colours = np.unique(strange, axis=0)
    first = _spaced(strange[0])
    more = f" and {len(colours) - 1} others are" if len(colours) > 1 else " is"
    message = f"colour {first}{more} none of {legend.file.name}, on {len(strange)} pixels"
    remedy = f"add a line 'name {first}' to {legend.file}, or correct the mask"
    if len(strange) <= FEW * pixels:
        remedy = f"add the line 'others = nearest' or 'others = ignored' to {legend.file}, or {remedy}"
    return FaultError(Fault(file, None, "unknown-colour", message), remedy)


def settle(values: np.ndarray, legend: Legend | None, binary: bool, classes: int, file: Path) -> np.ndarray:
    """Class numbers from what masks hold: foreground from 255 in a binary one, and others as the legend says.

    Args:
        values: (H, W) of whole numbers.
        legend: names; None where there is none.
        binary: whether 0 and 255 are ground and foreground.
        classes: the number of classes.
        file: what errors call the mask.

    Returns:
        (H, W) uint8.

    Raises:
        ValueError: there are values that are no class.
    """
    others = None if legend is None else legend.others
    if others is None and not binary and values.dtype == np.uint8:
        return values  # as `verified` looks for strays
    stray = (values > 0 if binary else (values < 0) | (values >= classes)) & (values != IGNORED)
    if (others is None or (others == NEAREST and not binary)) and stray.any():
        raise stray_values(values, stray, classes, file, binary)
    if binary and others == NEAREST:
        return (values > IGNORED // 2).astype(np.uint8)
    settled = (values == IGNORED).astype(np.uint8) if binary else values.astype(np.uint8)
    if others is not None:
        settled[stray] = IGNORED
    return settled


def names_of_values(
    root: Path, legend: Legend | None, counts_of_masks: Iterable[np.ndarray]
) -> tuple[list[str], bool]:
    """Class names, and whether the masks are binary: 0 and 255.

    Args:
        root: what errors call the dataset.
        legend: the dataset's legend; None where it has none.
        counts_of_masks: for some masks at a time, (257,) how many pixels have each value, the last for values beyond
            255. They are looked at only as far as the legend's names do not tell.

    Raises:
        ValueError: without names, the values leave open which classes there are; or 0 and 255 seem to be classes,
            but a few pixels have other values.
    """
    names = [] if legend is None else list(legend.names)
    if names and (legend.colours or len(names) != 2):
        _refuse_nearest(legend)
        return names, False
    counts = np.zeros(BEYOND + 1, np.int64)
    for counts_of_some in counts_of_masks:
        counts += counts_of_some
        if names and _main(counts) - {0, IGNORED}:
            break
    values, main = set(np.flatnonzero(counts).tolist()), _main(counts)
    others = None if legend is None else legend.others
    if IGNORED in main and main <= {0, IGNORED}:
        if others is None and values - {0, IGNORED}:
            raise _unclear(root, legend, counts, {0, IGNORED})
        return names or ["background", "class 1"], True
    if names or others is not None:
        _refuse_nearest(legend)
    if names:
        return names, False
    numbers = (main if others else values) - {IGNORED, BEYOND}
    dense = len(values) > 3 * len(main) and _has_gaps(main - {IGNORED})  # gaps that strays fill
    if others is None and (BEYOND in values or _has_gaps(numbers) or dense):
        raise _unclear(root, legend, counts, main | values & {0})
    return ["background", *(f"class {value}" for value in range(1, max(numbers, default=1) + 1))][
        :IGNORED
    ], False


def _has_gaps(numbers: set[int]) -> bool:
    """Whether numbers are too far apart to be those of classes."""
    return max(numbers, default=0) >= 2 * len(numbers) + 8


def _main(counts: np.ndarray) -> set[int]:
    """The values that are more than strays."""
    least = min(_OF_ALL * counts.sum(), _OF_MOST * counts[1:].max())
    return set(np.flatnonzero((counts > 0) & (counts >= least)).tolist())


def _refuse_nearest(legend: Legend | None) -> None:
    if legend is not None and legend.others == NEAREST and not legend.colours:
        raise ValueError(
            f"{legend.file}: 'others = nearest', but the numbers of classes are not near each other; write "
            f"'others = ignored', or give every class its level: 'name red green blue'"
        )


def _unclear(root: Path, legend: Legend | None, counts: np.ndarray, main: set[int]) -> ValueError:
    """The error of masks whose levels leave open which of them are classes, with the lines that settle it."""
    if counts[BEYOND]:
        return ValueError(
            f"{root}: mask values beyond 0 to {IGNORED}: number the classes from 0 (if these are instances, join them "
            f"into classes first)"
        )
    levels = sorted(main)
    strays = [value for value in np.flatnonzero(counts).tolist() if value not in main]
    if strays and len(levels) + len(strays) <= _SHOWN and counts[strays].sum() > FEW * counts.sum():
        levels, strays = sorted({*levels, *strays}), []
    known = dict(zip(levels, legend.names if legend is not None and legend.names else (), strict=False))
    usual = {0: "background"}
    lines = [
        f"'{known.get(level) or usual.get(level) or f'class-{place}'} {level} {level} {level}'"
        for place, level in enumerate(levels)
    ]
    and_strays = ""
    if strays:
        and_strays = f" and, on {int(counts[strays].sum())} pixels, {_listed(strays)}"
        lines.append("'others = nearest' (or 'others = ignored')")
    in_use = legend is not None and legend.file.suffix == ".txt"
    file = legend.file if in_use else (root if root.is_dir() else root.parent) / "legend.txt"
    return ValueError(
        f"{root}: mask levels {_listed(levels)}{and_strays}: which of them are classes? Write {file} with the lines "
        f"{_shortened(lines)}, 'ignored' for the name of one that is no class"
    )


def _listed(levels: list[int]) -> str:
    return ", ".join(_shortened_list([str(level) for level in levels]))


def _shortened(lines: list[str]) -> str:
    return ", ".join(_shortened_list(lines))


def _shortened_list(words: list[str]) -> list[str]:
    """All of some words, or the first and the last of very many."""
    return words if len(words) <= _SHOWN else [*words[: _SHOWN - 1], "...", words[-1]]


def _spaced(colour) -> str:
    return " ".join(str(int(level)) for level in colour)
