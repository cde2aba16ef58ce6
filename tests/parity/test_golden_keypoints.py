"""Keypoint detectors beside numbers of the authors' own programs: networks, targets, losses and detections.

The numbers are of random weights, images and scenes; `golden/README.md` has the rule by which each tensor gets its
values from its name and shape alone.
"""

import json

import numpy as np
import pytest
from keras import ops
from recorded import SIDE, channels_last, drawn, rule_of, write_weights

import kzoo
from kzoo.heads.center import CenterHead
from kzoo.ops.heatmaps import draw_peaks, find_peaks, gaussian_radius


@pytest.fixture(scope="module")
def scenes(golden_keypoints):
    """Objects of three images, cut as the authors cut them: to the last cell's corner."""
    with np.load(golden_keypoints / "targets_centernet.npz") as arrays:
        known = {key: arrays[key] for key in arrays}
    boxes, labels = np.zeros((3, 6, 4), np.float32), np.full((3, 6), -1, np.int32)
    for image in range(3):
        rows = known[f"scene{image}_x1y1x2y2class"]
        boxes[image, : len(rows)] = np.clip(rows[:, :4], 0, 4 * (SIDE - 1))
        labels[image, : len(rows)] = rows[:, 4] - 1
    return {"boxes": boxes, "labels": labels}, known


@pytest.mark.parametrize(
    (
        "height",
        "width",
        "radii",
    ),  # of an overlap of .7 and .3, as the authors have them, and as the equations do
    [
        (4, 4, (1.0933, 0.3267, 1.98, 0.905)),
        (10, 20, (3.6779, 1.0774, 6.78, 2.89)),
        (32, 32, (8.7462, 2.6134, 15.85, 7.24)),
        (60, 15, (6.7642, 1.8958, 13.03, 4.82)),
        (128, 128, (34.985, 10.4538, 63.4, 28.9)),
    ],
)
def test_radius(height, width, radii):
    sides = (ops.convert_to_tensor(float(height)), ops.convert_to_tensor(float(width)))
    given = [
        float(gaussian_radius(*sides, overlap, exact)) for overlap in (0.7, 0.3) for exact in (False, True)
    ]
    np.testing.assert_allclose(given, radii, rtol=2e-3)


def test_targets_of_centernet(scenes):
    targets, known = scenes
    boxes = targets["boxes"] / 4
    extent = boxes[..., 2:] - boxes[..., :2]
    radius = gaussian_radius(*(ops.ceil(ops.convert_to_tensor(extent[..., i])) for i in (1, 0)), 0.7, False)
    cells = np.floor((boxes[..., :2] + boxes[..., 2:]) / 2).astype(np.int32)
    heat = draw_peaks(cells, np.maximum(np.floor(radius), 0), targets["labels"], (SIDE, SIDE), 4)
    np.testing.assert_allclose(ops.convert_to_numpy(heat), channels_last(known["hm"]), atol=1e-6)
    there = known["reg_mask"] > 0
    np.testing.assert_allclose(extent[there], known["wh"][there], atol=1e-6)
    np.testing.assert_array_equal((cells[..., 1] * SIDE + cells[..., 0])[there], known["ind"][there])


@pytest.mark.parametrize("objects", [True, False])
def test_losses_of_centernet(golden_keypoints, scenes, objects):
    values = json.loads((golden_keypoints / "losses_centernet.json").read_text())["values"]
    targets, _ = scenes
    if not objects:
        targets = {"boxes": np.zeros((3, 6, 4), np.float32), "labels": np.full((3, 6), -1, np.int32)}
    raw = {
        "heat": channels_last(drawn("loss.hm", (3, 4, SIDE, SIDE)) - 2),
        "size": channels_last(drawn("loss.wh", (3, 2, SIDE, SIDE)) * 3 + 8),
        "offset": channels_last(drawn("loss.reg", (3, 2, SIDE, SIDE))),
    }
    terms = {name: float(value) for name, value in CenterHead(4).loss(targets, raw).items()}
    if not objects:
        assert terms["heat"] == pytest.approx(values["focal_no_object"], rel=1e-4)
        assert terms["size"] == terms["offset"] == 0
        return
    assert terms["heat"] == pytest.approx(values["focal"], rel=1e-4)
    assert terms["size"] == pytest.approx(0.1 * values["wh_l1"], rel=1e-4)
    assert terms["offset"] == pytest.approx(values["reg_l1"], rel=1e-4)
    assert sum(terms.values()) == pytest.approx(values["total"], rel=1e-4)


