"""YOLOv5 and YOLOv7: gains, first biases, other backbones, assigners, and arguments that are refused."""

import math

import keras
import numpy as np
import pytest
from keras import ops

import kzoo

SMALL = {"width": 0.25, "depth": 0.05, "image_size": (64, 64), "num_classes": 3}
TARGETS = {
    "boxes": np.array([[[4, 6, 40, 30], [30, 30, 60, 62], [0, 0, 0, 0]]], np.float32),
    "labels": np.array([[0, 2, -1]]),
}


def images(count=1):
    return np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), np.uint8)


@pytest.mark.long
@pytest.mark.parametrize(("name", "levels"), [("yolov5n", 3), ("yolov5s6", 4), ("yolov5m", 3)])
def test_gains_follow_size_classes_and_levels(name, levels):
    head = kzoo.build(name, **{**SMALL, "image_size": (128, 64)}).head
    objectness, classes = (0.7, 0.3) if name == "yolov5m" else (1.0, 0.5)
    share, balance = 3 / levels, {3: (4, 1, 0.4), 4: (4, 1, 0.25, 0.06)}[levels]
    assert head.box_weight == pytest.approx(0.05 * share)
    assert head.class_weight == pytest.approx(classes * 3 / 80 * share)
    wanted = [objectness * 128 * 64 / 640**2 * share * each for each in balance]
    np.testing.assert_allclose(head.objectness_weight, wanted)
    assert kzoo.build(name, **{**SMALL, "num_classes": 1}).head.class_weight == 0
    assert kzoo.build(name, box_weight=2.0, **SMALL).head.box_weight == 2


def test_biases_expect_eight_objects_in_an_image_of_640_pixels():
    head = kzoo.build("yolov5n", **SMALL).head
    for conv, stride in zip(head.convs, head.strides, strict=True):
        biases = np.reshape(conv.bias, (3, 8))
        wanted = [0, 0, 0, 0, math.log(8 / (640 / stride) ** 2), *[math.log(0.6 / (3 - 0.99999))] * 3]
        np.testing.assert_allclose(biases, [wanted] * 3, rtol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("name", ["yolov5n6", "yolov7-tiny"])
def test_on_another_backbone(name):
    size = 128 if name == "yolov5n6" else 64
    model = kzoo.build(name, backbone="mobilenetv3-small", **{**SMALL, "image_size": (size, size)})
    assert model.head.assigner == ("ratio" if name == "yolov5n6" else "ratio-ota")
    outputs = model(np.zeros((1, size, size, 3), np.uint8))
    assert [outputs[level].shape[1:3] for level in model.head.levels] == [
        (size // stride, size // stride) for stride in model.head.strides
    ]


@pytest.mark.long
def test_predictions_that_name_and_outline_an_object_best_take_it():
    """Task-aligned assignment: the predictions of one object are inside of it, and learn."""
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model = kzoo.build("yolov5n", assigner="task-aligned", **SMALL)
    outputs = model(images(), training=False)
    rows, grid = model.head._rows(outputs)
    labels = ops.convert_to_tensor(TARGETS["labels"])
    predicted = ops.zeros((1, rows.shape[1], 4)) + ops.convert_to_tensor([4.0, 6, 40, 30])
    match = model.head._match(grid, ops.convert_to_tensor(TARGETS["boxes"]), labels, rows, predicted)
    taken = np.flatnonzero(match.taken[0])
    centers = np.asarray(grid.centers)[taken]
    assert 0 < len(taken) <= 20
    assert (np.asarray(match.boxes)[0, taken, :2] < centers).all()
    assert (np.asarray(match.boxes)[0, taken, 2:] > centers).all()
    with tf.GradientTape() as tape:
        loss = model.compute_loss(y=TARGETS, y_pred=model(images(), training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert np.isfinite(loss) and all(np.isfinite(each).all() for each in gradients)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("yolov5n", {"iou_threshold": 0.5}, "iou_threshold=0.5: .*assigner=best shape"),
        ("yolov3-tiny", {"anchor_ratio": 3.0}, "anchor_ratio=3.0: .*assigner=ratio.*ratio-ota"),
        ("yolov5n", {"assigner": "task-aligned", "anchor_ratio": 3.0}, "anchor_ratio=3.0"),
        ("yolov5n", {"spare_anchors": [[10, 10]]}, "spare_anchors: .*leave one of them out"),
        ("yolov5n", {"variant": "q"}, "variant='q'"),
        ("yolov7", {"anchor_ratio": 1.0}, "anchor_ratio=1.0: give a number, above 1"),
        ("yolov5n6", {"image_size": (96, 96)}, "multiples of 64"),
        ("yolov5n", {"backbone": "darknet53"}, "backbone='darknet53'"),
    ],
)
def test_what_has_no_effect_is_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message) as refused:
        kzoo.build(name, **{**SMALL, **arguments})
    assert "\n" not in str(refused.value)
