"""Sides as distributions beside what D-FINE's own program recorded: distances, boxes, targets and losses."""

import numpy as np
import pytest
from keras import ops

from kzoo.losses.fine_distances import distillation_loss, two_bins_loss
from kzoo.ops.boxes import center_boxes
from kzoo.ops.fine_distances import bin_distances, mean_distances, moved_sides, side_targets, two_bins


@pytest.fixture(scope="module")
def known(golden_detr):
    with np.load(golden_detr / "dfine_distribution.npz") as arrays:
        return {key: arrays[key] for key in arrays}


@pytest.mark.parametrize("scale", [4, 8])
def test_distances_and_boxes(known, scale):
    distances = bin_distances(0.5, scale)
    np.testing.assert_allclose(distances, known[f"weighting_scale{scale}"], atol=1e-5)
    means = mean_distances(known["integral_logits"], distances)
    np.testing.assert_allclose(ops.convert_to_numpy(means), known[f"distance_scale{scale}"], atol=1e-5)
    boxes = moved_sides(known["points"], known[f"distance_scale{scale}"], float(scale))
    np.testing.assert_allclose(ops.convert_to_numpy(boxes), known[f"boxes_scale{scale}"], atol=1e-5)


def test_bins_around_a_value(known):
    lower, share = (
        ops.convert_to_numpy(each) for each in two_bins(known["gt_distances"], bin_distances(0.5, 4.0))
    )
    inside = known["gt_index_scale4"] < 31.5
    np.testing.assert_array_equal(lower[inside], np.floor(known["gt_index_scale4"][inside]))
    np.testing.assert_allclose(share, known["gt_weight_right_scale4"], atol=1e-4)
    assert (lower[~inside] == 31).all()


def test_targets_of_boxes(known):
    points = known["points"].reshape(-1, 4)
    wanted = side_targets(ops.convert_to_tensor(points), known["gt_boxes_xyxy"], 4.0)
    lower, share = (
        ops.convert_to_numpy(each).reshape(-1) for each in two_bins(wanted, bin_distances(0.5, 4.0))
    )
    np.testing.assert_array_equal(lower, np.floor(known["target_index_scale4"]))
    np.testing.assert_allclose(share, known["target_right_scale4"], atol=1e-3)


def test_sides_of_targets_are_the_true_boxes():
    rng = np.random.default_rng(0)
    boxes = rng.uniform(0.2, 0.5, (3, 4)).astype("float32")
    corners = np.float32([[0.1, 0.2, 0.5, 0.6]] * 3)
    moved = moved_sides(boxes, side_targets(ops.convert_to_tensor(boxes), corners, 4.0), 4.0)
    np.testing.assert_allclose(
        ops.convert_to_numpy(moved), ops.convert_to_numpy(center_boxes(corners)), atol=1e-5
    )


def test_the_loss_of_sides(known):
    lower = np.floor(known["target_index_scale4"]).astype("int32")
    loss = two_bins_loss(known["fgl_logits"], lower, known["target_right_scale4"])
    total = (ops.convert_to_numpy(loss) * known["fgl_weight"]).sum() / 3
    np.testing.assert_allclose(total, known["fgl_loss"].item(), rtol=1e-5)


def test_losses():
    rng = np.random.default_rng(0)
    logits, teacher = (rng.normal(size=(2, 5)).astype("float32") for _ in range(2))
    likely = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    given = ops.convert_to_numpy(two_bins_loss(logits, np.int32([0, 3]), np.float32([0.25, 1.0])))
    wanted = [-0.75 * np.log(likely[0, 0]) - 0.25 * np.log(likely[0, 1]), -np.log(likely[1, 4])]
    np.testing.assert_allclose(given, wanted, rtol=1e-5)
    assert ops.convert_to_numpy(distillation_loss(logits, logits)).max() < 1e-6
    p, q = (np.exp(each / 5) / np.exp(each / 5).sum(-1, keepdims=True) for each in (teacher, logits))
    wanted = 25 * (p * np.log(p / q)).sum(-1)
    np.testing.assert_allclose(ops.convert_to_numpy(distillation_loss(logits, teacher)), wanted, rtol=1e-4)
