"""YOLO's later versions against numbers of the authors' own programs: networks, decoded boxes, assignments, losses.

The numbers are of random weights, images and scenes; `golden/yolo/README.md` has the rule by which each tensor gets its
values from its name and shape alone.
"""

import importlib.util
import json

import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.deploy.inference import inference_model
from kzoo.heads import YoloHead
from kzoo.heads.point_boxes import decode_points
from kzoo.heads.yolo_boxes import decode_boxes
from kzoo.layers.folding import folded_network
from kzoo.ops.points import lay_points

RELATIVE = 1e-4
SCENES = ("none", "one", "tiny", "overlap", "equal", "many", "batch")


@pytest.fixture(scope="module")
def golden(shared):
    folder = shared / "golden" / "yolo"
    if not folder.is_dir():
        pytest.skip("golden/yolo is not at hand")
    return folder


@pytest.fixture(scope="module")
def v5_losses(golden):
    with np.load(golden / "losses_yolov5.npz") as arrays:
        return {key: arrays[key] for key in arrays}, json.loads((golden / "losses_yolov5.json").read_text())


def raw_of(arrays, scene):
    """Raw outputs by level, channels last, float32."""
    return {
        f"stride{8 * 2**i}": ops.convert_to_tensor(arrays[f"{scene}/raw_{i}"].transpose(0, 2, 3, 1))
        for i in range(3)
    }


def targets_of(objects, images, padding=24):
    """Rows of image, class, x1, y1, x2, y2 as our targets."""
    boxes = np.zeros((images, padding, 4), np.float32)
    labels = np.full((images, padding), -1, np.int32)
    for image in range(images):
        rows = objects[objects[:, 0] == image]
        boxes[image, : len(rows)], labels[image, : len(rows)] = rows[:, 2:], rows[:, 1]
    return {"boxes": boxes, "labels": labels}


def v5_head(known):
    """YOLOv5's head with the gains as the numbers have them."""
    anchors = [np.reshape(level, (-1, 2)).tolist() for level in known["anchors_pixels"]]
    gains = known["hyp"]
    return YoloHead(
        known["num_classes"],
        anchors,
        known["strides"],
        assigner="ratio",
        anchor_ratio=gains["anchor_t"],
        box_weight=gains["box"],
        class_weight=gains["cls"],
        objectness_weight=[gains["obj"] * balance for balance in (4.0, 1.0, 0.4)],
        objectness_target="ciou",
        normalize_by="levels",
        size_transform="square",
        scale_xy=2.0,
        ignore_threshold=1.0,
        size_weighting=False,
    )


@pytest.mark.parametrize("scene", SCENES)
def test_yolov5_assigns_the_same_predictions(v5_losses, scene):
    arrays, known = v5_losses
    head, images = v5_head(known), known["scenes"][scene]["batch"]
    truth = targets_of(arrays[f"{scene}/objects"], images)
    grid = head._grid([(12, 12), (6, 6), (3, 3)])
    match = grid.match_by_ratio(
        ops.convert_to_tensor(truth["boxes"]), ops.convert_to_tensor(truth["labels"]), head.anchor_ratio
    )
    index, labels, weight, level = (
        np.asarray(value) for value in (match.index, match.labels, match.weight, match.level)
    )
    start = np.concatenate([[0], np.cumsum(grid.counts)])
    for i, side in enumerate((12, 6, 3)):
        found = []
        for image, pair in zip(*np.nonzero((weight > 0) & (level == i)), strict=True):
            cell, anchor = divmod(index[image, pair] - start[i], 3)
            found.append((image, anchor, *divmod(cell, side), labels[image, pair]))
        assert sorted(found) == sorted(map(tuple, arrays[f"{scene}/match_{i}"]))


@pytest.mark.parametrize("scene", SCENES)
def test_yolov5_loss_and_gradients(v5_losses, scene):
    import tensorflow as tf

    arrays, known = v5_losses
    wanted, head = known["scenes"][scene], v5_head(known)
    truth = targets_of(arrays[f"{scene}/objects"], wanted["batch"])
    raw = raw_of(arrays, scene)
    with tf.GradientTape() as tape:
        tape.watch(list(raw.values()))
        terms = head.loss(truth, raw)
        total = sum(terms.values()) * wanted["batch"]
    norms = [float(tf.norm(each)) for each in tape.gradient(total, list(raw.values()))]
    for ours, theirs in (("box", "box"), ("objectness", "obj"), ("class", "cls")):
        np.testing.assert_allclose(float(terms[ours]), wanted[theirs], rtol=RELATIVE, err_msg=ours)
    np.testing.assert_allclose(float(total), wanted["total"], rtol=RELATIVE)
    np.testing.assert_allclose(norms, wanted["gradient_norms_of_total"], rtol=RELATIVE)


