"""Anchor shapes from a dataset's own boxes: k-means with the distance 1 - IoU."""

from __future__ import annotations

import numpy as np

from kzoo.data.dataset import Dataset

_RESTARTS = 8
_ROUNDS = 300
_SAMPLE = 10_000


def kmeans_anchors(
    dataset: Dataset, k: int = 9, image_size: tuple[int, int] = (416, 416), seed: int = 0
) -> tuple[np.ndarray, float]:
    """The `k` box shapes that overlap a dataset's boxes best, as the network sees them.

    Redmon & Farhadi 2016, YOLO9000: Better, Faster, Stronger, arXiv:1612.08242, section 2, "Dimension clusters".

    Args:
        dataset: where the boxes come from; crowds and boxes without area are left out.
        k: how many anchors.
        image_size: (height, width) of the network's input; boxes are scaled as letterboxing scales the images.
        seed: of the starting points.

    Returns:
        (k, 2) float64 widths and heights in pixels of the input, by ascending area, and the mean over all boxes of
        the IoU with their best anchor.

    Raises:
        ValueError: the dataset has fewer different box shapes than `k`.
    """
    return kmeans(input_shapes(dataset, image_size), k, np.random.default_rng(seed))


def input_shapes(dataset: Dataset, image_size: tuple[int, int]) -> np.ndarray:
    """Widths and heights of all boxes, (N, 2) float64, after letterboxing to `image_size`."""
    shapes = [np.zeros((0, 2))]
    for index in range(len(dataset)):
        record = dataset.record(index)
        sides = record.boxes[:, 2:].astype(np.float64) - record.boxes[:, :2]
        with np.errstate(invalid="ignore"):
            usable = (sides > 0).all(axis=1) & np.isfinite(sides).all(axis=1) & ~record.crowd
        if usable.any():
            height, width = record.size or dataset.size(index)
            shapes.append(sides[usable] * min(image_size[0] / height, image_size[1] / width))
    return np.concatenate(shapes)


def kmeans(shapes: np.ndarray, k: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Clusters (N, 2) widths and heights by 1 - IoU; the best of several starts.

    Returns:
        (k, 2) shapes by ascending area, and the mean IoU of the boxes with the best of them.
    """
    distinct = len(np.unique(shapes, axis=0))
    if k < 1 or distinct < k:
        remedy = f"ask for 1 to {distinct}" if distinct else "give a dataset that has boxes"
        raise ValueError(f"{k} anchors from {distinct} different box shapes; {remedy}")
    # Of very many boxes a sample serves as well: the centres are medians of thousands each.
    sample = shapes if len(shapes) <= _SAMPLE else rng.choice(shapes, _SAMPLE, replace=False)
    found = [_descend(sample, _spread_start(sample, k, rng)) for _ in range(_RESTARTS)]
    best = max(found, key=lambda result: result[1])[0]
    best = best[np.argsort(best.prod(axis=1), kind="stable")]
    return best, float(shape_iou(shapes, best).max(axis=1).mean())


def shape_iou(shapes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """IoU of (N, 2) and (k, 2) widths and heights laid on one corner: (N, k)."""
    overlap = np.minimum(shapes[:, None], anchors[None]).prod(axis=2)
    return overlap / (shapes.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - overlap)


def _spread_start(shapes: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++: every next centre is drawn with a chance that grows with its distance from those there are."""
    centres = shapes[[rng.integers(len(shapes))]]
    while len(centres) < k:
        distance = (1 - shape_iou(shapes, centres).max(axis=1)).clip(0) ** 2
        centres = np.concatenate([centres, shapes[[rng.choice(len(shapes), p=distance / distance.sum())]]])
    return centres


def _descend(shapes: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, float]:
    """Lloyd's rounds from `centres`, with medians, which raise the IoU more than means; keeps the best round."""
    best, best_iou, assigned = centres, -1.0, None
    for _ in range(_ROUNDS):
        iou = shape_iou(shapes, centres)
        mean = float(iou.max(axis=1).mean())
        if mean > best_iou:
            best, best_iou = centres, mean
        nearest = iou.argmax(axis=1)
        if assigned is not None and (nearest == assigned).all():
            break
        assigned = nearest
        groups = [shapes[nearest == i] for i in range(len(centres))]
        rows = [np.median(g, axis=0) if len(g) else c for g, c in zip(groups, centres, strict=True)]
        centres = np.array(rows)
    return best, best_iou
