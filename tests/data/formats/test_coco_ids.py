"""Ids, names and units of COCO files as strangers write them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import kzoo.data
from kzoo.data.checks.check import check


def _write(folder, image_id=1, category_id=1, categories=None, box=(2, 1, 4, 3)):
    cv2.imwrite(str(folder / "a.png"), np.zeros((60, 80, 3), np.uint8))
    content = {
        "images": [{"id": image_id, "file_name": "a.png"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": category_id, "bbox": list(box)}],
        "categories": categories or [{"id": 1, "name": "cup"}],
    }
    (folder / "a.json").write_text(json.dumps(content))
    return folder / "a.json"


@pytest.mark.parametrize(("image", "category", "listed"), [("1", 1, "1"), (1, "1", 1.0), (1.0, 1, "1")])
def test_ids_as_text_are_the_numbers(tmp_path, image, category, listed):
    categories = [{"id": listed, "name": "cup"}]
    dataset = kzoo.data.load(_write(tmp_path, image, category, categories))
    assert dataset.record(0).boxes.tolist() == [[2, 1, 6, 4]] and dataset.record(0).labels.tolist() == [0]
    assert not check(dataset).errors and dataset.category_ids == [1]


@pytest.mark.parametrize(
    ("names", "message"), [(("cup", "cup"), "'cup' is the name of"), (("cup", " "), "has no name")]
)
def test_classes_have_names_of_their_own(tmp_path, names, message):
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    with pytest.raises(ValueError, match=message) as error:
        kzoo.data.load(_write(tmp_path, categories=categories))
    assert "a.json: categories" in str(error.value)


def test_boxes_in_fractions_are_told(tmp_path):
    file = _write(tmp_path, box=(0.25, 0.2, 0.5, 0.5))
    assert [fault.kind for fault in check(file).errors] == ["fractions"]
    assert not check(_write(tmp_path)).errors


def test_names_of_folders_are_no_images(tmp_path):
    file = _write(tmp_path)
    file.write_text(file.read_text().replace("a.png", "/"))
    found = check(file).faults
    assert [fault.kind for fault in found] == ["unreadable-image"]  # and no word of what lies beside it


def test_accents_apart_name_the_same_file(tmp_path):
    file = _write(tmp_path)
    (tmp_path / "a.png").rename(tmp_path / "caf\u00e9.png")
    file.write_text(file.read_text().replace("a.png", "cafe\u0301.png"))
    assert not check(file).errors


def test_faults_of_names_with_line_ends_are_one_line():
    fault = kzoo.data.Fault(Path("a\nb.png"), None, "unused-image", "such as c\rd.png: never used")
    assert str(fault) == r"a\nb.png: error: such as c\rd.png: never used [unused-image]"