def test_detections_of_centernet(golden_keypoints):
    with np.load(golden_keypoints / "decode_centernet.npz") as arrays:
        known = arrays["detections"]
    logits = channels_last(drawn("decode.hm", (2, 4, SIDE, SIDE)) * 1.5 - 2)
    size = channels_last(drawn("decode.wh", (2, 2, SIDE, SIDE)) * 3 + 8)
    offset = channels_last(drawn("decode.reg", (2, 2, SIDE, SIDE)) * 0.3 + 0.5)
    found = CenterHead(4, stride=1, score_threshold=0.0).decode(
        {"heat": logits, "size": size, "offset": offset}
    )
    found = {key: ops.convert_to_numpy(value) for key, value in found.items()}
    given = np.concatenate([found["boxes"], found["scores"][..., None], found["labels"][..., None]], -1)
    np.testing.assert_allclose(given, known, atol=1e-4)


def test_of_equal_neighbours_each_is_a_peak():
    heat = np.zeros((1, 4, 4, 2), np.float32)
    heat[0, 1, 1, 0] = heat[0, 1, 2, 0] = heat[0, 3, 3, 1] = 0.5
    scores, labels, columns, rows = (ops.convert_to_numpy(one)[0] for one in find_peaks(heat, 4))
    assert scores.tolist() == [0.5, 0.5, 0.5, 0.0]
    assert list(zip(labels, columns, rows, strict=True))[:3] == [(0, 1, 1), (0, 2, 1), (1, 3, 3)]


def test_logits_tell_neighbours_apart_that_round_to_one_score():
    heat = np.full((1, 4, 4, 1), -3, np.float32)
    heat[0, 1, 1], heat[0, 1, 2] = 0.16772836, 0.16772857
    scores, _, columns, rows = (ops.convert_to_numpy(one)[0] for one in find_peaks(heat, 4, logits=True))
    assert (columns[0], rows[0]) == (2, 1) and np.isclose(scores[0], 0.541834)
    # Of the floor around, cells beside none but equal ones are peaks, too; the neighbour is none.
    assert (scores[1:] < 0.05).all()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("centernet-resnet18", "centernet_resdcn18"),
        pytest.param("centernet-dla34", "centernet_dla34", marks=pytest.mark.slow),
    ],
)
def test_networks_compute_what_the_authors_do(golden_keypoints, name, file, tmp_path):
    """Raw maps, and detections one to one, of the authors' weights."""
    write_weights(golden_keypoints, file, tmp_path / f"{name}.safetensors")
    model = kzoo.build(name, weights=tmp_path / f"{name}.safetensors", image_size=(128, 128))
    outputs = model(rule_of(golden_keypoints).image(), training=False)
    raw = {key: np.transpose(ops.convert_to_numpy(value), (0, 3, 1, 2)) for key, value in outputs.items()}
    with np.load(golden_keypoints / f"{file}.npz") as arrays:
        np.testing.assert_allclose(raw["heat"].ravel()[arrays["hm.at"]], arrays["hm.values"], atol=1e-4)
        np.testing.assert_allclose(raw["size"], arrays["wh"], atol=1e-4)
        np.testing.assert_allclose(raw["offset"], arrays["reg"], atol=1e-4)
        detections = arrays["detections"]
    found = {key: ops.convert_to_numpy(value)[0] for key, value in model.head.decode(outputs).items()}
    given = np.column_stack([found["boxes"] / 4, found["scores"], found["labels"]])
    ordered = [rows[np.lexsort(np.round(rows[:, [1, 0, 5]], 2).T)] for rows in (given, detections)]
    np.testing.assert_allclose(*ordered, atol=1e-3)
