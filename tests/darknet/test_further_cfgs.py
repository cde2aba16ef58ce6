"""Cfg files that differ from Darknet's own: odd grids, unknown keys, names around, trees, deviations."""

import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_networks import conv

import kzoo
from kzoo import darknet
from kzoo.darknet import cfg, keys
from kzoo.darknet.cfg import CfgWarning
from kzoo.training.darknet import CfgTraining

sys.path.append(str(Path(__file__).parents[1] / "parity"))

from darknet_reference import forward, random_weights

WITHOUT_OPENCV = not hasattr(cv2.dnn, "readNetFromDarknet")


def strided(filters):
    return conv(filters, "stride=2")


def linear(filters):
    return f"[convolutional]\nfilters={filters}\nsize=1\nactivation=linear\n"


def net(height, width, more=""):
    return f"[net]\nheight={height}\nwidth={width}\nchannels=3\n{more}\n"


YOLO = "[yolo]\nmask=0,1\nanchors=10,13,30,21,40,40\nclasses=3\nnum=3\nscale_x_y=1.1\n"
REGION = "[region]\nanchors=1.1,.7,.5,.9\nclasses=3\ncoords=4\nnum=2\nsoftmax=1\n"
# 26 by 37 pixels in 7 by 10 cells; and one level above that of 13 by 19.
ODD = net(26, 37) + strided(4) + strided(6)
# What skips pixels is a kernel of one, of few channels: see `kzoo.layers.strided`.
POINTS = net(26, 37) + linear(4).replace("size=1", "size=1\nstride=2") + strided(6)
HEADS = {
    "yolo": ODD + linear(16) + YOLO,
    "region": ODD + linear(16) + REGION,
    "points": POINTS + linear(16) + YOLO,
}


def written(text, folder, name="small", seed=0):
    path, weights = folder / f"{name}.cfg", folder / f"{name}.weights"
    path.write_text(text)
    random_weights(path, weights, np.random.default_rng(seed))
    return path, weights


def loosened(model):
    """The model without suppression."""
    limits = {"nms_threshold": 1.0, "candidates": 1000, "max_detections": 1000, "score_threshold": 0.0}
    head = type(model.head).from_config({**model.head.get_config(), **limits})
    return model.remade(model.network, head)


@pytest.mark.skipif(WITHOUT_OPENCV, reason="this OpenCV reads no Darknet files")
@pytest.mark.parametrize("kind", HEADS)
def test_cells_that_do_not_divide_the_image(kind, tmp_path):
    """Boxes and scores are OpenCV's, in fractions of the image."""
    text = HEADS[kind]
    path, weights = written(text, tmp_path)
    images = np.random.default_rng(1).integers(0, 256, (1, 26, 37, 3)).astype(np.float32)
    # OpenCV zeroes what is below its threshold, and suppresses.
    open_path = tmp_path / "open.cfg"
    open_path.write_text(text + "thresh=0\nnms_threshold=0\n")
    network = cv2.dnn.readNetFromDarknet(str(open_path), str(weights))
    network.setInput(images.transpose(0, 3, 1, 2) / np.float32(255))
    rows = network.forward()
    model = darknet.load(path, weights)
    detections = loosened(model).predict_on_batch(images)
    centre, half = rows[:, :2], rows[:, 2:4] / 2
    boxes = np.concatenate([centre - half, centre + half], -1) * [37, 26, 37, 26]
    kept = np.argwhere(rows[:, 5:] > 0)  # of [region] it suppresses some all the same
    assert len(kept) > 0.8 * 3 * len(rows)
    for row, label in kept:
        apart = np.abs(detections["scores"][0] - rows[row, 5 + label]) / rows[row, 5 + label]
        apart += np.abs(detections["boxes"][0] - boxes[row]).max(-1) + 9 * (detections["labels"][0] != label)
        assert apart.min() < 2e-3
    with pytest.raises(ValueError, match="takes no images of this size"):
        model.check_size((64, 64))
    assert model.check_size((26, 37)) == (26, 37)


