"""Seeing the picture from another side: a projective matrix, which joins the others of a chain."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from kzoo.augment.arguments import check_number
from kzoo.augment.geometric import Geometric, transform_boxes
from kzoo.structures import Sample

# The least depth of the picture's nearest corner, where that of the frame's middle is 1.
_MIN_DEPTH = 0.25


@dataclass(frozen=True)
class Perspective(Geometric):
    """Moves each corner of the frame by itself, and all that is in it along: lines stay straight.

    The boxes are those around the moved boxes' corners.

    Attributes:
        strength: greatest move of a corner, in or out, as a share of the frame's width and height; up to 0.2.
            It is halved, once or more, for a picture that reaches so far out of the frame that its end would
            come too near the eye.
        p: the share of samples it is applied to.

    Raises:
        ValueError: an argument is out of its bounds.
    """

    strength: float = 0.08
    p: float = 1.0

    def __post_init__(self):
        check_number("perspective", "strength", self.strength, 0.0, 0.2)
        check_number("perspective", "p", self.p, 0.0, 1.0)

    def matrix(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        return _moving_corners(self._moves(rng), size)

    def extend(
        self, rng: np.random.Generator, sample: Sample, matrix: np.ndarray, size: tuple[int, int]
    ) -> tuple[Sample, np.ndarray]:
        moves = self._moves(rng)
        height, width = sample.size
        bounds = transform_boxes([[0, 0, width, height]], matrix)[0]
        step = _moving_corners(moves, size)
        while _least_depth(step, bounds) < _MIN_DEPTH:
            moves = moves / 2
            step = _moving_corners(moves, size)
        return sample, step @ matrix

    def _moves(self, rng: np.random.Generator) -> np.ndarray:
        """How far each of the four corners is moved, as shares of width and height: (4, 2)."""
        applied = rng.random() < self.p
        return applied * rng.uniform(-self.strength, self.strength, (4, 2))


def _moving_corners(moves: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The (3, 3) matrix that moves the frame's corners by (4, 2) shares of its sides; of depth 1 at its middle."""
    if not moves.any():
        return np.eye(3)  # exactly, so that a chain without projective matrices stays affine
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    unit = cv2.getPerspectiveTransform(corners.astype(np.float32), (corners + moves).astype(np.float32))
    frame = np.diag([size[1], size[0], 1.0])
    return frame @ (unit / (unit[2] @ (0.5, 0.5, 1.0))) @ np.linalg.inv(frame)


def _least_depth(matrix: np.ndarray, bounds: np.ndarray) -> float:
    """The least depth, what pixels are divided by, among the corners of (4,) bounds: 0 is the horizon."""
    x1, y1, x2, y2 = bounds
    return min(matrix[2] @ (x, y, 1.0) for x in (x1, x2) for y in (y1, y2))
