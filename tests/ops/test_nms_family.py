"""Every kind of suppression equals its paper's loop, whatever the boxes."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from nms_reference import (
    FAMILY,
    chain,
    check_family,
    iou,
    random_scene,
    same_detections,
    scenes,
    soft,
    softer,
)

from kzoo.ops.nms import KINDS, multiclass_nms, pair_nms, soft_nms, softer_nms, weighted_boxes_fusion

ONE = np.float32([[[0, 0, 10, 10], [0, 0, 10, 8], [20, 20, 30, 30]]])
SCORES = np.float32([[0.9, 0.8, 0.7]])


def arrays(values):
    return [ops.convert_to_numpy(value) for value in values]


def run(kind, boxes, scores, labels, *limits):
    tensors = [ops.convert_to_tensor(value) for value in (boxes, scores, labels)]
    found = pair_nms(*tensors, *limits, kind=kind)
    return {key: ops.convert_to_numpy(value) for key, value in found.items()}


def check(kind, scene, *limits, agnostic=False, name=""):
    boxes, scores, labels = scene
    expected = FAMILY[kind](boxes, scores, None if agnostic else labels, *limits)
    found = run(kind, *(part[None] for part in scene), *limits, agnostic)
    same_detections([found[key][0] for key in ("boxes", "scores", "labels")], expected, scene, name)
    return expected


@pytest.mark.long
def test_equal_the_loops_on_every_scene():
    assert check_family(run) == len(FAMILY) * 2 * len(list(scenes((2, 7, 40))))


@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(sorted(FAMILY)),
    count=st.sampled_from([1, 5, 33]),
    threshold=st.sampled_from([0.0, 0.29, 0.53, 1.0]),
    score=st.sampled_from([0.0, 0.013, 0.37]),
    levels=st.sampled_from([None, 1, 3]),
    agnostic=st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_equal_the_loops_on_random_boxes(seed, kind, count, threshold, score, levels, agnostic):
    scene = random_scene(np.random.default_rng(seed), count, extent=30)
    if levels:  # ties of scores, between boxes that are never quite alike
        scene = (scene[0] + np.random.default_rng(seed + 1).random((count, 4), np.float32) / 9, *scene[1:])
        scene = (scene[0], np.ceil(scene[1] * levels) / np.float32(levels), scene[2])
    # Scores that rounding alone tells apart may change places, so none of them may be cut off.
    check(kind, scene, threshold, score, count if levels else 20, agnostic=agnostic)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["soft-linear", "weighted"])
def test_crowded_objects(kind):
    """Twenty boxes an object, so that clusters grow within a block of the fusion and across blocks."""
    rng = np.random.default_rng(5)
    center = np.repeat(rng.uniform(20, 180, (6, 2)), 20, 0) + rng.normal(0, 2, (120, 2))
    size = np.repeat(rng.uniform(15, 40, (6, 2)), 20, 0) * np.exp(rng.normal(0, 0.15, (120, 2)))
    boxes = np.concatenate([center - size / 2, center + size / 2], -1).astype(np.float32)
    scene = (
        boxes,
        rng.uniform(0.05, 1, 120).astype(np.float32),
        np.repeat([0, 0, 1, 1, 2, 2], 20).astype("int32"),
    )
    for threshold in (0.85, 0.6, 0.45):
        found = check(kind, scene, threshold, 0.02, 25)
        check(kind, scene, threshold, 0.02, 25, agnostic=True)
    assert kind != "weighted" or 6 <= len(found) < 25


@pytest.mark.parametrize("soft_scores", [True, False])
def test_voting_with_variances(soft_scores):
    rng = np.random.default_rng(6)
    boxes, scores, labels = random_scene(rng, 60)
    variance = rng.uniform(0.2, 3, boxes.shape).astype(np.float32)
    expected = softer(
        boxes, scores, labels, 0.37, 0.01, 30, sigma=0.1, variance=variance, hard=not soft_scores
    )
    indices, found, valid, moved = arrays(
        softer_nms(boxes[None], scores[None], labels[None], 0.37, 0.01, 30, 0.1, variance[None], soft_scores)
    )
    count = len(expected)
    assert valid[0].sum() == count and indices[0, :count].tolist() == [row[0] for row in expected]
    np.testing.assert_allclose(found[0, :count], [row[1] for row in expected], rtol=1e-5)
    np.testing.assert_allclose(moved[0, :count], [row[2] for row in expected], atol=1e-3)
    assert np.abs(moved[0, :count] - boxes[indices[0, :count]]).max() > 0.5


@pytest.mark.parametrize("sigma", [None, 0.1, 2.0])
def test_soft_scores_by_index(sigma):
    boxes, scores, labels = random_scene(np.random.default_rng(7), 70)
    expected = soft(boxes, scores, labels, 0.3, 0.02, 25, sigma)
    given_up = arrays(soft_nms(boxes[None], scores[None], labels[None], 0.3, 0.02, 25, sigma))
    indices, found, valid = (value[0] for value in given_up)
    assert indices[valid].tolist() == [index for index, _ in expected]
    np.testing.assert_allclose(found[valid], [score for _, score in expected], rtol=1e-5)


def test_what_each_kind_does_to_two_boxes():
    """By hand: the second box overlaps the first by an IoU of 0.8; the third stands alone."""
    labels = np.int32([[0, 0, 0]])
    scores = {
        kind: run(kind, ONE, SCORES, labels, 0.5, 0.01, 3)["scores"][0].tolist()
        for kind in (*FAMILY, "greedy")
    }
    assert scores["greedy"] == pytest.approx([0.9, 0.7, 0])
    assert scores["soft-linear"] == scores["softer"] == pytest.approx([0.9, 0.7, 0.16])
    assert scores["soft-gaussian"] == pytest.approx([0.9, 0.7, 0.8 * np.exp(-0.64 / 0.5)])
    assert scores["matrix"] == pytest.approx([0.9, 0.7, 0.8 * np.exp(-0.64 / 0.5)])
    assert scores["matrix-linear"] == pytest.approx([0.9, 0.7, 0.16])
    assert scores["weighted"] == pytest.approx([0.85, 0.7, 0])
    fused = run("weighted", ONE, SCORES, labels, 0.5, 0.01, 3)["boxes"][0, 0]
    np.testing.assert_allclose(fused, [0, 0, 10, (10 * 0.9 + 8 * 0.8) / 1.7], rtol=1e-6)


def test_what_a_duplicate_would_take_the_better_one_takes():
    """Linear matrix NMS: a box that lost everything has no share to divide by."""
    boxes = np.float32([[[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 5]]])
    found = run("matrix-linear", boxes, SCORES, np.int32([[0, 0, 0]]), 0.5, 0.0, 3)
    assert found["scores"][0].tolist() == pytest.approx([0.9, 0.35, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_a_batch_do_not_touch_each_other(kind):
    rng = np.random.default_rng(8)
    parts = [random_scene(rng, 40) for _ in range(4)]
    parts[2][1][:] = 0
    stacked = [np.stack(part) for part in zip(*parts, strict=True)]
    together = run(kind, *stacked, 0.4, 0.01, 15)
    for i, part in enumerate(parts):
        alone = run(kind, *(value[None] for value in part), 0.4, 0.01, 15)
        for key, value in alone.items():
            np.testing.assert_allclose(together[key][i], value[0], rtol=1e-6)
    assert (together["labels"][2] == -1).all() and (together["labels"][3] >= 0).any()


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_that_are_none(kind):
    """Inverted, without area, and NaN: the sound ones beside them are found as if those were not there."""
    boxes = np.float32([[0, 0, 10, 10], [9, 9, 1, 1], [3, 3, 3, 8], [np.nan] * 4, [0, 0, 10, 9]])
    scores, labels = np.float32([0.9, 0.8, 0.7, 0.6, 0.5]), np.zeros(5, np.int32)
    found = run(kind, boxes[None], scores[None], labels[None], 0.5, 0.01, 6)
    sound = run(kind, boxes[None, [0, 4]], scores[None, [0, 4]], labels[None, [0, 4]], 0.5, 0.01, 6)
    count = (sound["labels"][0] == 0).sum()
    assert np.isfinite(found["scores"]).all() and (found["labels"][0] == 0).sum() == count + 3
    for box, score in zip(sound["boxes"][0, :count], sound["scores"][0, :count], strict=True):
        assert any(
            np.allclose(box, one, rtol=1e-5) and score == pytest.approx(value)
            for one, value in zip(found["boxes"][0], found["scores"][0], strict=True)
        )
    assert any(np.allclose(one, boxes[1]) for one in found["boxes"][0])


@pytest.mark.parametrize("kind", KINDS)
def test_candidates_may_be_more_than_there_are(kind):
    """Pairs of a box and a class are counted, not boxes: 5 boxes x 3 classes are 15 of them."""
    boxes = random_scene(np.random.default_rng(9), 5, extent=200)[0]
    scores = np.random.default_rng(10).uniform(0.1, 1, (5, 3)).astype(np.float32)
    found = multiclass_nms(boxes[None], scores[None], 512, 1.0, 0.0, 20, kind=kind)
    found = {key: ops.convert_to_numpy(value)[0] for key, value in found.items()}
    assert found["boxes"].shape == (20, 4) and (found["labels"] >= 0).sum() == 15
    assert (np.diff(found["scores"]) <= 0).all()


def test_a_chain_moves_a_cluster_as_the_loop_does():
    scene = chain(90, step=2)
    expected = check("weighted", scene, 0.4, 0.0, 90)
    assert 15 < len(expected) < 75
    assert iou(scene[0][0], expected[0][2]) < 1  # a mean, no box of the chain


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_with_any_batch(kind):
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        pytest.skip("tf.function is TensorFlow's")
    specs = [tf.TensorSpec((None, 30, 4)), tf.TensorSpec((None, 30)), tf.TensorSpec((None, 30), tf.int32)]
    compiled = tf.function(lambda *given: pair_nms(*given, 0.3, 0.01, 12, False, kind), input_signature=specs)
    for batch in (1, 3):
        scene = [
            np.stack(v)
            for v in zip(*(random_scene(np.random.default_rng(i), 30) for i in range(batch)), strict=True)
        ]
        expected = run(kind, *scene, 0.3, 0.01, 12)
        for key, value in compiled(*scene).items():
            np.testing.assert_allclose(value, expected[key], rtol=1e-5)


def test_fusion_of_nothing():
    nothing = weighted_boxes_fusion(ONE, np.zeros((1, 3), np.float32), None, 0.5, 0.0, 4)
    assert not ops.convert_to_numpy(nothing[2]).any() and not ops.convert_to_numpy(nothing[1]).any()
