"""Objects with weights, as MixUp makes them: an object of weight 1/2 counts half."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.heads.yolo import YoloHead

ANCHORS = [[[8.0, 8.0], [16.0, 12.0]], [[30.0, 40.0], [50.0, 50.0]]]
RNG = np.random.default_rng(0)


@pytest.fixture
def head():
    head = YoloHead(2, ANCHORS, (8, 16), project=False, normalize_by="images")
    head.build([(None, 8, 8, 14), (None, 4, 4, 14)])
    return head


def outputs():
    return {
        "stride8": RNG.normal(size=(2, 8, 8, 14)).astype("float32"),
        "stride16": RNG.normal(size=(2, 4, 4, 14)).astype("float32"),
    }


def targets(*objects):
    boxes, labels = np.zeros((2, 4, 4), np.float32), np.full((2, 4), -1, np.int32)
    for i, (box, label) in enumerate(objects):
        boxes[:, i], labels[:, i] = box, label
    return {"boxes": boxes, "labels": labels}


FAR_APART = (([2, 2, 12, 10], 0), ([30, 24, 62, 62], 1))


def losses(head, targets, raw):
    return {name: float(value) for name, value in head.loss(targets, raw).items()}


def test_weights_of_one_change_nothing(head):
    raw, given = outputs(), targets(*FAR_APART)
    weighted = {**given, "weights": np.ones((2, 4), np.float32)}
    assert losses(head, weighted, raw) == pytest.approx(losses(head, given, raw), rel=1e-6)


def test_terms_are_linear_in_a_weight(head):
    raw, given = outputs(), targets(*FAR_APART)

    def at(weight):
        return losses(head, {**given, "weights": np.array([[1, weight, 1, 1]] * 2, np.float32)}, raw)

    none, half, whole = at(0.0), at(0.5), at(1.0)
    for name in ("box", "class", "objectness"):
        assert whole[name] > none[name]
        assert half[name] == pytest.approx((none[name] + whole[name]) / 2, rel=1e-5)


def test_an_object_without_weight_gives_no_gradient_to_its_prediction(head):
    given = {**targets(FAR_APART[0]), "weights": np.zeros((2, 4), np.float32)}
    raw = {name: keras.Variable(value) for name, value in outputs().items()}
    match = head._grid([(8, 8), (4, 4)]).match(given["boxes"], given["labels"])
    row = int(ops.convert_to_numpy(match.index)[0, 0])
    before = losses(head, given, raw)
    flat = ops.convert_to_numpy(raw["stride8"]).reshape(2, 128, 7).copy()
    flat[:, row] += 3.0
    raw["stride8"].assign(flat.reshape(2, 8, 8, 14))
    assert losses(head, given, raw) == pytest.approx(before, rel=1e-6)
