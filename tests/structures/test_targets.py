"""Targets that cannot be meant so: refused in one line that names the first and the remedy."""

import logging

import numpy as np
import pytest

from kzoo.structures.targets import check_keys, check_sample_weight, check_targets

SHAPE = (3, 64, 96, 3)
BOXES = np.tile(np.array([[[10, 12, 50, 60], [0, 0, 0, 0]]], np.float32), (3, 1, 1))
LABELS = np.tile(np.array([[1, -1]], np.int32), (3, 1))
MASK = np.random.default_rng(0).integers(0, 3, SHAPE[:3]).astype(np.uint8)
LABEL = np.array([0, 2, 1])


def refusal(task, targets, classes=3):
    with pytest.raises(ValueError) as caught:
        check_targets(task, targets, classes, SHAPE)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(values, place, value):
    values = values.copy()
    values[place] = value
    return values


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"boxes": BOXES / 64}, "shares of the picture? Multiply by its 96 x 64 pixels"),
        ({"boxes": BOXES[..., [2, 3, 0, 1]]}, "boxes[0, 0] = [50.0, 60.0, 10.0, 12.0] and 2 more; right and bottom"),
        ({"boxes": changed(BOXES, (1, 0), [50, 50, 30, 20])}, "boxes[1, 0]"),
        ({"boxes": changed(BOXES, (1, 0), [20, 20, 20, 30])}, "without area"),
        ({"boxes": changed(BOXES, (2, 1, 3), np.nan)}, "boxes[2, 1]"),
        ({"boxes": changed(BOXES, (2, 0, 3), np.inf)}, "NaN or infinite"),
        ({"boxes": BOXES * 10}, "outside of the 96 x 64 pixels"),
        ({"boxes": BOXES[:, 0]}, "give (B, M, 4) and (B, M)"),
        ({"boxes": BOXES[..., :3]}, "give (B, M, 4) and (B, M)"),
        ({"boxes": BOXES.astype(str)}, "'boxes' of type <U"),
        ({"boxes": BOXES[:2], "labels": LABELS[:2]}, "for 3 images"),
        ({"labels": changed(LABELS, (2, 0), 7)}, "labels[2, 0] = 7; 3 classes are counted from 0 to 2; -1 is padding"),
        ({"labels": changed(LABELS, slice(None), 3)}, "counted from 0: subtract 1"),
        ({"labels": changed(LABELS, (0, 1), -2)}, "labels[0, 1] = -2"),
        ({"labels": LABELS + 0.5}, "give whole numbers"),
        ({"labels": LABELS[..., None]}, "labels"),
        ({"labels": np.eye(3)[LABELS]}, "labels"),
        ({"weights": np.ones((3, 3))}, "'weights' of shape (3, 3); give (3, 2)"),
        ({"weights": -np.ones((3, 2))}, "weights[0, 0] = -1.0"),
    ],
)  # fmt: skip
def test_wrong_boxes(change, words):
    assert words in refusal("detect", {"boxes": BOXES, "labels": LABELS, **change})


CELLS = np.full((3, 2, 7, 7), 255, np.uint8)


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (CELLS[..., 0], "'masks' of shape (3, 2, 7); give (3, 2, S, S)"),
        (CELLS[:, :1], "'masks' of shape (3, 1, 7, 7); give (3, 2, S, S)"),
        (CELLS[..., :5], "'masks' of shape (3, 2, 7, 5); give (3, 2, S, S)"),
        (np.zeros((3, 2, 64, 96), np.uint8), "crop_masks"),
        (CELLS / 255.0, "'masks' of type float64 from 0 to 1; give uint8"),
        (CELLS.astype(np.int32), "'masks' of type int32"),
        (CELLS > 0, "'masks' of type bool"),
        (CELLS // 255, "multiply by 255"),
    ],
)
def test_wrong_instance_masks(masks, words):
    assert words in refusal("instance", {"boxes": BOXES, "labels": LABELS, "masks": masks})


