"""Several pictures in one (Bochkovskiy et al. 2020, YOLOv4, arXiv:2004.10934, section 3.4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kzoo.augment.arguments import check_choice, check_number, check_range
from kzoo.augment.geometric import Geometric, bounds, transform_boxes, warp_image, warp_masks
from kzoo.augment.letterbox import RESIZES, fill_with, fit_placement
from kzoo.augment.objects import (
    MIN_SIDE,
    MIN_VISIBLE,
    clip_boxes,
    clip_proposals,
    join,
    joined_proposals,
    mixed_shares,
    select,
)
from kzoo.structures import IGNORED, Sample

Cell = tuple[int, int, int, int]


@dataclass(frozen=True)
class Mosaic:
    """Four or nine pictures around a random point, each warped straight into its cell.

    A picture larger than its cell shows a random part of itself; a smaller one leans on the middle of the
    mosaic, with grey around it. Objects are clipped to their picture's cell.

    Attributes:
        p: the share of samples that become mosaics.
        centre: where the pictures meet, least and greatest, as a share of width and height. Of nine, the middle
            one lies around that point and has a third of the width and height.
        grid: pictures side by side: 2 for four in all, or 3 for nine, which are made two thirds as large.

    Raises:
        ValueError: an argument is out of its bounds.
    """

    p: float = 1.0
    centre: tuple[float, float] = (0.3, 0.7)
    grid: int = 2

    def __post_init__(self):
        check_number("mosaic", "p", self.p, 0.0, 1.0)
        object.__setattr__(self, "centre", check_range("mosaic", "centre", self.centre, 0.0, 1.0))
        check_choice("mosaic", "grid", self.grid, (2, 3))

    @property
    def pictures(self) -> int:
        """How many pictures are in one mosaic."""
        return self.grid**2

    def __call__(
        self,
        rng: np.random.Generator,
        samples: Sequence[Sample],
        size: tuple[int, int],
        geometric: Sequence[Geometric] = (),
        resize: str = "letterbox",
        out: np.ndarray | None = None,
    ) -> Sample:
        """The mosaic.

        Args:
            rng: draws the meeting point, the parts shown, and the geometric transforms of each picture.
            samples: four or nine, row by row; the mosaic takes the first one's id.
            size: (height, width) of the mosaic in pixels.
            geometric: transforms that every picture goes through by itself.
            resize: the way in which each picture is brought to the size before, one of `kzoo.augment.RESIZES`.
            out: (height, width, 3) uint8 to draw it into; a new array where None.
        """
        if len(samples) != self.pictures:
            raise ValueError(f"mosaic: needs {self.pictures} samples, got {len(samples)}")
        canvas = Sample(np.empty((*size, 3), np.uint8) if out is None else out, id=samples[0].id)
        cells, placed, matrices = (
            self._cells(rng, size),
            [],
            [],
        )  # in the end n samples, and n (3, 3) matrices
        for sample, cell in zip(samples, cells, strict=True):
            matrix = fit_placement(sample.size, size, resize).matrix
            for transform in geometric:
                sample, matrix = transform.extend(rng, sample, matrix, size)
            if self.grid > 2:  # cells are smaller, so pictures are, too, or little of each would be seen
                matrix = np.diag([2 / self.grid, 2 / self.grid, 1.0]) @ matrix
            placed.append(sample)
            matrices.append(_draw(rng, sample, matrix, cell, canvas.image, RESIZES[resize].fill))
        areas = ((x2 - x1) * (y2 - y1) / (size[0] * size[1]) for x1, y1, x2, y2 in cells)
        canvas.shares = mixed_shares(samples, list(areas))
        return _with_objects(canvas, placed, np.array(matrices), cells)

    def _cells(self, rng: np.random.Generator, size: tuple[int, int]) -> list[Cell]:
        """x1, y1, x2, y2 of every picture's cell; one that the centre leaves no room has no area."""
        cuts = []
        for side in (size[1], size[0]):
            centre = self.centre[0] + rng.random() * (self.centre[1] - self.centre[0])
            lines = (centre + (line - self.grid / 2) / self.grid for line in range(1, self.grid))
            cuts.append([0, *(round(side * min(max(line, 0.0), 1.0)) for line in lines), side])
        (columns, rows), each = cuts, range(self.grid)
        return [(columns[i], rows[j], columns[i + 1], rows[j + 1]) for j in each for i in each]


