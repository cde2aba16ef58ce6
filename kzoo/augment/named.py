"""Any transform of albumentations, named in a configuration."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kzoo.augment.arguments import check_number
from kzoo.augment.degrade import OnPixels, import_albumentations
from kzoo.augment.letterbox import FILL
from kzoo.augment.objects import MIN_SIDE, MIN_VISIBLE
from kzoo.augment.photometric import Albumentations
from kzoo.structures import IGNORED, Sample


@dataclass(frozen=True)
class FromAlbumentations(OnPixels):
    """Any other transform of albumentations, by its name there, so that a configuration can have it.

    One that moves pixels moves boxes and masks along; semantic masks become 255 where no picture is.

    Attributes:
        name: name of the class in albumentations, such as "Sharpen".
        arguments: arguments of the class's constructor by name, but `p`; its own defaults for those left out.
        p: the share of samples it is applied to.
        min_visible: objects of which a smaller share of the box stays in the picture are left out.
        min_side: objects that end up narrower or lower than this many pixels are left out.

    Raises:
        ValueError: there is no such transform, or its arguments are wrong.

    Example:
        >>> batches(dataset, 416, 16, augment=["flip", {"albumentations": {"name": "Sharpen", "p": 0.1}}])
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    p: float = 0.5
    min_visible: float = MIN_VISIBLE
    min_side: float = MIN_SIDE
    _moving: Albumentations | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self):
        check_number("albumentations", "p", self.p, 0.0, 1.0)
        check_number("albumentations", "min_visible", self.min_visible, 0.0, 1.0)
        theirs = _by_name(self.name, self.arguments)
        if not isinstance(theirs, import_albumentations().ImageOnlyTransform):
            moving = Albumentations(theirs, self.min_visible, self.min_side)
            object.__setattr__(self, "_moving", moving)

    def theirs(self):
        return self.name, dict(self.arguments)

    def __call__(self, rng: np.random.Generator, sample: Sample) -> Sample:
        if self._moving is None:
            result = super().__call__(rng, sample)
        else:
            applied, seed = rng.random() < self.p, int(rng.integers(2**62))
            result = self._moving(np.random.default_rng(seed), sample) if applied else sample
        if result.image.dtype != np.uint8 or result.image.ndim != 3 or result.image.shape[2] != 3:
            raise ValueError(
                f"albumentations: {self.name} gives {result.image.dtype} of shape {result.image.shape}; "
                "leave it out: pictures are (H, W, 3) uint8, and networks scale them by themselves"
            )
        return result


def _by_name(name: str, arguments: Mapping[str, Any]):
    """The transform of albumentations of that name; `ValueError` where it takes no such arguments."""
    albumentations = import_albumentations()
    known = [
        word
        for word, there in vars(albumentations).items()
        if inspect.isclass(there) and issubclass(there, albumentations.BasicTransform)
    ]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "see its list of transforms"
        raise ValueError(f"albumentations: it has no transform {name!r}; {hint}")
    parameters = inspect.signature(getattr(albumentations, name)).parameters
    # It merely warns of arguments that it does not know.
    unknown = sorted(set(arguments) - (set(parameters) - {"p"}))
    if unknown:
        takes = ", ".join(word for word in parameters if word != "p")
        raise ValueError(f"albumentations: {name} takes no {unknown[0]!r}; it takes {takes or 'nothing'}")
    fills = {"fill": FILL, "fill_mask": IGNORED}
    # A default that is no number, None or a word, is a way of filling of its own.
    defaults = {
        word: value
        for word, value in fills.items()
        if word in parameters and isinstance(parameters[word].default, (int, float))
    }
    try:
        return getattr(albumentations, name)(**{**defaults, **arguments}, p=1.0)
    except (TypeError, ValueError) as error:
        line = " ".join(str(error).split())
        raise ValueError(f"albumentations: {name}: {line}") from error
