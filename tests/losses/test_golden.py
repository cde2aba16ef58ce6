"""Box and focal losses against what tensorflow-addons 0.23 computed."""

import json

import numpy as np
import pytest
from keras import ops

from kzoo.losses import ciou_loss, diou_loss, giou_loss, iou_loss, sigmoid_focal_loss


@pytest.fixture(scope="module")
def golden(shared):
    return json.loads((shared / "golden" / "tensorflow_addons.json").read_text())


@pytest.mark.parametrize("name, loss", [("giou", giou_loss), ("iou", iou_loss)])
def test_box_losses_equal_tensorflow_addons(golden, name, loss):
    record = golden["giou_loss"]
    true, pred = (np.array(record[key], np.float32) for key in ("boxes_true", "boxes_pred"))
    np.testing.assert_allclose(ops.convert_to_numpy(loss(true, pred)), record[name], atol=1e-5)


def test_focal_loss_equals_tensorflow_addons(golden):
    for record in golden["sigmoid_focal_crossentropy"]:
        true, logits = (np.array(record[key], np.float32) for key in ("y_true", "logits"))
        loss = sigmoid_focal_loss(true, logits, record["gamma"], record["alpha"])
        np.testing.assert_allclose(ops.convert_to_numpy(ops.sum(loss, -1)), record["loss"], atol=1e-5)


def _box(rng, count):
    corner = rng.uniform(0, 50, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(1, 40, (count, 2))], axis=1).astype(np.float32)


def test_distance_and_shape_terms_follow_the_paper():
    rng = np.random.default_rng(0)
    true, pred = _box(rng, 50), _box(rng, 50)
    for a, b, diou, ciou in zip(
        true,
        pred,
        ops.convert_to_numpy(diou_loss(true, pred)),
        ops.convert_to_numpy(ciou_loss(true, pred)),
        strict=True,
    ):
        overlap = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
        iou = overlap / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap)
        center = ((a[0] + a[2] - b[0] - b[2]) ** 2 + (a[1] + a[3] - b[1] - b[3]) ** 2) / 4
        diagonal = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
        assert diou == pytest.approx(1 - iou + center / diagonal, abs=1e-5)
        angle = np.arctan((a[2] - a[0]) / (a[3] - a[1])) - np.arctan((b[2] - b[0]) / (b[3] - b[1]))
        shape = 4 / np.pi**2 * angle**2
        assert ciou == pytest.approx(1 - iou + center / diagonal + shape**2 / (1 - iou + shape), abs=1e-5)


def test_ciou_trade_off_carries_no_gradient():
    import tensorflow as tf

    true = tf.constant([[0.0, 0.0, 10.0, 30.0]])
    pred = tf.Variable([[2.0, 1.0, 22.0, 11.0]])
    with tf.GradientTape() as tape:
        loss = ciou_loss(true, pred)
    with tf.GradientTape() as held:
        width, height = pred[..., 2] - pred[..., 0], pred[..., 3] - pred[..., 1]
        shape = 4 / np.pi**2 * (tf.atan2(10.0, 30.0) - tf.atan2(width, height)) ** 2
        iou = 1 - iou_loss(true, pred)
        alpha = tf.stop_gradient(shape / (1 - iou + shape))
        expected = diou_loss(true, pred) + alpha * shape
    np.testing.assert_allclose(tape.gradient(loss, pred), held.gradient(expected, pred), atol=1e-6)


@pytest.mark.parametrize("loss", [iou_loss, giou_loss, diou_loss, ciou_loss])
def test_degenerate_boxes_stay_finite(loss):
    import tensorflow as tf

    pred = tf.Variable([[5.0, 5.0, 5.0, 5.0], [9.0, 9.0, 1.0, 1.0], [0.0, 0.0, 4.0, 4.0]])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(loss(tf.constant([[5.0, 5.0, 5.0, 5.0]] * 3), pred))
    assert np.isfinite(total) and np.isfinite(tape.gradient(total, pred)).all()
