"""Classes in a tree, as YOLO9000 has them: one softmax over the children of each, probabilities down the branches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from keras import ops

from kzoo.ops.gather import stable_top_k, take_rows


def check_parents(parents: Sequence[int]) -> list[int]:
    """The parents of a tree's nodes as plain numbers, if they make a tree.

    Args:
        parents: of each node the number of the one above it, which comes before it, or -1 at the top.

    Raises:
        ValueError: a node stands above its parent, or the first one is not at the top.
    """
    parents = [int(parent) for parent in parents]
    for node, parent in enumerate(parents):
        if not -1 <= parent < node:
            raise ValueError(f"tree: node {node} has the parent {parent}; give -1 or a node before it")
    if not parents:
        raise ValueError("tree: has no nodes; give the parent of each")
    return parents


class WordTree:
    """What logits of a tree's nodes mean.

    Siblings that stand one after the other make a group, which one softmax goes over. The probability of a node is
    the product of those from the top down to it.

    Args:
        parents: as `check_parents` takes them.

    Source: YOLO9000, arXiv:1612.08242, section 4; Darknet's tree.c.

    Example:
        >>> tree = WordTree([-1, -1, 0, 0])     # two nodes at the top, two below the first
        >>> ops.exp(tree.log_probabilities(logits))
    """

    def __init__(self, parents: Sequence[int]):
        self.parents = check_parents(parents)
        parents = np.array(self.parents)
        starts = [0, *(np.flatnonzero(parents[1:] != parents[:-1]) + 1)]
        sizes = np.diff([*starts, len(parents)])
        # Of each group the node above it, and of each node the group below it: the last one, if there are several.
        self.above = parents[starts]
        self.below = np.full(len(parents), -1)
        for group, parent in enumerate(self.above):
            if parent >= 0:
                self.below[parent] = group
        # Groups of one size are computed together: there are fewer sizes than groups.
        self.buckets = [
            np.array([np.arange(start, start + size) for start in np.array(starts)[sizes == size]])
            for size in np.unique(sizes)
        ]
        self.back = np.argsort(np.concatenate([bucket.ravel() for bucket in self.buckets]))
        order = np.concatenate([np.flatnonzero(sizes == size) for size in np.unique(sizes)])
        self.group_back = np.argsort(order)
        self.depth = _depth(self.parents)

    def log_softmax(self, logits):
        """Logarithms of each node's probability given its parent: (..., C) -> (..., C)."""
        shape = tuple(ops.shape(logits)[:-1])
        parts = zip(self._parts(logits), self.buckets, strict=True)
        flat = [ops.reshape(ops.log_softmax(part), (*shape, bucket.size)) for part, bucket in parts]
        return ops.take(ops.concatenate(flat, axis=-1), _ints(self.back), axis=-1)

    def log_probabilities(self, logits):
        """Logarithms of each node's own probability: (..., C) -> (..., C)."""
        total = self.log_softmax(logits)
        count = len(self.parents)
        total = ops.concatenate([total, ops.zeros_like(total[..., :1])], axis=-1)
        # Each adds what stands above it, then what stands as far above that again: the whole branch in few steps.
        above = np.array([*(count if parent < 0 else parent for parent in self.parents), count])
        while (above != count).any():
            total = total + ops.take(total, _ints(above), axis=-1)
            above = above[above]
        return total[..., :count]

    def choose(self, probabilities, threshold: float):
        """The node that a walk down the tree ends at: (R, C) probabilities -> (R,) int32.

        From the top it goes to the likeliest child while the product of the probabilities met is above the
        threshold; where even the likeliest at the top is not, that one is taken.

        Args:
            probabilities: (R, C), each node's own.
            threshold: Darknet's `hier`, .5.

        Source: Darknet's `hierarchy_top_prediction`, which multiplies nodes' own probabilities once more.
        """
        best, child = self._best(probabilities)
        group = ops.zeros_like(child[:, 0])
        product = ops.ones_like(best[:, 0])
        node, done = group, ops.zeros_like(product)
        for _ in range(self.depth):
            likely, which = (take_rows(part, ops.expand_dims(group, -1))[:, 0] for part in (best, child))
            further = product * likely > threshold
            below = ops.take(_ints(self.below), which, axis=0)
            stays = ops.where(ops.equal(group, 0), which, ops.take(_ints(self.above), group, axis=0))
            ends = ops.where(further, which, stays)
            node = ops.where(done > 0, node, ends)
            leaf = ops.logical_or(ops.logical_not(further), below < 0)
            done = ops.maximum(done, ops.cast(leaf, done.dtype))
            group = ops.where(done > 0, group, ops.maximum(below, 0))
            product = product * likely
        return node

    def _parts(self, values) -> list:
        """The groups of each size: (..., groups, size)."""
        taken = (ops.take(values, _ints(bucket.ravel()), axis=-1) for bucket in self.buckets)
        shape = tuple(ops.shape(values)[:-1])
        return [
            ops.reshape(part, (*shape, *bucket.shape))
            for part, bucket in zip(taken, self.buckets, strict=True)
        ]

    def _best(self, probabilities):
        """Of every group the largest probability and the node that has it, both (R, groups)."""
        values, nodes = [], []
        for part, bucket in zip(self._parts(probabilities), self.buckets, strict=True):
            value, place = stable_top_k(part, 1)
            values.append(value[..., 0])
            nodes.append(place[..., 0] + _ints(bucket[:, 0]))
        return tuple(
            ops.take(ops.concatenate(part, axis=-1), _ints(self.group_back), axis=-1)
            for part in (values, nodes)
        )


def _depth(parents: list[int]) -> int:
    depths: list[int] = []
    for parent in parents:
        depths.append(1 if parent < 0 else depths[parent] + 1)
    return max(depths)


def _ints(values):
    return ops.convert_to_tensor(np.asarray(values), "int32")
