"""`kzoo convert`: Darknet's files into a model and back; what is wrong takes one line and leaves nothing behind."""

import functools

import keras
import numpy as np
import pytest

import kzoo
from kzoo import darknet

CFG = """\
[net]
width=64
height=32
[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky
[convolutional]
filters=21
size=1
stride=16
activation=linear
[yolo]
mask=0,1,2
anchors=10,13, 16,30, 33,23
classes=2
num=3
"""
FLOATS = 4 * 4 + 4 * 27 + 21 + 21 * 4


@pytest.fixture
def run(kzoo_command):
    return functools.partial(kzoo_command, "convert")


@pytest.fixture
def files(tmp_path):
    """A cfg, and random weights for it."""
    keras.utils.set_random_seed(0)
    (tmp_path / "in").mkdir()
    cfg, weights = tmp_path / "in" / "small.cfg", tmp_path / "in" / "small.weights"
    cfg.write_text(CFG)
    values = np.random.default_rng(0).uniform(0.1, 1, FLOATS).astype("<f4")
    weights.write_bytes(bytes(12) + (7).to_bytes(4, "little") + values.tobytes())
    return cfg, weights


def raw(model):
    images = np.random.default_rng(1).integers(0, 256, (1, 32, 64, 3)).astype(np.float32)
    return np.asarray(model(images, training=False)["stride32"])


def test_to_keras_and_back(run, files, tmp_path):
    cfg, weights = files
    (tmp_path / "two.names").write_text("cat\ndog\n")
    status, out, err = run("--cfg", cfg, "--weights", weights, "--names", "two.names", "out/small.keras")
    assert status == 0 and err == "", err
    assert f"small: {FLOATS} parameters, detect, 2 classes" in out and "small.keras" in out
    model = kzoo.load("out/small.keras")
    assert model.names == ["cat", "dog"] and model.image_size == (32, 64)
    np.testing.assert_array_equal(raw(model), raw(darknet.load(cfg, weights)))

    status, out, err = run("out/small.keras", "back.weights")
    assert status == 0 and err == "" and "back.weights" in out and "back.cfg" in out
    assert (tmp_path / "back.weights").read_bytes() == weights.read_bytes()
    assert (tmp_path / "back.cfg").read_bytes() == cfg.read_bytes()


def test_the_weights_beside_the_cfg(run, files, tmp_path):
    cfg, weights = files
    assert run("--cfg", cfg, "a.keras")[0] == run(cfg, "b.keras")[0] == 0
    for name in ("a.keras", "b.keras"):
        np.testing.assert_array_equal(raw(kzoo.load(name)), raw(darknet.load(cfg, weights)))
    weights.unlink()
    for words in (("--cfg", cfg, "c.keras"), (cfg, "c.keras")):
        said = refusal(run(*words))
        assert str(files[0].with_suffix("")) in said and ".weights" in said
    assert not (tmp_path / "c.keras").exists()


def test_folded(run, files, tmp_path):
    cfg, weights = files
    assert run("--cfg", cfg, "whole.keras")[0] == 0
    for words in (("--cfg", cfg), ("whole.keras",)):
        status, _, err = run(*words, "folded.weights", "--fold")
        assert status == 0, err
        assert (tmp_path / "folded.weights").stat().st_size == weights.stat().st_size - 4 * 3 * 4
        assert "batch_normalize=0" in (tmp_path / "folded.cfg").read_text()
        folded = darknet.load("folded.cfg", "folded.weights")
        np.testing.assert_allclose(raw(folded), raw(darknet.load(cfg, weights)), atol=1e-4)


def test_a_backbone_out_and_in(run, files, tmp_path):
    cfg, weights = files
    for words in (("small.conv.1",), ("--stop-at", 1, "first.weights")):
        assert run("--cfg", cfg, *words)[0] == 0
    content = weights.read_bytes()[: 16 + 4 * (4 * 4 + 4 * 27)]
    assert (tmp_path / "small.conv.1").read_bytes() == (tmp_path / "first.weights").read_bytes() == content
    assert (tmp_path / "small.cfg").read_bytes() == cfg.read_bytes()
    for words in (("small.conv.1",), ("first.weights", "--stop-at", 1), (weights, "--stop-at", 1)):
        status, _, err = run("--cfg", cfg, "--weights", *words, "part.keras")
        assert status == 0, err
        whole, part = darknet.load(cfg, weights).network, kzoo.load("part.keras").network
        kernels = [[net.get_layer(f"layer{i}_conv").kernel for net in (whole, part)] for i in range(2)]
        assert np.array_equal(*kernels[0]) and not np.array_equal(*kernels[1])


