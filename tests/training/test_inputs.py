"""What a training opens: parts of any name, what is wrong with them, classes that differ."""

import json
import logging

import numpy as np
import pytest
from PIL import Image

import kzoo.data
from kzoo.data.checks.check import check
from kzoo.data.formats.shapes import Shapes
from kzoo.training.config import TrainConfig
from kzoo.training.inputs import describe_parts, open_datasets, training_batches, validation_batches


def yolo(root, parts, names=("cat", "dog"), labels="0 .5 .5 .4 .4\n1 .3 .3 .2 .2\n", more=""):
    """A dataset with a picture in each of its parts."""
    lines = [f"names: [{', '.join(names)}]", *(f"{part}: images/{part}" for part in parts), more]
    for number, part in enumerate(parts):
        for folder in ("images", "labels"):
            (root / folder / part).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), (40 * number, 90, 200)).save(root / "images" / part / f"{part}.jpg")
        (root / "labels" / part / f"{part}.txt").write_text(labels)
    (root / "data.yaml").write_text("\n".join(lines) + "\n")
    return root


def names_of(dataset) -> list:
    return [dataset.record(i).id for i in range(len(dataset))]


@pytest.mark.parametrize(
    ("parts", "options", "trained", "validated", "said"),
    [
        (["train", "val", "test"], {}, "train", "val", ""),
        (["train", "test"], {}, "train", None, "no part 'val'; --val-split test takes another: test"),
        (["train", "test"], {"val_split": "test"}, "train", "test", ""),
        (["train", "val"], {"split": "VAL"}, "val", None, "--val-split train"),
        (["train", "val"], {"split": "val", "val_split": "train"}, "val", "train", ""),
        (
            ["train", "val"],
            {"val_split": "train"},
            "train",
            "train",
            "of the images to validate on 1 of 1 are trained on",
        ),
    ],
)
def test_parts_are_taken_and_said(tmp_path, caplog, parts, options, trained, validated, said):
    train, val = open_datasets(yolo(tmp_path, parts), None, **options)
    assert train.split == trained and (val.split if val else None) == validated
    assert said in caplog.text and bool(said) == bool(caplog.text)
    expected = f"validating on 1 (split {validated} of {tmp_path})" if val else "none to validate on"
    assert describe_parts(train, val) == f"training on 1 image (split {trained} of {tmp_path}), {expected}"


def test_parts_that_are_not_there_are_refused(tmp_path):
    root = yolo(tmp_path, ["garden", "kitchen"])
    with pytest.raises(
        ValueError, match="no part 'train'; name the one to train on with --split: garden, kitchen"
    ):
        open_datasets(root, None)
    assert names_of(open_datasets(root, None, split="Kitchen")[0]) == ["kitchen"]
    for given in ({"split": "cellar"}, {"split": "garden", "val_split": "cellar"}):
        with pytest.raises(ValueError, match="no split 'cellar'; choose one of garden, kitchen"):
            open_datasets(root, None, **given)


def test_other_data_to_validate_on(tmp_path, caplog):
    data = yolo(tmp_path / "a", ["train", "val"])
    other = yolo(tmp_path / "b", ["train", "test"])
    with pytest.raises(
        ValueError, match=r"no part 'val'; name the one to take with --val-split: train, test"
    ):
        open_datasets(data, other)
    assert names_of(open_datasets(data, other, val_split="test")[1]) == ["test"]
    assert names_of(open_datasets(data, yolo(tmp_path / "c", ["test"]))[1]) == ["test"]
    assert not caplog.text
    open_datasets(data, data, val_split="train")
    assert "of the images to validate on 1 of 1 are trained on, too" in caplog.text
    opened = kzoo.data.load(data, "train")
    for given in ({"split": "train"}, {"val_split": "val"}):
        with pytest.raises(ValueError, match="open already"):
            open_datasets(opened, opened, **given)


