"""`Sample` and `Detections`."""

import sys
import types

import numpy as np
import pytest

from kzoo import Detections, Sample


def detections():
    return Detections(
        boxes=[[10, 20, 50, 60], [0, 0, 5, 5], [30, 30, 60, 64]],
        scores=[0.9, 0.5, 0.4],
        labels=[1, 0, 1],
        names=["cat", "dog"],
        image=np.zeros((64, 80, 3), np.uint8),
        path="street.jpg",
    )


def test_a_sample_without_boxes_has_empty_ones():
    sample = Sample(np.zeros((4, 6, 3), np.uint8))
    assert sample.boxes.shape == (0, 4) and sample.labels.shape == (0,)
    assert sample.size == (4, 6)


def test_boxes_and_labels_must_agree():
    with pytest.raises(ValueError, match="'street': 1 boxes but 2 labels"):
        Sample(np.zeros((4, 6, 3), np.uint8), [[0, 0, 1, 1]], [1, 2], id="street")


def test_counts_by_class():
    assert detections().summary() == "2 dog, 1 cat"
    assert "2 dog, 1 cat in street.jpg" in repr(detections())
    assert "nothing" in repr(Detections([], [], []))


def test_selecting():
    found = detections()
    assert len(found[found.scores > 0.45]) == 2
    assert found[0].labels.tolist() == [1]
    assert found[1:].path == "street.jpg"


def test_coco_rows_are_corner_width_height():
    row = detections().to_coco(image_id=7, category_ids=[16, 17])[0]
    assert row["bbox"] == [10, 20, 40, 40] and row["category_id"] == 17 and row["image_id"] == 7


def test_a_label_without_a_name_is_called_by_its_number():
    assert Detections([[0, 0, 1, 1]], [1], [5], names=["a"]).to_dict()["objects"][0]["name"] == "class 5"


def test_drawing_leaves_the_image_alone():
    found = detections()
    drawn = found.draw(scale=1)
    assert drawn.shape == found.image.shape and drawn.any() and not found.image.any()
    assert found._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="carry no image"):
        Detections([], [], []).draw()


@pytest.mark.parametrize("box", [[-50, -50, 900, 900], [np.nan] * 4, [1e20, 0, np.inf, 5]])
def test_drawing_survives_any_box(box):
    image = np.zeros((32, 32, 3), np.uint8)
    assert Detections([box], [1], [0], image=image).draw(scale=1).shape == image.shape


def test_supervision_gets_the_same_boxes(monkeypatch):
    module = types.SimpleNamespace(Detections=lambda **fields: fields)
    monkeypatch.setitem(sys.modules, "supervision", module)
    fields = detections().to_supervision()
    assert fields["xyxy"].shape == (3, 4) and fields["data"]["class_name"].tolist() == ["dog", "cat", "dog"]
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ImportError, match="pip install supervision"):
        detections().to_supervision()


def test_ids_are_saved_and_selected_with_the_rest(monkeypatch):
    found = detections()
    found.ids = np.array([3, -1, 7])
    assert found[[0, 2]].ids.tolist() == [3, 7] and found[1].ids.tolist() == [-1]
    assert [row["id"] for row in found.to_dict()["objects"]] == [3, None, 7]
    assert [row.get("track_id") for row in found.to_coco()] == [3, None, 7]
    assert "id" not in detections().to_dict()["objects"][0] and "track_id" not in detections().to_coco()[0]
    monkeypatch.setitem(sys.modules, "supervision", types.SimpleNamespace(Detections=lambda **fields: fields))
    assert found.to_supervision()["tracker_id"].tolist() == [3, -1, 7]
    assert (found.draw(scale=1) != detections().draw(scale=1)).any()
    with pytest.raises(ValueError, match=r"ids of shape \(2,\); give \(3,\)"):
        Detections(found.boxes, found.scores, found.labels, ids=[1, 2])
