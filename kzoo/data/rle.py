"""Instance masks as polygons and as COCO's run lengths."""

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
    masks = np.zeros((len(polygons), *size), bool)
    for mask, shape in zip(masks, polygons, strict=True):
        if shape is not None:
            mask[:] = draw_union([shape], size)
    return masks


def draw_union(shapes: Sequence, size: tuple[int, int]) -> np.ndarray:
    """What any of some shapes covers: (H, W) bool. One pass over the pixels, however many there are.

    Args:
        shapes: lists of (K, 2) arrays in pixels, and RLE dicts.
        size, raises: as for `draw_masks`.
    """
    from faster_coco_eval.core import mask as rle

    runs = [run for shape in shapes for run in _compressed(shape, size)]
    columns = rle.decode(runs[0] if len(runs) == 1 else rle.merge(runs))
    return cv2.transpose(columns.T).view(bool)  # OpenCV turns columns into rows ten times as fast as NumPy.


def _compressed(shape: list[np.ndarray] | dict, size: tuple[int, int]) -> list[dict]:
    """A shape as COCO's compressed run lengths, one for each of its polygons."""
    from faster_coco_eval.core import mask as rle

    if not isinstance(shape, dict):
        return rle.frPyObjects([part.ravel().tolist() for part in shape], *size)
    if tuple(shape["size"]) != tuple(size):
        pixels = f"a mask of {shape['size']} on an image of {list(size)} pixels"
        raise ValueError(f"{pixels}; correct the segmentation's size")
    return [shape if isinstance(shape["counts"], (str, bytes)) else rle.frPyObjects(shape, *size)]


def encode_mask(mask: np.ndarray) -> dict:
    """A (H, W) bool mask as COCO's uncompressed run-length encoding: runs down the columns, zeros first."""
    flat = np.concatenate(([False], mask.ravel(order="F"), [False]))
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate(([0], edges, [mask.size])))
    counts = counts[:-1] if counts[-1] == 0 else counts
    return {"size": [int(side) for side in mask.shape], "counts": [int(count) for count in counts]}


def compress_mask(mask: np.ndarray) -> dict:
    """A (H, W) bool mask as COCO's compressed run-length encoding, which takes a byte or two a run."""
    from faster_coco_eval.core import mask as rle

    found = rle.encode(np.asfortranarray(mask, np.uint8))
    return {"size": [int(side) for side in mask.shape], "counts": found["counts"].decode("ascii")}
