"""Segmentation metrics against scikit-learn and Keras."""

import json
import math

import cv2
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzoo.metrics import SegmentationEvaluator, plot_confusion

learn = pytest.importorskip("sklearn.metrics")


def images(classes=4, count=3, seed=0, ignored=0.1, right=0.6):
    """Pairs of true and predicted masks, each of a size of its own, a share of the pixels right."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        size = (12 + 3 * number, 17 - number)
        truth, other = rng.integers(0, classes, (2, *size)).astype(np.uint8)
        predicted = np.where(rng.random(size) < right, truth, other)
        truth[rng.random(size) < ignored] = 255
        yield truth, predicted


def evaluate(pairs, classes):
    evaluator = SegmentationEvaluator([f"class {number}" for number in range(classes)])
    for truth, predicted in pairs:
        evaluator.update(truth, predicted)
    return evaluator.result()


def counted(pairs):
    """True and predicted classes of all pixels that count."""
    kept = [(truth[truth != 255], predicted[truth != 255]) for truth, predicted in pairs]
    return tuple(np.concatenate(each) for each in zip(*kept, strict=True))


def column(metrics, name):
    return [getattr(row, name) for row in metrics.per_class]


@pytest.mark.parametrize("classes", [2, 4, 21])
def test_equals_scikit_learn(classes):
    pairs = list(images(classes))
    metrics, (true, found) = evaluate(pairs, classes), counted(pairs)
    labels = range(classes)
    np.testing.assert_array_equal(metrics.confusion, learn.confusion_matrix(true, found, labels=labels))
    assert metrics.confusion.dtype == np.int64 and metrics.pixels == len(true) and metrics.images == 3
    of_classes = {"labels": labels, "average": None}
    np.testing.assert_allclose(column(metrics, "iou"), learn.jaccard_score(true, found, **of_classes))
    np.testing.assert_allclose(column(metrics, "dice"), learn.f1_score(true, found, **of_classes))
    np.testing.assert_allclose(column(metrics, "recall"), learn.recall_score(true, found, **of_classes))
    np.testing.assert_allclose(column(metrics, "precision"), learn.precision_score(true, found, **of_classes))
    np.testing.assert_allclose(column(metrics, "share"), np.bincount(true, minlength=classes) / len(true))
    assert column(metrics, "pixels") == np.bincount(true, minlength=classes).tolist()
    assert metrics.mean_iou == pytest.approx(learn.jaccard_score(true, found, average="macro"))
    assert metrics.frequency_weighted_iou == pytest.approx(
        learn.jaccard_score(true, found, average="weighted")
    )
    assert metrics.dice == pytest.approx(learn.f1_score(true, found, average="macro"))
    assert metrics.pixel_accuracy == pytest.approx(learn.accuracy_score(true, found))
    assert metrics.mean_accuracy == pytest.approx(learn.balanced_accuracy_score(true, found))


@pytest.mark.parametrize("present", [3, 4])
def test_mean_iou_equals_keras(present):
    pairs = list(images(present))
    theirs = keras.metrics.MeanIoU(4, ignore_class=255)
    for truth, predicted in pairs:
        theirs.update_state(truth.astype(np.int32), predicted)
    assert evaluate(pairs, 4).mean_iou == pytest.approx(float(theirs.result()), rel=1e-6)


@pytest.mark.parametrize("classes", [2, 4])
def test_means_over_images_equal_scikit_learn(classes):
    pairs = list(images(classes, seed=1))
    metrics = evaluate(pairs, classes)
    foreground = {"labels": range(1, classes), "average": "macro"}
    each = [learn.f1_score(*counted([pair]), **foreground) for pair in pairs]
    assert metrics.image_dice == pytest.approx(np.mean(each))
    each = [learn.jaccard_score(*counted([pair]), **foreground) for pair in pairs]
    assert metrics.image_iou == pytest.approx(np.mean(each))


def test_images_without_foreground():
    empty, full = np.zeros((2, 8, 8), np.uint8)
    full[2:5, 2:5] = 1
    assert evaluate([(empty, empty)], 2).image_dice == 1
    assert evaluate([(empty, full)], 2).image_dice == 0
    half = full.copy()
    half[2:5, 2:4] = 0
    metrics = evaluate([(empty, empty), (full, half), (np.full_like(empty, 255), full)], 2)
    assert metrics.image_dice == pytest.approx((1 + 2 * 3 / 12) / 2)
    assert metrics.image_iou == pytest.approx((1 + 3 / 9) / 2)
    assert metrics.images == 3


def test_absent_classes_are_left_out():
    truth = np.uint8([[0, 0, 1, 1], [0, 0, 255, 1]])
    predicted = np.uint8([[0, 0, 1, 1], [0, 3, 2, 1]])
    metrics = evaluate([(truth, predicted)], 5)
    assert column(metrics, "iou") == pytest.approx([0.75, 1, math.nan, 0, math.nan], nan_ok=True)
    assert column(metrics, "recall") == pytest.approx([0.75, 1, math.nan, math.nan, math.nan], nan_ok=True)
    assert column(metrics, "precision") == pytest.approx([1, 1, math.nan, 0, math.nan], nan_ok=True)
    assert metrics.mean_iou == pytest.approx(1.75 / 3)
    assert metrics.mean_accuracy == pytest.approx(1.75 / 2)
    assert metrics.image_iou == pytest.approx(0.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_perfect_predictions_and_symmetry(seed, classes):
    pairs = list(images(classes, seed=seed, count=2))
    perfect = evaluate([(truth, np.where(truth == 255, 0, truth)) for truth, _ in pairs], classes)
    ones = ("mean_iou", "dice", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou", "boundary_f1",
            "image_dice", "image_iou")  # fmt: skip
    assert [getattr(perfect, name) for name in ones] == pytest.approx([1.0] * len(ones))
    known = [(np.where(truth == 255, 0, truth), predicted) for truth, predicted in pairs]
    there, back = evaluate(known, classes), evaluate([(b, a) for a, b in known], classes)
    np.testing.assert_array_equal(there.confusion, back.confusion.T)
    assert column(there, "recall") == pytest.approx(column(back, "precision"), nan_ok=True)
    for name in ("mean_iou", "dice", "pixel_accuracy", "boundary_f1", "image_dice"):
        assert getattr(there, name) == pytest.approx(getattr(back, name))


def test_the_boundaries_mean_over_images_and_classes():
    truth, shifted = np.zeros((2, 40, 40), np.uint8)
    truth[10:20, 10:20], shifted[10:20, 25:35] = 1, 1
    metrics = evaluate([(truth, truth), (truth, shifted), (np.zeros_like(truth), np.zeros_like(truth))], 2)
    assert column(metrics, "boundary_f1") == [0.5, 0.5] and metrics.boundary_f1 == 0.5


def test_a_boundary_in_ignored_pixels_does_not_count():
    truth, predicted = np.zeros((2, 60, 60), np.uint8)
    truth[10:20, 10:20] = predicted[10:20, 10:20] = 1
    truth[35:55, 35:55], predicted[40:50, 40:50] = 255, 1
    assert evaluate([(truth, predicted)], 2).boundary_f1 == 1
    assert evaluate([(np.where(truth == 255, 0, truth), predicted)], 2).boundary_f1 < 0.9


def test_nothing_and_all_ignored():
    ignored = (np.full((5, 5), 255, np.uint8), np.zeros((5, 5), np.uint8))
    for metrics, count in ((evaluate([], 2), 0), (evaluate([ignored], 2), 1)):
        assert metrics.images == count and metrics.pixels == 0
        assert math.isnan(metrics.mean_iou) and math.isnan(metrics.image_dice)
        table = json.loads(json.dumps(metrics.to_dict(), allow_nan=False))
        assert table["mean_iou"] is None and table["classes"][1]["iou"] is None


def test_as_a_line_and_as_data():
    metrics = evaluate(images(3), 3)
    assert str(metrics).startswith(f"mean IoU {metrics.mean_iou:.3f}, Dice {metrics.dice:.3f}")
    assert str(metrics).endswith("on 3 images") and "\n" not in str(metrics)
    table = json.loads(json.dumps(metrics.to_dict(), allow_nan=False))
    assert table["mean_iou"] == metrics.mean_iou and table["images"] == 3
    assert [row["name"] for row in table["classes"]] == ["class 0", "class 1", "class 2"]
    assert table["classes"][2]["iou"] == metrics.per_class[2].iou
    assert table["confusion"]["labels"] == list(metrics.names)
    assert table["confusion"]["true_by_predicted"] == metrics.confusion.tolist()


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        (np.zeros((4, 5), int), np.zeros((5, 4), int), r"predicted mask is \(5, 4\), true mask \(4, 5\)"),
        (
            np.full((4, 5), 3),
            np.zeros((4, 5), int),
            "true mask has the value 3, none of the 3 classes 0 .. 2, nor 255",
        ),
        (
            np.zeros((4, 5), int),
            np.full((4, 5), 255),
            "predicted mask has the value 255, none of the 3 classes",
        ),
        (np.zeros((4, 5), int), np.full((4, 5), -1), "predicted mask has the value -1"),
        (
            np.zeros((4, 5)),
            np.zeros((4, 5), int),
            r"true mask is float64 of shape \(4, 5\); give \(height, width\)",
        ),
        (np.zeros((4, 5, 3), int), np.zeros((4, 5), int), r"true mask is int64 of shape \(4, 5, 3\)"),
    ],
)
def test_bad_masks(truth, predicted, message):
    evaluator = SegmentationEvaluator("abc")
    with pytest.raises(ValueError, match=f"^image 'cat.png': {message}"):
        evaluator.update(truth, predicted, image_id="cat.png")
    with pytest.raises(ValueError, match=f"^image 0: {message}"):
        evaluator.update(truth, predicted)
    assert evaluator.result().images == 0


def test_bool_masks_and_another_ignored_value():
    truth = np.uint8([[7, 1], [0, 1]])
    evaluator = SegmentationEvaluator(["ground", "nucleus"], ignored=7)
    evaluator.update(truth, np.array([[True, True], [False, False]]))
    np.testing.assert_array_equal(evaluator.result().confusion, [[1, 0], [1, 1]])


@pytest.mark.parametrize("classes", [2, 30])
def test_picture_of_the_confusion(tmp_path, classes):
    picture = cv2.imread(str(plot_confusion(evaluate(images(classes), classes), tmp_path / "picture.png")))
    assert min(picture.shape[:2]) >= 400 and picture.std() > 10