@pytest.mark.slow
def test_an_odd_grid_is_trained_encoded_saved_exported_and_written(tmp_path):
    path, weights = written(HEADS["yolo"], tmp_path)
    model = darknet.load(path, weights)
    boxes = np.array([[[3.0, 4, 20, 19], [25, 8, 36, 25]]], np.float32)
    targets = {"boxes": boxes, "labels": np.array([[0, 2]])}
    sizes = [tuple(feature.shape[1:3]) for feature in model.network.outputs]
    assert sizes == [(7, 10)]
    decoded = model.head.decode(model.head.encode(targets, sizes))
    np.testing.assert_allclose(np.sort(np.array(decoded["boxes"])[0, :2], 0), np.sort(boxes[0], 0), atol=0.05)
    model.compile("sgd")
    images = np.random.default_rng(0).integers(0, 256, (1, 26, 37, 3)).astype(np.float32)
    history = model.fit(images, targets, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all() and history["loss"][1] < history["loss"][0]
    model.save(tmp_path / "odd.keras")
    again = kzoo.load(tmp_path / "odd.keras")
    for one in (again, kzoo.load(kzoo.export(model, tmp_path / "odd.tflite"))):
        np.testing.assert_allclose(
            one.predict_on_batch(images)["boxes"], model.predict_on_batch(images)["boxes"], atol=0.02
        )
    _, text = darknet.save(model, tmp_path / "again.weights")
    assert text.read_text() == path.read_text()


def test_random_sizes_of_an_odd_grid_are_refused(tmp_path):
    path = tmp_path / "odd.cfg"
    path.write_text(HEADS["yolo"] + "random=1\n")
    with pytest.raises(ValueError, match=r"odd\.cfg:\d+: \[yolo\] random=1: its cells do not divide"):
        CfgTraining.read(path, {"epochs": 1, "batch_size": 4})


def test_unknown_keys_are_said_and_passed_over(tmp_path):
    text = (
        HEADS["yolo"]
        .replace("stride=2", "wobble=3\nstrid=2\nstride=2", 1)
        .replace("[net]", "[net]\nletterbox=1")
    )
    path, weights = written(text, tmp_path)
    with pytest.warns(CfgWarning) as caught:
        darknet.load(path, weights)
    (message,) = {str(one.message) for one in caught}
    assert message.startswith(f"{path}: keys that Darknet does not read either")
    lines = text.split("\n")
    for key, hint in (
        ("wobble=3", ""),
        ("strid=2", "; is it stride?"),
        ("letterbox=1", "; is it letter_box?"),
    ):
        assert f"{key.split('=')[0]} (line {lines.index(key) + 1}{hint})" in message
    many = cfg.parse("[net]\nwidth=8\nheight=8\n" + "".join(f"odd{i}=1\n" for i in range(50)))
    assert "and 30 more" in keys.unknown(many)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        darknet.load(*written(HEADS["yolo"], tmp_path, "known"))


@pytest.mark.parametrize(
    "files, names",
    [
        ({"coco.names": "a b c"}, "a b c"),
        ({"coco.data": "names=data/my.names", "my.names": "a b c"}, "a b c"),
        ({"cfg/coco.data": "names=/home/x/data/my.names", "data/my.names": "a b c"}, None),
        ({"data/coco.names": "a b c"}, "a b c"),
        ({"cfg/coco.data": "names=../data/x.names", "data/x.names": "a b c"}, "a b c"),
        ({"coco.names": "a b", "data/voc.names": "a b c"}, "a b c"),
        ({"coco.names": "a b c", "voc.names": "a b c"}, "a b c"),
        ({"coco.names": "a b c", "voc.names": "d e f"}, "a warning"),
        ({"coco.names": "a b c", "sma.names": "d e f"}, "d e f"),
        ({"small.names": "d e f", "coco.names": "a b c"}, "d e f"),
        ({".coco.names": "a b c"}, None),
        ({"coco.names": "a b"}, None),
    ],
)
def test_names_around(files, names, tmp_path):
    path, weights = written(HEADS["yolo"], tmp_path)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content.replace(" ", "\n") if name.endswith(".names") else content)
    if names is None and "data/my.names" in files:
        names = "a b c"  # data/ is looked into by itself
    if names == "a warning":
        with pytest.warns(CfgWarning, match=r"coco\.names, .*voc\.names list 3 different"):
            assert not darknet.load(path, weights).names
    else:
        assert darknet.load(path, weights).names == (names or "").split()


def test_names_beside_the_folder_of_cfgs(tmp_path):
    for folder in ("cfg", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "data" / "three.names").write_text("a\nb\nc\n")
    (tmp_path / "other").mkdir()
    assert darknet.load(*written(HEADS["yolo"], tmp_path / "cfg")).names == ["a", "b", "c"]
    assert not darknet.load(*written(HEADS["yolo"], tmp_path / "other")).names, "data/ is of another's folder"


TREE = "animal -1\nthing -1\ndog 0\ncat 0\ncar 1\nbus 1\npuppy 2\nhound 2\n"
NINE = net(32, 32) + strided(4) + strided(6) + linear(26)
NINE += REGION.replace("classes=3", "classes=8") + "tree=data/8k.tree\nmap=data/some.map\n"


@pytest.fixture
def nine(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "8k.tree").write_text(TREE)
    (tmp_path / "data" / "some.map").write_text("2\n4\n")
    return written(NINE, tmp_path, "nine")


