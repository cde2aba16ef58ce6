"""The zoo's own networks as Darknet's files: its weights fit them, and theirs fit it."""

import dataclasses
import math
import re

import cv2
import keras
import numpy as np
import pytest
import written_cfgs
from darknet_reference import random_weights
from shapes_only import shapes_only

import kzoo
from kzoo import darknet
from kzoo.darknet.cfg import parse, read
from kzoo.darknet.planning import make_plan
from kzoo.darknet.writing import describe
from kzoo.layers.conv import scaled
from kzoo.model import backbone_layers
from kzoo.models.yolov2 import TINY_VOC_ANCHORS, VOC_ANCHORS
from kzoo.weights.loading import load_backbone, load_weights

SIDE, WIDTH = 64, 0.25


def small(name, **arguments):
    return kzoo.build(name, **{"image_size": (SIDE, SIDE), "width": WIDTH} | arguments)


def narrow_cfg(cfg, path):
    """Darknet's cfg with a quarter of the filters, but for those that the head counts, at a small size."""
    parts = re.split(r"(?m)^(?=\[)", re.sub(r"(?m)^(width|height)\s*=.*$", rf"\1={SIDE}", cfg.read_text()))
    for i, part in enumerate(parts[:-1]):
        part = parts[i] = re.sub(
            r"(?m)^output=4096", f"output={scaled(4096, WIDTH)}", part
        )  # the paper's YOLO
        if not parts[i + 1].startswith(("[yolo]", "[region]", "[softmax]", "[avgpool]")):
            parts[i] = re.sub(
                r"(?m)^filters\s*=\s*(\d+)", lambda m: f"filters={scaled(int(m[1]), WIDTH)}", part
            )
    path.write_text("".join(parts))
    return path


def photos(count=2):
    return np.random.default_rng(3).integers(0, 256, (count, SIDE, SIDE, 3)).astype(np.float32)


def raw(model):
    return {name: keras.ops.convert_to_numpy(x) for name, x in model(photos(), training=False).items()}


