"""Boundary F1 against distances computed one by one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve
from scipy.spatial.distance import cdist

from kzoo.metrics import boundary_f1

CROSS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])


def boundary(mask, label):
    """Pixels (N, 2) of the class of which one of the four neighbours in the picture is of another."""
    own = (mask == label).astype(int)
    inside = convolve(np.ones_like(own), CROSS, mode="constant")
    return np.argwhere(own & (convolve(own, CROSS, mode="constant") < inside))


def by_distances(truth, predicted, label, reach):
    true, found = boundary(truth, label), boundary(predicted, label)
    if not len(true) and not len(found):
        return math.nan
    if not len(true) or not len(found):
        return 0.0
    near = cdist(true, found) <= reach
    recall, precision = near.any(1).mean(), near.any(0).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def masks(seed, classes=3, size=(24, 32), block=4):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes, (2, size[0] // block, size[1] // block))
    truth, predicted = coarse.repeat(block, 1).repeat(block, 2).astype(np.uint8)
    predicted = np.where(rng.random(size) < 0.9, truth, predicted)
    return truth, np.roll(predicted, rng.integers(0, 3), axis=1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1 / 40, 2.3 / 40, 5 / 40]), st.booleans())
def test_equals_brute_force(seed, tolerance, ignored):
    truth, predicted = masks(seed)
    if ignored:
        truth[6:11, 5:20] = predicted[6:11, 5:20] = 255
    wanted = [by_distances(truth, predicted, label, tolerance * 40) for label in range(3)]
    np.testing.assert_allclose(boundary_f1(truth, predicted, 3, tolerance), wanted, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_symmetric_and_one_for_equal_masks(seed):
    truth, predicted = masks(seed)
    np.testing.assert_allclose(boundary_f1(truth, predicted, 3), boundary_f1(predicted, truth, 3))
    own = boundary_f1(truth, truth, 3)
    assert (np.isnan(own) | (own == 1)).all()


def test_of_shifted_squares():
    truth, shifted = np.zeros((2, 300, 400), np.uint8)
    truth[100:200, 100:200] = 1
    shifted[100:200, 103:203] = 1
    # The paper's tolerance is .0075 of the diagonal of 500: 3.75 pixels.
    assert boundary_f1(truth, shifted, 2).tolist() == [1, 1]
    strict = boundary_f1(truth, shifted, 2, tolerance=0.0)[1]
    # Within one pixel: the rows but for three pixels of each and one more; of the columns what meets the rows.
    assert strict == pytest.approx(by_distances(truth, shifted, 1, 1.0)) and 0.4 < strict < 0.6


def test_what_has_no_boundary():
    empty, square = np.zeros((2, 20, 20), np.uint8)
    square[5:10, 5:10] = 1
    assert np.isnan(boundary_f1(empty, empty, 2)).all()
    assert boundary_f1(square, empty, 3)[:2].tolist() == [0, 0]
    assert np.isnan(boundary_f1(square, empty, 3)[2])
