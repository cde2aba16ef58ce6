"""Lists of boxes: keras-retinanet's CSV, tables with a header, keras-yolo3's lines."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import kzoo.data
from kzoo.cli.data import app
from kzoo.data.checks.check import check
from kzoo.data.formats.convert import convert
from kzoo.structures.draw import encode_png

PNG = encode_png(np.zeros((64, 96, 3), np.uint8))
RETINANET = "images/a.png,20,10,60,40,kettle\nimages/a.png,1.5,2,30,20,cup\nimages/b.png,,,,,\n"
TABLE = (
    "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    "a.png,96,64,kettle,20,10,60,40\na.png,96,64,cup,1.5,2,30,20\nb.png,96,64,,,,,\n"
)
LINES = "images/a.png 20,10,60,40,1 1.5,2,30,20,0\nimages/b.png\n"
BOXES = [[20, 10, 60, 40], [1.5, 2, 30, 20]]


@pytest.fixture
def root(tmp_path):
    for name in "ab":
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(PNG)
    return tmp_path


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "name, content, form",
    [
        ("x.csv", RETINANET, "csv"),
        ("x.csv", RETINANET.replace(",", ";"), "csv"),
        ("x.CSV", RETINANET.replace(",", "\t").replace("\n", "\r\n"), "csv"),
        ("annotate.txt", RETINANET, "csv"),
        ("x.csv", TABLE, "csv"),
        ("x.csv", TABLE.replace("filename", '"Image Path"').replace("xmin", "x_min").replace("xmax", "XMax"), "csv"),
        ("x.csv", TABLE.encode("utf-16"), "csv"),
        ("x.csv", RETINANET.replace("images/", "C:\\data\\images\\"), "csv"),
        ("x.csv", RETINANET.replace("images/", "/home/else/"), "csv"),
        ("x.txt", LINES, "keras-yolo3"),
        ("x.txt", LINES.replace("images/", "D:\\my files\\images\\"), "keras-yolo3"),
    ],
)  # fmt: skip
def test_boxes_in_every_form(root, name, content, form):
    path = put(root / name, content)
    if form == "keras-yolo3":
        put(root / "classes.txt", "cup\nkettle\n")
    data = kzoo.data.load(path)
    assert data.format == form and data.classes == ["cup", "kettle"] and kzoo.data.splits(path) == []
    first, second = data.record(0), data.record(1)
    assert first.boxes.tolist() == BOXES and first.labels.tolist() == [1, 0]
    assert (first.path, first.source, len(second)) == (root / "images/a.png", path, 0)
    assert not check(path).errors and data[0].image.shape == (64, 96, 3)


def test_lines_of_boxes(root):
    record = kzoo.data.load(put(root / "x.csv", TABLE)).record(0)
    assert record.lines == [2, 3] and record.size == (64, 96)
    assert kzoo.data.load(put(root / "y.csv", RETINANET)).record(0).lines == [1, 2]


def test_paths_with_spaces_and_commas(root):
    (root / "images" / "a.png").rename(root / "images" / "my cup, 2,3,4,5 b.png")
    put(root / "x.txt", "images/my cup, 2,3,4,5 b.png 20,10,60,40,0\n")
    data = kzoo.data.load(root / "x.txt")
    assert data.record(0).path.is_file() and data.record(0).boxes.tolist() == BOXES[:1]
    put(root / "x.csv", '"images/my cup, 2,3,4,5 b.png",20,10,60,40,"a, ""b"""\n')
    data = kzoo.data.load(root / "x.csv")
    assert data.record(0).path.is_file() and data.classes == ['a, "b"']


@pytest.mark.parametrize(
    "files, parts",
    [
        ("train.csv val.csv", ["train", "val"]),
        ("train_labels.csv test_labels.csv", ["train", "test"]),
        ("data/train_labels.csv data/test_labels.csv", ["train", "test"]),
        ("annotations/train_annotations.csv annotations/val_annotations.csv", ["train", "val"]),
        ("train/_annotations.csv valid/_annotations.csv", ["train", "valid"]),
        ("boxes.csv", []),
        ("train.csv", ["train"]),
    ],
)
def test_folders_of_lists(root, files, parts):
    for name, content in zip(files.split(), (RETINANET, "images/b.png,1,2,3,4,cup\n"), strict=False):
        put(root / name, content)
    assert kzoo.data.sniff(root) == "boxlist" and kzoo.data.splits(root) == parts
    for part in parts or [None]:
        data = kzoo.data.load(root, part)
        assert data.classes == ["cup", "kettle"] and data.record(0).path.is_file()


def test_lines_in_folders(root):
    put(root / "train.txt", LINES)
    put(root / "val.txt", "images/b.png 1,2,3,4,2\n")
    assert kzoo.data.splits(root) == ["train", "val"]
    assert kzoo.data.load(root, "train").classes == ["0", "1", "2"]  # as many as all parts together need
    put(root / "_classes.txt", "a\nb\nc\n")
    assert kzoo.data.load(root, "val").classes == ["a", "b", "c"]


def test_a_file_of_classes(root):
    put(root / "x.csv", RETINANET)
    put(root / "classes.csv", "kettle,0\ncup,1\npot,2\n")
    data = kzoo.data.load(root)
    assert data.classes == ["kettle", "cup", "pot"] and data.record(0).labels.tolist() == [0, 1]
    put(root / "classes.csv", "kettle,0\npot,1\n")
    (fault,) = kzoo.data.load(root).record(0).problems
    assert (fault.kind, fault.place) == ("unknown-class", f"{root / 'x.csv'}:2") and "'cup'" in fault.message


