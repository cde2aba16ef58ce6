"""Pairs of corners, and what centres say of them, on boxes that are easy to see."""

import numpy as np
import pytest
from keras import ops

from kzoo.ops.corners import Peaks, center_scores, pair_corners


def peaks(*rows):
    """Peaks of one image from rows of score, label, x, y and tag."""
    score, label, x, y, tag = (np.array(column)[None] for column in zip(*rows, strict=True))
    cells = [each.astype("int32") for each in (label, x, y)]
    return Peaks(score.astype("float32"), *cells, *(each.astype("float32") for each in (x, y, tag)))


def pairs(first, second, count=9, tag_distance=0.5):
    found = pair_corners(peaks(*first), peaks(*second), tag_distance, count)
    return [ops.convert_to_numpy(one)[0] for one in found]


def test_a_pair_has_the_mean_of_both_scores():
    boxes, scores, labels = pairs([(0.9, 1, 2, 3, 7.0)], [(0.5, 1, 8.5, 9, 7.4)])
    assert boxes.tolist() == [[2, 3, 8.5, 9]] and labels.tolist() == [1]
    assert scores == pytest.approx([0.7])


@pytest.mark.parametrize(
    "other",
    [
        (0.9, 0, 8, 9, 7.0),  # another class
        (0.9, 1, 8, 9, 7.6),  # another object's tag
        (0.9, 1, 1, 9, 7.0),  # to the left
        (0.9, 1, 8, 2, 7.0),  # above
        (0.0, 1, 8, 9, 7.0),  # no peak: a cell of a map that has fewer
    ],
)
def test_what_does_not_belong_together_is_refused(other):
    _, scores, _ = pairs([(0.9, 1, 2, 3, 7.0)], [other])
    assert scores == [-1]


def test_the_best_pairs_come_first_and_the_number_is_fixed():
    first = [(0.9, 0, 1, 1, 0.0), (0.8, 0, 20, 20, 5.0), (0.1, 2, 0, 0, 9.0)]
    second = [(0.7, 0, 25, 25, 5.0), (0.4, 0, 9, 9, 0.0), (0.1, 1, 5, 5, 0.0)]
    boxes, scores, _ = pairs(first, second, count=4)
    assert scores == pytest.approx([0.75, 0.65, -1, -1])
    assert boxes[:2].tolist() == [[20, 20, 25, 25], [1, 1, 9, 9]]
    assert pairs(first, second, count=50)[0].shape == (9, 4)


def confirmed(box, center, score=0.6, label=0, **options):
    given = center_scores(
        np.array([[box]], "float32"),
        np.array([[score]], "float32"),
        np.array([[label]]),
        peaks(center),
        **options,
    )
    return ops.convert_to_numpy(given)[0, 0]


def test_a_centre_in_the_middle_third_confirms_a_small_box():
    assert confirmed([0, 0, 30, 30], (0.9, 0, 11, 19, 0)) == pytest.approx((2 * 0.6 + 0.9) / 3)
    assert confirmed([0, 0, 30, 30], (0.9, 0, 10, 15, 0)) == -1  # on the third's edge
    assert confirmed([0, 0, 30, 30], (0.9, 1, 15, 15, 0)) == -1  # of another class
    assert confirmed([0, 0, 30, 30], (0.0, 0, 15, 15, 0)) == -1  # no peak
    assert confirmed([0, 0, 30, 30], (0.9, 0, 15, 15, 0), score=-1) == -1


def test_of_a_large_box_it_has_to_be_in_the_middle_fifth():
    box = [0, 0, 300, 300]
    assert confirmed(box, (0.9, 0, 110, 150, 0)) == -1
    assert confirmed(box, (0.9, 0, 125, 150, 0)) > 0
    assert confirmed(box, (0.9, 0, 110, 150, 0), small_area=90_000) > 0
