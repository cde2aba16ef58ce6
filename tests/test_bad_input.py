"""What goes wrong at users' desks: one clear line, exit status 1, nothing lost, no traceback."""

import cv2
import keras
import numpy as np
import pytest

import kzoo

NAMES = ["circle", "rectangle", "triangle"]


@pytest.fixture
def run(kzoo_command, untraced):
    return kzoo_command


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    """A small untrained detector of shapes."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("models") / "shapes.keras"
    kzoo.build("yolov3-tiny", num_classes=3, width=0.25, image_size=(64, 64), names=NAMES).save(path)
    return path


def photograph(path, height=48, width=64):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))
    return path


def yolo_dataset(folder, labels, names=NAMES):
    """A dataset of one photograph a label file, for training and validation alike."""
    for i, text in enumerate(labels):
        photograph(folder / "images" / f"{i}.jpg")
        (folder / "labels").mkdir(exist_ok=True)
        (folder / "labels" / f"{i}.txt").write_text(text)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    listed = "".join(f"  {i}: {name}\n" for i, name in enumerate(names))
    (folder / "data.yaml").write_text(f"path: .\ntrain: images\nval: images\nnames:\n{listed}")
    return folder / "data.yaml"


def train(run, data, *more):
    options = ("--image-size", 64, "--width", 0.25, "--epochs", 1, "--batch-size", 2, "--workers", 0)
    return run("train", "yolov3-tiny", "--data", data, *options, *more)


def errors(said):
    return [line for line in said.splitlines() if line.startswith("error: ")]


@pytest.mark.long
def test_broken_pictures_are_named_and_the_others_done(run, tmp_path, model_file):
    folder = tmp_path / "photos"
    whole = photograph(folder / "whole.jpg")
    (folder / "cut.jpg").write_bytes(whole.read_bytes()[:300])
    (folder / "text.jpg").write_text("not a picture")
    (folder / "empty.jpg").touch()
    status, out, err = run("predict", model_file, folder, "--out", tmp_path / "out", "--json")
    assert status == 1 and "Traceback" not in err
    for name in ("text.jpg", "empty.jpg"):
        assert sum(name in line for line in errors(err)) == 1
    assert "whole.jpg" in out and (tmp_path / "out" / "whole.jpg").is_file()


@pytest.mark.parametrize("height, width", [(1, 1), pytest.param(6000, 8000, marks=pytest.mark.long)])
def test_tiny_and_huge_pictures(run, tmp_path, model_file, height, width):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))
    status, out, err = run("predict", model_file, path, "--out", tmp_path / "out")
    assert status == 0, err
    assert "photo.png" in out


@pytest.mark.long
@pytest.mark.parametrize(
    "lines",
    [
        ["0 .5 .5 .4 .4\n", "", "", "2 .4 .4 .2 .2\n"],
        ["".join(f"0 {0.1 + i / 1000} .5 .1 .1\n" for i in range(500))] * 2,
    ],
)
def test_no_boxes_and_five_hundred_train(run, tmp_path, lines):
    status, _, err = train(run, yolo_dataset(tmp_path / "data", lines), "--run", tmp_path / "run")
    assert status == 0, err
    assert (tmp_path / "run" / "last.keras").is_file()


def test_labels_that_are_all_empty_stop_the_training(run, tmp_path):
    status, _, err = train(run, yolo_dataset(tmp_path / "data", [""] * 4), "--run", tmp_path / "run")
    assert status == 1 and "all label files are empty" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "line, word", [("0 nan .5 .1 .1", "nan"), ("7 .5 .5 .1 .1", "7"), ("0 .5 .5 0 .1", "")]
)
def test_faulty_labels_stop_the_training_with_file_and_line(run, tmp_path, line, word):
    data = yolo_dataset(tmp_path / "data", ["0 .5 .5 .4 .4\n", f"0 .5 .5 .4 .4\n{line}\n"])
    status, _, err = train(run, data, "--run", tmp_path / "run")
    assert status == 1 and "Traceback" not in err
    assert "1.txt:2" in err and word in err and "--skip-faulty" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_faulty_labels_can_be_left_out(run, tmp_path, caplog):
    data = yolo_dataset(tmp_path / "data", ["0 .5 .5 .4 .4\n", "0 .5 .5 .4 .4\n0 nan .5 .1 .1\n"])
    status, _, err = train(run, data, "--run", tmp_path / "run", "--skip-faulty")
    assert status == 0, err
    assert "left out 1 box" in caplog.text


def test_an_empty_dataset(run, tmp_path, model_file):
    data = yolo_dataset(tmp_path / "data", [])
    for status, _, err in (train(run, data), run("evaluate", model_file, "--data", data)):
        assert status == 1 and len(errors(err)) == 1 and "data" in err


def test_a_wrong_split_brings_the_right_ones(run, tmp_path, model_file):
    data = yolo_dataset(tmp_path / "data", ["0 .5 .5 .4 .4\n"])
    status, _, err = run("evaluate", model_file, "--data", data, "--split", "tset")
    assert status == 1 and len(errors(err)) == 1
    assert "tset" in err and "val" in err


@pytest.mark.long
def test_a_model_of_other_classes(run, tmp_path, model_file, caplog):
    data = yolo_dataset(tmp_path / "data", ["0 .5 .5 .4 .4\n"], names=["cat", "dog"])
    status, _, err = run("evaluate", model_file, "--data", data)
    assert status == 1 and len(errors(err)) == 1 and "classes" in err, err
    # To be trained further they are no fault: it is said what is new.
    folder = tmp_path / "run"
    status, _, err = run("train", model_file, "--data", data, "--epochs", 1, "--workers", 0, "--run", folder)
    assert status == 0, err
    assert "start anew" in caplog.text and "cat, dog" in caplog.text
    assert (folder / "best.keras").is_file()


@pytest.mark.long
def test_a_folder_that_cannot_be_written(run, tmp_path, model_file):
    (tmp_path / "file").write_text("in the way")
    data = yolo_dataset(tmp_path / "data", ["0 .5 .5 .4 .4\n"])
    photo = photograph(tmp_path / "photo.jpg")
    for status, _, err in (
        train(run, data, "--run", tmp_path / "file" / "run"),
        run("predict", model_file, photo, "--out", tmp_path / "file" / "out"),
        run("export", model_file, "--format", "tflite", "--out", tmp_path / "file" / "a.tflite"),
        run("data", "convert", data, tmp_path / "file" / "out", "--to", "voc"),
    ):
        assert status == 1 and "Traceback" not in err
        assert len(errors(err)) == 1 and "file" in err, err
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"text"])
def test_a_file_that_is_no_model(run, tmp_path, content):
    path = tmp_path / "broken.keras"
    path.write_bytes(content)
    status, _, err = run("predict", path, photograph(tmp_path / "photo.jpg"))
    assert status == 1 and len(errors(err)) == 1 and "broken.keras" in err
