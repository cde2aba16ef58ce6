"""The head of points: what it refuses, what it leaves out, and what counts how much. Its figures: tests/parity."""

import keras
import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.heads.points import PointHead
from kzoo.ops.assign import POINT_ASSIGNERS

SIZES = [(8, 8), (4, 4)]
STRIDES = (8, 16)
RNG = np.random.default_rng(0)
YOLOX = {
    "bins": 0,
    "box_code": "offsets",
    "objectness": True,
    "assigner": "sim-ota",
    "normalize_by": "objects",
}


def outputs(head, images=2, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, 1, (images, *size, head.fields)).astype("float32")
        for name, size in zip(head.levels, SIZES, strict=True)
    }


def targets(padding=4):
    boxes = np.zeros((2, padding, 4), np.float32)
    labels = np.full((2, padding), -1, np.int32)
    boxes[0, :2] = [[4, 4, 30, 28], [34, 30, 60, 62]]
    labels[0, :2] = [0, 2]
    boxes[1, 0] = [10, 20, 40, 50]
    labels[1, 0] = 1
    return {"boxes": boxes, "labels": labels}


def total(head, truth, raw, **arguments):
    return float(sum(head.loss(truth, raw, **arguments).values()))


@pytest.mark.parametrize("assigner", POINT_ASSIGNERS)
@pytest.mark.parametrize("options", [{}, {"bins": 0}, YOLOX], ids=["bins", "plain", "yolox"])
def test_padding_and_order_of_objects_change_nothing(assigner, options):
    head = PointHead(3, STRIDES, **{**options, "assigner": assigner})
    raw, truth = outputs(head), targets()
    known = total(head, truth, raw)
    assert np.isfinite(known)
    assert total(head, targets(padding=9), raw) == pytest.approx(known, rel=1e-5)
    turned = {key: value[:, ::-1] for key, value in truth.items()}
    assert total(head, turned, raw) == pytest.approx(known, rel=1e-5)


def pairs():
    """Names and assigners that are not the names' own; quick are the first two."""
    known = [("yolov5n", "task-aligned"), ("yolov8n", "sim-ota"), ("yolov5n", "sim-ota"), ("yolov5n", "atss")]
    known += [("yolov8n", "atss"), ("yolov7-tiny", "sim-ota")]
    return [pytest.param(*pair, marks=pytest.mark.slow if i > 1 else ()) for i, pair in enumerate(known)]


@pytest.mark.long
@pytest.mark.parametrize(("name", "assigner"), pairs())
def test_assigners_are_exchangeable_by_name(name, assigner, untraced):
    keras.utils.set_random_seed(0)
    model = kzoo.build(name, num_classes=3, image_size=(64, 64), width=0.25, depth=0.1, assigner=assigner)
    model.compile(keras.optimizers.AdamW(1e-3))
    images = RNG.integers(0, 256, (2, 64, 64, 3), np.uint8)
    history = model.fit(images, targets(), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_without_objects_all_points_learn_that_there_is_nothing():
    head = PointHead(3, STRIDES)
    truth = {"boxes": np.zeros((2, 3, 4), np.float32), "labels": np.full((2, 3), -1, np.int32)}
    terms = head.loss(truth, outputs(head))
    assert float(terms["box"]) == float(terms["distribution"]) == 0 < float(terms["class"])


@pytest.mark.parametrize("options", [{}, YOLOX], ids=["yolov8", "yolox"])
def test_regions_without_a_label_are_not_background(options):
    head = PointHead(3, STRIDES, **options)
    raw, truth = outputs(head), targets()
    truth["boxes"][0, 2] = [0, 32, 30, 64]
    known = total(head, truth, raw)
    # What is predicted inside of it may be anything.
    shouting = {name: values.copy() for name, values in raw.items()}
    shouting["stride8"][0, 4:8, 0:3, head.box_fields :] += 5.0
    assert total(head, truth, shouting) == pytest.approx(known, rel=1e-5)
    truth["boxes"][0, 2] = 0
    assert total(head, truth, shouting) > total(head, truth, raw)


def test_weights_of_images_and_of_objects():
    head = PointHead(3, STRIDES, class_weight=0.0)
    raw, truth = outputs(head), targets()
    known = total(head, truth, raw)
    assert total(head, truth, raw, sample_weight=np.float32([1, 1])) == pytest.approx(known, rel=1e-6)
    assert total(head, truth, raw, sample_weight=np.float32([3, 3])) == pytest.approx(3 * known, rel=1e-5)
    alone = total(head, truth, raw, sample_weight=np.float32([0, 1]))
    assert 0 < alone < known
    weights = np.ones((2, 4), np.float32)
    assert total(head, {**truth, "weights": weights}, raw) == pytest.approx(known, rel=1e-6)
    weights[0] = 0  # objects that do not count are divided by no longer, either
    assert total(head, {**truth, "weights": weights}, raw) != pytest.approx(known, rel=1e-3)


@pytest.mark.parametrize("options", [{}, {"bins": 0}, YOLOX], ids=["bins", "plain", "yolox"])
def test_decoding_undoes_encoding(options):
    head = PointHead(3, STRIDES, **options)
    truth = targets()
    found = {
        key: ops.convert_to_numpy(value) for key, value in head.decode(head.encode(truth, SIZES)).items()
    }
    for image, (boxes, labels) in enumerate(zip(truth["boxes"], truth["labels"], strict=True)):
        known = sorted((int(label), *box) for box, label in zip(boxes, labels, strict=True) if label >= 0)
        kept = found["scores"][image] > 0.5
        rows = zip(found["boxes"][image][kept], found["labels"][image][kept], strict=True)
        given = sorted((int(label), *box) for box, label in rows)
        np.testing.assert_allclose(given, known, atol=0.2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bins": 1}, "bins=1"),
        ({"bins": 16, "box_code": "offsets"}, "bins=16"),
        ({"assigner": "best shape"}, "task-aligned"),
        ({"class_loss": "focal"}, "varifocal"),
        ({"radius": 2.0}, "radius"),
        ({"objectness_weight": 2.0}, "objectness"),
        ({"raw_weight": 1.0}, "raw_weight"),
        ({"bins": 0, "distribution_weight": 2.0}, "bins"),
        ({"assigner": "sim-ota", "score_power": 1.0}, "score_power"),
    ],
)
def test_what_cannot_be_or_has_no_effect_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        kzoo.build("yolov8n", num_classes=3, width=0.25, **options)
