"""Pascal VOC as labelling tools lay it out, and what their files hold beyond the challenge's."""

import numpy as np
import pytest

import kzoo.data
from kzoo.data.checks.check import check
from kzoo.data.formats.voc.reading import VOC, parse
from kzoo.structures.draw import encode_png

ONE = """<annotation>
<folder>{folder}</folder><filename>{filename}</filename><path>{path}</path>
<size><width>40</width><height>30</height><depth>3</depth></size>
<object><name>cup</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>10</xmax><ymax>20</ymax></bndbox></object>
</annotation>"""
BOX = [[1, 2, 10, 20]]


def one(filename="a.png", folder="", path=""):
    return ONE.format(filename=filename, folder=folder, path=path)


def make(root, files):
    """Files by name: text as it is, images where there is none."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture = encode_png(np.zeros((30, 40, 3), np.uint8))
        (root / name).write_bytes(picture if content is None else content.encode())
    return root


LAYOUTS = {
    "Label Studio": ({"images/a.png": None, "Annotations/a.xml": one()}, None, "a"),
    "Kaggle": ({"images/a.png": None, "annotations/a.xml": one()}, None, "a"),
    "Kaggle, capitals": ({"IMAGES/a.PNG": None, "ANNOTATIONS/a.XML": one()}, None, "a"),
    "beside": ({"a.png": None, "a.xml": one()}, None, "a"),
    "beside, in folders": ({"monday/a.png": None, "monday/a.xml": one()}, None, "monday/a"),
    "Roboflow": ({"train/a.png": None, "train/a.xml": one(), "valid/b.png": None, "valid/b.xml": one("b.png")},
                 "train", "train/a"),
    "Roboflow, val": ({"train/b.png": None, "train/b.xml": one("b.png"), "valid/a.png": None, "valid/a.xml": one()},
                      "val", "valid/a"),
    "parts with folders": ({"Train/images/a.png": None, "Train/annotations/a.xml": one()}, "Train", "Train/a"),
    "sub-folders": ({"JPEGImages/monday/a.png": None, "Annotations/monday/a.xml": one()}, None, "monday/a"),
    "sub-folders called as splits": (
        {"images/train/a.png": None, "annotations/train/a.xml": one(),
         "images/val/b.png": None, "annotations/val/b.xml": one("b.png")}, "train", "train/a"),
    "annotations one folder further down": ({"images/a.png": None, "annotations/xmls/a.xml": one()}, None, "xmls/a"),
    "lists in small letters": ({"jpegimages/a.png": None, "annotations/a.xml": one(), "annotations/b.xml": one("b.png"),
                                "imagesets/main/default.txt": "a\n"}, "default", "a"),
    "lists right in ImageSets": ({"JPEGImages/a.png": None, "Annotations/a.xml": one(), "Annotations/b.xml": one(),
                                  "ImageSets/val.txt": "a\n"}, "val", "a"),
    "lists beside": ({"images/a.png": None, "Annotations/a.xml": one(), "Annotations/b.xml": one("b.png"),
                      "test.txt": "a\n"}, "test", "a"),
    "lists with suffixes": ({"JPEGImages/a.png": None, "Annotations/a.xml": one(),
                             "ImageSets/Main/val.txt": "a.png\n"}, "val", "a"),
    "lists with paths": ({"JPEGImages/m/a.png": None, "Annotations/m/a.xml": one(),
                          "ImageSets/Main/val.txt": "C:\\data\\JPEGImages\\m\\a.png\n"}, "val", "m/a"),
    "lists of stems, files in folders": ({"JPEGImages/m/a.png": None, "Annotations/m/a.xml": one(),
                                          "ImageSets/Main/val.txt": "a\n"}, "val", "m/a"),
    "a year of VOCdevkit": ({"VOC2012/JPEGImages/a.png": None, "VOC2012/Annotations/a.xml": one()}, None, "a"),
    "a dot in the name": ({"JPEGImages/frame_1.5.png": None, "Annotations/frame_1.5.xml": one("frame_1.5.png"),
                           "JPEGImages/frame_1.6.png": None, "Annotations/frame_1.6.xml": one("frame_1.6.png"),
                           "ImageSets/Main/train.txt": "frame_1.5\n"}, "train", "frame_1.5"),
    "the name is in the file": ({"JPEGImages/0001.png": None, "Annotations/a.xml": one("0001.png")}, None, "a"),
    "the path is in the file": ({"images/m/0001.png": None, "Annotations/a.xml": one("", path=r"D:\x\m\0001.png")},
                                None, "a"),
    "the folder tells which": ({"images/m/a.png": None, "images/t/a.png": None, "Annotations/q/a.xml": one(folder="m")},
                               None, "q/a"),
    "hidden files": ({"JPEGImages/a.png": None, "JPEGImages/._a.png": "x", "Annotations/a.xml": one(),
                      "Annotations/._a.xml": "x", "Annotations/.old/b.xml": one("b.png")}, None, "a"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(tmp_path, name):
    files, split, identifier = LAYOUTS[name]
    data = kzoo.data.load(make(tmp_path, files), split)
    assert isinstance(data, VOC) and data.ids == [identifier]
    record = data.record(0)
    assert record.boxes.tolist() == BOX and record.path.is_file() and not record.problems
    assert data[0].image.shape == (30, 40, 3)
    if split:
        assert split in kzoo.data.splits(tmp_path) or split == "val"


def test_a_link_to_a_folder_of_images(tmp_path):
    make(tmp_path, {"disk/m/a.png": None, "set/Annotations/m/a.xml": one()})
    (tmp_path / "set" / "JPEGImages").symlink_to(tmp_path / "disk")
    assert VOC(tmp_path / "set").record(0).path.is_file()


@pytest.mark.parametrize("suffix", [".gif", ".JPEG", ".tif", ".webp", ".avif", ".heic"])
def test_every_suffix_is_found(tmp_path, suffix):
    make(tmp_path, {f"images/a{suffix}": None, "Annotations/a.xml": one("elsewhere.png")})
    assert VOC(tmp_path).record(0).path == tmp_path / "images" / f"a{suffix}"


def test_the_name_in_the_file_tells_images_of_one_stem_apart(tmp_path):
    make(tmp_path, {"images/a.bmp": None, "images/a.png": None, "Annotations/a.xml": one("a.png")})
    data = VOC(tmp_path)
    assert data.record(0).path.name == "a.png"
    assert [(f.kind, f.file.name) for f in data.problems()] == [("unused-image", "a.bmp")]


def test_a_copied_annotation_does_not_take_anothers_image(tmp_path):
    make(tmp_path, {"images/a.png": None, "Annotations/a.xml": one(), "Annotations/b.xml": one()})
    report = check(tmp_path)
    assert [(f.kind, f.file.name) for f in report.errors] == [("missing-image", "b.png")]


def test_images_without_annotation_are_counted_in_their_part(tmp_path):
    make(tmp_path, {"train/a.png": None, "train/a.xml": one(), "train/b.png": None, "valid/c.png": None,
                    "valid/d.png": None, "valid/d.xml": one("d.png")})  # fmt: skip
    assert [fault.file.name for fault in VOC(tmp_path, "train").problems()] == ["b.png"]
    assert [fault.file.name for fault in VOC(tmp_path).problems()] == ["b.png", "c.png"]


def test_several_datasets_in_a_folder_are_named(tmp_path):
    make(tmp_path, {f"{year}/Annotations/a.xml": one() for year in ("VOC2007", "VOC2012")})
    with pytest.raises(ValueError, match=r"several datasets.*VOC2007, VOC2012"):
        kzoo.data.load(tmp_path)


@pytest.mark.parametrize(
    "files",
    [
        {"a.png": None, "haarcascade.xml": "<opencv_storage/>"},
        {"data.yaml": "names: [a]\ntrain: images\n", "images/a.png": None, "images/a.xml": one()},
        {
            "annotations/instances.json": '{"images": [], "annotations": [], "categories": []}',
            "images/a.png": None,
        },
    ],
)
def test_other_xml_and_other_formats_are_not_voc(tmp_path, files):
    try:
        assert kzoo.data.sniff(make(tmp_path, files)) != "voc"
    except ValueError as error:
        assert "no dataset found" in str(error)


PREFIXED = """<?xml version="1.0"?>
<v:annotation xmlns:v="http://example.org/voc"><v:size><v:width>40</v:width><v:height>30</v:height></v:size>
<v:object><v:name>cup</v:name><v:bndbox><v:xmin>2</v:xmin><v:ymin>3</v:ymin><v:xmax>10</v:xmax><v:ymax>20</v:ymax>
</v:bndbox></v:object></v:annotation>"""


@pytest.mark.parametrize("text", [PREFIXED, one().replace("annotation>", "Annotation>").replace("bndbox", "BndBox"),
                                  one().replace("<annotation>", '<annotation xmlns="urn:x">')])  # fmt: skip
def test_prefixes_and_capitals_of_names(tmp_path, text):
    make(tmp_path, {"Annotations/a.xml": text, "JPEGImages/a.png": None})
    found = parse(tmp_path / "Annotations" / "a.xml")
    assert np.allclose(found.boxes, BOX) and found.size == (30, 40) and not found.problems


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8-sig", None), ("utf-16", None), ("utf-16", "utf-16"), ("utf-16-le", "utf-16"), ("utf-16-be", None),
        ("latin-1", "ISO-8859-1"), ("cp1252", "windows-1252"), ("gbk", "GBK"), ("shift_jis", "Shift_JIS"),
        ("utf-8", "utf-16"),
    ],
)  # fmt: skip
def test_encodings(tmp_path, encoding, declared):
    name = {"gbk": "茶杯", "shift_jis": "茶碗"}.get(encoding, "tasse à café")
    head = f'<?xml version="1.0" encoding="{declared}"?>\n' if declared else ""
    (tmp_path / "a.xml").write_bytes((head + one().replace("cup", name)).encode(encoding))
    found = parse(tmp_path / "a.xml")
    assert found.names == [name] and not found.problems


@pytest.mark.parametrize(
    ("content", "kind", "message", "line"),
    [
        (one().replace("cup", "café").encode("cp1252"), "unreadable-label", "byte 0xe9 is no UTF-8", 4),
        (b'<?xml version="1.0" encoding="klingon"?><annotation/>', "unreadable-label", "'klingon'", 1),
        (b'<?xml version="1.0"?><?xml version="1.0" encoding="punycode"?><a/>', "unreadable-label", "root is <a>", 1),
        (b'<?xml version="1.0" encoding="ascii"?>\n<annotation>\xe9</annotation>', "unreadable-label", "not ascii", 2),
        (b"<annotations><image/></annotations>", "unreadable-label", "the root is <annotations>", 1),
        (b"<annotation><objects>\n<object><name>a</name></object></objects></annotation>", "malformed",
         "no <object> right below", 2),
        (b"<annotation>\n<label><bndbox><xmin>1</xmin></bndbox></label></annotation>", "malformed", "none is read", 2),
    ],
)  # fmt: skip
def test_what_holds_no_objects_is_said(tmp_path, content, kind, message, line):
    (tmp_path / "a.xml").write_bytes(content)
    (problem,) = parse(tmp_path / "a.xml").problems
    assert (problem.kind, problem.line) == (kind, line) and message in problem.message


def test_what_is_odd_about_an_object_is_said(tmp_path):
    odd = (
        one()
        .replace("</name>", "</name><name>mug</name><difficult>maybe</difficult>")
        .replace(">40<", ">wide<")
    )
    (tmp_path / "a.xml").write_text(odd)
    found = parse(tmp_path / "a.xml")
    assert found.names == ["cup"] and found.difficult == [False] and found.size is None
    messages = " ".join(fault.message for fault in found.problems)
    assert all(part in messages for part in ("two <name>", "'maybe'", "wide x 30"))
    assert {fault.severity for fault in found.problems} == {"warning"}


def test_deep_nesting_takes_time_that_grows_with_the_file(tmp_path):
    deep = 100_000
    (tmp_path / "a.xml").write_text("<annotation>" + "<a>" * deep + "</a>" * deep + "</annotation>")
    assert not parse(tmp_path / "a.xml").problems
