"""Pascal VOC's average precisions against a slow reference written from the devkit's text, and by hand."""

import numpy as np
import pytest
from detection_scenes import detected, evaluate_scene, random_scene, truth

from kzoo.metrics import average_precision_11point, average_precision_all

A, B, C = [0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]


def slow_overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def slow_voc(scene, label):
    """VOCevaldet.m line by line: (11-point, all-point), or None without objects."""
    to_find, lines = 0, []
    for number, (image, detections) in enumerate(scene):
        to_find += sum(1 for k, d in zip(image.labels, image.difficult, strict=True) if k == label and not d)
        lines += [
            (float(score), number, [float(v) for v in box])
            for box, score, k in zip(detections.boxes, detections.scores, detections.labels, strict=True)
            if k == label
        ]
    if not to_find:
        return None
    lines.sort(key=lambda line: -line[0])
    taken, recall, precision, tp, fp = set(), [], [], 0, 0
    for _, number, box in lines:
        image = scene[number][0]
        best, best_object = -np.inf, None
        for k in range(len(image.boxes)):
            if image.labels[k] == label:
                overlap = slow_overlap(box, [float(v) for v in image.boxes[k]])
                if overlap > best:
                    best, best_object = overlap, k
        if best >= 0.5:
            if not image.difficult[best_object]:
                if (number, best_object) not in taken:
                    tp += 1
                    taken.add((number, best_object))
                else:
                    fp += 1
        else:
            fp += 1
        recall.append(tp / to_find)
        precision.append(tp / (tp + fp) if tp + fp else 0.0)
    eleven = sum(
        max((p for r, p in zip(recall, precision, strict=True) if 10 * r >= t - 1e-6), default=0.0)
        for t in range(11)
    )
    mrec, mpre = [0.0, *recall, 1.0], [0.0, *precision, 0.0]
    for i in range(len(mpre) - 2, -1, -1):
        mpre[i] = max(mpre[i], mpre[i + 1])
    area = sum((mrec[i] - mrec[i - 1]) * mpre[i] for i in range(1, len(mrec)))
    return eleven / 11, area


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("difficult", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(5))
def test_equal_to_the_slow_reference(seed, difficult, ties):
    scene = random_scene(np.random.default_rng(seed), images=20, difficult=difficult, ties=ties)
    metrics = evaluate_scene(scene)
    for label, row in enumerate(metrics.per_class):
        assert (row.voc_ap_11point, row.voc_ap_all) == pytest.approx(slow_voc(scene, label), abs=1e-12)
    both = np.array([slow_voc(scene, label) for label in range(3)]).mean(0)
    assert (metrics.voc_ap_11point, metrics.voc_ap_all) == pytest.approx(tuple(both), abs=1e-12)


def test_a_curve_worked_out_by_hand():
    # hit, miss, hit, miss of 4 objects: recall .25 .25 .5 .5, precision 1 1/2 2/3 1/2.
    recall, precision = np.array([0.25, 0.25, 0.5, 0.5]), np.array([1, 1 / 2, 2 / 3, 1 / 2])
    assert average_precision_all(recall, precision) == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)
    # 0, .1, .2 reach precision 1; .3, .4, .5 reach 2/3; the rest nothing.
    assert average_precision_11point(recall, precision) == pytest.approx((3 * 1 + 3 * 2 / 3) / 11)


@pytest.mark.parametrize("hits", range(11))
def test_a_recall_of_tenths_reaches_its_point(hits):
    # 3 / 10 and 3 * .1 are different floats.
    recall = np.arange(1, hits + 1) / 10
    assert average_precision_11point(recall, np.ones(hits)) == pytest.approx((hits + 1) / 11 if hits else 0)


def test_no_detections():
    assert average_precision_all(np.zeros(0), np.zeros(0)) == 0.0
    assert average_precision_11point(np.zeros(0), np.zeros(0)) == 0.0


def one_class(*scene):
    return evaluate_scene(scene, classes=1).voc_ap_all


def test_an_overlap_of_exactly_half_is_a_hit():
    assert one_class((truth([A], [0]), detected([[0, 0, 10, 5]], [0.9]))) == 1.0
    assert one_class((truth([A], [0]), detected([[0, 0, 10, 4.9]], [0.9]))) == 0.0


def test_an_object_is_found_once():
    # hit, miss (again A), hit: precision 1, 1/2, 2/3.
    assert one_class((truth([A, B], [0, 0]), detected([A, A, B], [0.9, 0.8, 0.7]))) == pytest.approx(
        0.5 + 0.5 * 2 / 3
    )


def test_the_nearest_object_decides_even_when_taken():
    # Both detections are nearest the first object; the second overlaps the other one by half and is still a miss.
    objects = [[0, 0, 10, 10], [0, 0, 10, 14]]
    ap = one_class((truth(objects, [0, 0]), detected([objects[0], [0, 0, 10, 11]], [0.9, 0.8])))
    assert ap == pytest.approx(0.5)


def test_difficult_objects_are_neither_hit_nor_miss():
    scene = (truth([A, B], [0, 0], difficult=[True, False]), detected([A, A, B], [0.9, 0.8, 0.7]))
    assert one_class(scene) == 1.0
    assert np.isnan(one_class((truth([A], [0], difficult=[True]), detected([A, B], [0.9, 0.8]))))


def test_a_crowd_absorbs_what_lies_in_it():
    crowd = truth([[0, 0, 100, 100], C], [0, 0], crowd=[True, False])
    assert one_class((crowd, detected([A, B, C], [0.9, 0.8, 0.7]))) == 1.0
    assert one_class((crowd, detected([[200, 0, 210, 10], A, C], [0.9, 0.8, 0.7]))) == 0.5


def test_a_class_without_objects_is_left_out_of_the_mean():
    metrics = evaluate_scene([(truth([A], [0]), detected([A, B], [0.9, 0.8], [0, 1]))], classes=3)
    assert metrics.voc_ap_all == metrics.voc_ap_11point == 1.0
    assert np.isnan(metrics.per_class[1].voc_ap_all) and np.isnan(metrics.per_class[2].voc_ap_11point)


def test_no_cap_on_the_number_of_detections():
    strays = [[1000 + 20 * i, 0, 1010 + 20 * i, 10] for i in range(150)]
    scene = (truth([A], [0]), detected([*strays, A], [*np.linspace(0.9, 0.5, 150), 0.1]))
    assert one_class(scene) == pytest.approx(1 / 151)