def randomised(model, seed=0):
    """A model whose every weight is other than at its start, and whose outputs are moderate."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            low = {"gamma": 0.2, "moving_variance": 0.5}[weight.name]
            weight.assign(rng.uniform(low, 3 * low, weight.shape))
        elif weight.name == "kernel":
            weight.assign(rng.normal(0, math.sqrt(2 / math.prod(weight.shape[:-1])), weight.shape))
        elif weight.name in ("beta", "bias", "moving_mean"):
            weight.assign(rng.normal(0, 0.2, weight.shape))
    return model


def assert_same(ours, theirs):
    assert sorted(ours) == sorted(theirs)
    for name in ours:
        assert np.ptp(theirs[name]) > 0.1
        np.testing.assert_allclose(ours[name], theirs[name].reshape(ours[name].shape), atol=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        "darknet19", "darknet53", "yolov1", "yolov1-tiny", "yolov2", "yolov2-tiny", "yolov3", "yolov3-spp",
        "yolov3-tiny", "yolov4", "yolov4-tiny", "yolov4-csp",
    ],
)  # fmt: skip
def test_tensors_are_those_of_darknets_cfg(name, darknet_data):
    with shapes_only():
        model = kzoo.build(name)
        text, parts = describe(model)
    ours, theirs = make_plan(parse(text)), make_plan(read(darknet_data / "cfg" / f"{name}.cfg"))
    if name == "darknet19":  # of the mean and the classifier that ends it either may stand first
        theirs.layers[-3:-1] = theirs.layers[-2:-4:-1]
        ours.layers[-3:], theirs.layers[-3:] = (
            [dataclasses.replace(one, inputs=()) for one in plan.layers[-3:]] for plan in (ours, theirs)
        )
    assert [layer.tensors for layer in ours.layers] == [layer.tensors for layer in theirs.layers]
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        # Of spatial pyramid pooling's three, which are joined in the same order, either may stand first.
        assert (a.kind, sorted(a.inputs)) == (b.kind, sorted(b.inputs))
        assert a.kind != "convolutional" or a.settings == b.settings
        if a.kind == "yolo":
            assert level_anchors(a) == level_anchors(b) and a.settings["classes"] == b.settings["classes"]
        if a.kind == "region":
            np.testing.assert_allclose(a.settings["all_anchors"], b.settings["all_anchors"], rtol=1e-7)
    assert sorted(parts) == [layer.index for layer in ours.layers if layer.tensors]
    assert ours.floats == model.count_params() - hasattr(model.head, "seen")


def level_anchors(layer):
    """The anchors of a level, however the cfg numbers them."""
    return [layer.settings["all_anchors"][number] for number in layer.settings["mask"]]


# YOLOv1's grid is that of 448 pixels.
FURTHER = {"yolov1": {"side": 7}, "yolov1-tiny": {"side": 7}}


# Of yolov3-spp all but the pooling is yolov3.
@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    ["darknet53", "yolov1-tiny", "yolov2-tiny", "yolov3-spp", "yolov3-tiny", "yolov4-tiny"]
    + [
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("darknet19", "yolov1", "yolov2", "yolov4", "yolov4-csp")
    ],
)
def test_weights_written_for_darknets_cfg(name, darknet_data, tmp_path):
    cfg = narrow_cfg(darknet_data / "cfg" / f"{name}.cfg", tmp_path / "narrow.cfg")
    weights = tmp_path / "narrow.weights"
    random_weights(cfg, weights, np.random.default_rng(0))
    imported, built = darknet.load(cfg, weights), small(name, weights=weights, **FURTHER.get(name, {}))
    assert_same(raw(built), raw(imported))
    theirs, ours = (model.head.decode(model(photos(), training=False)) for model in (imported, built))
    np.testing.assert_allclose(ours["scores"], theirs["scores"], atol=1e-4)
    if built.task == "detect":
        # A softmax over 80 classes leaves little to each.
        assert np.max(ours["scores"]) > (0.005 if name.startswith("yolov2") else 0.1)
        np.testing.assert_allclose(ours["boxes"], theirs["boxes"], atol=1e-2)
    darknet.save(built, tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes() == weights.read_bytes()


# What is built as what cfg: name, further arguments, the text from the folder of Darknet's files.
VOC = {"num_classes": 20}
VARIANTS = {
    "yolov2-voc": (
        "yolov2",
        {**VOC, "anchors": VOC_ANCHORS},
        lambda folder: (folder / "yolov2-voc.cfg").read_text(),
    ),
    "yolov2-tiny-voc": (
        "yolov2-tiny",
        {**VOC, "anchors": TINY_VOC_ANCHORS, "neck_width": 1024},
        lambda folder: (folder / "yolov2-tiny-voc.cfg").read_text(),
    ),
    "csresnext50-panet-spp": ("yolov4", {"backbone": "cspresnext50"}, written_cfgs.csresnext50),
    "yolov1-paper": ("yolov1-paper", {"side": 7}, written_cfgs.yolov1_paper),
    "yolov4-tiny-3l": ("yolov4-tiny-3l", {}, written_cfgs.yolov4_tiny_3l),
    "yolov4-csp-swish": ("yolov4-csp-swish", {}, written_cfgs.yolov4_csp_swish),
    "yolov4x-mish": ("yolov4x-mish", {}, written_cfgs.yolov4x_mish),
    "yolov4-p5": ("yolov4-p5", {}, written_cfgs.yolov4_p5),
    "yolov4-p6": ("yolov4-p6", {}, written_cfgs.yolov4_p6),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", VARIANTS)
def test_variants_are_those_of_their_cfgs(case, darknet_data, tmp_path):
    name, arguments, text = VARIANTS[case]
    whole = tmp_path / "whole.cfg"
    whole.write_text(text(darknet_data / "cfg"))
    with shapes_only():
        ours = make_plan(parse(describe(kzoo.build(name, **arguments))[0]))
    tensors = [layer.tensors for layer in make_plan(read(whole)).layers if layer.tensors]
    assert [layer.tensors for layer in ours.layers if layer.tensors] == tensors
    narrow, weights = narrow_cfg(whole, tmp_path / "narrow.cfg"), tmp_path / "narrow.weights"
    random_weights(narrow, weights, np.random.default_rng(0))
    built, imported = small(name, weights=weights, **arguments), darknet.load(narrow, weights)
    ours, theirs = raw(built), raw(imported)
    assert sorted(ours) == sorted(theirs)
    for level in ours:
        assert np.ptp(theirs[level]) > 0.1
        np.testing.assert_allclose(ours[level], theirs[level], atol=1e-5)
    theirs, ours = (model.head.decode(model(photos(), training=False)) for model in (imported, built))
    np.testing.assert_allclose(ours["scores"], theirs["scores"], atol=1e-5)
    np.testing.assert_allclose(ours["boxes"], theirs["boxes"], atol=1e-2)


def opencv_outputs(cfg, weights, strides):
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        pytest.skip(f"OpenCV {cv2.__version__} reads no Darknet files; pip install -e '.[test]'")
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    net.setInput(photos().transpose(0, 3, 1, 2) / np.float32(255))
    names = net.getLayerNames()
    if strides is None:
        return {"logits": net.forward(names[names.index("softmax_77") - 1])}
    maps = net.forward([name for name in names if name.startswith("permute")])
    # Darknet's files have the coarsest level first.
    return dict(zip([f"stride{stride}" for stride in sorted(strides, reverse=True)], maps, strict=True))


# What the head's sections say of it.
IN_CFG = (
    "anchors", "scale_xy", "size_transform", "nms_kind", "nms_beta", "iou_threshold", "ignore_threshold",
    "truth_threshold", "box_loss", "box_weight", "objectness_weight", "class_weight", "label_smoothing",
    "objectness_target",
)  # fmt: skip
BUILT = {
    "as published but narrow": ("yolov3-tiny", {}),
    "classes": ("yolov3-tiny", {"num_classes": 3}),
    "wider": ("yolov3-tiny", {"num_classes": 1, "width": 0.5}),
    "anchors": (
        "yolov3-tiny",
        {"num_classes": 2, "anchors": [[[8, 8.5], [12.25, 20]], [[33, 44], [50, 31.125]]]},
    ),
    "an anchor in both levels": (
        "yolov3-tiny",
        {"num_classes": 2, "anchors": [[[23, 27], [37, 58], [81, 82]], [[81, 82], [135, 169], [344, 319]]]},
    ),
    "head": (
        "yolov3-tiny",
        {
            "num_classes": 2, "scale_xy": [1.05, 1.2], "size_transform": "square", "nms_kind": "diou",
            "objectness_target": "iou", "objectness_weight": [1.0, 0.25], "label_smoothing": 0.1, "box_loss": "paper",
        },
    ),
    "yolov3": ("yolov3", {"num_classes": 2, "depth": 0.25}),
    "yolov3-spp": ("yolov3-spp", {"num_classes": 2, "depth": 0.25}),
    "classifier": ("darknet53", {"num_classes": 7}),
}  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=() if BUILT[case][0] == "yolov3-tiny" else pytest.mark.long) for case in BUILT],
)
def test_what_is_built_here_others_read(case, tmp_path):
    name, arguments = BUILT[case]
    model = randomised(small(name, **arguments))
    weights, cfg = darknet.save(model, tmp_path / "built.weights")
    assert weights.stat().st_size == 20 + 4 * model.count_params()
    again = darknet.load(cfg, weights)
    assert_same(raw(again), raw(model))
    assert again.head.num_classes == model.head.num_classes
    # The cfg says letter_box=1, and whoever reads it letterboxes as Darknet does.
    assert (model.resize, again.resize) == ("letterbox", "darknet-letterbox")
    if model.task == "detect":
        for key in IN_CFG:
            ours, theirs = getattr(model.head, key), getattr(again.head, key)
            # Levels stand the other way round.
            assert theirs == (ours[::-1] if isinstance(ours, (list, tuple)) else ours), key
        ours, theirs = (one.head.decode(one(photos(), training=False)) for one in (model, again))
        np.testing.assert_allclose(theirs["scores"], ours["scores"], atol=1e-4)
        np.testing.assert_allclose(theirs["boxes"], ours["boxes"], atol=1e-2)
    ours = raw(model)
    if case == "head":  # Of new_coords the logistic is inside kzoo's head.
        ours = {level: 1 / (1 + np.exp(-x)) for level, x in ours.items()}
    assert_same(ours, opencv_outputs(cfg, weights, getattr(model.head, "strides", None)))


@pytest.mark.long
def test_a_step_of_training_and_back(tmp_path):
    keras.utils.set_random_seed(0)
    model = small("yolov3-tiny", num_classes=2)
    before = raw(model)
    model.compile(keras.optimizers.SGD(1e-2), run_eagerly=True)
    boxes = np.array([[[8, 8, 40, 48]], [[20, 10, 60, 30]]], np.float32)
    model.fit(photos(), {"boxes": boxes, "labels": np.array([[0], [1]])}, epochs=1, verbose=0)
    assert any(np.abs(raw(model)[level] - before[level]).max() > 0.01 for level in before)
    weights, cfg = darknet.save(model, tmp_path / "trained.weights")
    assert_same(raw(darknet.load(cfg, weights)), raw(model))
    assert_same(raw(small("yolov3-tiny", num_classes=2, weights=weights)), raw(model))
    assert_same(raw(model), opencv_outputs(cfg, weights, model.head.strides))


def test_folded_too(tmp_path):
    model = randomised(small("yolov3-tiny", num_classes=2))
    folded = darknet.folded(model)
    assert folded.count_params() < model.count_params()
    assert_same(raw(folded), raw(model))
    weights, cfg = darknet.save(folded, tmp_path / "folded.weights")
    assert "batch_normalize" not in cfg.read_text()
    assert_same(raw(darknet.load(cfg, weights)), raw(model))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A narrow Darknet-53, whole and cut off before its classifier, as `darknet53.conv.74` is."""
    model = randomised(small("darknet53", num_classes=5, depth=0.25))
    folder = tmp_path_factory.mktemp("classifier")
    weights, cfg = darknet.save(model, folder / "darknet53.weights")
    end = len(make_plan(read(cfg)).layers) - 3  # [avgpool], [convolutional], [softmax]
    partial, _ = darknet.save(model, folder / f"darknet53.conv.{end}", stop_at=end)
    return model, weights, partial, end