@pytest.mark.long
def test_a_model_of_the_zoo(run, tmp_path):
    keras.utils.set_random_seed(0)
    model = kzoo.build("yolov3-tiny", num_classes=2, width=0.25, image_size=(64, 64))
    model.save(tmp_path / "zoo.keras")
    for words in ((), ("--fold",)):
        status, out, err = run("zoo.keras", "zoo.weights", *words)
        assert status == 0, err
        again = darknet.load("zoo.cfg", "zoo.weights")
        images = np.full((1, 64, 64, 3), 99.0, np.float32)
        ours, theirs = (one(images, training=False) for one in (model, again))
        np.testing.assert_allclose(theirs["stride16"], ours["stride16"], atol=1e-4)
    assert "yolov3-tiny: " in out


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("a.keras",),
        ("a.keras", "b.keras", "c.keras"),
        ("--cfg", "a.cfg"),
        ("--cfg", "a.cfg", "b.keras", "c.keras"),
        ("a.keras", "b.onnx"),
        ("a.keras", "b"),
        ("a.keras", "b.weights", "--stop-at", "0"),
        ("a.keras", "b.keras", "--stop-at", "3"),
        ("a.keras", "b.weights", "--stop-at", "three"),
    ],
)
def test_wrong_usage(words, run, tmp_path):
    status, _, err = run(*words)
    assert status == 2 and err.startswith("error: ") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def refusal(done):
    """The one line that is said."""
    status, _, err = done
    assert status == 1 and "Traceback" not in err, err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err


def test_bad_files(run, files, tmp_path):
    cfg, weights = files
    content = weights.read_bytes()
    spoilt = {
        "short.weights": content[:-1],
        "long.weights": content + bytes(4),
        "empty.weights": b"",
        "x.conv.9": content,
        "text.weights": b"not found" * 99,
    }
    for name, what in spoilt.items():
        (tmp_path / "in" / name).write_bytes(what)
        assert name in refusal(run("--cfg", cfg, "--weights", tmp_path / "in" / name, "out.keras"))
    (tmp_path / "in" / "bad.cfg").write_text(CFG.replace("filters=4", "filters=0"))
    (tmp_path / "in" / "one.names").write_text("cat\n")
    (tmp_path / "in" / "text.keras").write_text("text")
    bad = {
        "bad.cfg:6: [convolutional] filters=0": ("--cfg", "in/bad.cfg", "--weights", weights, "out.keras"),
        "none.cfg: no such cfg file": ("--cfg", "none.cfg", "out.keras"),
        "in: no such cfg file": ("--cfg", "in", "out.keras"),
        "names: 1, 'cat' first, for the 2 classes": ("--cfg", cfg, "--names", "in/one.names", "out.keras"),
        "none.names: no such file": ("--cfg", cfg, "--names", "none.names", "out.keras"),
        "none.weights: no such weights file": ("--cfg", cfg, "--weights", "none.weights", "out.keras"),
        "stop_at=9": ("--cfg", cfg, "--stop-at", 9, "out.keras"),
        "stop_at=99": ("--cfg", cfg, "out.conv.99"),
        "none.keras: no such model": ("none.keras", "out.weights"),
        "text.keras: Keras cannot read": ("in/text.keras", "out.weights"),
        "only a .cfg takes": ("in/text.keras", "--weights", weights, "out.weights"),
    }
    for said, words in bad.items():
        assert said in refusal(run(*words))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_an_export_is_not_turned_back(run, monkeypatch, tmp_path):
    monkeypatch.setattr("kzoo.weights.opening.load", lambda *_, **__: object())
    for out in ("out.weights", "out.keras"):
        assert "a.tflite: an export" in refusal(run("a.tflite", out))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_leaves_what_was_there(run, files, tmp_path, monkeypatch):
    cfg, _ = files
    for out in ("out.keras", "out.weights"):
        (tmp_path / out).write_text("before")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kzoo.darknet.tensors.KerasLayers.arrays", full)
    monkeypatch.setattr("kzoo.model.ZooModel.save", full)
    for out in ("out.keras", "out.weights"):
        assert f"{out}: No space left on device" in refusal(run("--cfg", cfg, out))
        assert (tmp_path / out).read_text() == "before"
    (tmp_path / "file").write_text("in the way")
    assert "file" in refusal(run("--cfg", cfg, "file/out.weights"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "in", "out.keras", "out.weights"]


def test_features_of_a_network_without_a_head(run, tmp_path):
    (tmp_path / "body.cfg").write_text(CFG.partition("[yolo]")[0])
    darknet.save(darknet.load("body.cfg", features=True), tmp_path / "body.weights", tmp_path / "same.cfg")
    assert "[yolo]" in refusal(run("--cfg", "body.cfg", "body.keras"))
    status, _, err = run("--cfg", "body.cfg", "body.keras", "--features")
    assert status == 0, err
    assert kzoo.load("body.keras").predict(np.zeros((1, 32, 64, 3)), verbose=0)["features"].shape == (
        1,
        1,
        2,
        21,
    )
    assert run("body.keras", "again.weights")[0] == 0
    assert (tmp_path / "again.weights").read_bytes() == (tmp_path / "body.weights").read_bytes()


def test_a_model_is_not_written_over_itself(run, tmp_path):
    (tmp_path / "a.keras").write_bytes(b"a model")
    status, _, err = run("a.keras", tmp_path / "a.keras")
    assert status == 2 and "the model itself; write to another file" in err and err.count("\n") == 1
    assert (tmp_path / "a.keras").read_bytes() == b"a model"
