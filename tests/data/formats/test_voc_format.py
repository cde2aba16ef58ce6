"""Pascal VOC folders, the real one and small ones written here."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import kzoo.data
from kzoo.data.formats.voc.reading import VOC, parse, splits
from kzoo.structures.draw import encode_png


def thing(name="cat", box=(1, 1, 10, 20), extra="") -> str:
    corners = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object>\n<name>{name}</name>\n{extra}\n<bndbox>{corners}</bndbox>\n</object>"


def folder(root, annotations: dict[str, str], lists: dict[str, str] | None = None):
    """A VOC folder whose images are 40 x 30 pixels."""
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / part).mkdir(parents=True)
    for stem, content in annotations.items():
        (root / "JPEGImages" / f"{stem}.png").write_bytes(encode_png(np.zeros((30, 40, 3), np.uint8)))
        (root / "Annotations" / f"{stem}.xml").write_text(content)
    for split, lines in (lists or {}).items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text(lines)
    return root


def annotation(*things: str) -> str:
    size = "<size><width>40</width><height>30</height><depth>3</depth></size>"
    return "\n".join(["<annotation>", size, *things, "</annotation>"])


def test_bccd_counts_and_classes(bccd):
    whole = kzoo.data.load(bccd)
    assert isinstance(whole, VOC) and whole.classes == ["Platelets", "RBC", "WBC"]
    labels = np.concatenate([whole.record(i).labels for i in range(len(whole))])
    assert len(whole) == 364 and np.bincount(labels).tolist() == [361, 4155, 372]
    sizes = {split: len(VOC(bccd, split)) for split in ("train", "val", "test")}
    assert sizes == {"train": 205, "val": 87, "test": 72}
    assert splits(bccd) == ["train", "val", "test", "trainval"]


def test_bccd_boxes_against_another_parser(bccd):
    data = VOC(bccd, "test")
    for index in range(0, len(data), 9):
        record = data.record(index)
        root = ElementTree.parse(bccd / "Annotations" / f"{record.id}.xml").getroot()
        raw = [
            [int(o.find(f"bndbox/{k}").text) for k in ("xmin", "ymin", "xmax", "ymax")]
            for o in root.iter("object")
        ]
        assert np.array_equal(record.boxes, np.array(raw) - [1, 1, 0, 0])
        assert [data.classes[label] for label in record.labels] == [
            o.find("name").text for o in root.iter("object")
        ]
        lines = record.source.read_text().splitlines()
        assert all("<object>" in lines[line - 1] for line in record.lines)


def test_bccd_sample(bccd):
    sample = kzoo.data.load(bccd, split="train")[0]
    assert sample.image.shape == (480, 640, 3) and sample.image.dtype == np.uint8
    assert sample.boxes.dtype == np.float32 and len(sample.boxes) == len(sample.labels) > 0


def test_bccd_zero_size_boxes_have_no_area(bccd):
    whole = VOC(bccd)
    empty = {
        whole.record(i).id
        for i in range(len(whole))
        if (whole.record(i).boxes[:, :2] >= whole.record(i).boxes[:, 2:]).any()
    }
    assert empty == {"BloodImage_00338", "BloodImage_00343"}


def test_one_based_inclusive_coordinates(tmp_path):
    things = thing(box=(1, 1, 40, 30)), thing(box=(5, 6, 6, 6)), thing(box=(5, 6.5, 5.5, 6.5))
    boxes = VOC(folder(tmp_path, {"a": annotation(*things)})).record(0).boxes
    # The whole image; two without height.
    assert boxes.tolist() == [[0, 0, 40, 30], [4, 5, 6, 5], [4, 5.5, 5.5, 5.5]]


def test_flags_parts_and_entities(tmp_path):
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    hard = thing("black &amp; white", (3, 4, 10, 12), f"<difficult>1</difficult>{part}")
    data = VOC(folder(tmp_path, {"a": annotation(hard, thing("ant", extra="<crowd>1</crowd>"))}))
    record = data.record(0)
    assert data.classes == ["ant", "black & white"] and record.labels.tolist() == [1, 0]
    assert record.difficult.tolist() == [True, False] and record.crowd.tolist() == [False, True]
    assert record.boxes[0].tolist() == [2, 3, 10, 12] and record.size == (30, 40)


def test_classes_file_fixes_the_order_and_the_classes(tmp_path):
    root = folder(tmp_path, {"a": annotation(thing("dog"), thing("cat"), thing("cow"))})
    (root / "classes.txt").write_text("dog\ncat\n")
    record = VOC(root).record(0)
    assert VOC(root).classes == ["dog", "cat"] and record.labels.tolist() == [0, 1, -1]
    assert [(f.kind, f.box) for f in record.problems] == [
        ("unknown-class", 2)
    ] and "'cow'" in record.problems[0].message


def test_classes_do_not_depend_on_the_split(tmp_path):
    one = {"a": annotation(thing("dog")), "b": annotation(thing("cat"))}
    root = folder(tmp_path, one, {"train": "a\n", "val": "b\n"})
    assert VOC(root, "train").classes == VOC(root, "val").classes == ["cat", "dog"]
    assert VOC(root, "train").record(0).labels.tolist() == [1]


def test_lists(tmp_path):
    ids = {name: annotation() for name in ("a", "b c", "d 1")}
    root = folder(tmp_path, ids, {"train": "a\n\nb c\nd 1\n", "cat_train": "a  1\nd 1 -1\n", "val2017": "a"})
    assert splits(root) == ["train", "val2017"]
    assert VOC(root, "train").ids == ["a", "b c", "d 1"] and VOC(root, "val").ids == ["a"]
    assert VOC(root, "cat_train").ids[0] == "a"
    with pytest.raises(ValueError, match=r"no split 'test'; choose one of train, val2017"):
        kzoo.data.load(root, split="test")


def test_no_lists_at_all(tmp_path):
    root = folder(tmp_path, {"a": annotation()})
    assert len(VOC(root)) == 1
    with pytest.raises(ValueError, match="no splits: leave the split out"):
        VOC(root, "train")


@pytest.mark.parametrize(
    ("content", "kind", "line"),
    [
        ("", "empty-file", None),
        ("<annotation>\n<object>\n<name>a</annotation>", "unreadable-label", 3),
        ("just text", "unreadable-label", 1),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "unreadable-label", None),
        (annotation(thing("")), "malformed", 3),
        (annotation("<object><name>a</name></object>"), "malformed", 3),
        (annotation(thing(box=(1, 2, "x", 4))), "malformed", 3),
    ],
)
def test_faulty_files_are_problems_not_crashes(tmp_path, content, kind, line):
    root = folder(tmp_path, {"a": content})
    problem = VOC(root).record(0).problems[0]
    assert (problem.kind, problem.line, problem.file) == (kind, line, root / "Annotations" / "a.xml")
    with pytest.raises(ValueError, match=r"a\.xml.*--skip-faulty"):
        VOC(root)[0]


def test_an_object_after_a_malformed_one_is_read(tmp_path):
    (tmp_path / "a.xml").write_text(annotation(thing(box=("", 2, 3, 4)), thing("dog", (2, 2, 5, 5))))
    found = parse(tmp_path / "a.xml")
    assert found.names == ["dog"] and len(found.problems) == 1 and found.lines == [8]


def test_listed_image_without_annotation(tmp_path):
    root = folder(tmp_path, {"a": annotation()}, {"train": "a\nb\n"})
    (problem,) = VOC(root, "train").record(1).problems
    assert problem.kind == "image-without-label" and problem.file.name == "b.xml"
