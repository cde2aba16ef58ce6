"""What a function or a class says of its arguments: from its signature and its docstring, so that it is said once."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

REQUIRED = inspect.Parameter.empty  # the default of an argument that has none

_ENTRY = re.compile(r"    (\*{0,2}\w+(?:, \*{0,2}\w+)*): ?(.*)")


@dataclass(frozen=True)
class Argument:
    """An argument of a function, or of a class's constructor.

    Attributes:
        name: the argument's name.
        type: the annotation in the signature, such as "int | None"; empty where there is none.
        default: the value where the argument is left out; `REQUIRED` where it has none.
        meaning: what the docstring's "Args" say; empty where they say nothing.
    """

    name: str
    type: str
    default: Any
    meaning: str


def documented(function: Callable) -> dict[str, Argument]:
    """The named arguments of a function, or of a class with those that it hands on to its base classes, by name.

    Args:
        function: a function, a `functools.partial` of one, whose keywords are defaults then, or a class.

    Example:
        >>> documented(kzoo.models.yolov3.yolov3)["spp"].default
        False
    """
    if inspect.isclass(function):
        # A constructor without an entry for an argument hands it on: the nearest base class that has one documents it.
        bases = [base for base in function.__mro__ if "__init__" in vars(base) and base is not object]
        merged: dict[str, Argument] = {}
        for base in bases:
            for name, argument in _arguments(inspect.signature(base.__init__), base.__doc__).items():
                merged.setdefault(name, argument)
        merged.pop("self", None)
        return merged
    original = function
    while isinstance(original, functools.partial):
        original = original.func
    return _arguments(inspect.signature(function), original.__doc__)


def _arguments(signature: inspect.Signature, doc: str | None) -> dict[str, Argument]:
    entries = args_entries(doc or "")
    return {
        name: Argument(name, _written(one.annotation), one.default, entries.get(name, ""))
        for name, one in signature.parameters.items()
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    }


def _written(annotation: Any) -> str:
    """An annotation as it stands in the source; empty where there is none."""
    if annotation is inspect.Parameter.empty:
        return ""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def args_entries(doc: str) -> dict[str, str]:
    """What a docstring says of each argument under "Args:", on one line each; `**head` stands there as "head"."""
    entries: dict[str, list[str]] = {}
    inside, current = False, []
    for line in inspect.cleandoc(doc).splitlines():
        entry = _ENTRY.fullmatch(line)
        if not line.startswith(" ") and line:
            inside = line == "Args:"
        elif inside and entry:
            current = [entry[2]]
            for name in entry[1].split(", "):
                entries[name.lstrip("*")] = current
        elif inside and line.strip():
            current.append(line.strip())
    return {name: " ".join(filter(None, lines)) for name, lines in entries.items()}
