"""Boxes of one photograph that was looked at several times, as one list: averaged over views, joined over tiles,
or the best of all that overlap.

Boxes are NumPy arrays (N, 4) xyxy in the photograph's pixels, in dictionaries with `scores` and `labels` (N,), and what
else there is of each: cells of masks, outermost points, patches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kzoo.inference.masks import agreement, common, united
from kzoo.metrics.matching import area, covered, iou, shared_area

SAME = 0.55  # overlap (IoU) from which boxes of two views are of one object: the paper's
ONE_OBJECT = 0.5  # overlap, in what two tiles share, from which both see one object
INSIDE = 0.7  # share of a cut box that lies in a whole one of its class, from which it is a piece of it
EDGE = 0.02  # share of a tile's side: a box that ends so near the tile's border is cut by it

Found = dict[str, np.ndarray]


def averaged(views: Sequence[Found], same: float = SAME) -> Found:
    """Boxes of several views of a photograph as their averages.

    Boxes of a class that overlap enough are one cluster: its box is their mean by scores, its score the mean of
    theirs over all views, so that what few views have loses. Cells of masks, which lie in boxes, and outermost points
    are means by scores as well.

    Args:
        views: what was found in each, two or more.
        same: overlap (IoU) from which boxes are of one cluster, 0 to 1.

    Returns:
        One row a cluster, best score first.

    Source: Solovyev et al. 2019, arXiv:1910.13302 (weighted boxes fusion).
    """
    boxes, scores, labels = (
        np.concatenate([view[name] for view in views]) for name in ("boxes", "scores", "labels")
    )
    clusters: list[list[int]] = []
    means = np.zeros((len(boxes), 4), np.float64)  # of the first len(clusters) clusters
    classes = np.full(len(boxes), -1)
    for row in np.argsort(-scores, kind="stable"):
        count = len(clusters)
        overlap = iou(boxes[row : row + 1], means[:count])[0] * (classes[:count] == labels[row])
        place = int(overlap.argmax()) if count else 0
        if count and overlap[place] > same:
            clusters[place].append(row)
        else:
            place = count
            clusters.append([row])
            classes[place] = labels[row]
        means[place] = _mean(boxes, scores, clusters[place])
    shares = [scores[rows].mean() * min(len(rows), len(views)) / len(views) for rows in clusters]
    found = {"boxes": means[: len(clusters)], "scores": np.array(shares), "labels": classes[: len(clusters)]}
    for name in views[0].keys() - found.keys():
        values = np.concatenate([view[name] for view in views])
        found[name] = np.array([_mean(values, scores, rows) for rows in clusters]).reshape(
            -1, *values.shape[1:]
        )
    return by_score(found)


def _mean(values: np.ndarray, scores: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """The mean of some rows by their scores."""
    weights = np.maximum(scores[rows].astype(np.float64), 1e-12)
    return np.average(values[rows], axis=0, weights=weights)


def joined(tiles: Sequence[Found], areas: np.ndarray, size: tuple[int, int]) -> Found:
    """Boxes of overlapping tiles of a photograph, each object once.

    Two tiles see one object if its boxes, or where there are its masks, agree in what the tiles share. Of an object
    that some tile has whole, the best such box and its mask are taken; one that is cut in all of them becomes the box
    around its pieces, and has their masks as one.

    Args:
        tiles: what was found in each tile; `patches` (N,) of `kzoo.inference.masks.Patch` are masks.
        areas: (T, 4) xyxy of the tiles in the photograph's pixels.
        size: height and width of the photograph in pixels.

    Returns:
        One row an object, best score first.
    """
    # Of thousands of tiles most are empty.
    filled = [place for place, tile in enumerate(tiles) if len(tile["scores"])] or [0]
    tiles, areas = [tiles[place] for place in filled], areas[filled]
    boxes, scores, labels = (
        np.concatenate([tile[name] for tile in tiles]) for name in ("boxes", "scores", "labels")
    )
    patches = np.concatenate([tile["patches"] for tile in tiles]) if "patches" in tiles[0] else None
    ends = np.cumsum([len(tile["scores"]) for tile in tiles])
    rows = [np.arange(end - len(tile["scores"]), end) for end, tile in zip(ends, tiles, strict=True)]
    cut = np.concatenate(
        [is_cut(tile["boxes"], area, size) for tile, area in zip(tiles, areas, strict=True)]
    )  # (N,) bool
    parents = np.arange(len(boxes))
    for one, other in _neighbours(areas):
        shared = np.concatenate(
            [np.maximum(areas[one], areas[other])[:2], np.minimum(areas[one], areas[other])[2:]]
        )
        mine, others = rows[one], rows[other]
        overlap = iou(_clipped(boxes[mine], shared), _clipped(boxes[others], shared))
        overlap *= labels[mine, None] == labels[others]
        if patches is not None:
            for i, j in np.argwhere(overlap > 0):
                overlap[i, j] = agreement(patches[mine[i]], patches[others[j]], shared.astype(int))
        for i, j in np.argwhere(overlap >= ONE_OBJECT):
            parents[_root(parents, mine[i])] = _root(parents, others[j])
    groups: dict[int, list[int]] = {}
    for row in range(len(boxes)):
        groups.setdefault(_root(parents, row), []).append(row)
    # Those of each object's boxes that it is made of: the best whole one, or all pieces.
    used = [_used(np.array(group), scores[group], cut[group]) for group in groups.values()]
    found = {
        "boxes": np.array([_around(boxes[group]) for group in used]).reshape(-1, 4),
        "scores": np.array([scores[group].max() for group in groups.values()]),
        "labels": np.array([labels[group[0]] for group in groups.values()], np.int64),
    }
    if patches is not None:
        found["patches"] = np.empty(len(used), object)
        for number, group in enumerate(used):
            found["patches"][number] = united(patches[group])
    return by_score(_without_pieces(found, np.array([cut[group].all() for group in used], bool)))


def softened(found: Found, sigma: float, most: int) -> Found:
    """The best boxes, of which each takes score from those of its class that overlap it.

    Args:
        found: `boxes` (N, 4) xyxy, `scores` and `labels` (N,).
        sigma: width of the kernel, above 0: scores are multiplied by exp(-IoU^2 / sigma).
        most: number of boxes that are kept.

    Returns:
        One row a box, best score first.

    Source: Bodla et al. 2017, arXiv:1704.04503 (Soft-NMS), section 3.
    """
    boxes, labels, scores = found["boxes"], found["labels"], found["scores"].astype(np.float64)
    left, chosen = np.ones(len(scores), bool), []
    for _ in range(min(most, len(scores))):
        best = int(np.where(left, scores, -1.0).argmax())
        chosen.append(best)
        left[best] = False
        overlap = iou(boxes[best : best + 1], boxes)[0] * (labels == labels[best]) * left
        scores = scores * np.exp(-(overlap**2) / sigma)
    return {"boxes": boxes[chosen], "scores": scores[chosen], "labels": labels[chosen]}


def is_cut(boxes: np.ndarray, area: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Whether boxes (N, 4) end at a border of their tile inside the photograph: (N,) bool.

    Args:
        boxes: (N, 4) xyxy in the photograph's pixels.
        area: (4,) xyxy of the tile.
        size: height and width of the photograph in pixels.
    """
    margin = EDGE * np.tile(area[2:] - area[:2], 2)  # (4,)
    near = np.abs(boxes - area) <= margin  # (N, 4)
    inner = np.array([area[0] > 0, area[1] > 0, area[2] < size[1], area[3] < size[0]])
    return (near & inner).any(1)


