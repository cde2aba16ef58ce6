"""Smooth L1, and the choice of hard negatives."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.losses import hard_negatives, smooth_l1


@pytest.mark.parametrize("beta", [0.1, 1.0, 3.0])
def test_smooth_l1_is_a_hubers_loss_over_its_width(beta):
    rng = np.random.default_rng(0)
    true, pred = rng.normal(0, 2, (2, 100, 1)).astype(np.float32)
    wanted = keras.losses.Huber(beta, reduction="none")(true, pred) / beta
    np.testing.assert_allclose(smooth_l1(true, pred, beta)[:, 0], wanted, atol=1e-6)


def test_smooth_l1_without_squares_is_the_distance():
    np.testing.assert_array_equal(smooth_l1(np.float32([1, -2]), np.float32([-1, 0.5]), 0), [2, 2.5])


def test_so_many_hardest_negatives_as_the_ratio_says():
    rng = np.random.default_rng(0)
    loss = rng.random((4, 50)).astype(np.float32)
    positive = np.zeros((4, 50), bool)
    positive[1, :2], positive[2, 10:15], positive[3, :40] = True, True, True
    negative = ~positive
    negative[:, 45:] = False
    found = ops.convert_to_numpy(hard_negatives(loss, positive, negative, 3.0))
    for b, count in enumerate((0, 6, 15, 5)):  # of the last one there are no more
        hardest = sorted(np.flatnonzero(negative[b]), key=lambda i: -loss[b, i])[:count]
        assert sorted(np.flatnonzero(found[b])) == sorted(hardest)


def test_equal_negatives_are_not_all_taken():
    positive = np.arange(30)[None] < 2
    found = hard_negatives(np.ones((1, 30), np.float32), positive, ~positive)
    assert np.flatnonzero(ops.convert_to_numpy(found)[0]).tolist() == [2, 3, 4, 5, 6, 7]
