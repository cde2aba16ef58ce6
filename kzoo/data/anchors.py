"""Anchor shapes from a dataset's own boxes: k-means with the distance 1 - IoU."""

from __future__ import annotations

import numpy as np

from kzoo.data.dataset import Dataset

_RESTARTS = 8  # sets of starting points, of which the best result is kept
_ROUNDS = 300  # at most, of assigning shapes to centres and moving the centres
_SAMPLE = 10_000  # shapes that are clustered, where there are more


def kmeans_anchors(
    dataset: Dataset, k: int = 9, image_size: tuple[int, int] = (416, 416), seed: int = 0
) -> tuple[np.ndarray, float]:
    """The `k` box shapes that overlap a dataset's boxes best, as the network sees them.

    Redmon & Farhadi 2016, YOLO9000: Better, Faster, Stronger, arXiv:1612.08242, section 2, "Dimension clusters".

    Args:
        dataset: where the boxes come from; crowds and boxes without area are left out.
        k: number of anchors, 1 or more; 9 are YOLOv3's, three at each of its three scales.
        image_size: (height, width) of the network's input; boxes are scaled as letterboxing scales the images.
        seed: seeds the starting points of the clusters; the same seed gives the same anchors.

    Returns:
        (k, 2) float64 widths and heights in pixels of the input, by ascending area, and the mean over all boxes of
        the IoU with their best anchor.

    Raises:
        ValueError: the dataset has fewer different box shapes than `k`.

    Example:
        >>> anchors, mean_iou = kmeans_anchors(kzoo.data.load("shapes"), k=6, image_size=(416, 416))
        >>> anchors.shape
        (6, 2)
    """
    return kmeans(input_shapes(dataset, image_size), k, np.random.default_rng(seed))


def input_shapes(dataset: Dataset, image_size: tuple[int, int]) -> np.ndarray:
    """Widths and heights of all boxes, (N, 2) float64, after letterboxing to `image_size`.

    Images are decoded where the dataset has no `record(i)`, which tells boxes without that.
    """
    shapes = [np.zeros((0, 2))]  # each (n, 2) width, height of an image's boxes
    annotation = getattr(dataset, "record", dataset.__getitem__)
    for index in range(len(dataset)):
        record = annotation(index)
        sides = record.boxes[:, 2:].astype(np.float64) - record.boxes[:, :2]
        with np.errstate(invalid="ignore"):
            usable = (sides > 0).all(axis=1) & np.isfinite(sides).all(axis=1) & ~record.crowd
        if usable.any():
            height, width = record.size or dataset.size(index)
            shapes.append(sides[usable] * min(image_size[0] / height, image_size[1] / width))
    return np.concatenate(shapes)


def kmeans(shapes: np.ndarray, k: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Clusters box shapes by the distance 1 - IoU; the best of several starts.

    Args:
        shapes: (N, 2) widths and heights.
        k: number of clusters, 1 to the number of different shapes.
        rng: draws the starting points, and the sample where there are very many shapes.

    Returns:
        (k, 2) shapes by ascending area, and the mean IoU of the boxes with the best of them.
    """
    distinct = len(np.unique(shapes, axis=0))
    if k < 1 or distinct < k:
        remedy = f"ask for 1 to {distinct}" if distinct else "give a dataset that has boxes"
        raise ValueError(f"{k} anchors from {distinct} different box shapes; {remedy}")
    # Of very many boxes a sample serves as well: the centres are medians of thousands each.
    sample = shapes if len(shapes) <= _SAMPLE else rng.choice(shapes, _SAMPLE, replace=False)
    runs = [_descend(sample, _spread_start(sample, k, rng)) for _ in range(_RESTARTS)]
    best = max(runs, key=lambda run: run[1])[0]  # (k, 2), of the highest mean IoU
    best = best[np.argsort(best.prod(axis=1), kind="stable")]
    return best, float(shape_iou(shapes, best).max(axis=1).mean())


def shape_iou(shapes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """IoU of (N, 2) and (k, 2) widths and heights laid on one corner: (N, k)."""
    overlap = np.minimum(shapes[:, None], anchors[None]).prod(axis=2)  # (N, k)
    return overlap / (shapes.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - overlap)


def _spread_start(shapes: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++: every next centre is drawn with a chance that grows with its distance from those there are."""
    centres = shapes[[rng.integers(len(shapes))]]
    while len(centres) < k:
        distance = (1 - shape_iou(shapes, centres).max(axis=1)).clip(0) ** 2  # (N,)
        centres = np.concatenate([centres, shapes[[rng.choice(len(shapes), p=distance / distance.sum())]]])
    return centres


def _descend(shapes: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, float]:
    """Lloyd's rounds from `centres`, with medians, which raise the IoU more than means; keeps the best round."""
    best, best_iou, assigned = centres, -1.0, None
    for _ in range(_ROUNDS):
        iou = shape_iou(shapes, centres)  # (N, k)
        mean = float(iou.max(axis=1).mean())
        if mean > best_iou:
            best, best_iou = centres, mean
        nearest = iou.argmax(axis=1)  # (N,)
        if assigned is not None and (nearest == assigned).all():
            break
        assigned = nearest
        groups = [shapes[nearest == i] for i in range(len(centres))]
        # A centre that is nearest to no shape stays where it is.
        medians = [np.median(g, axis=0) if len(g) else c for g, c in zip(groups, centres, strict=True)]
        centres = np.array(medians)
    return best, best_iou
