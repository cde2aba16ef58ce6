"""Arguments of `kzoo.build`: unknown names, values out of range, and what has no effect."""

import pytest

import kzoo
from kzoo.heads import Head
from kzoo.options import building
from kzoo.registry import entry, list_models

WRONG = [
    ({"num_classes": -1}, "num_classes=-1"),
    ({"num_classes": 0}, "num_classes=0"),
    ({"num_classes": 2.5}, "num_classes=2.5"),
    ({"width": 0}, "width=0: give a number, above 0"),
    ({"width": float("inf")}, "width=inf"),
    ({"depth": -1}, "depth=-1"),
    ({"depth": float("nan")}, "depth=nan"),
    ({"image_size": 0}, "image_size=0: give a side"),
    ({"image_size": 10**7}, "image_size=10000000"),
    ({"image_size": (64, 64, 3)}, "image_size="),
    ({"names": "cat"}, "names='cat': give a list"),
    ({"names": ["a", "b"], "num_classes": 3}, "2 names for num_classes=3"),
    ({"weights": ""}, "weights=''"),
    ({"backbone_weights": ""}, "backbone_weights=''"),
    ({"num_clases": 3}, "did you mean num_classes"),
]
HEADS = {
    "yolov3-tiny": [
        ({"iou_threshold": "abc"}, "iou_threshold='abc'"),
        ({"iou_treshold": 0.5}, "did you mean iou_threshold"),
        ({"candidates": -1}, "candidates=-1"),
        ({"max_detections": 0}, "max_detections=0"),
        ({"label_smoothing": 1.5}, "label_smoothing=1.5"),
        ({"focal_gamma": float("nan")}, "focal_gamma=nan"),
        ({"box_weight": -1}, "box_weight=-1"),
        ({"nms_kind": "fast"}, "nms_kind='fast'"),
        ({"nms_sigma": 0.3}, "nms_sigma=0.3: has an effect with nms_kind="),
        ({"loss": "ce"}, "unknown option 'loss'"),
        ({"strides": (8, 16)}, "unknown option 'strides'"),
    ],
    "ssd300": [
        ({"focal_gamma": 1.0}, "class_loss=focal alone, and it is 'hard_negative'"),
        ({"negative_ratio": 0}, "negative_ratio=0"),
        ({"box_loss": "l1", "smooth_l1_beta": 0.5}, "box_loss=smooth_l1 alone"),
    ],
    "unet": [
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"loss": ""}, "loss=''"),
        ({"box_loss": "iou"}, "unknown option 'box_loss'"),
        ({"class_weights": [1.0, -1.0]}, "class_weights="),
    ],
    "darknet53": [({"label_smoothing": -0.1}, "label_smoothing=-0.1"), ({"anchors": [1, 2]}, "'anchors'")],
}


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        *(("yolov3-tiny", *row) for row in WRONG),
        *((name, *row) for name, rows in HEADS.items() for row in rows),
    ],
)
def test_wrong_arguments_are_told_in_a_line(name, arguments, words):
    small = {"image_size": 64, "width": 0.125, "num_classes": 2}
    with pytest.raises(ValueError, match=words) as caught:
        kzoo.build(name, **{**small, **arguments})
    assert "\n" not in str(caught.value)


def test_one_side_is_both():
    model = kzoo.build(
        "yolov3-tiny", num_classes=2, width=0.125, image_size=64, nms_kind="diou", nms_beta=0.4
    )
    assert model.image_size == (64, 64)


@pytest.mark.parametrize("name", list_models())
def test_every_architecture_checks_what_it_is_given(name):
    for arguments, words in WRONG[:8]:
        with pytest.raises(ValueError, match=words):
            kzoo.build(name, **arguments)
    with pytest.raises(ValueError, match="unknown option 'no_such_thing'"):
        kzoo.build(name, no_such_thing=1)
    assert entry(name).name == name


def test_a_depth_without_effect_is_said(caplog):
    kzoo.build("yolov3-tiny", num_classes=2, width=0.125, image_size=64, depth=0.5)
    assert "depth=0.5 changes nothing" in caplog.text


def heads(of=Head):
    for one in of.__subclasses__():
        yield one
        yield from heads(one)


def test_declared_arguments_are_the_heads_own():
    for head in heads():
        if head.__module__.startswith("kzoo."):
            assert set(head.options) <= set(head.arguments()), head
    assert building.YOLO["iou_threshold"].most == 1
