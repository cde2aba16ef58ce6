"""Suppression on tensors equals the plain loop, whatever the boxes."""

import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from nms_reference import chain, check, diou, greedy, iou, random_scene, scenes

from kzoo.ops.boxes import pairwise_diou
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.nms import collect, greedy_keep, greedy_nms, multiclass_candidates, multiclass_nms


def run(boxes, scores, labels, *limits, **more):
    indices, valid = greedy_nms(boxes, scores, labels, *limits, **more)
    return ops.convert_to_numpy(indices), ops.convert_to_numpy(valid)


def test_equals_the_loop_on_every_scene():
    assert check(run) > 20


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from([1, 5, 33]),
    threshold=st.sampled_from([0.0, 1 / 3, 0.5, 1.0]),
    score=st.sampled_from([0.0, 0.25, 0.5]),
    levels=st.sampled_from([None, 1, 3]),
    of_class=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_equals_the_loop_on_random_boxes(seed, count, threshold, score, levels, of_class):
    boxes, scores, labels = random_scene(np.random.default_rng(seed), count, extent=12, levels=levels)
    labels = labels if of_class else None
    indices, valid = run(
        boxes[None], scores[None], None if labels is None else labels[None], threshold, score, 20
    )
    assert indices[0][valid[0]].tolist() == greedy(boxes, scores, labels, threshold, score, 20)


@pytest.mark.parametrize("power", [0.6, 1.0])
def test_by_distance_equals_the_loop_on_every_scene(power):
    more = 0
    for name, (boxes, scores, labels) in scenes():
        for of_class in (labels, None):
            limits = (0.3, 0.0, 250)
            batched = None if of_class is None else of_class[None]
            indices, valid = run(boxes[None], scores[None], batched, *limits, distance_power=power)
            expected = greedy(boxes, scores, of_class, *limits, overlap=lambda a, b: diou(a, b, power))
            assert indices[0][valid[0]].tolist() == expected, name
            more += len(expected) > len(greedy(boxes, scores, of_class, *limits))
    assert more > 1  # the distance makes a difference


@pytest.mark.parametrize("power", [0.6, 1.0, 2.0])
def test_distance_iou_of_pairs(power):
    boxes = random_scene(np.random.default_rng(9), 25)[0]
    boxes[3] = boxes[4]  # centres that coincide
    boxes[5] = [7, 7, 7, 7]
    wanted = [[diou(a, b, power) for b in boxes] for a in boxes]
    found = ops.convert_to_numpy(pairwise_diou(boxes, boxes, power))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert found[3, 4] == np.float32(iou(boxes[3], boxes[4]))


def test_every_class_of_a_box_may_be_found():
    boxes, _, _ = random_scene(np.random.default_rng(10), 30)
    scores = np.random.default_rng(11).random((30, 3)).astype(np.float32)
    pairs = [(b, c) for b in range(30) for c in range(3)]
    for kind, overlap in (("greedy", iou), ("diou", lambda a, b: diou(a, b, 0.6))):
        kept = greedy(
            [boxes[b] for b, _ in pairs], scores.ravel(), [c for _, c in pairs], 0.4, 0.1, 25, 30, overlap
        )
        found = multiclass_nms(boxes[None], scores[None], 30, 0.4, 0.1, 25, kind=kind, beta=0.6)
        found = {key: ops.convert_to_numpy(value)[0][: len(kept)] for key, value in found.items()}
        assert found["labels"].tolist() == [pairs[k][1] for k in kept]
        np.testing.assert_array_equal(found["boxes"], [boxes[pairs[k][0]] for k in kept])


def test_an_iou_at_the_threshold_stays():
    boxes = np.float32([[[0, 0, 10, 10], [0, 0, 10, 5]]])  # an IoU of exactly one half
    scores = np.float32([[0.9, 0.8]])
    assert run(boxes, scores, None, 0.5, 0.0, 2)[1].tolist() == [[True, True]]
    assert run(boxes, scores, None, 0.499, 0.0, 2)[1].tolist() == [[True, False]]


def test_images_of_a_batch_do_not_touch_each_other():
    rng = np.random.default_rng(1)
    parts = [random_scene(rng, 30) for _ in range(4)]
    boxes, scores, labels = (np.stack(part) for part in zip(*parts, strict=True))
    scores[2] = 0
    indices, valid = run(boxes, scores, labels, 0.3, 0.0, 12)
    for i, part in enumerate(zip(boxes, scores, labels, strict=True)):
        assert indices[i][valid[i]].tolist() == greedy(*part, 0.3, 0.0, 12)
    assert not valid[2].any()


def test_fewer_boxes_than_detections_are_padded():
    boxes, scores, labels = random_scene(np.random.default_rng(2), 3)
    indices, valid = run(boxes[None], scores[None], labels[None], 1.0, 0.0, 10)
    assert indices.shape == (1, 10) and valid.sum() == 3 and not valid[0, 3:].any()


def test_only_the_best_candidates_take_part():
    boxes, scores, labels = random_scene(np.random.default_rng(3), 80)
    indices, valid = run(boxes[None], scores[None], labels[None], 0.3, 0.0, 80, candidates=25)
    assert indices[0][valid[0]].tolist() == greedy(boxes, scores, labels, 0.3, 0.0, 80, candidates=25)