@pytest.mark.long
def test_a_word_tree(nine, tmp_path):
    path, weights = nine
    model = darknet.load(path, weights)
    assert model.names == ["animal", "thing", "dog", "cat", "car", "bus", "puppy", "hound"]
    assert model.head.tree.parents == [-1, -1, 0, 0, 1, 1, 2, 2]
    assert float(model.head.seen) == 2**24, "as the .weights say, up to what is counted"
    images = np.random.default_rng(1).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    (raw,), _ = forward(path, weights, images.transpose(0, 3, 1, 2) / 255)
    raw = raw.reshape(2, 13, 64).transpose(2, 0, 1).reshape(-1, 13)
    detections = loosened(model).predict_on_batch(images)
    scores = 1 / (1 + np.exp(-raw[:, 4]))
    order = np.argsort(-scores, kind="stable")
    np.testing.assert_allclose(detections["scores"][0, : len(order)], scores[order], rtol=1e-4)
    tops = np.where(raw[:, 5] > raw[:, 6], 0, 1)  # at least the branch, whose two nodes make one softmax
    branch = np.array([0, 1, 0, 0, 1, 1, 0, 0])[detections["labels"][0, : len(order)]]
    np.testing.assert_array_equal(branch, tops[order])
    model.save(tmp_path / "nine.keras")
    again = kzoo.load(tmp_path / "nine.keras")
    np.testing.assert_allclose(
        again.predict_on_batch(images)["scores"], model.predict_on_batch(images)["scores"], atol=1e-6
    )
    (tmp_path / "written").mkdir()
    darknet.save(again, tmp_path / "written" / "nine.weights")
    assert (tmp_path / "written" / "nine.weights").read_bytes() == weights.read_bytes()


def test_the_classes_of_a_map(nine):
    model = darknet.load(*nine, names=["dog", "car"])
    assert model.head.num_classes == 2 and model.head.class_map == [2, 4]
    images = np.zeros((1, 32, 32, 3), np.float32)
    assert set(np.unique(model.predict_on_batch(images)["labels"])) <= {-1, 0, 1}
    with pytest.raises(ValueError, match="names: 3"):
        darknet.load(*nine, names=["a", "b", "c"])


@pytest.mark.parametrize(
    "spoil, words",
    [
        (
            lambda folder: (folder / "data/8k.tree").unlink(),
            r"nine\.cfg:\d+: \[region\] tree=data/8k\.tree: no such",
        ),
        (
            lambda folder: (folder / "data/8k.tree").write_text("a -1\nb 7\n"),
            r"8k\.tree:2: 'b 7' has no parent",
        ),
        (
            lambda folder: (folder / "data/8k.tree").write_text("a -1\n"),
            r"tree=data/8k\.tree: has 1 nodes for 8",
        ),
        (lambda folder: (folder / "data/8k.tree").write_bytes(b"\xff\xfe\xff"), r"8k\.tree"),
        (lambda folder: (folder / "data/some.map").write_text("2\n9\n"), r"some\.map:2: '9' is no class"),
    ],
)
def test_damaged_trees(spoil, words, nine, tmp_path):
    spoil(tmp_path)
    with pytest.raises(ValueError, match=words):
        darknet.load(*nine, names=["dog", "car"])


def test_a_classifier_with_a_tree(tmp_path):
    (tmp_path / "words.tree").write_text(TREE)
    text = net(32, 32) + strided(4) + linear(8) + "[avgpool]\n[softmax]\ntree=words.tree\n"
    model = darknet.load(*written(text, tmp_path))
    scores = model.predict(np.full((1, 32, 32, 3), 90.0), verbose=0)["scores"][0]
    np.testing.assert_allclose(scores[:2].sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(
        [scores[2] + scores[3], scores[6] + scores[7]], [scores[0], scores[2]], rtol=1e-4
    )


GAUSSIAN = net(32, 48) + strided(4) + strided(6) + linear(2 * 12) + YOLO.replace("yolo", "Gaussian_yolo")


def test_a_gaussian_head(tmp_path):
    path, weights = written(GAUSSIAN + "uc_normalizer=.5\niou_loss=giou\n", tmp_path)
    model = darknet.load(path, weights)
    assert (model.head.box_weight, model.head.deviation_weight, model.head.box_loss) == (0.75, 0.5, "giou")
    images = np.random.default_rng(1).integers(0, 256, (1, 32, 48, 3)).astype(np.float32)
    (raw,), _ = forward(path, weights, images.transpose(0, 3, 1, 2) / 255)
    one = raw.reshape(2, 12, 8 * 12).transpose(2, 0, 1).reshape(-1, 12)
    one = 1 / (1 + np.exp(-one))
    scores = (one[:, 8:9] * one[:, 9:] * (1 - one[:, 1:8:2].mean(-1, keepdims=True))).ravel()
    detections = loosened(model).predict_on_batch(images)
    np.testing.assert_allclose(detections["scores"][0, : len(scores)], np.sort(scores)[::-1], rtol=1e-4)
    darknet.save(model, tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes() == weights.read_bytes()
    path.write_text(GAUSSIAN + "yolo_point=left_top\n")
    with pytest.raises(ValueError, match="yolo_point=left_top: is not built"):
        darknet.load(path)
