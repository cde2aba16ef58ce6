"""Objects' masks in a size that follows from neither the image nor the object: each cut out by its box. NumPy."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

# Cells along each side of an object's mask in the targets of a batch; kzoo/data/README.md has what others cost.
MASK_SIDE = 56
_FAR = 1e7  # pixels: boxes of weights that have diverged end there


def crop_masks(masks: np.ndarray, boxes: np.ndarray, side: int = MASK_SIDE) -> np.ndarray:
    """Masks cut out by their boxes and brought to `side` x `side` cells.

    A cell is the share of its area that the mask covers, exactly, wherever edges of boxes lie between pixels; what is
    beyond the image is not covered.

    Args:
        masks: (N, H, W) bool, in the image's pixels.
        boxes: (N, 4) xyxy in the same pixels; one without area has no cells that are covered.
        side: cells along each side of a box, S; 1 or more.

    Returns:
        (N, S, S) uint8: 0 for nothing, 255 for all of a cell.

    Example:
        >>> crop_masks(np.ones((1, 9, 9), bool), np.array([[2, 2, 6, 6]]), side=2)[0].tolist()
        [[255, 255], [255, 255]]
    """
    cells = np.zeros((len(masks), side, side), np.uint8)
    for number, (mask, box) in enumerate(zip(masks, np.asarray(boxes, np.float64), strict=True)):
        x1, y1, x2, y2 = box.tolist()
        if not (x2 > x1 and y2 > y1):
            continue
        columns, left, right = _edges(x1, x2, side, mask.shape[1])
        rows, top, bottom = _edges(y1, y2, side, mask.shape[0])
        if right <= left or bottom <= top:
            continue
        window = np.ascontiguousarray(mask[top:bottom, left:right]).view(np.uint8)  # (h, w)
        # A mask is the same all over a pixel, so its integral up to a point is bilinear between the pixels' corners.
        integral = _between(
            _between(cv2.integral(window), rows - top, 0), columns - left, 1
        )  # (S + 1, S + 1)
        covered = np.diff(np.diff(integral, axis=0), axis=1)  # (S, S) square pixels
        cells[number] = np.rint(covered * (255.0 * side * side / ((x2 - x1) * (y2 - y1)))).clip(0, 255)
    return cells


def _edges(low: float, high: float, side: int, length: int) -> tuple[np.ndarray, int, int]:
    """(S + 1,) the edges of cells along an axis, within the image's `length` pixels; the first and end pixel there."""
    edges = np.linspace(low, high, side + 1).clip(0, length)
    return edges, int(edges[0]), int(np.ceil(edges[-1]))


