"""YOLO's later versions against numbers of the authors' own programs: networks, decoded boxes, assignments, losses.

The numbers are of random weights, images and scenes; `golden/yolo/README.md` has the rule by which each tensor gets its
values from its name and shape alone.
"""

import json

import numpy as np
import pytest
from keras import ops

from kzoo.heads import YoloHead

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
