"""Any format into any other, without losing a box, a class, a split or a flag."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO as Oracle

import kzoo.data
from kzoo.data.checks.check import check
from kzoo.data.dataset import Dataset
from kzoo.data.formats.convert import convert, voc_corners, write
from kzoo.data.formats.shapes import Shapes, make_splits
from kzoo.data.formats.voc.reading import Annotation
from kzoo.data.record import Record

FORMATS = ("voc", "yolo", "coco")


def contents(path, split):
    """What must survive, by image name."""
    data = kzoo.data.load(path, split)
    rows = {}
    for i in range(len(data)):
        record = data.record(i)
        names = [data.classes[label] for label in record.labels]
        rows[record.path.name] = (record.boxes, names, record.difficult.tolist(), record.crowd.tolist())
    return data.classes, rows


def assert_same(path, other, split, tolerance=1e-3):
    classes, rows = contents(path, split)
    classes_after, rows_after = contents(other, split)
    assert classes == classes_after and rows.keys() == rows_after.keys()
    for name, (boxes, *rest) in rows.items():
        boxes_after, *rest_after = rows_after[name]
        assert np.abs(boxes - boxes_after).max(initial=0) <= tolerance and rest == rest_after


@pytest.mark.long
@pytest.mark.parametrize("route", [("yolo", "coco", "voc"), ("coco", "yolo", "voc")])
def test_bccd_there_and_back(bccd, tmp_path, route):
    path = bccd
    for step, to in enumerate(route):
        written = convert(path, tmp_path / f"{step}", to)
        assert {name: boxes for name, (_, boxes) in written.parts.items()} == {
            "train": 2805, "val": 1138, "test": 945, "trainval": 3943
        }  # fmt: skip
        path = tmp_path / f"{step}"
        assert kzoo.data.splits(path) == ["train", "val", "test", "trainval"]
        assert_same(bccd, path, "val")
    assert_same(bccd, path, "train", tolerance=0)
    report = check(path, decode=False)
    assert kinds_by_file(report) == kinds_by_file(check(bccd, decode=False)), "converting hides no fault"
    image = "JPEGImages/BloodImage_00000.jpg"
    assert (path / image).read_bytes() == (bccd / image).read_bytes()


def kinds_by_file(report):
    return sorted((fault.kind, fault.file.stem) for fault in report.faults)


class Annotated(Dataset):
    """Records in memory, of one image file."""

    def __init__(self, image, records, classes):
        super().__init__(image, None, classes)
        self.image_path, self.records = image, records

    def __len__(self):
        return len(self.records)

    def record(self, index):
        boxes, labels, difficult, crowd = self.records[index]
        path = self.image_path.parent / f"{index}.png"
        return Record(path, np.array(boxes).reshape(-1, 4), labels, difficult, crowd, id=str(index))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three images of 333 x 517 pixels."""
    folder = tmp_path_factory.mktemp("images")
    for index in range(3):
        Image.new("RGB", (517, 333), (index, 0, 0)).save(folder / f"{index}.png")
    return folder


def coordinate(side):
    whole = st.integers(0, side).map(float)
    return whole | st.floats(0, side, width=32, allow_subnormal=False)


rows = st.tuples(
    st.tuples(coordinate(517), coordinate(333), coordinate(517), coordinate(333)),
    st.integers(0, 2),
    st.booleans(),
    st.booleans(),
)


