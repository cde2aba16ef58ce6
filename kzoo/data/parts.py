"""Which part of a dataset is trained on, validated on, evaluated on, where nobody has named one.

| the parts | to train on | to validate on | to evaluate on |
|---|---|---|---|
| none | all images | none | all images |
| one, of any name | that one | none | that one |
| "train" and others | "train" | "val"; none where there is none | "val", or else "test" |
| several, no "train" | "trainval", or else to be named | "val" | the same |

Where there are several parts and none is what is looked for, one has to be named. Names are told apart without regard
to letter case, and "train2017", "training", "valid" and the like mean the usual ones (see
`kzoo.data.dataset.choose_split`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from kzoo.data.dataset import choose_split


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
    found = _first(("train", "trainval"), parts, root)
    if found is None and required:
        raise ValueError(
            f"{root}: no part 'train'; name the one to train on with --split: {', '.join(parts)}"
        )
    return found


def validation_part(parts: Sequence[str], root: str | Path, trained: str | None) -> str | None:
    """The part to validate on beside the one that is trained on; None where there is none.

    Args:
        parts: the names of those there are.
        root: what errors call the dataset.
        trained: the part that is trained on.
    """
    found = _first(("val",), parts, root)
    return None if found == trained else found


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
        asked: the one that is wanted, as for `training_part`.
        usual: what is looked for where none is.
        option: what names one.

    Raises:
        ValueError: none of several is the one to evaluate on.
    """
    if asked is not None:
        return asked
    if len(parts) < 2:
        return parts[0] if parts else None
    found = _first(usual, parts, root)
    if found is None:
        wanted = " or ".join(map(repr, usual))
        raise ValueError(f"{root}: no part {wanted}; name the one to take with {option}: {', '.join(parts)}")
    return found


def shown_part(part: str | None, root: str | Path) -> str:
    """A part in words: "split val of data/street", "all of data/street"."""
    return f"split {part} of {root}" if part else f"all of {root}"


def _first(usual: Sequence[str], parts: Sequence[str], root: str | Path) -> str | None:
    """The first of some usual names that a part has."""
    for name in usual:
        with contextlib.suppress(ValueError):
            return choose_split(name, parts, root)
    return None
