"""Which part of a dataset is trained on, validated on, evaluated on, where nobody has named one.

| the parts | to train on | to validate on | to evaluate on |
|---|---|---|---|
| none | all images | none | all images |
| one, of any name | that one | none | that one |
| "train" and others | "train" | "val"; none where there is none | "val", or else "test" |
| several, no "train" | "trainval", or else to be named | "val" | the same |

Where there are several parts and none is what is looked for, one has to be named. Names are told apart without regard
to letter case, and "train2017", "training", "valid" and the like mean the usual ones (see
`choose_split`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

# What the usual parts are called, in small letters and without a number behind.
_USUAL = {
    "train": frozenset({"train", "training"}),
    "val": frozenset({"val", "valid", "validation", "dev", "eval"}),
    "test": frozenset({"test", "testing"}),
}


def training_part(
    parts: Sequence[str], root: str | Path, asked: str | None = None, required: bool = True
) -> str | None:
    """The part to train on; None where there are no parts.

    Args:
        parts: the names of those there are.
        root: what errors call the dataset.
        asked: the one that is wanted; whether there is such a one is seen where it is opened.
        required: whether it has to be told which of several is meant; else None is an answer, too.

    Raises:
        ValueError: none of several is the one to train on.
    """
    if asked is not None:
        return asked
    if len(parts) < 2:
        return parts[0] if parts else None
    part = _first(("train", "trainval"), parts, root)
    if part is None and required:
        raise ValueError(
            f"{root}: no part 'train'; name the one to train on with --split: {', '.join(parts)}"
        )
    return part


def validation_part(parts: Sequence[str], root: str | Path, trained: str | None) -> str | None:
    """The part to validate on beside the one that is trained on; None where there is none.

    Args:
        parts: the names of those there are.
        root: what errors call the dataset.
        trained: the part that is trained on.
    """
    part = _first(("val",), parts, root)
    return None if part == trained else part


def evaluation_part(
    parts: Sequence[str],
    root: str | Path,
    asked: str | None = None,
    usual: Sequence[str] = ("val", "test"),
    option: str = "--split",
) -> str | None:
    """The part to evaluate a model on: the first of the usual ones, or the only one; None where there are no parts.

    Args:
        parts: the names of those there are.
        root: what errors call the dataset.
        asked: the one that is wanted; whether there is such a one is seen where it is opened. None to choose.
        usual: the names that are looked for, the first found is taken.
        option: the option of the command line by which a part is named, for the message.

    Raises:
        ValueError: none of several is the one to evaluate on.
    """
    if asked is not None:
        return asked
    if len(parts) < 2:
        return parts[0] if parts else None
    part = _first(usual, parts, root)
    if part is None:
        wanted = " or ".join(map(repr, usual))
        raise ValueError(f"{root}: no part {wanted}; name the one to take with {option}: {', '.join(parts)}")
    return part


def shown_part(part: str | None, root: str | Path) -> str:
    """A part in words: "split val of data/street", "all of data/street"."""
    return f"split {part} of {root}" if part else f"all of {root}"


def _first(usual: Sequence[str], parts: Sequence[str], root: str | Path) -> str | None:
    """The first of some usual names that a part has."""
    for name in usual:
        with contextlib.suppress(ValueError):
            return choose_split(name, parts, root)
    return None


def choose_split(asked: str, available: Sequence[str], root: str | Path) -> str:
    """The split of `available` that `asked` means: itself, "train2017" or "Train" for "train", "Validation" for "val".

    Where there is one split alone and its name says nothing, such as CVAT's "default", it is the one to train on.

    Args:
        asked: the name that is wanted.
        available: the names of the splits that there are.
        root: what errors call the dataset.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    if asked in available:
        return asked
    wanted = _usual_name(asked)
    for plain in (str.casefold, _usual_name, lambda name: _usual_name(_without_number(name))):
        for candidate in available:
            if plain(candidate) in (wanted, asked.casefold()):
                return candidate
    if wanted == "train" and len(available) == 1 and not is_usual_split(available[0]):
        return available[0]
    have = f"choose one of {', '.join(available)}" if available else "it has no splits: leave the split out"
    raise ValueError(f"{root}: no split {asked!r}; {have}")


def order_splits(names: Iterable[str]) -> list[str]:
    """Names of splits, train, val and test first, whatever number they end in; the others by name."""
    usual = list(_USUAL)

    def rank(name: str) -> tuple[int, str]:
        plain = _usual_name(_without_number(name))
        return usual.index(plain) if plain in usual else len(usual), name

    return sorted(names, key=rank)


def is_usual_split(name: str) -> bool:
    """Whether a name is one that parts of datasets have, in any letter case: "train", "Valid", "test2017"."""
    return _usual_name(_without_number(name)) in _USUAL


def _usual_name(split: str) -> str:
    """ "train", "val" or "test" for the names that mean it; else the name, in small letters."""
    plain = split.casefold()
    return next((usual for usual, names in _USUAL.items() if plain in names), plain)


def _without_number(split: str) -> str:
    return re.sub(r"[\W_]*\d+$", "", split)
