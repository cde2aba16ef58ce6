"""COCO's JSON: what is read from it, and what is written for evaluation. pycocotools is the oracle for masks."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from pycocotools import mask as oracle

import kzoo.data
from kzoo.data.coco import COCO, to_coco
from kzoo.data.rle import draw_masks, encode_mask
from kzoo.data.voc import VOC
from kzoo.draw import encode_png


def content(
    annotations=(), images=({"id": 7, "file_name": "a.png", "height": 30, "width": 40},), categories=None
):
    """A COCO file as plain data; annotations get ids, image 7 and category 18 where they have none."""
    rows = [
        {"id": i, "image_id": 7, "category_id": 18, "iscrowd": 0, **row} for i, row in enumerate(annotations)
    ]
    named = [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}] if categories is None else categories
    return {"images": list(images), "annotations": rows, "categories": named}


def folder(root, files: dict[str, dict], images=("images/a.png",)):
    for name, value in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(value if isinstance(value, str) else json.dumps(value))
    for name in images:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encode_png(np.zeros((30, 40, 3), np.uint8)))
    return root


def test_boxes_labels_and_flags(tmp_path):
    rows = [
        {"bbox": [1, 2, 10, 20.5], "area": 99, "difficult": 1},
        {"bbox": [0, 0, 5, 5], "category_id": 3, "iscrowd": 1},
    ]
    data = kzoo.data.load(folder(tmp_path, {"annotations/instances_train2017.json": content(rows)}), "train")
    record = data.record(0)
    assert isinstance(data, COCO) and data.split == "train2017"
    assert data.classes == ["car", "dog"] and data.category_ids == [3, 18]
    assert record.boxes.tolist() == [[1, 2, 11, 22.5], [0, 0, 5, 5]] and record.labels.tolist() == [1, 0]
    assert record.crowd.tolist() == [False, True] and record.difficult.tolist() == [True, False]
    assert record.areas.tolist() == [99, 25] and record.id == 7 and record.size == (30, 40)
    assert data[0].image.shape == (30, 40, 3)


@pytest.mark.parametrize(
    ("json_name", "image", "split"),
    [
        ("annotations/instances_val2017.json", "val2017/a.png", "val"),
        ("annotations/val.json", "images/val/a.png", "val"),
        ("valid/_annotations.coco.json", "valid/a.png", "val"),
        ("annotations.json", "images/a.png", None),
        ("instances.json", "a.png", None),
    ],
)
def test_layouts(tmp_path, json_name, image, split):
    root = folder(tmp_path, {json_name: content([{"bbox": [0, 0, 5, 5]}])}, [image])
    data = kzoo.data.load(root, split=split)
    assert data.record(0).path == root / image and len(data) == 1
    assert kzoo.data.load(root / json_name).record(0).path == root / image


def test_instances_are_preferred_and_splits_ordered(tmp_path):
    files = {
        f"annotations/instances_{s}.json": content() for s in ("val2017", "trainval", "train2017", "extra")
    }
    root = folder(tmp_path, files | {"annotations/captions_train2017.json": "{}"})
    assert kzoo.data.splits(root) == ["train2017", "val2017", "extra", "trainval"]
    assert len(kzoo.data.load(root)) == 1, "an image that several files list is there once"
    with pytest.raises(ValueError, match="no split 'test'; choose one of train2017, val2017"):
        kzoo.data.load(root, "test")


def test_polygons_and_run_lengths_against_pycocotools(tmp_path):
    polygon = [3.5, 4, 30.2, 6, 20, 25.5, 8, 12]
    square = encode_mask(np.pad(np.ones((5, 6), bool), ((10, 15), (20, 14))))
    packed = oracle.frPyObjects(square, 30, 40)
    rows = [
        {"bbox": [0, 0, 5, 5], "segmentation": [polygon, [0, 0, 5, 0, 5, 5]]},
        {"bbox": [0, 0, 5, 5], "segmentation": square},
        {"bbox": [0, 0, 5, 5], "segmentation": {**packed, "counts": packed["counts"].decode()}},
        {"bbox": [0, 0, 5, 5]},
    ]
    root = folder(tmp_path, {"annotations/train.json": content(rows)})
    masks = kzoo.data.load(root, "train", masks=True)[0].masks
    parts = oracle.decode(oracle.frPyObjects([polygon, [0, 0, 5, 0, 5, 5]], 30, 40)).any(axis=2)
    assert np.array_equal(masks[0], parts) and np.array_equal(masks[1], oracle.decode(packed))
    assert np.array_equal(masks[1], masks[2]) and masks[1].sum() == 30 and not masks[3].any()
    assert kzoo.data.load(root, "train")[0].masks is None


@given(hypothesis_numpy.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
@settings(deadline=None)
def test_encode_mask_against_pycocotools(mask):
    encoded = encode_mask(mask)
    assert sum(encoded["counts"]) == mask.size
    assert np.array_equal(oracle.decode(oracle.frPyObjects(encoded, *mask.shape)), mask)
    assert np.array_equal(draw_masks([encoded], mask.shape)[0], mask)


def test_mask_of_another_size_is_an_error():
    with pytest.raises(ValueError, match=r"mask of \[2, 2\] on an image of \[3, 3\]"):
        draw_masks([{"size": [2, 2], "counts": [4]}], (3, 3))


def test_faulty_annotations_are_problems(tmp_path):
    rows = [
        {"bbox": [1, 2, 3, 4]},
        {"bbox": [1, 2, 3]},
        {},
        {"bbox": [1, 2, None, 4]},
        {"bbox": [1, 2, 3, 4], "category_id": 99},
        {"bbox": [1, 2, 3, 4], "image_id": 1234},
    ]
    data = COCO(folder(tmp_path, {"train.json": content(rows)}))
    record = data.record(0)
    assert record.lines == [0, 4] and record.labels.tolist() == [1, -1]
    assert [(f.kind, f.line) for f in record.problems] == [
        ("malformed", 1), ("malformed", 2), ("malformed", 3), ("unknown-class", 4)
    ]  # fmt: skip
    assert record.problems[0].place == f"{tmp_path / 'train.json'}:annotations[1]"
    assert [(f.kind, f.line) for f in data.problems()] == [("label-without-image", 5)]


def test_image_id_given_twice(tmp_path):
    images = [{"id": 7, "file_name": "a.png"}, {"id": 7, "file_name": "b.png"}]
    data = COCO(folder(tmp_path, {"train.json": content([{"bbox": [1, 2, 3, 4]}], images)}))
    assert [data.record(i).problems[0].kind for i in range(2)] == ["duplicate-id"] * 2


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not COCO's format"),
        ('{"images": [], "annotations": {}}', "not COCO's format"),
        (content([{}], categories=[]), "no 'categories'"),
        (content(categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]), "id 1 is 'a' already"),
    ],
)
def test_faulty_files(tmp_path, value, message):
    with pytest.raises(ValueError, match=message) as error:
        COCO(folder(tmp_path, {"annotations/train.json": value}))
    assert "train.json" in str(error.value) and "\n" not in str(error.value)


def test_to_coco_of_bccd(bccd):
    data = VOC(bccd, "test")
    coco = to_coco(data)
    assert [image["id"] for image in coco["images"]] == list(range(1, 73))
    assert [c["name"] for c in coco["categories"]] == data.classes and [
        c["id"] for c in coco["categories"]
    ] == [0, 1, 2]
    assert len(coco["annotations"]) == 945 and len({row["id"] for row in coco["annotations"]}) == 945
    first = coco["annotations"][0]
    x1, y1, x2, y2 = data.record(0).boxes[0]
    assert first["bbox"] == [x1, y1, x2 - x1, y2 - y1] and first["area"] == (x2 - x1) * (y2 - y1)
    assert set(first) == {"id", "image_id", "category_id", "bbox", "area", "iscrowd", "difficult"}


def test_to_coco_is_what_was_read(tmp_path):
    rows = [
        {"bbox": [1, 2, 10, 20], "area": 99.5, "segmentation": [[1, 2, 11, 2, 11, 22]]},
        {"bbox": [0, 0, 5, 5], "iscrowd": 1, "category_id": 3},
    ]
    written = to_coco(COCO(folder(tmp_path, {"train.json": content(rows)})), segmentations=True)
    first, second = written["annotations"]
    assert first["category_id"] == 18 and first["area"] == 99.5 and first["bbox"] == [1, 2, 10, 20]
    assert first["segmentation"] == [[1, 2, 11, 2, 11, 22]] and "segmentation" not in second
    assert second["iscrowd"] == 1 and written["images"][0]["id"] == 7
