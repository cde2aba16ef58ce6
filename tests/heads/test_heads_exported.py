"""Every head's decoding in TFLite and ONNX files equals Keras's."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.deploy import open_export
from kzoo.heads import (
    AnchorDETRHead,
    ClassifyHead,
    CornerHead,
    DABDETRHead,
    DETRHead,
    DriveHead,
    ExtremeHead,
    GridHead,
    SMCADETRHead,
    TripletHead,
    YoloHead,
)
from kzoo.layers.transformer import Encoder
from kzoo.model import ZooModel

SIZE = (64, 96)
ANCHORS = [[[30, 40], [64, 30], [50, 70]], [[23, 27], [30, 40]]]


def yolo(**arguments):
    head = YoloHead(4, ANCHORS, (32, 16), project=False, max_detections=60, **arguments)
    return head, [keras.layers.Conv2D(27, 32, 32), keras.layers.Conv2D(18, 16, 16)]


def drive():
    head = DriveHead(1, ANCHORS, (32, 16), project=False, max_detections=60, size_transform="square")
    maps = [keras.layers.Conv2D(2, 3, padding="same") for _ in range(2)]
    return head, [keras.layers.Conv2D(18, 32, 32), keras.layers.Conv2D(12, 16, 16), *maps]


def peaks(kind, maps, **arguments):
    """A head of heat maps on `maps` feature maps; heat is spread enough for an order of its peaks."""
    head = kind(3, stacks=1, branch_width=16, multiple=32, max_detections=20, **arguments)
    for first, last in (branch for branches in head.branches for branch in branches.values()):
        last.kernel_initializer = keras.initializers.RandomNormal(stddev=0.5, seed=1)
        first.kernel_initializer = keras.initializers.RandomNormal(stddev=0.3, seed=2)
    return head, [keras.layers.Conv2D(16, 4, 4) for _ in range(maps)]


def queries(head_type, **arguments):
    small = {"queries": 12, "decoder_depth": 2, "query_width": 32, "heads": 4, "feedforward": 32}
    head = head_type(3, (32,), **{**small, **arguments})
    encoder = Encoder(1, 4, 32, activation="gelu", scaled=True, name="encoder")
    return head, [lambda x: encoder(keras.layers.Conv2D(32, 32, 32)(x))]


HEADS = {
    "corner": lambda: peaks(CornerHead, 2, peaks=30, candidates=50, tag_distance=50.0),
    "triplet": lambda: peaks(TripletHead, 3, peaks=60, candidates=900, tag_distance=50.0, nms_kind="greedy"),
    "extreme": lambda: peaks(ExtremeHead, 1, peaks=12, pairs=40, candidates=50, nms_kind="greedy"),
    "detr": lambda: queries(DETRHead),
    "dab": lambda: queries(DABDETRHead),
    "smca": lambda: queries(SMCADETRHead, spread="heads"),
    "anchor": lambda: queries(AnchorDETRHead, patterns=2, encoder_depth=1),
    "drive": drive,
    "new coordinates": lambda: yolo(size_transform="square", scale_xy=[2.0, 1.1], nms_kind="diou"),
    "softmax": lambda: yolo(class_activation="softmax"),
    "grid": lambda: (GridHead(5, 1, 3, SIZE, softmax=True), [keras.layers.Conv2D(20, SIZE, SIZE)]),
    "classes": lambda: (
        ClassifyHead(5, project=False, temperature=2.0),
        [keras.layers.Conv2D(5, SIZE, SIZE)],
    ),
}

QUICK = ("new coordinates", "grid")  # the others are exported by turns: a conversion takes seconds


@pytest.mark.parametrize("suffix", ["tflite", pytest.param("onnx", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in HEADS]
)
def test_outputs_are_keras_s(name, suffix, tmp_path):
    keras.utils.set_random_seed(0)
    head, convs = HEADS[name]()
    inputs = keras.Input((*SIZE, 3), name="images")
    x = keras.layers.Rescaling(1 / 64)(inputs)
    network = keras.Model(inputs, [conv(x) for conv in convs], name="network")
    model = ZooModel(network, head, SIZE, name="small")
    images = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
    expected = model.predict_on_batch(images)
    given = open_export(kzoo.export(model, tmp_path / f"model.{suffix}")).predict_on_batch(images)
    assert set(given) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(given[key], value, rtol=1e-4, atol=1e-4)
    assert np.count_nonzero(expected["scores"]) >= 5
    assert all(0 < expected[name].mean() < 1 for name in ("drivable", "lanes") if name in expected)
