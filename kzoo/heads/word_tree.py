"""Classes in a tree, as YOLO9000 has them: one softmax over the children of each, probabilities down the branches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from keras import ops

from kzoo.ops.gather import stable_top_k, take_rows


def check_parents(parents: Sequence[int]) -> list[int]:
    """The parents of a tree's nodes as plain numbers, if they make a tree.

    Args:
        parents: for each node the number of the one above it, which comes before it, or -1 at the top.

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
        parents: for each node the number of the one above it, which comes before it, or -1 at the top.

    Attributes:
        parents: the same as plain numbers.
        above: (G,) for each group the node above it, or -1.
        below: (C,) for each node the group below it, the last one if there are several, or -1.
        buckets: for each size that groups have the nodes of those groups, (groups of that size, size).
        depth: nodes on the longest way down.

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
        # Where in the buckets, one after the other, each node stands, and each group.
        self.places = np.argsort(np.concatenate([bucket.ravel() for bucket in self.buckets]))
        order = np.concatenate([np.flatnonzero(sizes == size) for size in np.unique(sizes)])
        self.group_places = np.argsort(order)
        self.depth = _depth(self.parents)

    def log_softmax(self, logits):
        """Logarithms of each node's probability given its parent: (..., C) -> (..., C)."""
        shape = tuple(ops.shape(logits)[:-1])
        in_buckets = zip(self._in_buckets(logits), self.buckets, strict=True)
        flat = [
            ops.reshape(ops.log_softmax(siblings), (*shape, bucket.size)) for siblings, bucket in in_buckets
        ]
        return ops.take(ops.concatenate(flat, axis=-1), _ints(self.places), axis=-1)

    def log_probabilities(self, logits):
        """Logarithms of each node's own probability: (..., C) -> (..., C)."""
        total = self.log_softmax(logits)
        count = len(self.parents)
        # A node more, of probability 1, stands above the top, and above itself: (..., C + 1).
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
            threshold: product that must be exceeded to go on, 0 to 1; Darknet's `hier`, which is 0.5 there.

        Source: Darknet's `hierarchy_top_prediction`, which multiplies nodes' own probabilities once more.
        """
        best, child = self._best(probabilities)  # (R, G) each
        # Where each walk is, (R,) each: the group it looks at, the product so far, its end and whether that is known.
        group = ops.zeros_like(child[:, 0])
        product = ops.ones_like(best[:, 0])
        node, done = group, ops.zeros_like(product)
        # All walks take as many steps as the longest one, those that are through without effect: shapes stay fixed.
        for _ in range(self.depth):
            likely, which = (
                take_rows(of_groups, ops.expand_dims(group, -1))[:, 0] for of_groups in (best, child)
            )
            further = product * likely > threshold
            below = ops.take(_ints(self.below), which, axis=0)
            # A walk that goes no further ends at the node above its group; at the top there is none.
            stays = ops.where(ops.equal(group, 0), which, ops.take(_ints(self.above), group, axis=0))
            ends = ops.where(further, which, stays)
            node = ops.where(done > 0, node, ends)
            leaf = ops.logical_or(ops.logical_not(further), below < 0)
            done = ops.maximum(done, ops.cast(leaf, done.dtype))
            group = ops.where(done > 0, group, ops.maximum(below, 0))
            product = product * likely
        return node

    def _in_buckets(self, values) -> list:
        """Nodes' values (..., C) as those of the groups of each size: (..., groups, size)."""
        shape = tuple(ops.shape(values)[:-1])
        return [
            ops.reshape(ops.take(values, _ints(bucket.ravel()), axis=-1), (*shape, *bucket.shape))
            for bucket in self.buckets
        ]

    def _best(self, probabilities):
        """Of every group the largest probability and the node that has it: (R, C) -> (R, G) and (R, G) int32."""
        values, nodes = [], []
        for siblings, bucket in zip(self._in_buckets(probabilities), self.buckets, strict=True):
            value, place = stable_top_k(siblings, 1)  # (R, groups, 1) each
            values.append(value[..., 0])
            nodes.append(place[..., 0] + _ints(bucket[:, 0]))
        return tuple(
            ops.take(ops.concatenate(by_size, axis=-1), _ints(self.group_places), axis=-1)
            for by_size in (values, nodes)
        )


def _depth(parents: list[int]) -> int:
    """Nodes on the longest way from the top down."""
    depths: list[int] = []
    for parent in parents:
        depths.append(1 if parent < 0 else depths[parent] + 1)
    return max(depths)


def _ints(values):
    return ops.convert_to_tensor(np.asarray(values), "int32")