def _between(table: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    """Values of a table between its rows or columns, linear from one to the next: float64."""
    first = np.minimum(places.astype(np.intp), table.shape[axis] - 2)
    share = (places - first).reshape((-1, 1) if axis == 0 else (1, -1))
    return table.take(first, axis) * (1 - share) + table.take(first + 1, axis) * share


def paste_masks(
    masks: np.ndarray,
    boxes: np.ndarray,
    size: tuple[int, int],
    threshold: float = 0.5,
    aligned: bool = False,
) -> np.ndarray:
    """Masks of boxes as masks of the image: see `pasted`, which gives one at a time.

    Args:
        masks: (N, S, S) float, probabilities inside each box, 0 to 1.
        boxes: (N, 4) xyxy in pixels of the image; they may reach beyond it.
        size: (height, width) of the image in pixels.
        threshold: the least probability of a pixel that is the object's, 0 to 1; 0.5 by default.
        aligned: whether cells lie where their box says, see `pasted`; False (default) is torchvision's way.

    Returns:
        (N, H, W) bool.

    Example:
        >>> paste_masks(np.ones((1, 28, 28)), np.array([[2, 2, 6, 6]]), (9, 9), aligned=True).sum()
        16
    """
    whole = np.zeros((len(masks), *size), bool)
    for number, (x1, y1, x2, y2), inside in _windows(masks, boxes, size, threshold, aligned):
        whole[number, y1:y2, x1:x2] = inside
    return whole


def pasted(
    masks: np.ndarray,
    boxes: np.ndarray,
    size: tuple[int, int],
    threshold: float = 0.5,
    aligned: bool = False,
) -> Iterator[np.ndarray]:
    """Masks of boxes as masks of the image, (H, W) bool, one at a time.

    A cell of nothing is laid around each mask, and the box grows by as much about its centre. Between the cells'
    centres probabilities are bilinear. As Mask R-CNN does it in torchvision, the corners are then cut down to whole
    pixels, of which the right and bottom ones belong to the box: objects grow by up to two pixels, which small ones
    feel. Aligned, each pixel takes the probability at its own centre in the box as it is, which undoes `crop_masks`.

    Args:
        masks: (N, S, S) float, probabilities inside each box, 0 to 1.
        boxes: (N, 4) xyxy in pixels of the image; they may reach beyond it.
        size: (height, width) of the image in pixels.
        threshold: the least probability of a pixel that is the object's, 0 to 1; 0.5 by default.
        aligned: whether cells lie where their box says; False (default) is torchvision's way.

    Source: `paste_masks_in_image` of torchvision's `models/detection/roi_heads.py`; He et al. 2017, arXiv:1703.06870.
    """
    for _, (x1, y1, x2, y2), inside in _windows(masks, boxes, size, threshold, aligned):
        whole = np.zeros(size, bool)
        whole[y1:y2, x1:x2] = inside
        yield whole


def _windows(
    masks: np.ndarray, boxes: np.ndarray, size: tuple[int, int], threshold: float, aligned: bool
) -> Iterator[tuple[int, tuple[int, int, int, int], np.ndarray]]:
    """The number of each mask, the window x1, y1, x2, y2 of the image that it may cover, and what it covers there."""
    side = np.shape(masks)[-1]
    corners = _grown(boxes, np.float32((side + 2) / side))  # (N, 4)
    if not aligned:
        corners = np.trunc(corners)  # towards zero, as torchvision does
        corners[:, 2:] = np.maximum(corners[:, 2:] + 1, corners[:, :2] + 1)
    for number, (x1, y1, x2, y2) in enumerate(corners.tolist()):
        padded = np.pad(np.asarray(masks[number], np.float32), 1)  # (S + 2, S + 2)
        columns, left, right = _weights(x1, x2, size[1], side + 2)
        rows, top, bottom = _weights(y1, y2, size[0], side + 2)
        yield number, (left, top, right, bottom), rows @ padded @ columns.T >= threshold


def _grown(boxes: np.ndarray, ratio: np.float32) -> np.ndarray:
    """Boxes (N, 4) xyxy, their sides times the ratio about their centres: float64, and finite."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    centres, halves = (boxes[:, 2:] + boxes[:, :2]) * 0.5, (boxes[:, 2:] - boxes[:, :2]) * 0.5 * ratio
    grown = np.concatenate([centres - halves, centres + halves], axis=1)
    return np.nan_to_num(grown, nan=0.0).clip(-_FAR, _FAR).astype(np.float64)


def _weights(low: float, high: float, length: int, cells: int) -> tuple[np.ndarray, int, int]:
    """How much each pixel of an axis takes of each cell, and which pixels of the image these are.

    Args:
        low: where the cells begin along the axis, in pixels.
        high: where they end.
        length: pixels of the image.
        cells: how many cells there are.

    Returns:
        (pixels, cells) float32, and the first pixel and the end of those whose middle is between the cells' ends.
    """
    start, end = (int(np.clip(np.ceil(edge - 0.5), 0, length)) for edge in (low, high))
    # The middle of each pixel in cells, counted from the first cell's middle, and the two cells about it.
    scale = cells / max(high - low, 1e-6)
    place = ((np.arange(start, end) + 0.5 - low) * scale - 0.5).clip(0, cells - 1)
    first = np.minimum(place.astype(np.intp), cells - 2)
    share = (place - first).astype(np.float32)
    weights = np.zeros((len(place), cells), np.float32)
    at = np.arange(len(place))
    weights[at, first], weights[at, first + 1] = 1 - share, share
    return weights, start, max(start, end)
