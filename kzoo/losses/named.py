"""Losses of pixels by their names, and sums of them."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kzoo.losses.lovasz import lovasz
from kzoo.losses.overlap import dice, dice_generalized, jaccard, tversky
from kzoo.losses.pixel import border, cross_entropy, focal

# Each is a function, and the defaults that make it another.
PIXEL_LOSSES: dict[str, tuple[Callable, dict[str, Any]]] = {
    "ce": (cross_entropy, {}),
    "focal": (focal, {}),
    "dice": (dice, {}),
    "dice_squared": (dice, {"squared": True}),
    "dice_generalized": (dice_generalized, {}),
    "jaccard": (jaccard, {}),
    "tversky": (tversky, {}),
    "focal_tversky": (tversky, {"gamma": 0.75}),
    "lovasz": (lovasz, {}),
    "border": (border, {}),
}
# What they take of the options that are given for all, and what it is called there.
_CROSS_ENTROPY = {"class_weights": "class_weights", "label_smoothing": "label_smoothing"}
COMMON = {"ce": _CROSS_ENTROPY, "border": _CROSS_ENTROPY, "focal": {"class_weights": "alpha"}}

_WITH_TARGETS = ("weights", "image_weights")  # keywords that are no options, for they come with the targets


@dataclass(frozen=True)
class _Term:
    name: str
    factor: float
    function: Callable


class PixelLoss:
    """A sum of pixel losses.

    Args:
        spec: what to sum, "ce" by default: a text such as "ce+dice" or "0.5*ce + dice"; a mapping of names to factors,
            or to options of the loss's function, `weight` among them for the factor; or a list of any of these.
        class_weights: one weight a class, 0 or more, background first, for "ce", "border" and "focal" (there as
            `alpha`), unless they have options of their own; None (default) for 1.
        label_smoothing: share of the target that is spread evenly over all classes, 0 (default) to below 1, for "ce"
            and "border", unless they have options of their own.

    Attributes:
        names: names of the losses, in the order of the sum.

    Raises:
        ValueError: a loss or an option is unknown (the nearest is named), twice there, or its factor is not a
            number above 0.

    Example:
        >>> loss = PixelLoss({"ce": 0.5, "focal_tversky": {"alpha": 0.7, "beta": 0.3, "gamma": 0.75}})
        >>> loss(labels, logits)
        {"ce": ..., "focal_tversky": ...}
    """

    def __init__(
        self,
        spec: str | Mapping[str, Any] | Sequence[Any] = "ce",
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
    ):
        common = {"class_weights": class_weights, "label_smoothing": label_smoothing}
        self._terms = [_term(str(name), options, common) for name, options in _entries(spec)]
        self.names = tuple(term.name for term in self._terms)
        twice = [name for name in self.names if self.names.count(name) > 1]
        if twice or not self.names:
            fault = f"{twice[0]!r} is there twice" if twice else "is empty"
            raise ValueError(f"loss {spec!r}: {fault}; name each loss once, as in 'ce+dice'")

    def __call__(self, labels, logits, weights=None, image_weights=None) -> dict:
        """Each loss by its name, times its factor.

        Args:
            labels: (B, H, W) integers; 255 is ignored.
            logits: (B, H, W, C); C = 1 is a sigmoid, C > 1 a softmax.
            weights: (B, H, W) map of pixel weights, which "border" needs and no other loss looks at; None (default)
                for none.
            image_weights: (B,) how much each image counts; the same for all is a factor of every loss. None (default)
                for 1.

        Returns:
            A scalar for each name.

        Raises:
            ValueError: "border" has no weights, or an option does not fit the classes.
        """
        losses = {}
        for term in self._terms:
            maps = {"weights": weights} if term.name == "border" else {}
            losses[term.name] = term.factor * term.function(
                labels, logits, image_weights=image_weights, **maps
            )
        return losses


def _entries(spec):
    """(name, options) of each loss of a specification; the options are plain, "weight" among them."""
    if isinstance(spec, str):
        for part in spec.split("+"):
            factor, star, name = part.rpartition("*")
            yield name.strip(), {"weight": factor.strip()} if star else {}
    elif isinstance(spec, Mapping):
        for name, options in spec.items():
            yield name, dict(options) if isinstance(options, Mapping) else {"weight": options}
    elif isinstance(spec, Sequence):
        for each in spec:
            yield from _entries(each)
    else:
        raise ValueError(f"loss {spec!r}: give a text such as 'ce+dice', a mapping or a list")


def _term(name: str, options: dict[str, Any], common: dict[str, Any]) -> _Term:
    """One loss with its own options and what it takes of the common ones."""
    if name not in PIXEL_LOSSES:
        raise ValueError(f"unknown loss {name!r}; {_hint(name, list(PIXEL_LOSSES))}")
    function, fixed = PIXEL_LOSSES[name]
    parameters = inspect.signature(function).parameters.values()
    keywords = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
    known = [keyword for keyword in keywords if keyword not in _WITH_TARGETS]
    factor = _factor(name, options.pop("weight", 1.0))
    for option in options:
        if option not in known:
            raise ValueError(f"loss {name!r} takes no option {option!r}; {_hint(option, [*known, 'weight'])}")
    shared = {COMMON[name][word]: value for word, value in common.items() if word in COMMON.get(name, {})}
    return _Term(name, factor, partial(function, **fixed | shared | options))


def _factor(name: str, value) -> float:
    """The factor of a loss as a number, if it is one above 0."""
    try:
        factor = float(value)
    except (TypeError, ValueError):
        factor = math.nan
    if not 0.0 < factor < math.inf:
        raise ValueError(f"loss {name!r}: its weight is {value!r}; it is a number above 0, as in '0.5*ce'")
    return factor


def _hint(name: str, known: list[str]) -> str:
    """What to say to a name that is unknown: the nearest one, or all there are."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
