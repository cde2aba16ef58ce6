"""BDD100K's files, made here as its packages have them: boxes in JSON, bits in PNG."""

import json

import cv2
import numpy as np
import pytest

from kzoo import data
from kzoo.data.checks.check import check
from kzoo.data.formats.bdd100k import CATEGORIES

SIZE = (6, 8)  # height, width


def label(category, box=(1, 1, 5, 4), **attributes):
    return {"id": "0", "category": category, "box2d": dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)),
            "attributes": {"occluded": False, **attributes}}  # fmt: skip


def write(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


@pytest.fixture
def folder(tmp_path):
    """One image of train, two of val; of the first the own lane, another one, and two lines."""
    labels = {
        "train": {"a": [label("car"), label("traffic sign"), label("other vehicle", (5, 2, 7, 4))]},
        "val": {"b": [label("bus"), label("car", crowd=True)], "c": None},
    }
    drivable, lane = np.full(SIZE, 2, np.uint8), np.full(SIZE, 255, np.uint8)
    drivable[3:, :4], drivable[3:, 4:6] = 0, 1
    # Single white, along and solid, is 6; dashed and across it is 6 + 16 + 32.
    lane[4, 2:7], lane[5, 0] = 6, 6 + 16 + 32
    for part, names in labels.items():
        frames = [{"name": f"{name}.jpg", "labels": rows} for name, rows in names.items()]
        file = tmp_path / "labels" / "det_20" / f"det_{part}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(frames))
        for name in names:
            write(tmp_path / "images" / "100k" / part / f"{name}.jpg", np.full((*SIZE, 3), 90, np.uint8))
            for kind, levels in (("drivable", drivable), ("lane", lane)):
                write(tmp_path / "labels" / kind / "masks" / part / f"{name}.png", levels)
    return tmp_path


def test_vehicles_are_one_class_and_masks_are_bits(folder):
    dataset = data.load(folder, "train")
    assert dataset.format == "bdd100k" and dataset.roads and not dataset.semantic
    assert dataset.classes == ["car"] and data.splits(folder) == ["train", "val"]
    sample = dataset[0]
    np.testing.assert_array_equal(sample.boxes, [[1, 1, 5, 4], [5, 2, 7, 4]])
    assert sample.labels.tolist() == [0, 0] and sample.difficult.tolist() == [False, True]
    wanted = np.zeros(SIZE, np.uint8)
    wanted[3:, :6] = 1  # of the own lane and of others
    wanted[4, 2:7] += 2
    wanted[5, 0] += 2
    np.testing.assert_array_equal(sample.mask, wanted)


def test_parts_crowds_and_images_without_labels(folder):
    dataset = data.load(folder, "val", task="drive")
    assert [len(dataset.record(i)) for i in range(2)] == [2, 0]
    assert dataset[0].crowd.tolist() == [False, True]
    assert len(data.load(folder)) == 3


def test_boxes_alone_are_of_all_categories(folder):
    dataset = data.load(folder, "train", task="detect")
    assert tuple(dataset.classes) == CATEGORIES and not dataset.roads and dataset[0].mask is None
    assert [dataset.classes[i] for i in dataset[0].labels] == ["car", "traffic sign", "car"]


def test_batches_have_boxes_and_masks(folder):
    batches = data.batches(data.load(folder, "train"), (32, 32), 1, workers=0, resize="letterbox")
    _, targets = next(iter(batches))
    assert set(targets) == {"boxes", "labels", "mask"}
    assert targets["labels"][0, :3].tolist() == [0, -1, -1]  # what is unsure is ignored
    mask = targets["mask"][0]
    assert set(np.unique(mask)) == {0, 1, 2, 3, 255}
    assert (mask[:4] == 255).all() and (mask[28:] == 255).all()  # above and below the picture of 8 x 6


def test_check_tells_what_is_wrong(folder):
    path = folder / "labels" / "drivable" / "masks" / "train" / "a.png"
    write(path, np.full(SIZE, 7, np.uint8))
    (folder / "labels" / "lane" / "masks" / "val" / "c.png").unlink()
    file = folder / "labels" / "det_20" / "det_val.json"
    frames = json.loads(file.read_text())
    frames[0]["labels"] += [label("horse"), {"category": "car", "box2d": None}]
    file.write_text(json.dumps(frames))
    report = check(folder)
    faults = [str(fault) for fault in report.errors]
    assert len(faults) == 4
    for text in ("a.png: error: value 7 on 48 pixels", "[0].labels[2]: error: category 'horse'",
                 "[0].labels[3]: error: no box2d", "c.png: error: no such mask file"):  # fmt: skip
        assert any(text in fault for fault in faults), text


@pytest.mark.parametrize("task", ["segment", "instance"])
def test_other_tasks_are_refused_in_a_line(folder, task):
    with pytest.raises(ValueError, match="open it with task='drive'") as refusal:
        data.load(folder, task=task)
    assert "\n" not in str(refusal.value)


def test_a_file_of_something_else_is_refused(folder):
    (folder / "labels" / "det_20" / "det_val.json").write_text('{"images": []}')
    with pytest.raises(ValueError, match=r"det_val.json: is no list of images.*; take det_20"):
        data.load(folder)


def test_other_datasets_have_no_roads():
    with pytest.raises(ValueError, match=r"shapes.*: no drivable area"):
        data.load("shapes:4:64", task="drive")
