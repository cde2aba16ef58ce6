"""Boxes and two maps in one head: what each bit of a mask trains, and what is refused."""

import numpy as np
import pytest
from keras import ops

from kzoo.heads import DriveHead, YoloHead

ANCHORS, STRIDES = [[[10, 14]], [[20, 24]]], (8, 16)
MASK = np.array([[[0, 1, 2, 3], [255, 1, 0, 2]]], np.uint8)  # (1, 2, 4)
TRUTH = {"boxes": np.array([[[2, 2, 14, 12]]], np.float32), "labels": np.array([[0]]), "mask": MASK}


def outputs(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {
        "stride8": (1, 2, 4, 6),
        "stride16": (1, 1, 2, 6),
        "drivable": (1, 2, 4, 2),
        "lanes": (1, 2, 4, 2),
    }
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def cross_entropy(labels, logits, known):
    """Mean over the known pixels, in plain NumPy."""
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    picked = np.take_along_axis(shares, labels[..., None].astype(int), -1)[..., 0]
    return -np.log(picked[known]).mean()


def test_each_bit_trains_its_own_map_and_boxes_are_yolo_s():
    raw, known = outputs(), MASK != 255
    head = DriveHead(1, ANCHORS, STRIDES, lane_loss="ce", drivable_weight=0.5, lane_weight=3.0)
    losses = {name: float(value) for name, value in head.loss(TRUTH, raw).items()}
    bits = {"drivable": np.isin(MASK, (1, 3)), "lanes": np.isin(MASK, (2, 3))}
    for name, weight in (("drivable", 0.5), ("lanes", 3.0)):
        assert losses.pop(name) == pytest.approx(
            weight * cross_entropy(bits[name], raw[name], known), rel=1e-5
        )
    plain = YoloHead(1, ANCHORS, STRIDES).loss(TRUTH, raw)
    assert losses == {name: pytest.approx(float(value)) for name, value in plain.items()}


def test_overlap_counts_beside_cross_entropy_by_default():
    raw = outputs()
    head = DriveHead(1, ANCHORS, STRIDES)
    both, one = (
        float(DriveHead(1, ANCHORS, STRIDES, lane_loss=loss).loss(TRUTH, raw)["lanes"])
        for loss in ("dice", "ce")
    )
    assert float(head.loss(TRUTH, raw)["lanes"]) == pytest.approx(both + one, rel=1e-5)


def test_images_count_by_their_weights():
    raw = {name: np.concatenate([value, outputs(1)[name]]) for name, value in outputs().items()}
    truth = {name: np.concatenate([value, value]) for name, value in TRUTH.items()}
    head = DriveHead(1, ANCHORS, STRIDES)
    plain, double = head.loss(truth, raw), head.loss(truth, raw, np.array([2.0, 2.0], np.float32))
    for name, value in plain.items():
        assert float(double[name]) == pytest.approx(2 * float(value), rel=1e-5), name


def test_maps_are_what_is_more_likely():
    raw = outputs()
    found = DriveHead(1, ANCHORS, STRIDES).decode(raw)
    for name in ("drivable", "lanes"):
        np.testing.assert_array_equal(ops.convert_to_numpy(found[name]), raw[name].argmax(-1))
    assert set(found) == {"boxes", "scores", "labels", "drivable", "lanes"}


def test_maps_of_other_channels_are_refused():
    head = DriveHead(1, ANCHORS, STRIDES)
    shapes = [(None, 2, 4, 8), (None, 1, 2, 8), (None, 16, 32, 2), (None, 16, 32, 3)]
    with pytest.raises(ValueError, match="lanes: 3 channels; let the network end in 2"):
        head.build(shapes)


@pytest.mark.parametrize(
    "option, value", [("lane_weight", -1), ("drivable_loss", "dise"), ("lane_loss", "border+ce+ce")]
)
def test_arguments_out_of_range_are_refused(option, value):
    with pytest.raises(ValueError, match=option if option == "lane_weight" else "loss") as refusal:
        DriveHead(1, ANCHORS, STRIDES, **{option: value})
    assert "\n" not in str(refusal.value)
