"""Outlines of masks as polygons along the edges of their pixels. NumPy and OpenCV."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np


def regions(mask: np.ndarray) -> Iterator[tuple[np.ndarray, tuple[int, int, int, int]]]:
    """The connected regions of a mask; pixels that touch at a corner are connected.

    Args:
        mask: (H, W) bool.

    Yields:
        A region (h, w) bool, cut out by its box, and that box as x1, y1, x2, y2.
    """
    count, numbers, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    for number in range(1, count):
        x, y, width, height = (int(v) for v in boxes[number, :4])
        yield numbers[y : y + height, x : x + width] == number, (x, y, x + width, y + height)


def polygon(region: np.ndarray, origin: tuple[int, int] = (0, 0)) -> np.ndarray:
    """One polygon around a connected region, whose holes it reaches by cuts of no width.

    Args:
        region: (h, w) bool, as `regions` gives it.
        origin: x and y of its upper left pixel in the image.

    Returns:
        (K, 2) int64 corners of pixels; the polygon's area is the number of pixels.
    """
    # Three times as large, contours through the middles of pixels round to the corners of the original ones.
    large = np.kron(np.pad(region.astype(np.uint8), 1), np.ones((3, 3), np.uint8))
    contours, tree = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outlines = [_corners(contour[:, 0]) for contour in contours]
    [outer] = [i for i, parent in enumerate(tree[0, :, 3]) if parent < 0]
    whole = outlines[outer]
    for i, hole in enumerate(outlines):
        if i != outer:
            whole = _with_hole(whole, hole)
    # The padding had moved all by one pixel.
    return whole - 1 + np.asarray(origin)


def outlines(mask: np.ndarray) -> list[list[float]]:
    """A mask (H, W) bool as COCO's polygons: [x, y, x, y, ...] around each connected region."""
    around = (polygon(region, (x, y)) for region, (x, y, _, _) in regions(mask))
    return [points.astype(float).ravel().tolist() for points in around]


def _corners(points: np.ndarray) -> np.ndarray:
    """Middles of a contour's small pixels (K, 2) as the corners where it turns."""
    corners = np.floor((points + 0.5) / 3 + 0.5).astype(np.int64)
    corners = corners[(corners != np.roll(corners, 1, axis=0)).any(1)]
    before, after = corners - np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0) - corners
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return corners[turns]


def _with_hole(outline: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The outline, with a way to the hole's nearest corner, around it and back."""
    distances = np.square(outline[:, None] - hole[None]).sum(-1)
    at, start = np.unravel_index(int(distances.argmin()), distances.shape)
    around = np.roll(hole, -start, axis=0)
    return np.concatenate([outline[: at + 1], around, around[:1], outline[at:]])
