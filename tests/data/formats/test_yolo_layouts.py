"""YOLO datasets as labelling tools leave them: no description, and the names in a file beside."""

import json

import cv2
import numpy as np
import pytest

import kzoo.data
from kzoo.data.checks.check import check
from kzoo.structures.draw import encode_png

PNG = encode_png(np.zeros((64, 96, 3), np.uint8))
BOX = "0 .41666667 .390625 .41666667 .46875\n"
NOTES = json.dumps({"categories": [{"id": 0, "name": "kettle"}], "info": {}})


def put(path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def build(root, files):
    for name in files.split():
        content = {"png": PNG, "jpg": PNG, "json": NOTES, "names": "kettle\n"}.get(
            name.rpartition(".")[2], BOX
        )
        put(root / name, "kettle\n" if name.endswith(("classes.txt", "names.txt", "labels.txt")) else content)
    return root


@pytest.mark.parametrize(
    "files",
    [
        "a.jpg a.txt classes.txt",
        "a.jpg a.txt b.jpg obj.names",
        "a.jpg a.txt pets.names",
        "a.jpg a.txt names.txt",
        "images/a.jpg labels/a.txt classes.txt",
        "images/a.jpg labels/a.txt classes.txt notes.json",
        "images/a.jpg labels/a.txt notes.json",
        "images/a.jpg labels/a.txt labels/classes.txt",
        "Images/a.jpg Labels/a.txt labels.txt",
        "images/sub/a.jpg labels/sub/a.txt obj.names",
        "obj_train_data/a.jpg obj_train_data/a.txt obj.names",
    ],
)
def test_layouts_that_are_not_divided(tmp_path, files):
    data = kzoo.data.load(build(tmp_path, files))
    assert data.format == "yolo" and data.classes == ["kettle"] and kzoo.data.splits(tmp_path) == []
    assert data.record(0).boxes.round(1).tolist() == [[20, 10, 60, 40]]
    assert not check(tmp_path).errors


@pytest.mark.parametrize(
    "files, parts",
    [
        ("train/a.jpg train/a.txt valid/b.jpg valid/b.txt classes.txt", ["train", "valid"]),
        ("train/a.jpg train/a.txt train/classes.txt val/b.jpg val/b.txt val/classes.txt", ["train", "val"]),
        (
            "images/train/a.jpg labels/train/a.txt images/val/b.jpg labels/val/b.txt classes.txt",
            ["train", "val"],
        ),
        (
            "images/Train/a.jpg labels/Train/a.txt images/extra/b.jpg labels/extra/b.txt classes.txt",
            ["Train", "extra"],
        ),
        (
            "train/images/a.jpg train/labels/a.txt test/images/b.jpg test/labels/b.txt classes.txt",
            ["train", "test"],
        ),
    ],
)
def test_layouts_with_parts(tmp_path, files, parts):
    build(tmp_path, files)
    assert kzoo.data.splits(tmp_path) == parts
    for part in parts:
        data = kzoo.data.load(tmp_path, part)
        assert len(data) == 1 and data.record(0).boxes.round(1).tolist() == [[20, 10, 60, 40]]
    assert len(kzoo.data.load(tmp_path)) == 2


def test_lists_beside_the_images(tmp_path):
    build(tmp_path, "obj_train_data/a.jpg obj_train_data/a.txt obj_train_data/b.jpg obj.names")
    put(tmp_path / "train.txt", "data/obj_train_data/a.jpg\n")
    put(tmp_path / "valid.txt", "data/obj_train_data/b.jpg\n")
    assert kzoo.data.splits(tmp_path) == ["train", "valid"]
    assert [path.name for path in kzoo.data.load(tmp_path, "val").paths] == ["b.jpg"]


def test_images_beside_folders_of_parts_are_not_lost(tmp_path):
    build(tmp_path, "images/a.jpg labels/a.txt images/train/b.jpg labels/train/b.txt classes.txt")
    assert kzoo.data.splits(tmp_path) == [] and len(kzoo.data.load(tmp_path)) == 2


def test_label_files_without_an_image_beside(tmp_path):
    build(tmp_path, "a.jpg a.txt lost.txt classes.txt")
    put(tmp_path / "readme.txt", "about this set\n")
    (fault,) = kzoo.data.load(tmp_path).problems()
    assert (fault.kind, fault.file.name) == ("label-without-image", "lost.txt")


@pytest.mark.parametrize(
    "files", ["images/a.jpg labels/a.txt", "a.jpg a.txt", "train/images/a.jpg train/labels/a.txt"]
)
def test_names_that_are_nowhere(tmp_path, files):
    with pytest.raises(ValueError, match=r"label files, but no class names; write them to .*classes\.txt"):
        kzoo.data.load(build(tmp_path, files))


def test_names_that_differ(tmp_path):
    build(tmp_path, "train/a.jpg train/a.txt train/classes.txt val/b.jpg val/b.txt val/classes.txt")
    put(tmp_path / "val/classes.txt", "pot\n")
    with pytest.raises(ValueError, match=r"val/classes\.txt: other names than .*train/classes\.txt has"):
        kzoo.data.load(tmp_path)


@pytest.mark.parametrize(
    "notes", ["[]", "{}", '{"categories": [{"id": 1, "name": "a"}]}', '{"categories": 5}', "{"]
)
def test_notes_that_are_none(tmp_path, notes):
    build(tmp_path, "images/a.jpg labels/a.txt notes.json")
    put(tmp_path / "notes.json", notes)
    with pytest.raises(ValueError, match=r"notes\.json"):
        kzoo.data.load(tmp_path)


def test_texts_that_are_no_labels_make_no_dataset(tmp_path):
    build(tmp_path, "a.jpg classes.txt")
    put(tmp_path / "a.txt", "a kettle on a table\n")
    with pytest.raises(ValueError, match="no dataset found there"):
        kzoo.data.load(tmp_path)


def test_a_description_goes_first(tmp_path):
    build(tmp_path, "images/a.jpg labels/a.txt classes.txt")
    put(tmp_path / "data.yaml", "train: images\nnames: [pot]\n")
    assert kzoo.data.load(tmp_path).classes == ["pot"] and kzoo.data.splits(tmp_path) == ["train"]


def test_roboflows_darknet_export_has_its_names_in_each_part(tmp_path):
    for part in ("train", "valid"):
        (tmp_path / part).mkdir()
        cv2.imwrite(str(tmp_path / part / "a.jpg"), np.zeros((60, 80, 3), np.uint8))
        (tmp_path / part / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n")
        (tmp_path / part / "_darknet.labels").write_text("kettle\nteacup\n")
    assert kzoo.data.splits(tmp_path) == ["train", "valid"]
    dataset = kzoo.data.load(tmp_path, "valid")
    assert dataset.classes == ["kettle", "teacup"]
    assert dataset.record(0).boxes.tolist() == [[20, 15, 60, 45]] and dataset.record(0).labels.tolist() == [1]
    assert not dataset.problems()
