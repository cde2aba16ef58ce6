"""YOLOv3's assignment and loss, against loops written from the paper and Darknet's rules."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.heads.yolo import YoloHead
from kzoo.models.yolov3 import TINY_ANCHORS

CLASSES = 4
STRIDES = (16, 32)
SIZES = [(6, 8), (3, 4)]
HEIGHT, WIDTH = 96, 128


def head(**arguments):
    return YoloHead(CLASSES, TINY_ANCHORS, STRIDES, **{"iou_threshold": 1.0, **arguments})


def random_outputs(seed, batch=2):
    rng = np.random.default_rng(seed)
    return {
        f"stride{stride}": rng.normal(0, 1, (batch, *size, 3 * (5 + CLASSES))).astype(np.float32)
        for stride, size in zip(STRIDES, SIZES, strict=True)
    }


def random_targets(seed, batch=2, count=6, padding=10):
    rng = np.random.default_rng(seed)
    boxes, labels = np.zeros((batch, padding, 4), np.float32), np.full((batch, padding), -1)
    low = rng.uniform(0, 70, (batch, count, 2))
    boxes[:, :count] = np.concatenate([low, low + rng.uniform(3, 60, (batch, count, 2))], -1)
    labels[:, :count] = rng.integers(0, CLASSES, (batch, count))
    return {"boxes": boxes, "labels": labels}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def bce(true, logit):
    return -(true * np.log(sigmoid(logit)) + (1 - true) * np.log(1 - sigmoid(logit)))


def box_iou(a, b):
    overlap = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    return overlap / union if union > 0 else 0


def decode(row, column, line, stride, anchor):
    x, y = (sigmoid(row[0]) + column) * stride, (sigmoid(row[1]) + line) * stride
    w, h = np.exp(row[2]) * anchor[0], np.exp(row[3]) * anchor[1]
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def loop_loss(outputs, targets, ignore):
    """The paper's loss, image by image, object by object, in plain Python."""
    box = objectness = classes = positives = 0.0
    for b in range(len(targets["boxes"])):
        truth = [
            (t, c)
            for t, c in zip(targets["boxes"][b].astype(float), targets["labels"][b], strict=True)
            if c >= 0
        ]
        owner = {}
        for t, c in truth:
            w, h = t[2] - t[0], t[3] - t[1]
            shapes = [
                min(w, aw) * min(h, ah) / (w * h + aw * ah - min(w, aw) * min(h, ah))
                for aw, ah in TINY_ANCHORS
            ]
            best = int(np.argmax(shapes))
            level = best // 3
            stride = STRIDES[level]
            column, line = int((t[0] + t[2]) / 2 // stride), int((t[1] + t[3]) / 2 // stride)
            owner[level, min(line, SIZES[level][0] - 1), min(column, SIZES[level][1] - 1), best % 3] = (t, c)
        positives += len(owner)
        for level, (stride, (rows, columns)) in enumerate(zip(STRIDES, SIZES, strict=True)):
            cells = outputs[f"stride{stride}"][b].astype(float).reshape(rows, columns, 3, 5 + CLASSES)
            for line in range(rows):
                for column in range(columns):
                    for a in range(3):
                        row, anchor = cells[line, column, a], TINY_ANCHORS[level * 3 + a]
                        found = owner.get((level, line, column, a))
                        if found is None:
                            predicted = decode(row, column, line, stride, anchor)
                            if max((box_iou(predicted, t) for t, _ in truth), default=0) <= ignore:
                                objectness += bce(0, row[4])
                            continue
                        t, c = found
                        objectness += bce(1, row[4])
                        classes += sum(bce(float(k == c), row[5 + k]) for k in range(CLASSES))
                        w, h = t[2] - t[0], t[3] - t[1]
                        x, y = (t[0] + t[2]) / 2 / stride - column, (t[1] + t[3]) / 2 / stride - line
                        scale = 2 - w * h / (WIDTH * HEIGHT)
                        box += scale * (bce(x, row[0]) + bce(y, row[1]))
                        box += (
                            scale
                            * ((np.log(w / anchor[0]) - row[2]) ** 2 + (np.log(h / anchor[1]) - row[3]) ** 2)
                            / 2
                        )
    return {"box": box / positives, "objectness": objectness / positives, "class": classes / positives}


@pytest.mark.parametrize("seed", range(4))
def test_paper_loss_equals_a_loop(seed):
    outputs, targets = random_outputs(seed), random_targets(seed)
    got = head(box_loss="paper", ignore_threshold=0.5).loss(targets, outputs)
    wanted = loop_loss(outputs, targets, 0.5)
    for name, value in wanted.items():
        assert float(got[name]) == pytest.approx(value, rel=2e-3), name


def test_decoded_boxes_follow_the_paper():
    outputs = random_outputs(1, batch=1)
    model_head = head(max_detections=10, candidates=144, nms_threshold=1.0)
    found = model_head.decode(outputs)
    best = ops.convert_to_numpy(found["boxes"])[0, 0]
    rows = []
    for level, (stride, (lines, columns)) in enumerate(zip(STRIDES, SIZES, strict=True)):
        cells = outputs[f"stride{stride}"][0].reshape(lines, columns, 3, 5 + CLASSES)
        for line, column, a in np.ndindex(lines, columns, 3):
            row = cells[line, column, a].astype(float)
            score = sigmoid(row[4]) * sigmoid(row[5:])
            rows.append(
                (score.max(), score.argmax(), decode(row, column, line, stride, TINY_ANCHORS[level * 3 + a]))
            )
    score, label, box = max(rows, key=lambda r: r[0])
    assert float(found["scores"][0, 0]) == pytest.approx(score, rel=1e-5)
    assert int(found["labels"][0, 0]) == label
    np.testing.assert_allclose(best, box, rtol=1e-4, atol=1e-3)


def test_further_anchors_take_an_object_where_their_shape_is_alike():
    targets = {"boxes": np.array([[[10, 10, 40, 52]]], np.float32), "labels": np.array([[1]])}
    outputs = random_outputs(0, batch=1)
    _, grid = head()._rows(outputs)
    best = grid.match(targets["boxes"], targets["labels"], 1.0)
    more = grid.match(targets["boxes"], targets["labels"], 0.2)
    assert float(ops.sum(best.weight)) == 1
    assert float(ops.sum(more.weight)) == float(ops.sum(more.taken)) > 1


def test_regions_to_ignore_are_neither_object_nor_background():
    outputs = head().encode(
        {"boxes": np.array([[[10, 10, 40, 60]]], np.float32), "labels": np.array([[1]])}, SIZES
    )
    box = np.array([[[10, 10, 40, 60]]], np.float32)
    ignored = head().loss({"boxes": box, "labels": np.array([[-1]])}, outputs)
    padding = head().loss({"boxes": np.zeros_like(box), "labels": np.array([[-1]])}, outputs)
    assert float(ignored["objectness"]) < 1e-3 < 19 < float(padding["objectness"])
    assert float(ignored["box"]) == float(ignored["class"]) == 0


@pytest.mark.parametrize("fault", [np.nan, np.inf, 0.0, -5.0])
def test_faulty_boxes_change_nothing(fault):
    outputs, targets = random_outputs(0), random_targets(0)
    wanted = head().loss(targets, outputs)
    targets["boxes"][:, 8] = [20, 20, 20 + fault, 30]
    targets["labels"][:, 8] = 2
    for name, value in head().loss(targets, outputs).items():
        assert float(value) == pytest.approx(float(wanted[name]), rel=1e-6)


@pytest.mark.parametrize("box_loss", ["paper", "iou", "giou", "diou", "ciou"])
def test_every_option_trains_and_serialises(box_loss):
    made = head(
        box_loss=box_loss,
        label_smoothing=0.1,
        objectness_smoothing=0.05,
        focal_gamma=2.0,
        focal_alpha=0.25,
        iou_threshold=0.3,
        scale_xy=1.2,
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    outputs, targets = random_outputs(0), random_targets(0)
    for name, value in made.loss(targets, outputs).items():
        assert np.isfinite(float(value))
        assert float(value) == float(again.loss(targets, outputs)[name])


def test_encoding_survives_a_wider_reach_of_the_cell():
    model_head = head(scale_xy=1.2)
    truth = {"boxes": np.array([[[10, 10, 40, 60]]], np.float32), "labels": np.array([[3]])}
    found = model_head.decode(model_head.encode(truth, SIZES))
    np.testing.assert_allclose(found["boxes"][0, 0], truth["boxes"][0, 0], atol=1e-2)
    assert int(found["labels"][0, 0]) == 3


@pytest.mark.parametrize(
    "anchors", [[], [(1, 2)] * 5, [(1, 2)] * 5 + [(0, 4)], [[(1, 2)], []], [[(1, 2)], [(3, -4), (5, 6)]]]
)
def test_wrong_anchors_are_named(anchors):
    with pytest.raises(ValueError, match="anchors="):
        YoloHead(CLASSES, anchors, STRIDES)


@pytest.mark.parametrize("anchors", ["x", [["a", 1]], [[None, 2]]])
def test_anchors_that_are_no_numbers_are_told_by_name(anchors):
    with pytest.raises(ValueError, match=r"^anchors=.*: not all of them are numbers"):
        YoloHead(2, anchors, [32])
