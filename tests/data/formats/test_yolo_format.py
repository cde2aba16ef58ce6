"""YOLO datasets: Ultralytics' data.yaml and Darknet's .data, and what their label lines may hold."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kzoo.data
from kzoo.data.formats.yolo.reading import YOLO, label_candidates, parse
from kzoo.structures.draw import encode_png

PNG = encode_png(np.zeros((100, 200, 3), np.uint8))


def put(path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def ultralytics(
    root, labels: dict[str, str], yaml="train: images/train\nval: images/val\nnames: [cat, dog]\n"
):
    """A dataset of 200 x 100 pixel images; `labels` are label files by "split/stem"."""
    put(root / "data.yaml", yaml)
    for part in ("train", "val"):
        (root / "images" / part).mkdir(parents=True, exist_ok=True)
    for name, text in labels.items():
        put(root / "images" / f"{name}.png", PNG)
        put(root / "labels" / f"{name}.txt", text)
    return root


def test_boxes_in_pixels(tmp_path):
    root = ultralytics(tmp_path, {"train/a": "1 0.5 0.5 0.25 0.5\n\n0 0.1 0.2 0.2 0.4\n", "val/b": ""})
    data = kzoo.data.load(root, split="train")
    record = data.record(0)
    assert (
        isinstance(data, YOLO)
        and data.classes == ["cat", "dog"]
        and kzoo.data.splits(root) == ["train", "val"]
    )
    assert np.allclose(record.boxes, [[75, 25, 125, 75], [0, 0, 40, 40]], atol=1e-4)
    assert record.labels.tolist() == [1, 0] and record.lines == [1, 3]
    assert len(kzoo.data.load(root)) == 2 and data[0].image.shape == (100, 200, 3)


@pytest.mark.parametrize(
    "yaml",
    [
        "path: .\ntrain: images/train\nval: images/val\nnames: {0: cat, 1: dog}\nnc: 2\n",
        "path: /nowhere/at/all\ntrain: [images/train, images/val]\nnames: [cat, dog]\n",
        "train: ../images/train\nval: ../images/val\nnames: [cat, dog]\nroboflow: {version: 1}\n",
        "train: lists/train.txt\nval: images/val\nnames:\n  - cat\n  - dog\n",
    ],
)
def test_ways_to_say_where_images_are(tmp_path, yaml):
    root = ultralytics(tmp_path, {"train/a": "0 .5 .5 1 1", "val/b": "1 .5 .5 1 1"}, yaml)
    put(root / "lists" / "train.txt", "../images/train/a.png\n")
    data = YOLO(root, "train")
    assert data.classes == ["cat", "dog"] and data.record(0).boxes.tolist() == [[0, 0, 200, 100]]


@pytest.mark.parametrize("where", ["obj.data", "data/obj.data"])
def test_darknet_data_file(tmp_path, where):
    put(tmp_path / "data" / "obj.names", "cat\ndog\n\n")
    put(tmp_path / "data" / "obj" / "a.jpg", PNG)
    put(tmp_path / "data" / "obj" / "a.txt", "1 .5 .5 .5 .5\n")
    put(tmp_path / "data" / "train.txt", "data/obj/a.jpg\n")
    put(
        tmp_path / where,
        "classes = 2\ntrain = data/train.txt\nvalid= data/train.txt\nnames = data/obj.names\n",
    )
    data = kzoo.data.load(tmp_path / where, split="val")
    assert data.classes == ["cat", "dog"] and kzoo.data.splits(tmp_path / where) == ["train", "val"]
    assert data.record(0).boxes.tolist() == [[50, 25, 150, 75]]


def test_polygons_become_boxes_and_masks(tmp_path):
    root = ultralytics(tmp_path, {"train/a": "0 .1 .1 .5 .1 .5 .6 .1 .6\n1 .5 .5 .1 .1\n"})
    record = YOLO(root, "train").record(0)
    assert np.allclose(record.boxes[0], [20, 10, 100, 60])
    assert record.polygons[1] is None and np.allclose(record.polygons[0][0][2], [100, 60])
    masks = YOLO(root, "train", masks=True)[0].masks
    assert masks.shape == (2, 100, 200) and masks[0].sum() == 80 * 50 and not masks[1].any()
    assert YOLO(root, "train")[0].masks is None


def test_exif_turned_image(tmp_path):
    from PIL import Image

    root = ultralytics(tmp_path, {"train/a": "0 .5 .5 1 .5"})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (200, 100)).save(root / "images/train/a.png", exif=exif)
    assert YOLO(root, "train").record(0).boxes.tolist() == [[0, 50, 100, 150]]


def test_labels_beside_the_images(tmp_path):
    put(tmp_path / "data.yaml", "train: pictures\nnames: [cat]\n")
    put(tmp_path / "pictures" / "a.png", PNG)
    put(tmp_path / "pictures" / "a.txt", "0 .5 .5 1 1")
    assert YOLO(tmp_path, "train").record(0).source == tmp_path / "pictures" / "a.txt"


def test_last_images_folder_becomes_labels(tmp_path):
    found = label_candidates(tmp_path / "images" / "set" / "images" / "val" / "a.b.jpg")
    assert found[0] == tmp_path / "images" / "set" / "labels" / "val" / "a.b.txt"


@pytest.mark.parametrize(
    "line", ["0 .5 .5 .5", "0 .5 .5 .5 .5 .9", "0 a .5 .5 .5", "0.5 .1 .1 .1 .1", "cat .1 .1 .1 .1"]
)
def test_lines_that_are_no_boxes(tmp_path, line):
    root = ultralytics(tmp_path, {"train/a": f"1 .5 .5 .5 .5\n{line}\n"})
    data = YOLO(root, "train")
    record = data.record(0)
    (problem,) = record.problems
    assert len(record) == 1 and (problem.kind, problem.line, problem.severity) == ("malformed", 2, "error")
    with pytest.raises(ValueError, match=r"a\.txt:2: "):
        data[0]


@given(st.text(alphabet="0123456789.-enaif \n\t", max_size=200))
@settings(max_examples=200, deadline=None)
def test_every_line_is_a_box_or_a_problem(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("label") / "a.txt"
    path.write_text(text)
    problems = []
    found = parse(path, problems)
    numbers = [number for number, _, _ in found] + [fault.line for fault in problems if fault.line]
    assert sorted(numbers) == [n for n, line in enumerate(text.splitlines(), 1) if line.strip()]


def test_unknown_class_and_backgrounds(tmp_path):
    root = ultralytics(tmp_path, {"train/a": "2 .5 .5 .5 .5\n-1 .5 .5 .5 .5", "train/b": ""})
    put(root / "images/train/c.png", PNG)
    first, second, third = (YOLO(root, "train").record(i) for i in range(3))
    assert [(f.kind, f.line, f.box) for f in first.problems] == [
        ("unknown-class", 1, 0),
        ("unknown-class", 2, 1),
    ]
    assert [(f.kind, f.severity) for f in second.problems] == [("empty-file", "warning")]
    assert [(f.kind, f.severity) for f in third.problems] == [("image-without-label", "warning")]
    assert len(YOLO(root, "train")[1].boxes) == len(YOLO(root, "train")[2].boxes) == 0


def test_missing_image_and_label_without_image(tmp_path):
    root = ultralytics(tmp_path, {"train/a": "0 .5 .5 .5 .5"}, "train: train.txt\nnames: [cat]\n")
    put(root / "labels/train/lost.txt", "0 .5 .5 .5 .5")
    put(root / "train.txt", "./images/train/a.png\n./images/train/gone.png\n")
    data = YOLO(root, "train")
    assert [fault.kind for fault in data.record(1).problems] == ["missing-image", "image-without-label"]
    (fault,) = data.problems()
    assert (fault.kind, fault.file.name, fault.severity) == ("label-without-image", "lost.txt", "error")


def test_flags_file(tmp_path):
    root = ultralytics(tmp_path, {"train/a": "0 .5 .5 .5 .5\n\n0 .1 .1 .1 .1"})
    put(root / "flags.json", json.dumps({"labels/train/a.txt": {"difficult": [3], "crowd": [1]}}))
    record = YOLO(root, "train").record(0)
    assert record.difficult.tolist() == [False, True] and record.crowd.tolist() == [True, False]


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("train: [images", "data.yaml:2: not YAML"),
        ("- a\n- b\n", "should hold 'train', 'val' and 'names'"),
        ("train: images/train\n", "no 'names'"),
        ("train: images/train\nnames: {1: cat, 2: dog}\n", "from 0 without a gap"),
        ("train: images/train\nnames: [cat]\nnc: 2\n", "nc is 2, but there are 1 names"),
        ("names: [cat]\n", "names no images"),
        ("train: nowhere\nnames: [cat]\n", "no folder and no .txt list"),
    ],
)
def test_faulty_descriptions(tmp_path, yaml, message):
    root = ultralytics(tmp_path, {}, yaml)
    with pytest.raises(ValueError, match=message.replace(".", r"\.")) as error:
        YOLO(root, "train")
    assert "\n" not in str(error.value)


def test_wrong_split(tmp_path):
    with pytest.raises(ValueError, match="no split 'test'; choose one of train, val"):
        kzoo.data.load(ultralytics(tmp_path, {}), split="test")


def test_nothing_known_there(tmp_path):
    with pytest.raises(ValueError, match=r"Pascal VOC.*YOLO.*COCO"):
        kzoo.data.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such dataset"):
        kzoo.data.load(tmp_path / "none")
