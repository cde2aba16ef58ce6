"""Instance masks as polygons and as COCO's run lengths."""

from __future__ import annotations

from collections.abc import Sequence

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
        if shape is None:
            continue
        if isinstance(shape, dict):
            if tuple(shape["size"]) != tuple(size):
                pixels = f"a mask of {shape['size']} on an image of {list(size)} pixels"
                raise ValueError(f"{pixels}; correct the segmentation's size")
            encoded = shape if isinstance(shape["counts"], (str, bytes)) else rle.frPyObjects(shape, *size)
            mask[:] = rle.decode(encoded)
        else:
            parts = rle.frPyObjects([part.ravel().tolist() for part in shape], *size)
            mask[:] = rle.decode(parts).any(axis=2)
    return masks


def encode_mask(mask: np.ndarray) -> dict:
    """A (H, W) bool mask as COCO's uncompressed run-length encoding: runs down the columns, zeros first."""
    flat = np.concatenate(([False], mask.ravel(order="F"), [False]))
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate(([0], edges, [mask.size])))
    counts = counts[:-1] if counts[-1] == 0 else counts
    return {"size": [int(side) for side in mask.shape], "counts": [int(count) for count in counts]}