@pytest.mark.parametrize("what", ["folder", "list", "voc", "json"])
def test_a_part_that_is_declared_and_cannot_be_read_stops_a_training(tmp_path, what):
    root = yolo(tmp_path, ["train"], more="val: images/nowhere")
    if what == "list":
        yolo(tmp_path, ["train"], more="val: val.txt")
        (tmp_path / "val.txt").write_bytes(b"caf\xe9.jpg\n")
    if what == "voc":
        root = tmp_path / "voc"
        for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
            (root / folder).mkdir(parents=True)
        Image.new("RGB", (64, 48)).save(root / "JPEGImages" / "a.jpg")
        box = "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
        (root / "Annotations" / "a.xml").write_text(
            f"<annotation><object><name>cat</name>{box}</object></annotation>"
        )
        (root / "ImageSets" / "Main" / "train.txt").write_text("a\n")
        (root / "ImageSets" / "Main" / "val.txt").write_bytes(b"caf\xe9\n")
    if what == "json":
        root = tmp_path / "coco"
        (root / "annotations").mkdir(parents=True)
        Image.new("RGB", (64, 48)).save(root / "a.jpg")
        rows = {
            "images": [{"id": 1, "file_name": "a.jpg"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 2, 9, 9]}],
            "categories": [{"id": 1, "name": "cat"}],
        }
        (root / "annotations" / "instances_train.json").write_text(json.dumps(rows))
        (root / "annotations" / "instances_val.json").write_text('{"images": [], "annotations": [')
    with pytest.raises((ValueError, OSError)) as caught:
        open_datasets(root, None)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_class_of_the_validation_data_may_be_missing_or_elsewhere(tmp_path):
    data = yolo(
        tmp_path / "a", ["train"], ["ant", "cat", "dog"], "0 .5 .5 .4 .4\n1 .3 .3 .2 .2\n2 .2 .2 .1 .1\n"
    )
    some = yolo(tmp_path / "b", ["val"], ["dog", "cat"])
    val = open_datasets(data, some)[1]
    assert val.classes == ["ant", "cat", "dog"] and val[0].labels.tolist() == [2, 1]
    other = yolo(tmp_path / "c", ["val"], ["dog", "cow"])
    with pytest.raises(
        ValueError, match=r"\(val\): has 1 \(cow\), none of the 3 \(ant, cat, dog\).*classes\.txt"
    ):
        open_datasets(data, other)


def test_datasets_that_are_open_are_taken_as_they_are(caplog):
    train = Shapes(3, (64, 64))
    assert open_datasets(train, None) == (train, None)
    assert describe_parts(train, None) == "training on 3 images (all of shapes), none to validate on"
    assert not caplog.text
    open_datasets(train, train)
    assert "of the images to validate on 3 of 3 are trained on" in caplog.text


def test_what_cannot_be_looked_through_is_said(caplog):
    class Plain:
        classes = ("circle", "rectangle", "triangle")

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return Shapes(2, (64, 64))[index]

    open_datasets(Plain(), None)
    assert not caplog.text
    open_datasets(Plain(), None, skip_faulty=True)
    assert "Plain: cannot be looked through for faults" in caplog.text


@pytest.mark.parametrize("state", ["none", "empty", "unknown", "cased", "elsewhere"])
@pytest.mark.parametrize("skip", [False, True])
def test_a_dataset_without_an_object_is_refused(tmp_path, state, skip):
    root = yolo(tmp_path, ["train"], labels="" if state == "empty" else "0 .5 .5 .4 .4\n")
    if state == "none":
        (root / "labels" / "train" / "train.txt").unlink()
    if state == "cased":
        (root / "labels").rename(root / "Labels")
    if state == "elsewhere":
        (root / "images").rename(root / "photos")
        (root / "data.yaml").write_text("names: [cat]\ntrain: photos/train\n")
    if state == "unknown":
        (root / "labels" / "train" / "train.txt").write_text("7 .5 .5 .4 .4\n")
    with pytest.raises(ValueError) as caught:
        open_datasets(root, None, skip_faulty=skip)
    words = {
        "none": "labels/train/train.txt",
        "empty": "label file",
        "unknown": "unknown class",
        "cased": "rename it",
        "elsewhere": "labels/train/train.txt: put images in a folder 'images'",
    }
    assert words[state] in str(caught.value), caught.value
    assert any(fault.kind == "no-objects" for fault in check(root).errors)


def test_warnings_are_printed_by_kind_and_counted(tmp_path, capfd):
    root = yolo(tmp_path, ["train"])
    for number in range(5):
        Image.new("RGB", (64, 48), (9, 9, 20 * number)).save(root / "images" / "train" / f"bare{number}.jpg")
    (root / "labels" / "train" / "train.txt").write_text("0 .5 .5 .4 .4\n" * 3)
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger("kzoo").addHandler(handler)
    try:
        open_datasets(root, None)
    finally:
        logging.getLogger("kzoo").removeHandler(handler)
    (text,) = [record.getMessage() for record in records if record.levelno >= logging.WARNING]
    assert "8 warnings" in text and "\n  5 image-without-label\n" in text and "\n  2 duplicate\n" in text
    assert "bare0.jpg" in text and "bare4.jpg" not in text and "class 'dog' has no example" in text


def test_faults_of_both_parts_are_told_at_once(tmp_path):
    root = yolo(tmp_path, ["train", "val"])
    for part in ("train", "val"):
        (root / "labels" / part / f"{part}.txt").write_text("0 .5 .5 .4 .4\n0 .5 .5 0 0\n")
    with pytest.raises(ValueError, match=r"train\.txt:2: error: .*\n(.*\n)*.*val\.txt:2: error: "):
        open_datasets(root, None)


