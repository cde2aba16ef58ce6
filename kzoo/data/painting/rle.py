"""Instance masks as polygons and as COCO's run lengths, drawn in memory that follows from the image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np


def draw_masks(polygons: Sequence, size: tuple[int, int]) -> np.ndarray:
    """Polygons and run-length encodings as masks, drawn as COCO's own evaluation draws them.

    Args:
        polygons: for every object a list of (K, 2) arrays in pixels, an RLE dict, or None for an empty mask.
        size: (height, width) of the image.

    Returns:
        (N, H, W) bool.

    Raises:
        ValueError: an RLE is of another size than the image.
    """
    from faster_coco_eval.core import mask as rle

    masks = np.zeros((len(polygons), *size), bool)
    for mask, shape in zip(masks, polygons, strict=True):
        runs = [] if shape is None else _compressed(shape, size, size)
        if runs:
            _fill(mask, (runs[0] if len(runs) == 1 else rle.merge(runs))["counts"])
    return masks


def _fill(mask: np.ndarray, counts: str | bytes) -> None:
    """Sets the pixels of compressed run lengths in an empty mask (H, W): of the columns that they lie in alone."""
    height = len(mask)
    runs = _decompressed(counts if isinstance(counts, str) else counts.decode("ascii"))
    box = box_of_runs(runs, height)
    if box is None:
        return
    left, top, right, bottom = box
    # From the first pixel of the first column to the last one of the last: ground before and behind is cut.
    ends = np.clip(np.cumsum(runs), left * height, right * height)
    lengths = np.diff(ends, prepend=left * height)
    values = (np.arange(len(runs)) % 2).astype(bool)
    columns = np.zeros((right - left) * height, bool)
    columns[: lengths.sum()] = np.repeat(values, lengths)
    mask[top:bottom, left:right] = columns.reshape(-1, height)[:, top:bottom].T


def draw_union(shapes: Sequence, size: tuple[int, int], image: tuple[int, int] | None = None) -> np.ndarray:
    """What any of some shapes covers, in one pass over the pixels, however many shapes there are.

    Args:
        shapes: lists of (K, 2) arrays in pixels, and RLE dicts.
        size: (height, width) that is drawn on.
        image: (height, width) of the whole image where `size` is its top left corner, which polygons alone can be
            drawn on; `size` where None.

    Returns:
        (H, W) bool of `size`.

    Raises:
        ValueError: an RLE is of another size than `size`.
    """
    from faster_coco_eval.core import mask as rle

    runs = [run for shape in shapes for run in _compressed(shape, size, image or size)]
    if not runs:
        return np.zeros(size, bool)
    columns = rle.decode(runs[0] if len(runs) == 1 else rle.merge(runs))
    return cv2.transpose(columns.T).view(bool)  # OpenCV turns columns into rows ten times as fast as NumPy.


def _compressed(shape: list[np.ndarray] | dict, size: tuple[int, int], image: tuple[int, int]) -> list[dict]:
    """A shape as COCO's compressed run lengths, one for each of its polygons."""
    from faster_coco_eval.core import mask as rle

    if not isinstance(shape, dict):
        polygons = [near for polygon in shape if len(near := near_image(polygon, image))]  # each (K, 2)
        # COCO's drawing, pixel for pixel, but for outlines so long that they would fill the memory.
        endless = [polygon for polygon in polygons if _is_endless(polygon, image)]
        usual = [polygon.ravel().tolist() for polygon in polygons if not _is_endless(polygon, image)]
        runs = rle.frPyObjects(usual, *size) if usual else []
        return [*runs, *(rle.encode(_filled(polygon, size)) for polygon in endless)]
    if tuple(shape["size"]) != tuple(size):
        pixels = f"a mask of {shape['size']} on an image of {list(size)} pixels"
        raise ValueError(f"{pixels}; correct the segmentation's size")
    return [shape if isinstance(shape["counts"], (str, bytes)) else rle.frPyObjects(shape, *size)]