def test_instance_masks_are_asked_for_and_taken():
    targets = {"boxes": BOXES, "labels": LABELS}
    assert "no 'masks' among boxes, labels" in refusal("instance", targets)
    assert "call 'mask' so" in refusal("instance", {**targets, "mask": CELLS})
    check_targets("instance", {**targets, "masks": CELLS}, 3, SHAPE)
    check_targets("instance", {**targets, "masks": 0 * CELLS}, 3, SHAPE)  # nothing but padding, say
    assert "boxes[1, 0]" in refusal(
        "instance", {**targets, "masks": CELLS, "boxes": changed(BOXES, (1, 0, 3), np.nan)}
    )


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (MASK / 255, "give class numbers as integers"),
        (MASK.astype(np.float32), "give class numbers as integers"),
        (MASK + 1, "3 classes are counted from 0 to 2, and 255 is ignored"),
        (changed(MASK, (2, 5, 5), 128), "128 (1 pixels)"),
        (MASK.astype(np.int16) - 1, "has -1"),
        (MASK[..., None], "mask[..., 0]"),
        (np.eye(3, dtype=np.uint8)[MASK], "np.argmax(mask, axis=-1)"),
        (MASK[:, ::2, ::2], "a class for each pixel"),
    ],
)
def test_wrong_masks(mask, words):
    assert words in refusal("segment", {"mask": mask})


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (LABEL + 1, "counted from 0: subtract 1"),
        (LABEL - 1, "label[0] = -1"),
        (LABEL[:, None], "label[:, 0]"),
        (np.eye(4)[LABEL], "'label' of shape (3, 4) for 3 classes"),
        (np.eye(3)[LABEL] * np.nan, "shares of the classes"),
    ],
)
def test_wrong_labels_of_images(label, words):
    assert words in refusal("classify", {"label": label})


@pytest.mark.parametrize(
    ("task", "targets", "words"),
    [
        ("detect", None, "targets: nothing; give {'boxes'"),
        ("detect", [BOXES, LABELS], "targets: a list; give"),
        (
            "detect",
            {"boxes": BOXES, "classes": LABELS},
            "no 'labels' among boxes, classes; call 'classes' so",
        ),
        ("detect", {"bboxes": BOXES, "labels": LABELS}, "call 'bboxes' so"),
        ("segment", {"masks": MASK}, "call 'masks' so"),
        ("segment", MASK, "a ndarray"),
        ("classify", {"labels": LABEL}, "call 'labels' so"),
    ],
)
def test_wrong_keys(task, targets, words):
    assert words in refusal(task, targets)


def test_sound_targets_are_taken():
    outwards = changed(BOXES, (0, 0), [-20, -5, 120, 80])
    for boxes, labels in ((BOXES, LABELS), (outwards, LABELS), (BOXES.astype(int), LABELS.astype(float)),
                          (BOXES * 0, LABELS), (BOXES, LABELS * 0 - 1), (BOXES[:, :0], LABELS[:, :0])):  # fmt: skip
        check_targets(
            "detect", {"boxes": boxes, "labels": labels, "weights": np.ones(labels.shape)}, 3, SHAPE
        )
    for mask in (MASK, MASK.astype(np.int64), MASK > 0, changed(MASK, (0, 0), 255), MASK * 0 + 255):
        check_targets("segment", {"mask": mask}, 3, SHAPE)
    for label in (LABEL, np.eye(3, dtype=np.float32)[LABEL], LABEL.astype(float)):
        check_targets("classify", {"label": label}, 3, SHAPE)
    check_targets("features", None, 3, SHAPE)


def test_what_is_passed_over_is_said_once(caplog):
    for _ in range(2):
        check_keys("detect", {"boxes": 0, "labels": 0, "only_for_this_test": 0})
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == [
        "targets: only_for_this_test passed over: not used in training; leave it out"
    ]


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.ones(4), "of shape (4,) for 3 images"),
        (np.ones((3, 2)), "give one number an image"),
        (np.full(3, np.nan), "sample_weight[0] = nan"),
        (np.array([1, -1, 1]), "sample_weight[1] = -1"),
        (np.array({}), "of shape ()"),
    ],
)
def test_wrong_weights_of_images(weight, words):
    with pytest.raises(ValueError) as caught:
        check_sample_weight(weight, 3)
    assert words in str(caught.value) and "\n" not in str(caught.value)