def _draw(rng, sample: Sample, matrix: np.ndarray, cell: Cell, canvas: np.ndarray, fill) -> np.ndarray:
    """Draws a picture into its cell; returns the matrix with the shift to there in it."""
    low_x, low_y, high_x, high_y = bounds(sample.size, matrix)
    shift_x = _shift(rng.random(), low_x, high_x, cell[0], cell[2], canvas.shape[1])
    shift_y = _shift(rng.random(), low_y, high_y, cell[1], cell[3], canvas.shape[0])
    matrix = _shifted(matrix, shift_x, shift_y)
    # One pixel more, where interpolation fades the picture out.
    x1, x2 = max(cell[0], math.floor(low_x + shift_x) - 1), min(cell[2], math.ceil(high_x + shift_x) + 1)
    y1, y2 = max(cell[1], math.floor(low_y + shift_y) - 1), min(cell[3], math.ceil(high_y + shift_y) + 1)
    if (x1, y1, x2, y2) != cell:
        fill_with(canvas[cell[1] : cell[3], cell[0] : cell[2]], fill)
    if x2 > x1 and y2 > y1:
        warp_image(sample.image, matrix, (y2 - y1, x2 - x1), fill, canvas[y1:y2, x1:x2], (x1, y1))
    return matrix


def _shift(draw: float, low: float, high: float, start: int, end: int, side: int) -> float:
    """How far to move a picture from `low` to `high` so that it fills a cell from `start` to `end`.

    A share `draw` of the way between what its low and its high edge allow. One that is too small for its cell
    leans on the edge that is not the mosaic's.
    """
    near, far = start - low, end - high
    if far > near and (start == 0) != (end == side):
        draw = float(start == 0)
    return near + draw * (far - near)


def _shifted(matrix: np.ndarray, x: float, y: float) -> np.ndarray:
    """The matrix, and a shift after it."""
    shifted = matrix.copy()
    shifted[0] += x * matrix[2]
    shifted[1] += y * matrix[2]
    return shifted


def _with_objects(canvas: Sample, samples, matrices: np.ndarray, cells) -> Sample:
    """The canvas with the objects and masks of all samples, each moved by its matrix into its cell."""
    counts = [len(sample.boxes) for sample in samples]
    picture = np.repeat(np.arange(len(samples)), counts)  # (N,) which of the pictures each object is of
    plain = [replace(sample, masks=None, proposals=None) for sample in samples]
    objects = join(canvas, plain)  # N objects, whose boxes are still in their own picture's pixels
    moved = transform_boxes(objects.boxes, matrices[picture])  # (N, 4)
    boxes, keep = clip_boxes(moved, np.array(cells)[picture], MIN_VISIBLE, MIN_SIDE)
    result = select(objects, keep, boxes)
    result.proposals = _moved_proposals(samples, matrices, cells)
    if any(sample.masks is not None or sample.mask is not None for sample in samples):
        _add_masks(result, samples, np.split(keep, np.cumsum(counts)[:-1]), matrices, cells)
    return result


def _moved_proposals(samples: Sequence[Sample], matrices: np.ndarray, cells) -> np.ndarray | None:
    """The proposals (P, 4) of all samples in their cells; None where a sample has none."""
    if any(sample.proposals is None for sample in samples):
        return None
    seen = [
        replace(sample, proposals=clip_proposals(transform_boxes(sample.proposals, matrix), cell))
        for sample, matrix, cell in zip(samples, matrices, cells, strict=True)
    ]
    return joined_proposals(seen)


def _add_masks(canvas: Sample, samples: Sequence[Sample], kept, matrices: np.ndarray, cells) -> None:
    """Gives the canvas the masks of its pictures, each in its cell; of a kind, instance or semantic, that all have.

    Of the objects of each picture those that are `kept` (N,) bool are on the canvas.
    """
    moved = []  # of each, its instance masks (n, h, w) and its semantic mask (h, w) in its cell, or None
    for sample, keep, matrix, (x1, y1, x2, y2) in zip(samples, kept, matrices, cells, strict=True):
        size = (y2 - y1, x2 - x1)
        own = _shifted(matrix, -x1, -y1)
        moved.append(warp_masks(sample, own, size, keep) if min(size) else (None, None))
    if all(sample.mask is not None for sample in samples):
        canvas.mask = np.full(canvas.size, IGNORED, samples[0].mask.dtype)
        for (_, mask), (x1, y1, x2, y2) in zip(moved, cells, strict=True):
            canvas.mask[y1:y2, x1:x2] = IGNORED if mask is None else mask
    if all(sample.masks is not None or not keep.any() for sample, keep in zip(samples, kept, strict=True)):
        canvas.masks = np.zeros((len(canvas.boxes), *canvas.size), bool)
        first = 0
        for keep, (masks, _), (x1, y1, x2, y2) in zip(kept, moved, cells, strict=True):
            count = np.count_nonzero(keep)
            if count:
                canvas.masks[first : first + count, y1:y2, x1:x2] = masks
            first += count
