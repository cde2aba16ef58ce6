"""Masks as COCO's run lengths: a few hundred bytes an object, however large the image is."""

from __future__ import annotations

import numpy as np


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

    encoded = rle.encode(np.asfortranarray(mask, np.uint8))
    return {"size": [int(side) for side in mask.shape], "counts": encoded["counts"].decode("ascii")}


def area_of_runs(runs: dict) -> float:
    """The pixels of a mask in COCO's compressed run-length encoding."""
    from faster_coco_eval.core import mask as rle

    return float(rle.area(runs))


def as_runs(masks) -> list[dict]:
    """Masks (N, H, W) bool, or any of them as run lengths already, as COCO's compressed run-length encodings."""
    return [mask if isinstance(mask, dict) else compress_mask(mask) for mask in masks]
