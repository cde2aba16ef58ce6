"""The comparison that `kzoo export` prints tells same from different."""

import numpy as np
import pytest

from kzoo.deploy import checking


class Fixed:
    """Finds what it is told to."""

    def __init__(self, boxes, scores, labels):
        self.results = {"boxes": np.float32(boxes), "scores": np.float32(scores), "labels": np.int32(labels)}

    def predict_on_batch(self, images):
        return self.results


BOXES = [[[0, 0, 10, 10], [20, 20, 60, 60], [0, 0, 0, 0]]]
MODEL = Fixed(BOXES, [[0.9, 0.5, 0]], [[1, 0, -1]])


@pytest.mark.parametrize(
    "boxes, scores, labels, expected",
    [
        (BOXES, [[0.9, 0.5, 0]], [[1, 0, -1]], (2, 2, 2)),
        ([[BOXES[0][1], BOXES[0][0], BOXES[0][2]]], [[0.9, 0.5, 0]], [[0, 1, -1]], (2, 2, 2)),  # other order
        ([[[0, 0, 10, 10], [20, 20, 60, 50], [0, 0, 0, 0]]], [[0.9, 0.5, 0]], [[1, 0, -1]], (2, 2, 1)),
        (BOXES, [[0.9, 0.5, 0]], [[1, 1, -1]], (2, 1, 1)),  # another class
        (BOXES, [[0.9, 0, 0]], [[1, -1, -1]], (2, 1, 1)),
        (BOXES, [[0, 0, 0]], [[-1, -1, -1]], (2, 0, 0)),
        ([[[0, 0, 10, 10]] * 3], [[0.9, 0.8, 0.7]], [[1, 1, 1]], (3, 1, 1)),  # taken once only
    ],
)
def test_detections_are_paired(boxes, scores, labels, expected, monkeypatch):
    monkeypatch.setattr(checking, "open_export", lambda path: Fixed(boxes, scores, labels))
    agreement = checking.compare(MODEL, "m.tflite", np.zeros((1, 64, 64, 3), np.uint8))
    assert (agreement.total, agreement.found, agreement.same) == expected


def test_boxes_without_area_are_paired_by_their_corners(monkeypatch):
    flat = [[[5, 0, 5, 10], [30, 20, 40, 20], [0, 0, 0, 0]]]
    model, scores, labels = Fixed(flat, [[0.9, 0.5, 0]], [[1, 0, -1]]), [[0.9, 0.5, 0]], [[1, 0, -1]]
    for second, same in ((flat[0][1], 2), ([30, 21, 40, 21], 1)):
        other = Fixed([[flat[0][0], second, flat[0][2]]], scores, labels)
        monkeypatch.setattr(checking, "open_export", lambda path, other=other: other)
        agreement = checking.compare(model, "m.tflite", np.zeros((1, 64, 64, 3), np.uint8))
        assert (agreement.total, agreement.found, agreement.same) == (2, same, same)


def test_the_largest_differences_are_told(monkeypatch):
    other = Fixed([[[0, 0, 10, 10.25], [20, 20, 60, 60], [0, 0, 0, 0]]], [[0.8, 0.5, 0]], [[1, 0, -1]])
    monkeypatch.setattr(checking, "open_export", lambda path: other)
    agreement = checking.compare(MODEL, "m.tflite", np.zeros((1, 64, 64, 3), np.uint8))
    assert agreement.scores == pytest.approx(0.1) and agreement.boxes == 0.25
    assert "largest difference 0.1 in scores, 0.2 pixels" in str(agreement)


def test_maps_of_roads_are_compared_by_their_pixels(monkeypatch):
    maps = {name: np.zeros((1, 8, 8), np.int32) for name in ("drivable", "lanes")}
    model, other = (Fixed(BOXES, [[0.9, 0.5, 0]], [[1, 0, -1]]) for _ in range(2))
    model.results |= maps
    other.results |= {**maps, "lanes": np.eye(8, dtype=np.int32)[None]}
    monkeypatch.setattr(checking, "open_export", lambda path: other)
    agreement = checking.compare(model, "m.tflite", np.zeros((1, 64, 64, 3), np.uint8))
    assert agreement.maps == pytest.approx(1 - 8 / 128) and agreement.same == 2
    assert "93.750 % of the pixels of roads" in str(agreement)


@pytest.mark.parametrize("size", [(16, 16), (16, 64), (64, 64)])
def test_the_picture_has_the_size_asked_for(size):
    image = checking.picture(None, size)
    assert image.shape == (1, *size, 3) and image.dtype == np.uint8 and image.std() > 0
