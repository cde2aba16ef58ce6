"""Regions that touch, merged from the most alike on until one is left; every region on the way is a proposal."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from kzoo.proposals.segments import Regions


class _Hierarchy:
    """Regions and what they are merged into: R at first, 2R - 1 at the end, each described as `Regions` are."""

    def __init__(self, regions: Regions, strategy: Sequence[str]):
        self.count = len(regions)
        self.strategy = strategy
        self.pixels = int(regions.sizes.sum())
        self.sizes = self._with_room(regions.sizes.astype(np.float32))
        self.boxes = self._with_room(regions.boxes)
        self.colour = self._with_room(regions.colour)
        self.texture = self._with_room(regions.texture)

    def _with_room(self, values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.zeros_like(values[: self.count - 1])])

    def merge(self, a: int, b: int) -> int:
        """Makes one region of two; gives its number."""
        new = self.count
        self.count += 1
        sizes = self.sizes
        sizes[new] = sizes[a] + sizes[b]
        for histograms in (self.colour, self.texture):
            histograms[new] = (histograms[a] * sizes[a] + histograms[b] * sizes[b]) / sizes[new]
        self.boxes[new] = _around(self.boxes[a], self.boxes[b])
        return new

    def similarities(self, a, b: np.ndarray) -> np.ndarray:
        """How alike each region of `a` (K,), or one region, is to each of `b` (K,): the strategy's measures summed."""
        total = np.zeros(len(b), np.float32)
        if "colour" in self.strategy:
            total += np.minimum(self.colour[a], self.colour[b]).sum(-1)
        if "texture" in self.strategy:
            total += np.minimum(self.texture[a], self.texture[b]).sum(-1)
        both = self.sizes[a] + self.sizes[b]
        if "size" in self.strategy:
            total += 1 - both / self.pixels
        if "fill" in self.strategy:
            box = _around(self.boxes[a], self.boxes[b])
            total += 1 - ((box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1]) - both) / self.pixels
        return total


def _around(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The box around two: (..., 4), (..., 4) -> (..., 4)."""
    return np.concatenate([np.minimum(a[..., :2], b[..., :2]), np.maximum(a[..., 2:], b[..., 2:])], axis=-1)


def group(regions: Regions, strategy: Sequence[str]) -> np.ndarray:
    """The boxes of all regions, and of all that they are merged into.

    Args:
        regions: R regions, which together are connected.
        strategy: names of the measures that tell how alike two regions are: "colour", "texture", "size" (small ones
            first) and "fill" (those that fill the box around them).

    Returns:
        (2R - 1, 4) xyxy pixels in the order of making: the last is around all.

    Source: Uijlings et al. 2013, IJCV 104(2), sections 3.1 and 3.2.
    """
    hierarchy = _Hierarchy(regions, strategy)
    neighbours = [set() for _ in range(len(hierarchy.sizes))]
    for a, b in regions.pairs.tolist():
        neighbours[a].add(b)
        neighbours[b].add(a)
    alike = hierarchy.similarities(regions.pairs[:, 0], regions.pairs[:, 1])
    heap = [(-s, a, b) for s, (a, b) in zip(alike.tolist(), regions.pairs.tolist(), strict=True)]
    heapq.heapify(heap)
    alive = [True] * len(regions)
    while heap:
        _, a, b = heapq.heappop(heap)
        if not (alive[a] and alive[b]):
            continue
        new = hierarchy.merge(a, b)
        alive[a] = alive[b] = False
        alive.append(True)
        around = sorted((neighbours[a] | neighbours[b]) - {a, b})
        neighbours[new] = set(around)
        for other in around:
            neighbours[other] -= {a, b}
            neighbours[other].add(new)
        if around:
            alike = hierarchy.similarities(new, np.array(around))
            for similarity, other in zip(alike.tolist(), around, strict=True):
                heapq.heappush(heap, (-similarity, other, new))
    return hierarchy.boxes
