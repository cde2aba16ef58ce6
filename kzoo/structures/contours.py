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


def octagons(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Octagons in boxes: on each edge a quarter of it, about an object's outermost point, ended by the box's corners.

    Args:
        boxes: (N, 4) xyxy.
        points: (N, 4, 2) x and y of the top, left, bottom and right point.

    Returns:
        (N, 8, 2), from the top edge on clockwise in the picture.

    Source: Zhou et al. 2019, ExtremeNet, arXiv:1901.08043, section 4.4, "Extreme instance segmentation".
    """
    boxes, points = np.asarray(boxes, np.float64), np.asarray(points, np.float64)
    low, high = boxes[:, None, :2], boxes[:, None, 2:]  # (N, 1, 2)
    reach = (high - low) / 8
    start, end = (np.clip(points + off, low, high) for off in (-reach, reach))  # (N, 4, 2)
    x1, y1, x2, y2 = boxes.T
    corners = (
        (start[:, 0, 0], y1), (end[:, 0, 0], y1), (x2, start[:, 3, 1]), (x2, end[:, 3, 1]),
        (end[:, 2, 0], y2), (start[:, 2, 0], y2), (x1, end[:, 1, 1]), (x1, start[:, 1, 1]),
    )  # fmt: skip
    return np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)


def fill_convex(polygons: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The pixels whose middle is in a convex polygon: (N, H, W) bool.

    Args:
        polygons: (N, K, 2) corners x and y, clockwise in the picture.
        size: (height, width) of the picture in pixels.
    """
    masks = np.zeros((len(polygons), *size), bool)
    for mask, corners in zip(masks, polygons, strict=True):
        left, top = np.floor(corners.min(axis=0)).clip(0, size[::-1]).astype(int)
        right, bottom = np.ceil(corners.max(axis=0)).clip(0, size[::-1]).astype(int)
        x, y = np.arange(left, right) + 0.5, np.arange(top, bottom)[:, None] + 0.5
        inside = np.ones((bottom - top, right - left), bool)
        for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            inside &= (x2 - x1) * (y - y1) >= (y2 - y1) * (x - x1)
        mask[top:bottom, left:right] = inside
    return masks
