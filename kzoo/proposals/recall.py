"""How many objects there is a box for, among the first boxes of each image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kzoo.metrics.matching import iou


def recall(
    proposals: Sequence[np.ndarray],
    objects: Sequence[np.ndarray],
    counts: Sequence[int] = (100, 300, 500, 1000, 2000),
    threshold: float = 0.5,
) -> dict[int, float]:
    """The share of objects that a box overlaps, by how many boxes of each image are looked at.

    Args:
        proposals: for each image (N, 4) xyxy boxes, best first.
        objects: for each image (G, 4) xyxy boxes of its objects.
        counts: numbers of boxes an image.
        threshold: the least intersection over union of a box that counts, 0 to 1; 0.5 by default.

    Returns:
        For each count the share of all images' objects, 0 to 1; not a number where there are no objects.
    """
    found = {count: [] for count in counts}
    for boxes, truth in zip(proposals, objects, strict=True):
        near = iou(np.asarray(truth), np.asarray(boxes)) >= threshold  # (G, N)
        for count in counts:
            found[count].append(near[:, :count].any(1))
    return {count: _share(np.concatenate(hits)) if hits else float("nan") for count, hits in found.items()}


def _share(hits: np.ndarray) -> float:
    return float(hits.mean()) if len(hits) else float("nan")
