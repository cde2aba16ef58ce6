"""What a classifier says of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from kzoo.structures.result import Result

BEST = 5  # classes that are named, as ImageNet's second figure counts them


@dataclass(repr=False)
class Classification(Result):
    """The scores of all classes for one image.

    Attributes:
        scores: (C,) float32 in 0..1.
        names: class names; a label beyond them shows as "class 7".

    Example:
        >>> Classification(np.array([.2, .8]), ["dog", "cat"]).summary()
        'cat 0.80'
    """

    scores: np.ndarray
    names: Sequence[str] = field(default_factory=tuple)
    # Nothing of a picture is shown by its class.
    image: ClassVar[None] = None
    path: ClassVar[None] = None

    def best(self, count: int = BEST) -> list[int]:
        """The labels of the highest scores, best first.

        Args:
            count: number of labels, at most; 5 by default.
        """
        return [int(label) for label in np.argsort(-self.scores, kind="stable")[:count]]

    def summary(self) -> str:
        """The best class and its score."""
        (label,) = self.best(1)
        return f"{self.name(label)} {self.scores[label]:.2f}"

    def to_dict(self) -> dict:
        """Plain data for JSON: `{"classes": [{"label", "name", "score"}]}`, all classes, best first."""
        return {
            "classes": [
                {"label": label, "name": self.name(label), "score": round(float(self.scores[label]), 6)}
                for label in self.best(len(self.scores))
            ],
        }
