"""Every fault is found, in its file and line; and training sees none of them."""

import json
import logging

import numpy as np
import pytest
from PIL import Image

import kzoo.data
from kzoo.data.checks.check import check, inspect_record, require_sound
from kzoo.data.formats.shapes import Shapes
from kzoo.data.formats.voc.reading import VOC
from kzoo.data.record import Record


def kinds(faults) -> list[str]:
    return sorted(fault.kind for fault in faults)


def found(report) -> set[tuple]:
    return {(fault.severity, fault.kind, fault.file.name, fault.line) for fault in report.faults}


@pytest.fixture
def yolo(tmp_path):
    """A dataset of 100 x 50 pixel images with one of each fault."""
    labels = {
        "good": "0 .5 .5 .5 .5\n1 .5 .5 .2 .2\n",
        "boxes": "0 .5 .5 0 .5\n0 .5 .5 -.2 .5\n0 .9 .5 .5 .5\n0 nan .5 .5 .5\n7 .5 .5 .5 .5\n0 .5 .5 .4 .4\n"
        "0 .5 .5 .4 .4\nhello\n",
        "blank": "",
        "gone": "0 .5 .5 .5 .5\n",
        "text": "0 .5 .5 .5 .5\n",
        "half": "0 .5 .5 .5 .5\n",
        "void": "0 .5 .5 .5 .5\n",
        "turned": "0 .5 .5 .5 .5\n",
        "orphan": "0 .5 .5 .5 .5\n",
    }
    images, texts = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    texts.mkdir()
    for stem, text in labels.items():
        (texts / f"{stem}.txt").write_text(text)
        if stem not in ("gone", "orphan"):
            Image.new("RGB", (100, 50), (9, 90, 200)).save(images / f"{stem}.jpg")
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.new("RGB", (100, 50)).save(images / "turned.jpg", exif=exif)
    Image.new("RGB", (100, 50)).save(images / "unlabelled.jpg")
    (images / "text.jpg").write_text("not a picture")
    (images / "void.jpg").write_bytes(b"")
    whole = (images / "half.jpg").read_bytes()
    (images / "half.jpg").write_bytes(whole[: len(whole) // 2])
    stems = [*labels, "unlabelled"]
    stems.remove("orphan")
    (tmp_path / "train.txt").write_text("".join(f"./images/{stem}.jpg\n" for stem in stems))
    (tmp_path / "data.yaml").write_text("train: train.txt\nnames: [cat, dog, emu]\n")
    return tmp_path


@pytest.mark.parametrize("decode", [True, False])
def test_every_fault_with_file_and_line(yolo, decode):
    report = check(yolo, split="train", decode=decode)
    assert found(report) == {
        ("error", "zero-area", "boxes.txt", 1),
        ("error", "inverted", "boxes.txt", 2),
        ("error", "out-of-range", "boxes.txt", 3),
        ("error", "not-finite", "boxes.txt", 4),
        ("error", "unknown-class", "boxes.txt", 5),
        ("warning", "duplicate", "boxes.txt", 7),
        ("error", "malformed", "boxes.txt", 8),
        ("warning", "empty-file", "blank.txt", None),
        ("error", "missing-image", "gone.jpg", None),
        ("error", "unreadable-image", "void.jpg", None),
        ("error", "unreadable-image", "half.jpg", None),
        ("error", "unreadable-image", "text.jpg", None),
        ("warning", "exif-rotation", "turned.jpg", None),
        ("warning", "image-without-label", "unlabelled.jpg", None),
        ("error", "label-without-image", "orphan.txt", None),
        ("warning", "class-without-example", yolo.name, None),
    }
    assert report.counts == {"cat": 12, "dog": 1, "emu": 0} and report.images_by_class["cat"] == 7
    assert (report.images, report.backgrounds) == (9, 2)


def test_report_as_text_and_json(yolo):
    report = check(yolo)
    text = report.format_text()
    assert f"{yolo / 'labels' / 'boxes.txt'}:3: error: box (65, 12.5, 115, 37.5) reaches beyond" in text
    assert text.endswith("11 errors, 5 warnings")
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["errors"] == 11 and len(plain["faults"]) == 16
    assert plain["classes"][1] == {"name": "dog", "boxes": 1, "images": 1}


def test_many_faults_of_a_kind_are_cut_short(yolo):
    (yolo / "labels" / "good.txt").write_text("5 .5 .5 .5 .5\n" * 30)
    report = check(yolo)
    assert "... and 21 more errors [unknown-class]" in report.format_text()
    assert "more errors" not in report.format_text(limit=None)


def test_training_is_refused_with_the_report(yolo):
    with pytest.raises(
        ValueError, match=r"11 faults; .*--skip-faulty\n(.*\n)*.*boxes\.txt:1: error"
    ) as error:
        require_sound(kzoo.data.load(yolo, split="train"))
    assert "warning" not in str(error.value)


def test_skipping_leaves_out_what_is_faulty_and_nothing_else(yolo, caplog):
    data = kzoo.data.load(yolo, split="train")
    with caplog.at_level(logging.WARNING, "kzoo"):
        sound = require_sound(data, skip_faulty=True)
    assert "left out 6 boxes and 4 images" in caplog.text
    assert [sound.record(i).id for i in range(len(sound))] == [
        "good",
        "boxes",
        "blank",
        "turned",
        "unlabelled",
    ]
    samples = list(sound)
    assert [len(sample.boxes) for sample in samples] == [2, 2, 0, 1, 0]
    assert np.allclose(samples[1].boxes, [[30, 15, 70, 35]] * 2) and samples[1].labels.tolist() == [0, 0]
    assert samples[3].image.shape == (100, 50, 3) and sound.size(3) == (100, 50)
    assert sound.classes == data.classes and sound.split == "train"
    assert not check(sound).errors


def test_sound_data_goes_through_as_it_is():
    data = Shapes(3, (64, 64))
    assert require_sound(data) is data and not check(data).faults


def test_nothing_left_is_an_error(yolo):
    (yolo / "train.txt").write_text("./images/text.jpg\n")
    with pytest.raises(ValueError, match="no image is left"):
        require_sound(kzoo.data.load(yolo, split="train"), skip_faulty=True)


def test_empty_dataset(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat]\n")
    report = check(tmp_path)
    assert kinds(report.errors) == ["empty-dataset"] and "0 images" in report.format_text()
    for skip in (True, False):
        with pytest.raises(ValueError, match="no image"):
            require_sound(kzoo.data.load(tmp_path), skip_faulty=skip)


def test_bccd_has_two_faults(bccd):
    report = check(bccd)
    assert [(fault.kind, fault.file.name, fault.line) for fault in report.faults] == [
        ("zero-area", "BloodImage_00338.xml", 158),
        ("zero-area", "BloodImage_00343.xml", 50),
    ]
    assert report.counts == {"Platelets": 361, "RBC": 4155, "WBC": 372} and report.backgrounds == 0
    assert sum(report.sizes.values()) == sum(n for _, _, n in report.histogram) == 4886


def test_skipping_in_bccd(bccd):
    sound = require_sound(VOC(bccd, "val"), skip_faulty=True, decode=False)
    assert len(sound) == 87 and sum(len(sound.record(i)) for i in range(87)) == 1137


def record(*boxes, size=(50, 100), labels=None, **more) -> Record:
    return Record("a.jpg", np.array(boxes), labels or [0] * len(boxes), size=size, source="a.xml", **more)


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((0, 0, 100, 50), None),
        ((-1, -1, 101, 51), None),
        ((-1.1, 0, 5, 5), "out-of-range"),
        ((0, 0, 101.5, 5), "out-of-range"),
        ((0, 0, 5, 51.5), "out-of-range"),
        ((200, 200, 300, 300), "out-of-range"),
        ((5, 5, 5, 9), "zero-area"),
        ((5, 5, 5.5, 5.5), None),
        ((5, 9, 7, 5), "inverted"),
        ((np.inf, 0, 1, 1), "not-finite"),
        ((0, np.nan, 1, 1), "not-finite"),
    ],
)
def test_box_faults(box, kind):
    faults = inspect_record(record(box), (50, 100), 1)
    assert kinds(faults) == ([kind] if kind else [])


