"""What the levels of a detector are given: their anchors, their names, and numbers that may differ between them."""

from __future__ import annotations

from collections.abc import Sequence

import keras


def anchors_by_level(anchors: Sequence, levels: int, name: str = "anchors") -> list[list[list[float]]]:
    """Anchors as plain lists, one a level, of widths and heights.

    Args:
        anchors: for every level a list of pairs, of any lengths; or all pairs in one list, split evenly.
        levels: number of levels, 1 or more.
        name: name of the argument, for the message; "anchors" by default.

    Raises:
        ValueError: they do not make pairs of positive numbers for every level.
    """
    try:
        sides = [float(side) for side in keras.tree.flatten(anchors)]
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}={anchors!r}: not all of them are numbers; give pairs of widths and heights"
        ) from None
    size = len(sides) // levels  # numbers a level, where all have as many
    by_level = []
    if len(anchors) == levels and all(_are_pairs(level) for level in anchors):
        by_level = [[[float(side) for side in pair] for pair in level] for level in anchors]
    elif size and size % 2 == 0 and size * levels == len(sides):
        starts = range(0, len(sides), size)
        by_level = [[[sides[i], sides[i + 1]] for i in range(start, start + size, 2)] for start in starts]
    if not all(by_level) or not by_level or min(sides) <= 0:
        raise ValueError(
            f"{name}={anchors!r}: {len(sides)} numbers do not make an equal number of positive widths and "
            f"heights for each of {levels} strides; give {levels} x A pairs, smallest first, or {levels} lists "
            "of pairs"
        )
    return by_level


def _are_pairs(level) -> bool:
    return isinstance(level, Sequence) and all(isinstance(p, Sequence) and len(p) == 2 for p in level)


def one_a_level(name: str, value, levels: int) -> list[float]:
    """A number for every level, from one for all or from as many.

    Args:
        name: name of the argument, for the message.
        value: one number, or a sequence of them.
        levels: number of levels.

    Raises:
        ValueError: there are more numbers than levels, or fewer.
    """
    values = list(value) if isinstance(value, Sequence) else [value] * levels
    if len(values) != levels:
        raise ValueError(
            f"{name}={value!r}: {len(values)} numbers for {levels} strides; give one, or one each"
        )
    return [float(v) for v in values]


def level_names(strides: Sequence[int]) -> list[str]:
    """Unique names of the outputs: "stride8", and "stride8_2" for the second of the same stride."""
    repeats = [strides[: i + 1].count(stride) for i, stride in enumerate(strides)]
    return [
        f"stride{stride}" + (f"_{repeat}" if repeat > 1 else "")
        for stride, repeat in zip(strides, repeats, strict=True)
    ]
