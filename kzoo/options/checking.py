"""What is done with declared options: values checked, names known, and what would have no effect refused."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kzoo.options.kinds import Option, shown

ANY = "any"  # in `Option.needs`: whatever value, if there is one


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say to a name that is unknown: the nearest one, or all there are."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def check_known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Refuses names that are unknown.

    Args:
        what: the command or function that they were given to, for the message.
        names: the names that were given.
        known: the names that are taken.

    Raises:
        ValueError: a name is unknown; the message has the nearest one.
    """
    known = list(known)
    for name in names:
        if name not in known:
            raise ValueError(f"{what}: unknown option {name!r}; {nearest(str(name), known)}")


def check_values(options: Mapping[str, Any], table: Mapping[str, Option]) -> dict[str, Any]:
    """The values of options as they are used; those that the table does not declare stay as they are.

    Raises:
        ValueError: a value is none that its option takes.
    """
    return {
        name: table[name].check(name, value) if name in table else value for name, value in options.items()
    }


def checked(table: Mapping[str, Option]) -> Callable:
    """A decorator: the function gets its arguments checked, and in the form that they are used in.

    Args:
        table: declarations by the names of the function's arguments; defaults are not looked at.

    Example:
        >>> @checked({"count": Whole(least=1)})
        ... def repeat(count: int = 1): ...
    """

    def decorate(function: Callable) -> Callable:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def called(*args, **kwargs):
            bound = signature.bind(*args, **kwargs)
            bound.arguments.update(check_values(bound.arguments, table))
            return function(*bound.args, **bound.kwargs)

        called.__signature__ = signature  # where Keras asks for it, it does not look behind wrappers
        return called

    return decorate


def refuse_idle(
    options: Mapping[str, Any],
    table: Mapping[str, Option],
    setting: Callable[[str], Any],
    task: str | None = None,
) -> None:
    """Refuses options that were set and have no effect.

    Args:
        options: the values that somebody set; what asks for nothing, as None and False do, is let pass.
        table: the declarations that say what each option needs.
        setting: takes the name of another option and gives the value that holds, defaults included.
        task: the model's task, "detect", "segment", or "instance" or "drive", which take what detectors take; None
            where options for all tasks pass.

    Raises:
        ValueError: an option has no effect; the message says beside what it has, and names the remedy.
    """
    for name, value in options.items():
        option = table.get(name)
        if option is None or any(value is one for one in option.neutral):
            continue
        alike = "detect" if task in ("instance", "drive") else task
        if task is not None and option.task not in ("", alike):
            models = {"detect": "a detector", "segment": "a segmenter"}
            model = models.get(alike, f"a model of the task {task!r}")
            raise ValueError(f"{name}={shown(value)} is not for {model}; leave it out")
        for other, values in option.needs.items():
            _check_need(name, value, other, values, setting(other))


def _check_need(name: str, value: Any, other: str, values: Sequence, now: Any) -> None:
    """Refuses a value of an option that counts with some `values` of another alone, which is `now` none of them."""
    if ANY in values:
        if not now:  # nothing, or none of it
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
