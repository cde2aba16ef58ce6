"""What every option declares, and the kinds that are neither numbers (`quantities`) nor texts (`words`).

Each kind knows how a word of the command line becomes its value, and which values it takes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Option:
    """What every option declares.

    Attributes:
        help: what it is, as a whole phrase that ends with a full stop; remarks follow a semicolon, before which
            `phrase` puts the range or the choices.
        otherwise: what holds where it is left out, if its default does not say so: "the model's own".
        unit: what it counts, such as "pixels".
        panel: the heading that the command line's help has it under.
        none: whether None is a value, too: left out.
        needs: names of other options and the values of theirs with which alone this one has an effect.
        task: "detect" or "segment" where it has an effect with such models alone.
        neutral: values that ask for nothing, and are let pass wherever they have no effect.

    Example:
        >>> Number(help="Momentum of SGD.", least=0, below=1).check("momentum", 1.5)
        ValueError: momentum=1.5: give a number, 0 or more and below 1
    """

    metavar: ClassVar[str] = "TEXT"

    help: str = ""
    otherwise: str = ""
    unit: str = ""
    panel: str | None = None
    none: bool = False
    needs: Mapping[str, Sequence] = field(default_factory=dict)
    task: str = ""
    neutral: Sequence = (None, False)

    def check(self, name: str, value: Any) -> Any:
        """The value as it is used.

        Args:
            name: what the option is called in the message.
            value: what somebody gave.

        Raises:
            ValueError: it is none of this kind, or out of range; the message has name, value and remedy.
        """
        if value is None and self.none:
            return None
        try:
            return self.sound(value)
        except (ValueError, TypeError, OverflowError):
            raise ValueError(f"{name}={shown(value)}: give {self.wanted}") from None

    def read(self, text: str) -> Any:
        """The value that a word of the command line stands for.

        Raises:
            ValueError: it stands for none; without the option's name.
        """
        try:
            return self.sound(self.parse(text))
        except (ValueError, TypeError, OverflowError):
            raise ValueError(f"{text!r}: give {self.wanted}") from None

    def parse(self, text: str) -> Any:
        """A word of the command line as a value that may still be out of range."""
        return text

    def sound(self, value: Any) -> Any:
        """The value as it is used; a ValueError or TypeError where it is wrong."""
        return value

    @property
    def wanted(self) -> str:
        """What to give, as a phrase: "a whole number of pixels, 1 to 16384"."""
        return "a value"

    @property
    def limits(self) -> str:
        """What the help text is followed by: a range after a comma, choices after a colon; nothing for any text."""
        return ""

    @property
    def phrase(self) -> str:
        """The help text with the range or the choices after its first clause, and with the models that it is for."""
        clause, semicolon, remark = self.help.removesuffix(".").partition(";")
        models = {"detect": " (detectors only)", "segment": " (segmenters only)"}.get(self.task, "")
        return f"{clause}{self.limits}{semicolon}{remark}{models}."

    def but(self, **changes) -> Option:
        """The same but for some fields."""
        return dataclasses.replace(self, **changes)


def shown(value: Any, most: int = 80) -> str:
    """A value in a message: on one line, and not a page of it."""
    text = repr(value)
    text = text if len(text) <= most else f"{text[: most - 3]}..."
    return " ".join(text.split())


@dataclass(frozen=True, kw_only=True)
class Flag(Option):
    """True or false; on the command line a switch."""

    def parse(self, text: str) -> bool:
        return {"true": True, "false": False}[text.lower()] if text.lower() in ("true", "false") else text

    def sound(self, value: Any) -> bool:
        # NumPy's truth values are no bool; its class is called bool_ or, from its second version on, bool.
        if not isinstance(value, bool) and type(value).__name__ not in ("bool_", "bool"):
            raise TypeError(value)
        return bool(value)

    @property
    def wanted(self) -> str:
        return "true or false"


@dataclass(frozen=True, kw_only=True)
class Special(Option):
    """An option that has a form of its own.

    Attributes:
        reads: turns a word of the command line into the value.
        takes: turns a value into the one that is used; raises ValueError or TypeError where it is wrong.
        form: what to give, as a phrase: "cosine, step or constant".
    """

    reads: Callable[[str], Any] = str
    takes: Callable[[Any], Any] = field(default=lambda value: value)
    form: str = ""

    def parse(self, text: str) -> Any:
        return self.reads(text)

    def sound(self, value: Any) -> Any:
        return self.takes(value)

    @property
    def wanted(self) -> str:
        return self.form

    @property
    def limits(self) -> str:
        return f": {self.form}"
