"""DETR and its successors beside numbers of the authors' own programs: positions, assignments, losses and networks.

Networks' weights follow from tensors' names and shapes by the rule that `golden/detr_keypoints_README.md` states.
"""

import importlib.util
import json

import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.heads.query_loss import QueryLoss
from kzoo.heads.query_parts import truth_of
from kzoo.layers.positions import block_sine_map, sine_boxes, sine_map, sines

CLASSES, SCENES = 10, 4


@pytest.fixture(scope="module")
def arrays(golden_detr):
    def read(name):
        with np.load(golden_detr / f"{name}.npz") as file:
            return {key: file[key] for key in file}

    return read


@pytest.mark.parametrize(
    ("name", "settings"),
    [("detr", {}), ("deformable", {"shift": 0.5}), ("dino", {"temperature": 20.0})],
)
def test_positions_of_a_map(arrays, name, settings):
    known = arrays(f"sine_{name}")
    for height, width in ((4, 4), (5, 7), (9, 3)):
        wanted = known[f"{height}x{width}"].transpose(0, 2, 3, 1).reshape(1, -1, 256)
        np.testing.assert_allclose(sine_map(height, width, 256, **settings), wanted, atol=2e-6)


def test_positions_of_rt_detr_are_the_authors_on_square_maps(arrays):
    known = arrays("sine_rtdetr")
    np.testing.assert_allclose(block_sine_map(4, 4, 256), known["h4xw4"], atol=2e-6)
    # On others theirs go down the columns first, beside features that go along the rows.
    for height, width in ((5, 7), (9, 3)):
        wanted = known[f"h{height}xw{width}"]
        np.testing.assert_allclose(block_sine_map(width, height, 256), wanted, atol=2e-6)
        assert np.abs(ops.convert_to_numpy(block_sine_map(height, width, 256)) - wanted).max() > 0.1


def test_positions_of_points_and_boxes(arrays):
    known = arrays("sine_query_and_proposals")
    boxes = known["reference4"]
    np.testing.assert_allclose(sine_boxes(boxes, 128), known["sine4"], atol=2e-6)
    np.testing.assert_allclose(sine_boxes(boxes[..., :2], 128), known["sine2"], atol=2e-6)
    known = arrays("sine_anchor")
    np.testing.assert_allclose(sine_boxes(known["points"], 128), known["pos2posemb2d"], atol=2e-6)
    line = ops.convert_to_tensor(known["line"] * np.float32(2 * np.pi))
    np.testing.assert_allclose(sines(line, 256), known["pos2posemb1d"], atol=5e-6)


def scenes(known):
    """The truth of four images of one pixel, in which shares and pixels are the same."""
    boxes, labels = np.zeros((SCENES, 6, 4), np.float32), np.full((SCENES, 6), -1, np.int32)
    for image in range(SCENES):
        rows = known[f"scene{image}_boxes"]
        center, half = rows[:, :2], rows[:, 2:] / 2
        boxes[image, : len(rows)] = np.concatenate([center - half, center + half], axis=-1)
        labels[image, : len(rows)] = known[f"scene{image}_labels"]
    return truth_of({"boxes": boxes, "labels": labels}, (1, 1))


def criterion(class_loss, weights=(1.0, 1.0, 1.0), costs=(2.0, 5.0, 2.0)):
    names = ("class", "box", "giou")
    alpha = 0.75 if class_loss == "varifocal" else 0.25
    named = (dict(zip(names, factors, strict=True)) for factors in (weights, costs))
    return QueryLoss(class_loss, 0.1, 2.0, alpha, *named)


KINDS = {  # what the files call the class term, and factors of the terms and of the costs
    "detr": ("softmax", "ce", (1.0, 5.0, 2.0), (1.0, 5.0, 2.0)),
    "deformable": ("focal", "ce", (2.0, 5.0, 2.0), (2.0, 5.0, 2.0)),
    "rtdetr_vfl": ("varifocal", "vfl", (1.0, 5.0, 2.0), (2.0, 5.0, 2.0)),
}


def told(known, class_loss):
    """Logits and boxes of both layers; no object comes first here, and last there."""
    logits = np.stack([known[f"layer{i}_logits"] for i in range(2)])
    boxes = np.stack([known[f"layer{i}_boxes"] for i in range(2)])
    return np.roll(logits, 1, axis=-1) if class_loss == "softmax" else logits, boxes


