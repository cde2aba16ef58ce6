"""k-means with the distance 1 - IoU."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kzoo.data
from kzoo.data.anchors import input_shapes, kmeans, kmeans_anchors, shape_iou
from kzoo.data.dataset import Dataset
from kzoo.data.record import Record

YOLOV3 = [(10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326)]


class Boxes(Dataset):
    def __init__(self, *records):
        super().__init__("boxes", None, ["thing"])
        self.records = records

    def __len__(self):
        return len(self.records)

    def record(self, index):
        return self.records[index]


def test_finds_the_clusters_there_are():
    rng = np.random.default_rng(0)
    truth = np.array([[10, 20], [60, 50], [150, 300]])
    shapes = np.concatenate([centre * rng.uniform(0.95, 1.05, (80, 2)) for centre in truth])
    anchors, iou = kmeans(shapes, 3, rng)
    assert np.allclose(anchors, truth, rtol=0.03) and iou > 0.93


def test_bccd(bccd):
    data = kzoo.data.load(bccd, split="train")
    anchors, iou = kmeans_anchors(data, 9, (416, 416))
    assert anchors.shape == (9, 2) and (np.diff(anchors.prod(axis=1)) >= 0).all()
    shapes = input_shapes(data, (416, 416))
    assert len(shapes) == 2804, "the box without area is left out"
    assert np.isclose(iou, shape_iou(shapes, anchors).max(axis=1).mean()) and iou > 0.87
    assert iou > shape_iou(shapes, np.array(YOLOV3)).max(axis=1).mean() + 0.2
    assert np.array_equal(kmeans_anchors(data, 9, (416, 416))[0], anchors)


def test_boxes_are_scaled_as_letterboxed():
    wide = Record("a", [[0, 0, 100, 50]], [0], size=(200, 400))
    tall = Record("b", [[0, 0, 100, 50], [0, 0, 8, 8]], [0, 0], crowd=[False, True], size=(800, 100))
    broken = Record("c", [[5, 5, 5, 9], [0, 0, np.nan, 1], [9, 9, 1, 1]], [0, 0, 0], size=(10, 10))
    shapes = input_shapes(Boxes(wide, tall, broken), (100, 200))
    assert shapes.tolist() == [[50, 25], [12.5, 6.25]]


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300)), min_size=1, max_size=12, unique=True))
@settings(max_examples=20, deadline=None)
def test_one_anchor_a_shape_fits_exactly_and_more_fit_better(shapes):
    shapes = np.array(shapes, float)
    rng = np.random.default_rng(0)
    anchor, iou = kmeans(shapes, 1, rng)
    assert np.isclose(iou, shape_iou(shapes, anchor).mean())
    if len(shapes) <= 5:
        anchors, iou = kmeans(shapes, len(shapes), rng)
        assert np.isclose(iou, 1) and sorted(map(tuple, anchors)) == sorted(map(tuple, shapes))


def test_shape_iou_by_hand():
    assert np.allclose(
        shape_iou(np.array([[10.0, 20.0]]), np.array([[10.0, 10.0], [20.0, 40.0]])), [[0.5, 0.25]]
    )


def test_too_few_boxes():
    data = Boxes(Record("a", [[0, 0, 10, 10], [5, 5, 15, 15]], [0, 0], size=(100, 100)))
    with pytest.raises(ValueError, match="2 anchors from 1 different box shapes"):
        kmeans_anchors(data, 2)
    with pytest.raises(ValueError, match="9 anchors from 0 different"):
        kmeans_anchors(Boxes())