def test_what_is_skipped_is_counted(tmp_path, caplog):
    root = yolo(tmp_path, ["train"])
    for name in ("lost", "gone"):
        (root / "labels" / "train" / f"{name}.txt").write_text("0 .5 .5 .4 .4\n")
    with pytest.raises(ValueError, match="2 faults; mend what follows, or leave it out"):
        open_datasets(root, None)
    train, _ = open_datasets(root, None, skip_faulty=True)
    assert len(train) == 1 and np.array_equal(train[0].labels, [0, 1])
    assert (
        "left out 0 boxes and 0 images that are faulty, passed over 2 labels without an image" in caplog.text
    )
    assert "all that kzoo data check finds, 2 errors" in caplog.text


def test_masks_of_nothing_but_ground_are_refused(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for index in range(3):
        Image.new("RGB", (32, 16)).save(tmp_path / "images" / f"{index}.png")
        Image.new("L", (32, 16), 0).save(tmp_path / "masks" / f"{index}.png")
    (tmp_path / "classes.txt").write_text("background\ncell\n")
    for skip in (False, True):
        with pytest.raises(ValueError, match="nothing but background in any of the 3 masks"):
            open_datasets(tmp_path, None, skip, "segment")
    mask = np.zeros((16, 32), np.uint8)
    mask[3:9, 3:9] = 1
    Image.fromarray(mask).save(tmp_path / "masks" / "1.png")
    assert len(open_datasets(tmp_path, None, task="segment")[0]) == 3


@pytest.mark.parametrize("outlines", [False, True])
def test_outlines_that_are_not_found_are_refused_for_segmenters_too(tmp_path, outlines):
    root = yolo(tmp_path, ["train"], labels="0 .2 .2 .6 .2 .6 .6\n" if outlines else "")
    assert outlines == (not check(root, task="segment").errors)
    if not outlines:
        with pytest.raises(ValueError, match="nothing but background in the only mask"):
            open_datasets(root, None, task="segment")
        (root / "labels" / "train" / "train.txt").unlink()
        with pytest.raises(
            ValueError, match=r"no label file of the only image was found: .*labels/train/train\.txt"
        ):
            open_datasets(root, None, task="segment")


def test_faults_inside_masks_are_told_before_a_training_and_can_be_left_out(tmp_path, caplog):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for index in range(4):
        mask = np.zeros((16, 32), np.uint8)
        mask[3:9, 3:9] = 1 if index < 2 else 7
        Image.new("RGB", (32, 16)).save(tmp_path / "images" / f"{index}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{index}.png")
    (tmp_path / "classes.txt").write_text("background\ncell\n")
    with pytest.raises(ValueError, match=r"2 faults; mend .*--skip-faulty\n.*2\.png.*\n.*3\.png"):
        open_datasets(tmp_path, None, task="segment")
    assert len(open_datasets(tmp_path, None, True, "segment")[0]) == 2
    assert (
        "left out 0 boxes and 2 images that are faulty: all that kzoo data check finds, 2 errors"
        in caplog.text
    )


def nuclei(root):
    """A folder of folders, each with an image and two masks."""
    for name in ("a", "b"):
        for number, folder in enumerate(("images", "masks", "masks")):
            (root / name / folder).mkdir(parents=True, exist_ok=True)
            picture = np.zeros((32, 48), np.uint8)
            picture[4 + 10 * number : 9 + 10 * number, 6:20] = 255
            Image.fromarray(picture).save(root / name / folder / f"{number or name}.png")
    return root


@pytest.mark.parametrize("kind", ["shapes", "nuclei", "polygons", "boxes", "some"])
def test_masks_are_there_for_those_that_look_at_them(tmp_path, kind):
    polygon, box = "0 .2 .2 .6 .2 .6 .6\n", "1 .3 .3 .2 .2\n"
    made = {
        "shapes": lambda: "shapes:4:64",
        "nuclei": lambda: nuclei(tmp_path),
        "polygons": lambda: yolo(tmp_path, ["train", "val"], labels=polygon),
        "boxes": lambda: yolo(tmp_path, ["train", "val"], labels=box),
        "some": lambda: yolo(tmp_path, ["train", "val"], labels=polygon + box),
    }
    train, val = open_datasets(made[kind](), None, task="detect")
    config = TrainConfig(image_size=(64, 64), batch_size=1, workers=0, epochs=1, augment="light")
    for truth, there in (("outlined", kind not in ("boxes", "some")), ("detect", False)):
        batches = [training_batches(train, config, (64, 64), task=truth)]
        batches += [] if val is None else [validation_batches(val, config, (64, 64), task=truth)]
        for stream in batches:
            _, targets = next(iter(stream))
            assert (targets["labels"] >= 0).any() and ("masks" in targets) == there
            assert not there or targets["masks"][targets["labels"] >= 0].any((1, 2)).all()
