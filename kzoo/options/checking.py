"""What is done with declared options: values checked, names known, and what would have no effect refused."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kzoo.options.kinds import Option, shown

ANY = "any"  # in `Option.needs`: whatever was given, but not nothing


def declared(config: type) -> dict[str, Option]:
    """The options that a dataclass's fields declare in their metadata, by name."""
    return {
        one.name: one.metadata["option"] for one in dataclasses.fields(config) if "option" in one.metadata
    }


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say to a name that is unknown: the nearest one, or all there are."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def check_known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Refuses names that are unknown.

    Args:
        what: takes them, for the message.
        names: that were given.
        known: that there are.

    Raises:
        ValueError: a name is unknown; the message has the nearest one.
    """
    known = list(known)
    for name in names:
        if name not in known:
            raise ValueError(f"{what}: unknown option {name!r}; {nearest(str(name), known)}")


def check_given(given: Mapping[str, Any], table: Mapping[str, Option]) -> dict[str, Any]:
    """The given values as they are used; those that the table does not declare as they are.

    Raises:
        ValueError: a value is none that its option takes.
    """
    return {name: table[name].check(name, value) if name in table else value for name, value in given.items()}


def checked(table: Mapping[str, Option]) -> Callable:
    """A decorator: the function is called with its arguments checked, and made what they are used as.

    Args:
        table: the options that have the names of the function's arguments; defaults are not looked at.

    Example:
        >>> @checked({"count": Whole(least=1)})
        ... def repeat(count: int = 1): ...
    """

    def decorate(function: Callable) -> Callable:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def called(*args, **kwargs):
            bound = signature.bind(*args, **kwargs)
            bound.arguments.update(check_given(bound.arguments, table))
            return function(*bound.args, **bound.kwargs)

        called.__signature__ = signature  # where Keras asks for it, it does not look behind wrappers
        return called

    return decorate


def refuse_idle(
    given: Mapping[str, Any],
    table: Mapping[str, Option],
    settings: Callable[[str], Any],
    task: str | None = None,
) -> None:
    """Refuses what was given and has no effect.

    Args:
        given: what somebody gave; what asks for nothing, as None and False do, is let pass.
        table: what each option needs.
        settings: the value that holds of another option, by its name.
        task: of the model.

    Raises:
        ValueError: an option has no effect; the message says beside what it has, and names the remedy.
    """
    for name, value in given.items():
        option = table.get(name)
        if option is None or any(value is one for one in option.neutral):
            continue
        if task is not None and option.task not in ("", task):
            kinds = {"detect": "a detector", "segment": "a segmenter"}
            kind = kinds.get(task, f"a model of the task {task!r}")
            raise ValueError(f"{name}={shown(value)} is not for {kind}; leave it out")
        for other, values in option.needs.items():
            _need(name, value, other, values, settings(other))


def _need(name: str, value, other: str, values, now) -> None:
    if ANY in values:
        if now is None or now is False:
            raise ValueError(
                f"{name}={shown(value)}: has no effect without {other}; give {other}, too, or leave it out"
            )
        return
    if now in values:
        return
    if list(values) == [None]:
        raise ValueError(
            f"{name}={shown(value)}: has no effect beside {other}={shown(now)}; leave one of them out"
        )
    wanted = " or ".join(map(str, values))
    raise ValueError(
        f"{name}={shown(value)}: has an effect with {other}={wanted} alone, and it is {shown(now)}; leave it out, or "
        f"give {other}={values[0]}"
    )
