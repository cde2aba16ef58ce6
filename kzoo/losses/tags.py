"""The loss of numbers by which two points of one object know each other."""

from __future__ import annotations

from keras import ops

LITTLE = 1e-4  # what divisors have on top


def pull_and_push(first, second, weights):
    """How far the tags of an object's two points are apart, and how near those of different objects.

    Args:
        first: (B, M) the tags of the objects' first points.
        second: (B, M) the tags of their second ones.
        weights: (B, M) what each object counts, 0 for none.

    Returns:
        pull (B,) and push (B,), means over the objects of an image, and over their pairs. As the authors have it, an
        image with a single object has a push of about 1, which no tag changes.

    Source: Law & Deng 2018, CornerNet, arXiv:1808.01244, equations 4 and 5; Newell et al. 2017, arXiv:1611.05424.
    """
    there = ops.cast(weights > 0, "float32")  # (B, M)
    count = ops.sum(there, axis=-1)  # (B,)
    middle = (first + second) / 2  # (B, M)
    apart = ((first - middle) ** 2 + (second - middle) ** 2) * weights
    pull = ops.sum(apart, axis=-1) / (count + LITTLE)
    # Tags of two objects are to be 1 apart. An object beside itself is 1 too near, which is taken off again.
    near = ops.relu(1.0 - ops.abs(ops.expand_dims(middle, 1) - ops.expand_dims(middle, 2)))  # (B, M, M)
    near = near - 1.0 / (count + LITTLE)[:, None, None]
    pairs = ops.expand_dims(weights, 1) * ops.expand_dims(weights, 2)
    push = ops.sum(near * pairs, axis=(1, 2)) / (count * (count - 1.0) + LITTLE)
    return pull, push
