"""Checks of what transforms are given: by name and from files, numbers come in all forms."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real


def check_number(
    transform: str, name: str, value: float, least: float, most: float, whole: bool = False
) -> None:
    """Whether an argument is a number within bounds.

    Args:
        transform: the transform's name, for the message.
        name: the argument's name, for the message.
        value: what was given.
        least: the smallest allowed.
        most: the greatest allowed.
        whole: whether it has to be a whole number.

    Raises:
        ValueError: it is not.
    """
    if not (_is_number(value, whole) and least <= value <= most):
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"{transform}: {name}={value!r}; give {kind} from {least:g} to {most:g}")


def check_range(
    transform: str, name: str, value: Sequence[float], least: float, most: float, whole: bool = False
) -> tuple[float, float]:
    """Two numbers within bounds, the smaller first, as a tuple.

    Args:
        transform: the transform's name, for the message.
        name: the argument's name, for the message.
        value: what was given: a tuple, or a list where it comes out of a file.
        least: the smallest allowed.
        most: the greatest allowed.
        whole: whether they have to be whole numbers.

    Raises:
        ValueError: it is something else.
    """
    pair = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else ()
    numbers = len(pair) == 2 and all(_is_number(one, whole) for one in pair)
    if not (numbers and least <= pair[0] <= pair[1] <= most):
        kind = "two whole numbers" if whole else "two numbers"
        raise ValueError(
            f"{transform}: {name}={value!r}; give {kind} from {least:g} to {most:g}, the smaller first"
        )
    return pair


def check_choice(transform: str, name: str, value: str | int, choices: Sequence[str | int]) -> None:
    """Whether an argument is one of several.

    Args:
        transform: the transform's name, for the message.
        name: the argument's name, for the message.
        value: what was given.
        choices: what there is to choose from.

    Raises:
        ValueError: it is not.
    """
    if value not in choices:
        raise ValueError(f"{transform}: {name}={value!r}; give one of {', '.join(map(str, choices))}")


def _is_number(value, whole: bool) -> bool:
    return isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