def near_image(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The part of a polygon (K, 2) within one longer side around the image: (L, 2), the same where it all is.

    COCO's drawing takes memory for each pixel of the outline, wherever it lies.

    Raises:
        ValueError: it holds NaN or infinity.
    """
    if not np.isfinite(polygon).all():
        raise ValueError("an outline holds NaN or infinity; correct it")
    margin = max(size)
    for axis, side in ((0, size[1]), (1, size[0])):
        for sign, bound in ((1, -margin), (-1, side + margin)):
            polygon = _clipped(polygon, axis, sign, bound)
    return polygon


def _clipped(polygon: np.ndarray, axis: int, sign: int, bound: float) -> np.ndarray:
    """The part of a polygon with `sign * coordinate >= sign * bound`, by Sutherland and Hodgman."""
    depth = sign * (polygon[:, axis] - bound)  # (K,) inside where not negative
    if (depth >= 0).all():
        return polygon
    after, next_depth = np.roll(polygon, -1, axis=0), np.roll(depth, -1)
    crosses = (depth >= 0) != (next_depth >= 0)
    share = np.divide(depth, depth - next_depth, out=np.zeros_like(depth), where=crosses)
    crossing = polygon + share[:, None] * (after - polygon)
    crossing[:, axis] = bound
    both = np.stack([polygon, crossing], axis=1)  # (K, 2, 2): every point, and where its edge crosses
    return both[np.stack([depth >= 0, crosses], axis=1)]


def _is_endless(polygon: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether an outline is longer than any object's: it is drawn in the memory of the image."""
    length = np.abs(np.diff(polygon, axis=0, append=polygon[:1])).max(1).sum()
    return length > 1e5 + size[0] * size[1] / 4


def _filled(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The pixels whose middles lie in a polygon, even-odd: (H, W) uint8, some edges at a time.

    Along a row of pixels every edge that crosses it changes inside to outside or back: so changes are counted where
    they happen, and summed up from the left.
    """
    height, width = size
    toggles = np.zeros((height, width + 1), np.uint8)  # changes between inside and outside, modulo 256
    middles = np.arange(height) + 0.5  # (H,)
    edges = np.stack([polygon, np.roll(polygon, -1, axis=0)], axis=1)  # (K, 2, 2): ends, xy
    step = max(1, 10**6 // height)
    for first in range(0, len(edges), step):
        (x1, y1), (x2, y2) = edges[first : first + step].transpose(1, 2, 0)
        edge, row = np.nonzero((y1[:, None] <= middles) != (y2[:, None] <= middles))
        share = (middles[row] - y1[edge]) / (y2 - y1)[edge]
        column = np.ceil(x1[edge] + share * (x2 - x1)[edge] - 0.5).clip(0, width).astype(np.int64)
        np.add.at(toggles, (row, column), 1)
    return np.asfortranarray(np.cumsum(toggles, axis=1, dtype=np.uint8)[:, :-1] & 1)


def run_lengths(counts: Sequence[int] | str, size: Sequence[int]) -> np.ndarray:
    """The run lengths of an RLE, plain or compressed: (R,) int64 of ground, object, ground, ... down the columns.

    Args:
        counts: the lengths, or COCO's string of them.
        size: (height, width), which they have to fill.

    Raises:
        ValueError: they are no run lengths, or do not fill an image of that size.
    """
    if isinstance(counts, str):
        runs = _decompressed(counts)
    else:
        try:
            runs = np.array(counts)
        except (ValueError, TypeError, OverflowError):
            runs = np.array(None)
        if not len(counts):
            runs = np.zeros(0, np.int64)
        if runs.ndim != 1 or runs.dtype.kind not in "iuf" or (runs != np.floor(runs)).any():
            raise ValueError("counts are not whole numbers")
    if (runs < 0).any():
        raise ValueError(f"counts hold {runs.min():g}, a negative run")
    total, pixels = float(runs.astype(np.float64).sum()), int(size[0]) * int(size[1])
    if total != pixels:
        raise ValueError(f"counts sum to {total:.15g}, not to the {pixels} pixels of {size[1]} x {size[0]}")
    return runs.astype(np.int64)


def _decompressed(text: str) -> np.ndarray:
    """COCO's string of run lengths as numbers: (R,) int64.

    A character holds five bits, counted from "0" on, and in its sixth whether more of the number follow. From the
    fourth run on the number is by how much it is longer than the last but one: of the same kind, object or ground.

    Source: rleFrString of cocoapi's maskApi.c, Lin et al. 2014.
    """
    codes = np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(codes & 32 == 0)
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or not len(ends) or ends[-1] != len(codes) - 1:
        raise ValueError("counts are no compressed run lengths")
    starts = np.concatenate([[0], ends[:-1] + 1])
    widths = ends - starts + 1
    if widths.max() > 8:
        raise ValueError("counts hold a run longer than any image")
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, widths))
    runs = np.add.reduceat((codes & 31) << shifts, starts)
    runs -= np.where(codes[ends] & 16, 1 << (5 * widths), 0)  # two's complement of that many bits
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def box_of_runs(runs: np.ndarray, height: int) -> tuple[int, int, int, int] | None:
    """The box x1, y1, x2, y2 around what run lengths cover; None where that is nothing."""
    lengths = runs[1::2]  # of the object; those of ground lie between
    ends = np.cumsum(runs)[1::2]
    starts, ends = (ends - lengths)[lengths > 0], ends[lengths > 0]
    if not len(starts):
        return None
    first, last = starts // height, (ends - 1) // height  # the columns that each run begins and ends in
    x1, x2 = int(first.min()), int(last.max()) + 1
    if (first != last).any():  # such a run goes down to the lowest row and on from the top
        return x1, 0, x2, height
    return x1, int((starts % height).min()), x2, int(((ends - 1) % height).max()) + 1