@pytest.mark.parametrize("name", KINDS)
def test_costs_and_assignments(arrays, name):
    class_loss, _, weights, costs = KINDS[name]
    known, loss = arrays(f"criterion_{name}"), criterion(class_loss, weights, costs)
    truth, (logits, boxes) = scenes(known), told(known, class_loss)
    cost = ops.convert_to_numpy(loss.cost(truth, logits, boxes))
    match = loss.match(truth, logits, boxes)
    owner, positive = (ops.convert_to_numpy(each) for each in (match.owner, match.positive))
    for call in range(8):
        layer, image = 1 - call // 4, call % 4
        count = known[f"call{call}_cost"].shape[1]
        np.testing.assert_allclose(cost[layer, image, :, :count], known[f"call{call}_cost"], atol=2e-5)
        queries, objects = known[f"call{call}_query"], known[f"call{call}_object"]
        assert positive[layer, image].sum() == count
        np.testing.assert_array_equal(owner[layer, image, queries], objects)
        assert positive[layer, image, queries].all()


@pytest.mark.parametrize("name", KINDS)
def test_losses_and_gradients(arrays, golden_detr, name):
    import tensorflow as tf

    class_loss, term, weights, costs = KINDS[name]
    known, loss = arrays(f"criterion_{name}"), criterion(class_loss, weights, costs)
    values = json.loads((golden_detr / f"criterion_{name}.json").read_text())["losses"]
    already = class_loss == "varifocal"  # that file's values are weighted already
    truth, (logits, boxes) = scenes(known), (tf.constant(each) for each in told(known, class_loss))
    match = loss.match(truth, logits, boxes)
    with tf.GradientTape() as tape:
        tape.watch((logits, boxes))
        terms = loss.terms(truth, match, logits, boxes)
        total = sum(ops.sum(each) for each in terms.values())
    for mine, theirs, factor in zip(("class", "box", "giou"), (term, "bbox", "giou"), weights, strict=True):
        suffixes = ("_aux_0", "") if already else ("_0", "")
        wanted = [values[f"loss_{theirs}{suffix}"] * (1 if already else factor) for suffix in suffixes]
        np.testing.assert_allclose(terms[mine], wanted, rtol=1e-5, err_msg=mine)
    np.testing.assert_allclose(float(total), known["total"].item(), rtol=1e-5)
    of_logits, of_boxes = tape.gradient(total, (logits, boxes))
    for layer in range(2):
        wanted = known[f"layer{layer}_grad_logits"]
        wanted = np.roll(wanted, 1, axis=-1) if class_loss == "softmax" else wanted
        np.testing.assert_allclose(of_logits[layer], wanted, atol=1e-5)
        np.testing.assert_allclose(of_boxes[layer], known[f"layer{layer}_grad_boxes"], atol=1e-4, rtol=1e-4)


NETWORKS = {  # by our names the file, and what the model is built with
    "dn-detr-r50": ("dn_dab_detr_r50", {"num_classes": 91, "queries": 60}),
    "anchor-detr-r50": ("anchor_detr_r50_dc5", {"num_classes": 91, "queries": 40, "dilated": True}),
    "smca-detr-r50 fixed": ("smca_detr_r50_type1", {"num_classes": 92, "queries": 60}),
    "smca-detr-r50 axes": ("smca_detr_r50_type3", {"num_classes": 92, "queries": 60, "spread": "axes"}),
}


@pytest.fixture(scope="module")
def rule(golden_detr):
    """The rule by which tensors get their values."""
    spec = importlib.util.spec_from_file_location("dk_rule", golden_detr.parent / "dk_rule.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_tell_what_the_authors_do(arrays, golden_detr, rule, name, tmp_path):
    from safetensors.numpy import save_file

    file, arguments = NETWORKS[name]
    known, said = arrays(file), json.loads((golden_detr / f"{file}.json").read_text())
    special = said["special"]
    state = {
        key: rule.value(key, shape, said["weight_gain"], special.get(key)) for key, shape in said["tensors"]
    }
    state |= {copy: state[key].copy() for copy, key in said["aliases"].items()}
    save_file(state, tmp_path / "theirs.safetensors")
    model = kzoo.build(name.split()[0], image_size=128, weights=tmp_path / "theirs.safetensors", **arguments)
    head, features = model.head, model.features(rule.image())
    outputs = head(features, training=True)
    memory = head.memory(head.features(outputs))
    told = head.run(head.start(memory, False), memory, None, False, head.decoder_depth, every=True)
    logits, boxes = (np.stack([ops.convert_to_numpy(each) for each in kind]) for kind in told)
    np.testing.assert_allclose(logits, known["logits"], atol=1e-4)
    np.testing.assert_allclose(boxes, known["boxes"], atol=1e-4)
    if name == "dn-detr-r50":
        (cells,) = head.features(outputs)
        encoded = known["hook:transformer.encoder"].transpose(1, 0, 2)
        np.testing.assert_allclose(ops.convert_to_numpy(cells).reshape(1, 16, 256), encoded, atol=1e-4)
