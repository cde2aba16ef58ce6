"""Suppression guided by predicted overlap equals the paper's loop, whatever the boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from nms_reference import greedy, guided, random_scene, same_detections, scenes

from kzoo.ops.nms import guided_nms
from kzoo.ops.nms.selection import with_scores


def run(boxes, scores, quality, labels, *limits, agnostic=False):
    tensors = [ops.convert_to_tensor(value[None]) for value in (boxes, scores, quality, labels)]
    chosen = guided_nms(*tensors[:3], None if agnostic else tensors[3], *limits)
    found = with_scores(chosen, tensors[0], tensors[3])
    return [ops.convert_to_numpy(found[key])[0] for key in ("boxes", "scores", "labels")]


def check(scene, quality, *limits, agnostic=False, name=""):
    boxes, scores, labels = scene
    expected = guided(boxes, scores, quality, None if agnostic else labels, *limits)
    same_detections(run(boxes, scores, quality, labels, *limits, agnostic=agnostic), expected, scene, name)
    return expected


@pytest.mark.parametrize("agnostic", [False, True])
def test_equals_the_loop_on_every_scene(agnostic):
    rng = np.random.default_rng(1)
    for name, scene in scenes((2, 7, 60), links=40):
        quality = rng.normal(size=len(scene[0])).astype("float32")
        check(scene, quality, 0.4, 0.1, 20, agnostic=agnostic, name=name)


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from([1, 5, 33]),
    threshold=st.sampled_from([0.0, 0.29, 0.53, 1.0]),
    score=st.sampled_from([0.0, 0.013, 0.37]),
    levels=st.sampled_from([None, 3]),
    agnostic=st.booleans(),
)
@settings(max_examples=20, deadline=None)
def test_equals_the_loop_on_random_boxes(seed, count, threshold, score, levels, agnostic):
    rng = np.random.default_rng(seed)
    scene = random_scene(rng, count, extent=30)
    quality = rng.random(count) if levels is None else rng.integers(0, levels, count) / levels
    check(scene, quality.astype("float32"), threshold, score, count, agnostic=agnostic)


def test_by_the_scores_themselves_it_is_greedy():
    boxes, scores, labels = random_scene(np.random.default_rng(2), 50)
    kept = greedy(boxes, scores, labels, 0.4, 0.05, 20)
    found = run(boxes, scores, scores, labels, 0.4, 0.05, 20)
    np.testing.assert_array_equal(found[0][: len(kept)], boxes[kept])
    np.testing.assert_array_equal(found[1][: len(kept)], scores[kept])


def test_the_box_that_fits_gets_the_score_of_the_one_that_does_not():
    """The second box overlaps the first and fits better; the third is of another class."""
    boxes = np.float32([[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 9]])
    scores, quality, labels = np.float32([0.9, 0.3, 0.5]), np.float32([0.6, 0.8, 0.1]), np.int32([0, 0, 1])
    found = run(boxes, scores, quality, labels, 0.5, 0.0, 3)
    np.testing.assert_array_equal(found[0], [boxes[1], boxes[2], [0] * 4])
    np.testing.assert_array_equal(found[1], np.float32([0.9, 0.5, 0]))
    assert found[2].tolist() == [0, 1, -1]


def test_what_scores_too_little_takes_no_part():
    boxes, quality = np.float32([[0, 0, 10, 10], [0, 0, 10, 9]]), np.float32([0.1, 0.9])
    found = run(boxes, np.float32([0.5, 0.04]), quality, np.int32([0, 0]), 0.5, 0.05, 2)
    np.testing.assert_array_equal(found[0][0], boxes[0])
    assert found[2].tolist() == [0, -1]


def test_boxes_that_are_none():
    """Inverted, without area, and NaN: they take part, and touch nothing."""
    boxes = np.float32([[0, 0, 10, 10], [9, 9, 1, 1], [3, 3, 3, 8], [np.nan] * 4, [0, 0, 10, 9]])
    scores = np.float32([0.9, 0.8, 0.7, 0.6, 0.5])
    found = run(boxes, scores, np.float32([1, 5, 4, 3, 2]), np.zeros(5, np.int32), 0.5, 0.01, 6)
    assert (found[2] == 0).sum() == 4 and found[1][0] == np.float32(0.9)
    np.testing.assert_array_equal(found[0][0], boxes[4])