@pytest.mark.parametrize("name", ["yolov3", "yolov3-spp"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_backbone_of_darknets(name, whole, classifier):
    source, weights, partial, _ = classifier
    model = small(name, num_classes=2, depth=0.25, backbone_weights=weights if whole else partial)
    given = {layer.name: layer.get_weights() for layer in backbone_layers(source)}
    found = [layer for layer in backbone_layers(model) if layer.weights]
    assert len(found) > 20
    for layer in found:
        for ours, theirs in zip(layer.get_weights(), given[layer.name], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert model.origin is None


def one_line(call):
    """What an error says."""
    with pytest.raises((ValueError, OSError)) as caught:
        call()
    said = str(caught.value)
    assert said.isprintable() and len(said) < 400, said
    return said


def test_backbones_that_do_not_fit(classifier, tmp_path):
    _, weights, partial, end = classifier
    model, content = small("yolov3", num_classes=2, depth=0.25), partial.read_bytes()
    before = model.get_weights()
    for name, what, words in (
        ("a.weights", content[:-4], "give a file that was written with at least its layers"),
        (partial.name, content[:-4], "cut off"),
        (partial.name, weights.read_bytes(), "left over"),
        (f"darknet53.conv.{end - 9}", content[:-400], "at least its layers"),
        ("b.weights", b"", "is empty"),
    ):
        path = tmp_path / name
        path.write_bytes(what)
        said = one_line(lambda path=path: load_backbone(model, path))
        assert said.startswith(f"{path}: ") and words in said, said
    for missing in (tmp_path / "none.conv.9", "imagenet-21k"):
        said = one_line(lambda missing=missing: load_backbone(model, missing))
        assert said.startswith(f"{missing}: no such weights file"), said
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


def test_weights_that_do_not_fit(tmp_path):
    model = small("yolov3-tiny", num_classes=2)
    weights, _ = darknet.save(model, tmp_path / "two.weights")
    content = weights.read_bytes()
    for name, what, words in (
        ("empty.weights", b"", ("is empty",)),
        ("half.weights", content[: len(content) // 2], ("cut off", f"{model.count_params():,} numbers")),
        ("long.weights", content + bytes(12), ("12 bytes are left over",)),
        ("wrong.cfg", content, ("format '.cfg'", "Darknet's .weights")),
        ("tiny.conv.99", content, ("stop_at=99",)),
    ):
        path = tmp_path / name
        path.write_bytes(what)
        said = one_line(lambda path=path: load_weights(model, path))
        assert said.startswith(f"{path}: ") and all(word in said for word in words), said
    said = one_line(lambda: small("yolov3-tiny", num_classes=2, width=2 * WIDTH, weights=weights))
    assert said.startswith(f"{weights}: ") and "yolov3-tiny asks for" in said
    said = one_line(lambda: load_weights(model, tmp_path))
    assert said.startswith(f"{tmp_path}: no such weights file")
    assert model.origin is None


def test_what_darknet_has_no_section_for(tmp_path):
    for arguments, words in (
        ({"class_activation": "softmax"}, "head (YoloHead) has no counterpart in Darknet"),
    ):
        model = small("yolov3-tiny", num_classes=2, **arguments)
        said = one_line(lambda model=model: darknet.save(model, tmp_path / "a.weights"))
        assert said.startswith("yolov3-tiny: ") and words in said
    inputs = keras.Input((None, None, 3), name="images")
    network = keras.Model(inputs, [keras.layers.SeparableConv2D(8, 3, 32, name="odd")(inputs)])
    head = kzoo.heads.yolo.YoloHead(1, [[[10, 10]]], [32])
    said = one_line(lambda: darknet.save(kzoo.ZooModel(network, head, (64, 64)), tmp_path / "a.weights"))
    assert "no counterpart in Darknet" in said
    assert list(tmp_path.iterdir()) == []