def test_a_chain_of_any_length_is_settled():
    """No fixed number of passes would do: every box hangs on the one before."""
    boxes, scores, _ = chain(400)
    overlaps = np.eye(400, k=1, dtype=bool)
    assert ops.convert_to_numpy(greedy_keep(overlaps[None]))[0].tolist() == [i % 2 == 0 for i in range(400)]
    indices, valid = run(boxes[None], scores[None], None, 0.4, 0.0, 400)
    assert indices[0][valid[0]].tolist() == list(range(0, 400, 2))


@pytest.mark.long
@pytest.mark.parametrize("power", [None, pytest.param(0.6, marks=pytest.mark.slow)])
def test_block_by_block_the_same_is_kept(power, monkeypatch):
    """Small blocks show what thousands of boxes would."""
    monkeypatch.setattr(sys.modules["kzoo.ops.nms.greedy"], "_ONE_BLOCK", 6)
    monkeypatch.setattr(sys.modules["kzoo.ops.nms.greedy"], "_BLOCK", 5)
    boxes, scores, _ = chain(43)
    indices, valid = run(boxes[None], scores[None], None, 0.4, 0.0, 43)
    assert indices[0][valid[0]].tolist() == list(range(0, 43, 2))
    overlap = {} if power is None else {"overlap": lambda a, b: diou(a, b, power)}
    for seed in range(20):
        boxes, scores, labels = random_scene(np.random.default_rng(seed), 33, extent=12)
        for of_class in (labels, None):
            batched = None if of_class is None else of_class[None]
            indices, valid = run(boxes[None], scores[None], batched, 0.3, 0.25, 20, distance_power=power)
            assert indices[0][valid[0]].tolist() == greedy(boxes, scores, of_class, 0.3, 0.25, 20, **overlap)


def test_nan_scores_and_boxes_end_the_loop():
    boxes, scores, labels = random_scene(np.random.default_rng(4), 20)
    boxes[3] = np.nan
    indices, valid = run(boxes[None], scores[None], labels[None], 0.3, 0.0, 20)
    others = [i for i in indices[0][valid[0]].tolist() if i != 3]
    scores[3] = 0
    assert others == greedy(np.nan_to_num(boxes), scores, labels, 0.3, 0.0, 20)


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 12),
    classes=st.integers(1, 6),
    levels=st.sampled_from([2, 1000]),
)
@settings(max_examples=60, deadline=None)
def test_candidates_are_the_best_pairs_of_all(seed, rows, classes, levels):
    scores = np.random.default_rng(seed).integers(0, levels, (2, rows, classes)).astype(np.float32)
    count = max(1, rows // 2)
    top, index, labels = (ops.convert_to_numpy(v) for v in multiclass_candidates(scores, count))
    for i in range(2):
        assert top[i].tolist() == sorted(scores[i].ravel(), reverse=True)[:count]
        assert top[i].tolist() == scores[i][index[i], labels[i]].tolist()
        assert len(set(zip(index[i].tolist(), labels[i].tolist(), strict=True))) == count


def test_what_is_not_kept_is_empty():
    boxes, scores, labels = (v[None] for v in random_scene(np.random.default_rng(5), 4))
    indices, valid = np.int32([[2, 0, 3]]), np.array([[True, True, False]])
    result = {
        key: ops.convert_to_numpy(v) for key, v in collect(indices, valid, boxes, scores, labels).items()
    }
    assert np.array_equal(result["boxes"][0, :2], boxes[0, [2, 0]]) and not result["boxes"][0, 2].any()
    assert np.array_equal(result["scores"][0], [*scores[0, [2, 0]], 0])
    assert np.array_equal(result["labels"][0], [*labels[0, [2, 0]], -1])


def test_the_lower_index_wins_a_tie():
    values, indices = stable_top_k(np.float32([[1, 3, 3, 2, 3, 1]]), 5)
    assert ops.convert_to_numpy(values).tolist() == [[3, 3, 3, 2, 1]]
    assert ops.convert_to_numpy(indices).tolist() == [[1, 2, 4, 3, 0]]


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 3), (2, 5, 3, 2)])
def test_rows_are_taken_by_image(shape):
    rng = np.random.default_rng(6)
    values, indices = rng.random(shape), rng.integers(0, 5, (2, 4))
    expected = np.stack([values[i][indices[i]] for i in range(2)])
    assert np.array_equal(ops.convert_to_numpy(take_rows(values, indices)), expected)


def test_in_a_compiled_function_with_any_batch():
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        pytest.skip("tf.function is TensorFlow's")
    specs = [tf.TensorSpec((None, 30, 4)), tf.TensorSpec((None, 30)), tf.TensorSpec((None, 30), tf.int32)]
    compiled = tf.function(lambda *given: greedy_nms(*given, 0.3, 0.0, 12), input_signature=specs)
    for batch in (1, 3):
        boxes, scores, labels = (
            np.repeat(v[None], batch, 0) for v in random_scene(np.random.default_rng(7), 30)
        )
        indices, valid = (v.numpy() for v in compiled(boxes, scores, labels))
        for i in range(batch):
            assert indices[i][valid[i]].tolist() == greedy(boxes[i], scores[i], labels[i], 0.3, 0.0, 12)