@pytest.mark.long
@given(
    st.lists(st.lists(rows, max_size=6), min_size=3, max_size=3),
    st.permutations(FORMATS),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_boxes_any_way_round(images, tmp_path_factory, annotations, route):
    """Whatever the boxes - inverted, without area, a pixel wide - and whatever the way."""
    root = tmp_path_factory.mktemp("around")
    records = [tuple(zip(*image, strict=True)) if image else ((), (), (), ()) for image in annotations]
    source = Annotated(images / "0.png", records, ["zebra", "ape & co", "żółw"])
    path = root / "start"
    write({"train": source}, path, route[-1])
    for to in route:
        convert(path, root / to, to)
        path = root / to
        data = kzoo.data.load(path, "train")
        assert data.classes == source.classes and len(data) == 3
        for index, (boxes, labels, difficult, crowd) in enumerate(records):
            record = data.record(index)
            assert np.abs(record.boxes - np.array(boxes).reshape(-1, 4)).max(initial=0) <= 0.01
            assert record.labels.tolist() == list(labels)
            assert record.difficult.tolist() == list(difficult) and record.crowd.tolist() == list(crowd)


@given(st.tuples(*[(st.integers(0, 60) | st.floats(0, 60)).map(float)] * 4))
def test_voc_corners_are_read_again(box):
    found = Annotation("a.xml")
    found.add(
        1, {"name": "a", **dict(zip(("xmin", "ymin", "xmax", "ymax"), voc_corners(list(box)), strict=True))}
    )
    (again,) = found.boxes
    assert np.abs(np.subtract(again, box)).max() < 2.1e-4
    for low, high in ((0, 2), (1, 3)):
        if box[low] == box[high]:
            assert again[low] == again[high], "no width stays no width"
        elif box[high] - box[low] >= 0.001:
            assert again[low] < again[high]


def test_voc_corners_are_whole_where_they_can_be():
    assert voc_corners([0.0, 10.0, 40.0, 30.0]) == ["1", "11", "40", "30"]
    assert voc_corners([503.0, 336.0, 503.0, 336.0]) == ["504", "337", "504", "337"]


def test_written_coco_is_what_pycocotools_reads(tmp_path, capsys):
    write({"train": Shapes(4, (64, 96))}, tmp_path / "out", "coco")
    oracle = Oracle(tmp_path / "out" / "annotations" / "instances_train.json")
    data = Shapes(4, (64, 96), masks=True)
    for index, image_id in enumerate(oracle.getImgIds()):
        sample = data[index]
        for row, mask, label in zip(
            oracle.loadAnns(oracle.getAnnIds(image_id)), sample.masks, sample.labels, strict=True
        ):
            assert np.array_equal(oracle.annToMask(row), mask) and row["area"] == mask.sum()
            assert oracle.loadCats(row["category_id"])[0]["name"] == data.classes[label]


def test_masks_survive_from_coco_to_coco(tmp_path):
    write(make_splits(4, (64, 64)), tmp_path / "one", "coco")
    assert not convert(tmp_path / "one", tmp_path / "two", "coco").notes
    first, second = (kzoo.data.load(tmp_path / name, "train", masks=True) for name in ("one", "two"))
    assert all(
        np.array_equal(a.masks, b.masks) and np.array_equal(a.image, b.image)
        for a, b in zip(first, second, strict=True)
    )


def test_category_ids_survive(tmp_path, images):
    content = {
        "images": [{"id": 42, "file_name": "1.png"}],
        "annotations": [{"id": 5, "image_id": 42, "category_id": 90, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 13, "name": "stop sign"}],
    }
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.png").write_bytes((images / "1.png").read_bytes())
    (tmp_path / "in" / "train.json").write_text(json.dumps(content))
    convert(tmp_path / "in", tmp_path / "out", "coco")
    data = kzoo.data.load(tmp_path / "out", "train")
    assert data.category_ids == [13, 90] and data.record(0).id == 42
    assert data.record(0).labels.tolist() == [1]


def test_images_of_one_name_are_told_apart(tmp_path):
    for split, colour in (("train", 10), ("val", 200)):
        folder = tmp_path / "in" / "images" / split
        folder.mkdir(parents=True)
        Image.new("RGB", (20, 20), (colour, 0, 0)).save(folder / "a.png")
    (tmp_path / "in" / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat]\n")
    convert(tmp_path / "in", tmp_path / "out", "voc")
    train, val = (kzoo.data.load(tmp_path / "out", split)[0] for split in ("train", "val"))
    assert (train.image[0, 0, 0], val.image[0, 0, 0]) == (10, 200) and train.id != val.id


def test_images_in_no_split_are_kept(bccd, tmp_path):
    root = tmp_path / "in"
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for part in ("JPEGImages", "Annotations"):
        (root / part).symlink_to(bccd / part)
    (root / "ImageSets" / "Main" / "train.txt").write_text("BloodImage_00000\n")
    written = convert(root, tmp_path / "out", "yolo")
    assert {name: images for name, (images, _) in written.parts.items()} == {"train": 1, "rest": 363}
    (root / "ImageSets" / "Main" / "train.txt").unlink()
    assert list(convert(root, tmp_path / "again", "coco").parts) == ["train"]


def test_nothing_half_written(images, tmp_path):
    missing = Annotated(images / "0.png", [((), (), (), ())] * 4, ["cat"])  # there is no 3.png
    with pytest.raises(ValueError, match=r"3\.png: no such image file"):
        write({"train": missing}, tmp_path / "out", "voc")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("box", "label", "message"), [((0, 0, np.nan, 1), 0, "NaN"), ((0, 0, 1, 1), 9, "unknown class 9")]
)
def test_what_cannot_be_written_is_refused(images, tmp_path, box, label, message):
    faulty = Annotated(images / "0.png", [([box], [label], [False], [False])], ["cat"])
    with pytest.raises(ValueError, match=message):
        write({"train": faulty}, tmp_path / "out", "coco")


def test_refusals(bccd, images, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("")
    with pytest.raises(ValueError, match="exists already"):
        convert(bccd, tmp_path / "full", "yolo")
    with pytest.raises(ValueError, match="choose one of voc, yolo, coco"):
        convert(bccd, tmp_path / "out", "kitti")
    twins = Annotated(images / "0.png", [], ["cat", "cat"])
    with pytest.raises(ValueError, match="names that differ"):
        write({"train": twins}, tmp_path / "out", "voc")
