"""Masks of objects laid over a picture: a veil in the object's colour, and its outline. NumPy and OpenCV."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

OPACITY = 0.45  # how much of its object's colour a pixel takes


def lay_masks(
    canvas: np.ndarray, masks: np.ndarray, paints: Sequence[tuple[int, int, int]], line: int = 1
) -> None:
    """Veils and outlines of objects, in place; the first object on top.

    Args:
        canvas: (H, W, 3) uint8 RGB, which is drawn on.
        masks: (N, h, w) bool; where they are of another size, each pixel of the canvas takes the nearest one.
        paints: red, green and blue of each object.
        line: thickness of the outlines in pixels, 1 or more.
    """
    for mask, paint in reversed(list(zip(masks, paints, strict=True))):
        x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
        if not width:
            continue
        rows, first_row = _nearest(y, y + height, mask.shape[0], canvas.shape[0])
        columns, first_column = _nearest(x, x + width, mask.shape[1], canvas.shape[1])
        inside = mask[np.ix_(rows, columns)]  # of the canvas, the part that the object lies in
        part = canvas[first_row : first_row + len(rows), first_column : first_column + len(columns)]
        part[inside] = np.rint((1 - OPACITY) * part[inside] + OPACITY * np.array(paint)).astype(np.uint8)
        contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        outlines = [contour + np.array([first_column, first_row], np.int32) for contour in contours]
        cv2.drawContours(canvas, outlines, -1, paint, line)


def _nearest(low: int, high: int, old: int, new: int) -> tuple[np.ndarray, int]:
    """The old pixel for each one of an axis of `new` that shows one of `low` to `high`, and the first of these."""
    nearest = ((np.arange(new) + 0.5) * old / new).astype(int)
    start, end = np.searchsorted(nearest, (low, high))
    return nearest[start:end], int(start)
