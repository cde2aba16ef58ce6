"""What `export` refuses, where it puts things, and what it leaves alone."""

import resource
import signal

import numpy as np
import pytest
from random_models import SIZE

import kzoo
from kzoo.deploy import open_export, writing


@pytest.fixture
def no_writing(monkeypatch):
    """Exports are noted, not made."""
    written = []

    def write(path, model, format, meta, images=(), part="whole", opset=None):
        list(images)
        written.append((format, meta))
        if format == "saved_model":
            path.mkdir()
            path = path / "saved_model.pb"
        path.write_text("new")

    monkeypatch.setattr(writing, "write", write)
    return written


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"format": "caffe"}, ["caffe", "tflite", "openvino"]),
        ({"path": "m.tflite", "format": "onnx"}, ["m.tflite", ".onnx"]),
        ({"path": "m.tflite", "format": "saved_model"}, ["m.tflite", "folder"]),
        ({"path": "m.tflite", "quantize": "int4"}, ["int4", "int8"]),
        ({"path": "m.tflite", "quantize": "int8"}, ["calibrate", "--data"]),
        ({"path": "m.tflite", "quantize": "int8", "data": np.zeros((0, 64, 64, 3))}, ["calibrate"]),
        ({"path": "m.tflite", "image_size": (60, 64)}, ["(60, 64)", "multiples of 32"]),
        ({"path": "m.tflite", "batch_size": 0}, ["batch_size=0"]),
    ],
)
def test_what_does_not_go_together_is_one_line(detector, arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as error:
        kzoo.export(detector, **arguments)
    assert "\n" not in str(error.value) and all(word in str(error.value) for word in words)
    assert not list(tmp_path.iterdir())


def test_only_models_of_kzoo_are_exported(detector):
    with pytest.raises(ValueError, match="cannot be exported"):
        kzoo.export(detector.network)


@pytest.mark.long
def test_places_by_default(detector, no_writing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [kzoo.export(detector) for _ in range(2)]
    paths += [kzoo.export(detector, format=format) for format in ("tflite", "onnx")]
    names = ["tester/1", "tester/2", "tester.tflite", "tester.onnx"]
    assert [path.as_posix() for path in paths] == [f"saved_models/{name}" for name in names]
    assert [meta.batch_size for _, meta in no_writing] == [None, None, 1, None]
    assert kzoo.export(detector, name="other").as_posix() == "saved_models/other/1"


def test_an_export_replaces_an_export_and_nothing_else(detector, no_writing, tmp_path):
    (tmp_path / "m.onnx").write_text("old")
    assert kzoo.export(detector, tmp_path / "m.onnx").read_text() == "new"
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_text("old")
    kzoo.export(detector, tmp_path / "1")
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "new"
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "only_copy.tex").write_text("...")
    for target, format in (("thesis", "saved_model"), ("m.onnx", "saved_model"), ("1", "tflite")):
        with pytest.raises(ValueError, match=target):
            kzoo.export(detector, tmp_path / target, format=format)
    assert (tmp_path / "thesis" / "only_copy.tex").exists()


def test_a_failure_leaves_the_old_export(detector, tmp_path, monkeypatch):
    def full(path, *rest, opset=None):
        path.write_text("half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(writing, "write", full)
    (tmp_path / "m.onnx").write_text("old")
    with pytest.raises(OSError, match="No space left"):
        kzoo.export(detector, tmp_path / "m.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_text() == "old"


def test_calibration_takes_images_from_all_over_a_dataset():
    images = np.arange(250, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 6, 3), np.uint8)
    seen = list(writing.calibration_images(images, SIZE, count=26))
    assert len(seen) == 26 and all(image.shape == (1, *SIZE, 3) for image in seen)
    levels = [int(image[0, 32, 32, 0]) for image in seen]
    assert levels == sorted(levels) and levels[0] == 0 and levels[-1] == 249

    from kzoo.data.formats.shapes import Shapes

    assert len(list(writing.calibration_images(Shapes(4, image_size=(40, 50)), SIZE))) == 4


def test_what_is_no_export_is_one_line(exported, tmp_path):
    (tmp_path / "text.tflite").write_text("no model")
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "folder").mkdir()
    (tmp_path / "photo.jpg").write_text("")
    for name in ("text.tflite", "text.onnx", "folder", "photo.jpg"):
        with pytest.raises(ValueError, match=name) as error:
            open_export(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_export(tmp_path / "nowhere.tflite")


def test_images_of_another_size_are_refused(exported):
    opened = open_export(exported("tflite"))
    for images in (
        np.zeros((1, 32, 64, 3), np.uint8),
        np.zeros((*SIZE, 3), np.uint8),
        np.zeros((0, *SIZE, 3)),
    ):
        with pytest.raises(ValueError, match="takes images of shape"):
            opened.predict_on_batch(images)


def test_float_images_are_rounded(exported, images):
    opened = open_export(exported("tflite"))
    whole, floats = opened.predict_on_batch(images), opened.predict_on_batch(images.astype(np.float32) + 0.2)
    assert all(np.array_equal(whole[key], floats[key]) for key in whole)


def test_the_latest_version_is_opened(exported):
    assert open_export(exported("saved_model").parent).path == exported("saved_model")


@pytest.mark.parametrize("hidden, form, extra", [("onnxruntime", "onnx", "onnx"), ("tf2onnx", None, "onnx")])
def test_a_missing_extra_is_named(hidden, form, extra, detector, exported, tmp_path, monkeypatch):
    path = exported(form) if form else None
    monkeypatch.setitem(__import__("sys").modules, hidden, None)
    with pytest.raises(ImportError, match=rf"pip install 'kzoo\[{extra}\]'"):
        open_export(path) if path else kzoo.export(detector, tmp_path / "m.onnx")


@pytest.fixture
def small_disk():
    """No file can grow beyond 20 kB, by the system's own refusal."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(
    "name", ["model", "model.tflite", pytest.param("model.onnx", marks=pytest.mark.slow)]
)
def test_a_full_disk_is_told_in_a_line_that_names_the_target(small_detector, tmp_path, small_disk, name):
    with pytest.raises(OSError, match=rf"^\S+/{name}: cannot be written \(.*make room") as caught:
        kzoo.export(small_detector, tmp_path / name)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_full_folder_for_temporary_files_is_none_of_tflites_business(small_detector, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert kzoo.export(small_detector, tmp_path / "a.tflite").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["a.tflite"]
