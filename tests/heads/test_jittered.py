"""Regions around objects: how much they overlap them, and which objects they have."""

import numpy as np
from keras import ops

from kzoo.heads.jittered import NUMBERS, jittered_regions
from kzoo.ops.boxes import iou

SIDE = 200.0


def regions(boxes, labels, count, tries=32, seed=0):
    rng, batch = np.random.default_rng(seed), len(boxes)
    wanted = rng.random((batch, count), np.float32)
    chance = rng.random((batch, count * tries, NUMBERS), np.float32)
    found, overlap = jittered_regions(
        boxes, labels, wanted, chance, lambda moved: ops.minimum(ops.maximum(moved, 0.0), SIDE)
    )
    values = (found.boxes, found.owner, found.positive, found.counted, overlap)
    return [ops.convert_to_numpy(value) for value in values]


def objects(counts, padding=7, seed=0):
    """Boxes of any shape, some at the image's edge, with padding between and behind them."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, SIDE - 50, (len(counts), padding, 2))
    far = np.minimum(corner + np.exp(rng.uniform(1, 5.5, corner.shape)), SIDE)
    labels = np.full((len(counts), padding), -1, np.int32)
    for image, count in enumerate(counts):
        labels[image, rng.permutation(padding)[:count]] = rng.integers(0, 4, count)
    return np.concatenate([corner, far], axis=-1).astype("float32"), labels


def test_overlaps_are_even_between_a_half_and_one():
    boxes, labels = objects([1, 3, 7])
    found, owner, positive, counted, overlap = regions(boxes, labels, 600)
    assert positive.mean() > 0.99 and (positive == counted).all()
    own = np.take_along_axis(boxes, owner[..., None], axis=1)
    expected = ops.convert_to_numpy(iou(found, own)) * positive
    np.testing.assert_allclose(overlap, expected, atol=1e-6)
    assert (found >= 0).all() and (found <= SIDE).all()
    for image in range(3):
        there = overlap[image][positive[image] > 0]
        assert there.min() >= 0.5 and there.max() < 1
        share, _ = np.histogram(there, 5, (0.5, 1))
        assert (np.abs(share / len(there) - 0.2) < 0.06).all(), share / len(there)


def test_objects_have_equally_many():
    boxes, labels = objects([1, 3, 7])
    _, owner, positive, *_ = regions(boxes, labels, 32)
    for image in range(3):
        count = np.bincount(owner[image], minlength=7)
        assert not count[labels[image] < 0].any()
        assert np.ptp(count[labels[image] >= 0]) <= 1
    assert positive.sum() > 0.95 * positive.size


def test_regions_differ_and_lie_on_all_sides():
    boxes = np.float32([[[50, 60, 150, 100]]])
    found, *_ = regions(boxes, np.int32([[0]]), 200)
    moved = (found[0] - boxes[0]) / [100, 40, 100, 40]
    assert len(np.unique(found[0], axis=0)) == 200
    assert (np.abs(moved.mean(axis=0)) < 0.04).all() and (moved.std(axis=0) > 0.05).all()


def test_nothing_without_objects():
    """None at all, and one without area."""
    boxes, labels = objects([0, 0])
    boxes[1, 2], labels[1, 2] = 0, 1
    found, _, positive, _, overlap = regions(boxes, labels, 16)
    assert not found.any() and not positive.any() and not overlap.any()
