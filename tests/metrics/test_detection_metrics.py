"""The evaluator, the curves, the confusion matrix and the pictures."""

import json

import cv2
import numpy as np
import pytest
from detection_scenes import detected, evaluate_scene, random_scene, truth

from kzoo.metrics import Curve, DetectionEvaluator, plot_confusion, plot_precision_recall
from kzoo.metrics.matching import HIT, IGNORED, MISS

A, B, C = [0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]


def test_a_curve():
    outcomes = np.array([MISS, HIT, IGNORED, HIT, MISS], np.int8)
    curve = Curve.of("cat", 4, np.array([0.5, 0.9, 0.95, 0.8, 0.1]), outcomes)
    np.testing.assert_allclose(curve.scores, [0.9, 0.8, 0.5, 0.1])
    np.testing.assert_allclose(curve.recall, [0.25, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(curve.precision, [1, 1, 2 / 3, 1 / 2])
    np.testing.assert_allclose(curve.sampled(5), [1, 1, 1, 0, 0])
    best = curve.best_f1()
    assert (best.precision, best.recall, best.score) == (1.0, 0.5, 0.8)
    assert best.f1 == pytest.approx(2 / 3)


def test_the_best_f1_is_at_a_threshold_that_exists():
    # All scores equal: no threshold takes the hit without the two misses.
    curve = Curve.of("cat", 1, np.full(3, 0.5), np.array([HIT, MISS, MISS], np.int8))
    assert curve.best_f1().precision == pytest.approx(1 / 3)


def test_best_f1_equals_trying_every_threshold():
    metrics = evaluate_scene(random_scene(np.random.default_rng(3), images=30, ties=True))
    for row, curve in zip(metrics.per_class, metrics.curves, strict=True):
        tried = []
        for threshold in np.unique(curve.scores):
            taken = np.count_nonzero(curve.scores >= threshold)
            p, r = curve.precision[taken - 1], curve.recall[taken - 1]
            tried.append(2 * p * r / (p + r) if p + r else 0.0)
        assert row.f1 == pytest.approx(max(tried))


def test_precision_of_nothing_found():
    row = evaluate_scene([(truth([A], [0]), detected())], classes=1).per_class[0]
    assert (row.precision, row.recall, row.f1) == (0.0, 0.0, 0.0)


def confusion(objects, detections, classes=2):
    return evaluate_scene([(objects, detections)], classes).confusion.tolist()


def test_confusion_rows_are_true_and_columns_predicted():
    objects = truth([A, B, C], [0, 0, 1])
    detections = detected([A, B, [90, 90, 99, 99]], [0.9, 0.8, 0.7], [0, 1, 1])
    assert confusion(objects, detections) == [[1, 1, 0], [0, 0, 1], [0, 1, 0]]


def test_confusion_leaves_out_low_scores():
    assert confusion(truth([A], [0]), detected([A], [0.24])) == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert confusion(truth([A], [0]), detected([A], [0.25])) == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_confusion_pairs_by_the_greatest_overlap():
    # The better score overlaps less, and is left over.
    detections = detected([[0, 0, 10, 7], A], [0.9, 0.5], [1, 0])
    assert confusion(truth([A], [0]), detections) == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    # Of two equal overlaps the right class wins, whatever the score.
    assert confusion(truth([A], [0]), detected([A, A], [0.9, 0.5], [1, 0])) == [
        [1, 0, 0],
        [0, 0, 0],
        [0, 1, 0],
    ]


def test_confusion_excuses_difficult_objects_and_crowds():
    objects = truth([A, [20, 0, 120, 100]], [0, 0], difficult=[True, False], crowd=[False, True])
    assert confusion(objects, detected([A, B, C], [0.9, 0.8, 0.7])) == [[0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert confusion(objects, detected()) == [[0, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_confusion_counts_every_object_and_every_shown_detection():
    scene = random_scene(np.random.default_rng(1), images=20)
    matrix = evaluate_scene(scene).confusion
    labels = np.concatenate([image.labels for image, _ in scene])
    shown = np.concatenate([found.labels[found.scores >= 0.25] for _, found in scene])
    np.testing.assert_array_equal(matrix[:-1].sum(1), np.bincount(labels, minlength=3))
    np.testing.assert_array_equal(matrix[:, :-1].sum(0), np.bincount(shown, minlength=3))


def test_counts():
    objects = truth([A, B, C], [0, 0, 1], difficult=[False, True, False], crowd=[False, False, True])
    metrics = evaluate_scene([(objects, detected([A], [0.9]))], classes=2)
    assert (metrics.images, metrics.objects, metrics.detections) == (1, 1, 1)
    assert [row.objects for row in metrics.per_class] == [1, 0]


def test_detections_need_no_order():
    scene = random_scene(np.random.default_rng(5))
    mixed = [
        (image, detections[np.random.default_rng(0).permutation(len(detections))])
        for image, detections in scene
    ]
    assert evaluate_scene(mixed).to_dict() == evaluate_scene(scene).to_dict()


def test_what_is_not_finite_is_left_out_and_counted():
    boxes, scores = [A, [np.nan, 0, 10, 10], [0, 0, np.inf, 10], B], [0.5, 0.9, 0.9, np.nan]
    metrics = evaluate_scene([(truth([A], [0]), detected(boxes, scores))], classes=1)
    assert (metrics.discarded, metrics.detections, metrics.map) == (3, 1, 1.0)


@pytest.mark.parametrize("box", [[np.nan, 0, 1, 1], [0, 0, np.inf, 1], [10, 0, 5, 5], [0, 10, 5, 5]])
def test_a_faulty_object_is_refused(box):
    with pytest.raises(ValueError, match=r"image 7: box 1 is \[.*data check"):
        DetectionEvaluator(["cat"]).update(truth([A, box], [0, 0], id=7), detected())


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_without_a_class_is_refused(label):
    evaluator = DetectionEvaluator(["cat", "dog"])
    with pytest.raises(ValueError, match=f"image 7: label {label} is not one of the 2 classes"):
        evaluator.update(truth([A], [label], id=7), detected())
    with pytest.raises(ValueError, match=f"detections of image 7: label {label}"):
        evaluator.update(truth(id=7), detected([A], [0.5], [label]))


def test_areas_that_are_not_given_are_those_of_the_boxes():
    evaluator = DetectionEvaluator(["cat"])
    box = [0, 0, 40, 40]
    evaluator.update(truth([box, [50, 0, 90, 40]], [0, 0], areas=[np.nan, 100.0]), detected([box], [0.9]))
    coco = evaluator.result().coco
    assert (coco["ar_medium"], coco["ar_small"]) == (1.0, 0.0)


def test_to_dict_is_json_without_nan():
    metrics = evaluate_scene([(truth([A], [0]), detected([A], [0.9]))], classes=2)
    table = json.loads(json.dumps(metrics.to_dict(curves=True), allow_nan=False))
    assert table["coco"]["map"] == 1.0 and table["coco"]["map_large"] is None
    assert table["voc"] == {"ap_11point": 1.0, "ap_all": 1.0}
    assert table["classes"][1]["ap"] is None
    assert table["confusion"]["labels"] == ["class 0", "class 1", "background"]
    assert len(table["curves"]["precision"]["class 0"]) == len(table["curves"]["recall"]) == 101
    assert "curves" not in metrics.to_dict()


@pytest.mark.parametrize("classes", [1, 3, 30])
@pytest.mark.parametrize("draw", [plot_precision_recall, plot_confusion])
def test_pictures(tmp_path, draw, classes):
    metrics = evaluate_scene(random_scene(np.random.default_rng(0), classes=classes), classes)
    picture = cv2.imread(str(draw(metrics, tmp_path / "new" / "picture.png")))
    assert min(picture.shape[:2]) >= 400
    assert picture.std() > 10
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["picture.png"]


@pytest.mark.parametrize("draw", [plot_precision_recall, plot_confusion])
def test_pictures_of_nothing(tmp_path, draw):
    assert draw(evaluate_scene([], classes=2), tmp_path / "picture.png").stat().st_size > 1000
