"""The Gaussian head against Darknet's formulas: decoding, and what the box term hands back."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.heads.gaussian import GaussianYoloHead

CLASSES, CELLS, STRIDE = 3, 3, 32
SIDE = CELLS * STRIDE
ANCHORS = [[20.0, 30.0], [50.0, 40.0]]
SCALE_XY = 1.1


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def head_of(**arguments):
    limits = {"nms_threshold": 1.0, "candidates": 500, "max_detections": 100, "score_threshold": 0.0}
    head = GaussianYoloHead(
        CLASSES, [ANCHORS], [STRIDE], project=False, normalize_by="images", scale_xy=SCALE_XY, iou_threshold=1.0,
        **limits, **arguments,
    )  # fmt: skip
    head.build([(None, CELLS, CELLS, len(ANCHORS) * (9 + CLASSES))])
    return head


def random_map(seed=0):
    return (
        np.random.default_rng(seed).normal(0, 1, (CELLS, CELLS, len(ANCHORS), 9 + CLASSES)).astype(np.float32)
    )


def test_scores_are_lowered_by_doubt():
    raw = random_map()
    found = head_of().decode({"stride32": raw.reshape(1, CELLS, CELLS, -1)})
    boxes, scores = [], []
    for j, i, n in np.ndindex(raw.shape[:3]):
        one = raw[j, i, n]
        x, y = (SCALE_XY * sigmoid(one[k]) - 0.5 * (SCALE_XY - 1) for k in (0, 2))
        w, h = np.exp(one[4]) * ANCHORS[n][0], np.exp(one[6]) * ANCHORS[n][1]
        x, y = (i + x) * STRIDE, (j + y) * STRIDE
        doubt = sigmoid(one[[1, 3, 5, 7]]).mean()
        scores.append(sigmoid(one[8]) * sigmoid(one[9:]) * (1 - doubt))
        boxes.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    scores = np.array(scores)
    order = np.argsort(-scores.ravel(), kind="stable")
    count = scores.size
    np.testing.assert_allclose(
        ops.convert_to_numpy(found["scores"])[0, :count], scores.ravel()[order], rtol=1e-4
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(found["labels"])[0, :count], order % CLASSES)
    expected = np.array(boxes)[order // CLASSES]
    np.testing.assert_allclose(
        ops.convert_to_numpy(found["boxes"])[0, :count], expected, rtol=1e-4, atol=1e-3
    )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="gradients by TensorFlow's tape")
@pytest.mark.parametrize("box_weight, deviation_weight", [(1.0, 1.0), (0.75, 0.3)])
def test_gradients_of_the_density(box_weight, deviation_weight):
    import tensorflow as tf

    raw = random_map(1)
    # One object, at the second anchor of the cell in column 1 and row 2.
    x, y, w, h = (1.3 / CELLS, 2.6 / CELLS, 0.5, 0.4)
    box = np.array([[[x - w / 2, y - h / 2, x + w / 2, y + h / 2]]], np.float32) * SIDE
    values = tf.Variable(raw.reshape(1, CELLS, CELLS, -1))
    head = head_of(box_loss="paper", box_weight=box_weight, deviation_weight=deviation_weight)
    with tf.GradientTape() as tape:
        loss = head.loss({"boxes": box, "labels": np.array([[1]])}, {"stride32": values})["box"]
    got = -tape.gradient(loss, values).numpy().reshape(raw.shape)
    one = raw[2, 1, 1].astype(np.float64)
    means = [SCALE_XY * sigmoid(one[0]) - 0.05, SCALE_XY * sigmoid(one[2]) - 0.05, one[4], one[6]]
    true = [0.3, 0.6, np.log(w * SIDE / ANCHORS[1][0]), np.log(h * SIDE / ANCHORS[1][1])]
    expected = np.zeros_like(raw)
    for k, (mean, aim) in enumerate(zip(means, true, strict=True)):
        deviation = sigmoid(one[2 * k + 1])
        apart = (aim - mean) / deviation
        density = np.exp(-0.5 * apart**2) / (np.sqrt(2 * np.pi) * (deviation + 0.3))
        factor = 0.5 * density / (density + 1e-9) * (2 - w * h)
        expected[2, 1, 1, 2 * k] = box_weight * factor * apart / deviation
        expected[2, 1, 1, 2 * k + 1] = (
            deviation_weight * factor * (apart**2 / deviation - 1 / (deviation + 0.3))
        )
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("box_loss", ["giou", "ciou"])
def test_other_box_losses_train_boxes_and_the_density_deviations(box_loss):
    head = head_of(box_loss=box_loss)
    losses = head.loss(
        {"boxes": np.array([[[10.0, 20, 60, 70]]], np.float32), "labels": np.array([[0]])},
        {"stride32": random_map(2).reshape(1, CELLS, CELLS, -1)},
    )
    assert all(np.isfinite(float(value)) for value in losses.values()) and float(losses["box"]) > 0


def test_encoding_is_undone_by_decoding():
    targets = {"boxes": np.array([[[10.0, 20, 60, 70]]], np.float32), "labels": np.array([[2]])}
    head = head_of()
    found = head.decode(head.encode(targets, [(CELLS, CELLS)]))
    np.testing.assert_allclose(ops.convert_to_numpy(found["boxes"])[0, 0], targets["boxes"][0, 0], atol=0.1)
    assert int(found["labels"][0, 0]) == 2 and float(found["scores"][0, 0]) > 0.99


def test_extremes_stay_finite():
    import tensorflow as tf

    values = tf.Variable(
        np.where(random_map(3) > 0, 60.0, -60.0).reshape(1, CELLS, CELLS, -1).astype(np.float32)
    )
    targets = {"boxes": np.array([[[10.0, 20, 60, 70]]], np.float32), "labels": np.array([[2]])}
    head = head_of(box_loss="paper")
    with tf.GradientTape() as tape:
        total = sum(head.loss(targets, {"stride32": values}).values())
    assert np.isfinite(float(total)) and np.isfinite(tape.gradient(total, values).numpy()).all()
