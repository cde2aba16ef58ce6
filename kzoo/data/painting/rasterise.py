"""Semantic masks out of instances: polygons and run lengths painted over each other."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from kzoo.data.fault import FaultError
from kzoo.data.painting.mask_faults import verified
from kzoo.data.painting.rle import draw_union
from kzoo.data.record import Record
from kzoo.structures import IGNORED


def paint(record: Record, size: tuple[int, int]) -> np.ndarray:
    """The semantic mask of a record's objects: a later one lies on top of an earlier.

    Args:
        record: the objects' outlines, and as labels the values they have in the mask. Crowds, difficult objects and
            those of no class become ignored pixels (255), and ground is 0.
        size: (height, width) of the image.

    Returns:
        (H, W) uint8.

    Raises:
        ValueError: a run-length mask is of another size, or crowds leave no pixel to learn from.
    """
    refuse_sizes(record, size)
    mask = np.zeros(size, np.uint8)
    unknown = record.crowd | record.difficult | (record.labels < 0)  # (N,)
    values = np.where(unknown, IGNORED, record.labels).tolist()
    drawn = ((value, shape) for value, shape in zip(values, record.polygons or (), strict=False) if shape)
    # Neighbours of one value cannot hide each other: hundreds of nuclei are one shape.
    for value, group in itertools.groupby(drawn, key=lambda item: item[0]):
        shapes = [shape for _, shape in group]
        bottom, right = _corner(shapes, size)
        mask[:bottom, :right][draw_union(shapes, (bottom, right), size)] = value
    return verified(mask, size, IGNORED, record.source or record.path)


def _corner(shapes: list, size: tuple[int, int]) -> tuple[int, int]:
    """The (height, width) from the top left corner that shapes lie in: less to draw on, pixel for pixel the same."""
    if any(isinstance(shape, dict) for shape in shapes):
        return size
    right, bottom = np.max([part.max(0) for shape in shapes for part in shape], axis=0)
    return tuple(
        int(np.clip(np.ceil(edge) + 1, 1, side)) for edge, side in ((bottom, size[0]), (right, size[1]))
    )


def refuse_sizes(record: Record, size: tuple[int, int]) -> None:
    """Raises the error of an outline that cannot be drawn on its image, if there is one.

    Those are run-length masks of another size, and polygons with numbers that are none.
    """
    for box, shape in enumerate(record.polygons or ()):
        if isinstance(shape, dict):
            if tuple(shape["size"]) != tuple(size):
                high, wide = shape["size"]
                message = f"a mask of {wide} x {high} pixels on an image of {size[1]} x {size[0]}"
                fault = record.fault("mask-size", message, box=box)
                raise FaultError(fault, "make the mask anew at the size of the image")
        elif not _is_finite(shape):
            fault = record.fault("not-finite", "an outline holds NaN or infinity", box=box)
            raise FaultError(fault, "correct it, or leave it out with --skip-faulty")


def ignoring(record: Record, keep: np.ndarray) -> Record:
    """The record with the outlined objects that `keep` (N bool) leaves out as ignored pixels, not as ground."""
    shapes = [
        shape if kept or isinstance(shape, dict) or _is_finite(shape) else None
        for shape, kept in zip(record.polygons or (), keep, strict=False)
    ]
    return dataclasses.replace(record, polygons=shapes, difficult=record.difficult | ~keep)


def _is_finite(shape: list[np.ndarray] | None) -> bool:
    return all(np.isfinite(part).all() for part in shape or ())