@pytest.mark.parametrize(
    "content, words",
    [
        ("kettle,0\ncup,2\n", "no class 1; number the classes from 0 without a gap"),
        ("kettle,0\ncup,0\n", ":2: class 0 is given twice"),
        ("kettle,0\nkettle,1\n", "'kettle' is the name of classes 0 and 1"),
        ("kettle,zero\n", ":1: 'kettle,zero' is not 'name,id'"),
        ("", "no class 0"),
    ],
)
def test_files_of_classes_that_are_none(root, content, words):
    put(root / "x.csv", RETINANET)
    put(root / "classes.csv", content)
    with pytest.raises(ValueError, match=r"classes\.csv") as caught:
        kzoo.data.load(root)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "line, words",
    [
        ("images/a.png,1,2,3,cup", "5 fields, but there are 6: image, xmin, ymin, xmax, ymax, name"),
        ("images/a.png,1,2,3,x,cup", "box '1,2,3,x' is not four numbers"),
        ("images/a.png,1,2,3,,cup", "box '1,2,3,' is not four numbers"),
        ("images/a.png,1,2,3,1_0,cup", "is not four numbers"),
        ("images/a.png,1,2,3,4,", "a box without a class"),
        (",1,2,3,4,cup", "no image in this line"),
        ("images/a.png,60,10,20,40,cup", "is inverted"),
        ("images/a.png,1,2,300,40,cup", "reaches beyond the image"),
        ("images/a.png,nan,2,30,40,cup", "NaN or infinity"),
        ("images/a.png,1,2,1e300,40,cup", "NaN or infinity"),
        ("images/lost.png,1,2,30,40,cup", "no such image file, named by x.csv:4"),
        (f"{'x' * 300}.png,1,2,30,40,cup", "is too long for a path"),
    ],
)
def test_faults_have_file_and_line(root, line, words):
    put(root / "x.csv", f"{RETINANET}{line}\n")
    (fault,) = [fault for fault in check(root / "x.csv").errors if words in fault.message]
    assert fault.place == str(root / "images/lost.png") if "lost" in line else f"{root / 'x.csv'}:4"


@pytest.mark.parametrize(
    "line, words",
    [
        ("images/a.png 1,2,3,4", "'1,2,3,4' is not x1,y1,x2,y2,class"),
        ("images/a.png 1,2,3,4,cup", "'1,2,3,4,cup' is not"),
        ("1,2,3,4,0", "does not begin with the path of an image"),
    ],
)
def test_faults_of_lines(root, line, words):
    put(root / "x.txt", f"{LINES}{line}\n")
    (fault,) = [fault for fault in check(root / "x.txt").errors if words in fault.message]
    assert fault.place == f"{root / 'x.txt'}:3"


@pytest.mark.parametrize(
    "content, words",
    [
        ("filename,class,xmin,ymin,width,height\na.png,cup,1,2,3,4\n", ":1: a header without xmax, ymax"),
        ("a.png,.1,.2,.3,.4,cup\n", ":1: all corners lie within 0..1"),
        ("kettle,0\ncup,1\n", ":1: 2 fields, but there are 6"),
        ('a.png,1,2,3,4,"cup\n', ": no CSV: unexpected end of data"),
        ("a.png,1,2,3,4,caf\xe9\n".encode("latin-1"), ":1: byte 0xe9 is no UTF-8"),
        ('"' + "x" * 200_000 + '"', ": no CSV: field larger than field limit"),
    ],
)
def test_lists_that_are_none(root, content, words):
    with pytest.raises(ValueError) as caught:
        kzoo.data.load(put(root / "x.csv", content))
    said = str(caught.value)
    assert said.startswith(f"{root / 'x.csv'}:") and words in said and "\n" not in said


def test_hidden_images_are_passed_over_and_counted(root):
    put(root / "x.csv", RETINANET + "images/._a.png,1,2,3,4,cup\n")
    data = kzoo.data.load(root)
    assert [path.name for path in data.paths] == ["a.png", "b.png"]
    (fault,) = data.problems()
    assert (fault.kind, fault.line, fault.severity) == ("hidden-image", 4, "warning")


def test_columns_that_nobody_reads_are_said(root):
    put(
        root / "x.csv",
        TABLE.replace("class", "class,depth")
        .replace(",kettle", ",kettle,3")
        .replace(",cup", ",cup,3")
        .replace("64,,", "64,,,"),
    )
    (fault,) = kzoo.data.load(root).problems()
    assert (fault.kind, fault.severity) == ("unread-columns", "warning") and "depth" in fault.message


def test_a_huge_class_does_not_fill_the_memory(root):
    with pytest.raises(ValueError, match=r"x\.txt: a class 999999999; write the class names to classes\.txt"):
        kzoo.data.load(put(root / "x.txt", "images/a.png 1,2,3,4,999999999\n"))


@pytest.mark.parametrize("to", ["voc", "yolo", "coco"])
def test_converted(root, to):
    put(root / "train.csv", RETINANET)
    convert(root / "train.csv", root / "out", to)
    data = kzoo.data.load(root / "out", "train")
    assert data.classes == ["cup", "kettle"] and sorted(len(data.record(i)) for i in range(2)) == [0, 2]
    assert np.allclose(data.record(0).boxes, BOXES, atol=1e-3)


def test_commands(root):
    path = str(put(root / "x.csv", RETINANET))
    found = json.loads(CliRunner().invoke(app, ["info", path, "--json"]).output)
    assert found["format"] == "csv" and found["all"] == {"images": 2, "boxes": 2}
    said = CliRunner().invoke(app, ["check", path])
    assert said.exit_code == 0 and "csv, 2 images, 2 boxes" in said.output
