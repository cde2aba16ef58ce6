"""Four pictures in one (Bochkovskiy et al. 2020, YOLOv4, arXiv:2004.10934, section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kzoo.augment.geometric import (
    IGNORED,
    MIN_SIDE,
    MIN_VISIBLE,
    Geometric,
    clip_boxes,
    select,
    transform_boxes,
    warp,
)
from kzoo.augment.letterbox import FILL, fit_placement
from kzoo.structures import Sample


@dataclass(frozen=True)
class Mosaic:
    """Four pictures around a random point, each warped straight into its corner.

    A picture larger than its corner shows a random part of itself; a smaller one leans on the point where
    the four meet, with grey around it.

    Attributes:
        p: the share of samples that become mosaics.
        centre: where the pictures meet, least and greatest, as a share of width and height.
    """

    p: float = 1.0
    centre: tuple[float, float] = (0.3, 0.7)

    def __call__(
        self,
        rng: np.random.Generator,
        samples: Sequence[Sample],
        size: tuple[int, int],
        geometric: Sequence[Geometric] = (),
        resize: str = "letterbox",
    ) -> Sample:
        """The mosaic.

        Args:
            rng: draws the meeting point, the parts shown, and the geometric transforms of each picture.
            samples: four; the mosaic takes the first one's id.
            size: (height, width) of the mosaic in pixels.
            geometric: transforms that every picture goes through by itself.
            resize: how each is brought to the size before, as `kzoo.augment.fit` takes it.
        """
        if len(samples) != 4:
            raise ValueError(f"mosaic: needs 4 samples, got {len(samples)}")
        height, width = size
        x, y = (
            round(side * share)
            for side, share in zip((width, height), rng.uniform(*self.centre, 2), strict=True)
        )
        corners = ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height))
        canvas = np.full((height, width, 3), FILL, np.uint8)
        tiles = []
        for sample, corner in zip(samples, corners, strict=True):
            base = fit_placement(sample.size, size, resize).matrix
            tile = _tile(rng, sample, base, corner, (x, y), size, geometric)
            canvas[corner[1] : corner[3], corner[0] : corner[2]] = tile.image
            tiles.append(tile)
        return _join(canvas, tiles, corners, samples[0].id)


def _tile(rng, sample, matrix, corner, meeting, size, geometric) -> Sample:
    """One picture's part of the mosaic; image and masks of the corner alone, boxes in the mosaic's pixels."""
    for transform in geometric:
        matrix = transform.matrix(rng, size) @ matrix
    height, width = sample.size
    bounds = transform_boxes([[0, 0, width, height]], matrix)[0]
    shift = np.eye(3)
    for axis in (0, 1):
        # The shifts at which the picture's far and near edges coincide with the corner's.
        far, near = corner[axis + 2] - bounds[axis + 2], corner[axis] - bounds[axis]
        if far <= near:
            shift[axis, 2] = rng.uniform(far, near)
        else:
            shift[axis, 2] = near if corner[axis] == meeting[axis] else far
    matrix = shift @ matrix
    boxes, keep = clip_boxes(transform_boxes(sample.boxes, matrix), corner, MIN_VISIBLE, MIN_SIDE)
    into_corner = np.eye(3)
    into_corner[:2, 2] = -corner[0], -corner[1]
    part = warp(
        select(sample, keep), into_corner @ matrix, (corner[3] - corner[1], corner[2] - corner[0]), 0.0, 0.0
    )
    part.boxes = boxes[keep].astype(np.float32)
    return part


def _join(canvas: np.ndarray, tiles: Sequence[Sample], corners, name) -> Sample:
    """The tiles' objects together, their masks laid where their corners are."""
    joined = Sample(
        canvas,
        **{
            field: np.concatenate([getattr(tile, field) for tile in tiles])
            for field in ("boxes", "labels", "difficult", "crowd")
        },
        id=name,
    )
    if all(tile.masks is not None for tile in tiles):
        joined.masks = np.zeros((len(joined.boxes), *canvas.shape[:2]), bool)
        first = 0
        for tile, (x1, y1, x2, y2) in zip(tiles, corners, strict=True):
            joined.masks[first : first + len(tile.boxes), y1:y2, x1:x2] = tile.masks
            first += len(tile.boxes)
    if all(tile.mask is not None for tile in tiles):
        joined.mask = np.full(canvas.shape[:2], IGNORED, tiles[0].mask.dtype)
        for tile, (x1, y1, x2, y2) in zip(tiles, corners, strict=True):
            joined.mask[y1:y2, x1:x2] = tile.mask
    return joined