def rule(golden):
    """The module of the rule by which tensors and images get their values."""
    spec = importlib.util.spec_from_file_location("yolo_rule", golden / "rule.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(golden, name, folder):
    """A state dict of the authors' names, with the counters and anchors that theirs have; and what is known of it."""
    from safetensors.numpy import save_file

    known, values = json.loads((golden / f"{name}.json").read_text()), rule(golden).value
    tensors = {key: values(key, shape, known["weight_gain"]) for key, shape in known["tensors"]}
    cells = np.asarray(known["anchors_pixels"]) / np.reshape(known["strides"], (-1, 1, 1))
    for key in known["excluded"]:
        anchors = np.asarray(known["anchors_pixels"]) if key.endswith("anchor_grid") else cells
        tensors[key] = np.float32(anchors) if "anchor" in key else np.array(7)
    save_file(tensors, folder / f"{name}.safetensors")
    return folder / f"{name}.safetensors", known


@pytest.mark.parametrize(
    "name",
    ["yolov5n", *(pytest.param(name, marks=pytest.mark.slow) for name in ("yolov5s", "yolov7-tiny"))],
)
def test_networks_compute_what_the_authors_do(golden, name, tmp_path, caplog):
    """Raw outputs, boxes and scores of the authors' weights; and the same with batch normalisation folded."""
    path, known = written(golden, name, tmp_path)
    side = known["image_size"]
    model = kzoo.build(name, weights=path, image_size=(side, side))
    (said,) = [record.getMessage() for record in caplog.records if "licence" in record.getMessage()]
    assert "AGPL-3.0" in said and "\n" not in said
    images = rule(golden).image(side)
    outputs = model(images, training=False)
    with np.load(golden / f"{name}.npz") as arrays:
        raw = [arrays[f"raw_{level}"].transpose(0, 2, 3, 1) for level in range(len(known["strides"]))]
        decoded = arrays["decoded"]
    for level, theirs in zip(model.head.levels, raw, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(outputs[level]), theirs, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(decoded_rows(model, outputs), decoded, rtol=1e-3, atol=1e-3)
    folded = model.head(folded_network(model.network)(images))
    for level in model.head.levels:
        np.testing.assert_allclose(
            ops.convert_to_numpy(folded[level]), ops.convert_to_numpy(outputs[level]), rtol=1e-4, atol=1e-4
        )


def test_yolop_computes_what_the_authors_do(golden, tmp_path, caplog):
    """Raw outputs of boxes, drivable area and lanes. Nothing is said of AGPL: the authors' weights are under MIT."""
    path, known = written(golden, "yolop", tmp_path)
    side = known["image_size"]
    model = kzoo.build("yolop", weights=path, image_size=(side, side))
    assert model.count_params() == known["parameters_and_bn_statistics"]
    assert not any("licence" in record.getMessage() for record in caplog.records)
    outputs = model(rule(golden).image(side), training=False)
    with np.load(golden / "yolop.npz") as arrays:
        theirs = {name: arrays[name].transpose(0, 2, 3, 1) for name in arrays if name != "decoded"}
        decoded = arrays["decoded"]
    names = dict(zip(theirs, (*model.head.levels, "drivable", "lanes"), strict=True))
    for name, values in theirs.items():
        np.testing.assert_allclose(
            ops.convert_to_numpy(outputs[names[name]]), values, rtol=1e-4, atol=1e-3, err_msg=name
        )
    np.testing.assert_allclose(decoded_rows(model, outputs), decoded, rtol=1e-3, atol=1e-3)
    found = model.head.decode(outputs)
    for ours, logits in (("drivable", "drivable_logits"), ("lanes", "lane_logits")):
        np.testing.assert_array_equal(ops.convert_to_numpy(found[ours]), theirs[logits].argmax(-1))


# Whether the weights of these are under AGPL.
POINTS = {"yolov8n": True, "yolo11n": True, "yolox-nano": False, "yolov6n": False, "pp-yoloe-s": False}


@pytest.mark.parametrize(
    "name",
    ["yolov8n", *(pytest.param(n, marks=pytest.mark.slow) for n in POINTS if n != "yolov8n")],
)
def test_networks_without_anchors_compute_what_the_authors_do(golden, name, tmp_path, caplog):
    """Raw outputs, boxes and scores of the authors' weights; and the same as it is exported, folded."""
    from safetensors.numpy import save_file

    file = name.replace("pp-yoloe", "ppyoloe")
    known, values = json.loads((golden / f"{file}.json").read_text()), rule(golden).value
    tensors = {key: values(key, shape, known["weight_gain"]) for key, shape in known["tensors"]}
    for key in known["excluded"]:
        bins = 17 if "proj" in key else 16
        tensors[key] = (
            np.arange(bins, dtype=np.float32).reshape(1, bins, 1, 1) if "num_b" not in key else np.array(7)
        )
    path = tmp_path / f"{name}.safetensors"
    save_file(tensors, path)
    side = known["image_size"]
    model = kzoo.build(name, weights=path, image_size=(side, side))
    assert any("AGPL-3.0" in record.getMessage() for record in caplog.records) == POINTS[name]
    images = rule(golden).image(side)
    outputs = model(images, training=False)
    order = slice(None, None, -1 if file.startswith("pp") else 1)  # PP-YOLOE's levels begin with the coarsest
    with np.load(golden / f"{file}.npz") as arrays:
        raw = [arrays[f"raw_{level}"].transpose(0, 2, 3, 1) for level in range(3)][order]
        decoded = arrays["decoded"]
    for level, theirs in zip(model.head.levels, raw, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(outputs[level]), theirs, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(
        decoded_points(model, outputs), as_ours(decoded, raw, name), rtol=1e-3, atol=1e-2
    )
    exported = inference_model(model)(images)
    for level in model.head.levels:
        np.testing.assert_allclose(
            ops.convert_to_numpy(exported[level]), ops.convert_to_numpy(outputs[level]), rtol=1e-4, atol=1e-4
        )


def decoded_points(model, outputs):
    """Boxes xyxy, and scores, (1, N, 4 + classes), finest level first."""
    head = model.head
    box, objectness, classes = head.parts(head.rows(outputs))
    points, strides = lay_points(head.sizes(outputs), head.strides)
    scores = ops.sigmoid(classes) * (1.0 if objectness is None else ops.sigmoid(objectness))
    boxes = decode_points(box, points, strides, head.bins, head.box_code)
    return ops.convert_to_numpy(ops.concatenate([boxes, scores], -1))


def as_ours(decoded, raw, name):
    """The authors' decoded outputs, in their several forms, as `decoded_points` has them."""
    if name in ("yolov8n", "yolo11n"):
        decoded = decoded.transpose(0, 2, 1)  # (1, 4 + classes, N)
    if name in ("yolox-nano", "yolov6n"):  # an objectness before the classes, of YOLOv6 always 1
        decoded = np.concatenate([decoded[..., :4], decoded[..., 4:5] * decoded[..., 5:]], -1)
    if name == "pp-yoloe-s":
        counts = [level.shape[1] * level.shape[2] for level in raw[::-1]]
        return np.concatenate(np.split(decoded, np.cumsum(counts)[:-1], axis=1)[::-1], axis=1)
    half = decoded[..., 2:4] / 2
    return np.concatenate([decoded[..., :2] - half, decoded[..., :2] + half, decoded[..., 4:]], -1)


def decoded_rows(model, outputs):
    """Boxes by centre and size, objectness and classes, in their order: level, anchor, row, column."""
    rows, grid = model.head._rows(outputs)
    corners = ops.convert_to_numpy(decode_boxes(rows, grid.places, model.head.size_transform))
    boxes = np.concatenate(
        [(corners[..., :2] + corners[..., 2:]) / 2, corners[..., 2:] - corners[..., :2]], -1
    )
    all_of_it = np.concatenate([boxes, ops.convert_to_numpy(ops.sigmoid(rows[..., 4:]))], -1)
    levels = grid.by_level(all_of_it)
    by_anchor = [level.reshape(1, -1, 3, level.shape[-1]).swapaxes(1, 2) for level in levels]
    return np.concatenate([level.reshape(1, -1, level.shape[-1]) for level in by_anchor], 1)