def by_score(found: Found) -> Found:
    """The same, best score first."""
    order = np.argsort(-found["scores"], kind="stable")
    return {name: value[order] for name, value in found.items()}


def _used(rows: np.ndarray, scores: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """Which of the rows (K,) of one object it is made of: the best that is not cut, or all."""
    return rows if cut.all() else rows[[np.where(cut, -1, scores).argmax()]]


def _around(boxes: np.ndarray) -> np.ndarray:
    """The box (4,) around boxes (K, 4)."""
    return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])


def _without_pieces(found: Found, pieces: np.ndarray) -> Found:
    """The objects without pieces that lie in another of their class, in its mask or else its box, and were not seen to
    be of it."""
    boxes, labels = found["boxes"], found["labels"]
    inside = covered(boxes, boxes)  # (N, N) share of the row's box
    inside *= (labels[:, None] == labels) & (area(boxes)[:, None] < area(boxes)) & pieces[:, None]
    if "patches" in found:
        patches = found["patches"]
        for i, j in np.argwhere(inside >= INSIDE):
            inside[i, j] = common(patches[i], patches[j]) / max(patches[i].count, 1)
    return {name: value[~(inside >= INSIDE).any(1)] for name, value in found.items()}


def _neighbours(areas: np.ndarray) -> np.ndarray:
    """(K, 2) numbers of tiles that share pixels, each pair once."""
    return np.argwhere(np.triu(shared_area(areas, areas) > 0, 1))


def _root(parents: np.ndarray, row: int) -> int:
    while parents[row] != row:
        row = parents[row]
    return row


def _clipped(boxes: np.ndarray, area: np.ndarray) -> np.ndarray:
    return np.clip(boxes, np.tile(area[:2], 2), np.tile(area[2:], 2))