def test_duplicates_are_of_one_class():
    same = (1, 2, 8, 9)
    faults = inspect_record(record(same, same, same, labels=[0, 1, 0], lines=[4, 9, 14]), (50, 100), 2)
    assert [(fault.kind, fault.line, fault.severity) for fault in faults] == [("duplicate", 14, "warning")]
    assert "as line 4" in faults[0].message


def voc_folder(root, size="<size><width>40</width><height>30</height></size>", box=(1, 1, 5, 5), exif=None):
    for part in ("JPEGImages", "Annotations"):
        (root / part).mkdir()
    Image.new("RGB", (40, 30)).save(root / "JPEGImages" / "a.jpg", exif=exif or Image.Exif())
    corners = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    thing = f"<object><name>cat</name><bndbox>{corners}</bndbox></object>"
    (root / "Annotations" / "a.xml").write_text(f"<annotation>{size}{thing}</annotation>")
    return root


def test_claimed_size_differs(tmp_path):
    report = check(voc_folder(tmp_path, "<size><width>80</width><height>60</height></size>"))
    assert kinds(report.warnings) == ["size-mismatch"] and not report.errors


def test_boxes_drawn_before_the_image_was_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    report = check(voc_folder(tmp_path, exif=exif))
    assert kinds(report.faults) == ["exif-rotation", "size-mismatch"]
    assert "before it was turned" in report.faults[1].message


def test_voc_counted_from_zero_and_unused_images(tmp_path):
    root = voc_folder(tmp_path, box=(0, 1, 5, 5))
    Image.new("RGB", (40, 30)).save(root / "JPEGImages" / "b.jpg")
    report = check(root)
    assert kinds(report.faults) == ["unused-image", "zero-based"] and not report.errors


def test_annotation_without_its_image(tmp_path):
    root = voc_folder(tmp_path)
    (root / "JPEGImages" / "a.jpg").unlink()
    assert kinds(check(root).faults) == ["missing-image"]
