"""The head of IoU-Net: its loss, the gradients that its boxes follow, and which boxes it keeps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kzoo.heads import IoUNetHead, RCNNHead, YoloHead
from kzoo.heads.iou_branch import IoUBranch
from kzoo.ops.anchors import retina_anchors
from kzoo.ops.boxes import iou

SIDE, STRIDES = 128, (4, 8, 16, 32, 64)
FEW = {
    "region_samples": 16,
    "rpn_samples": 16,
    "anchors_kept": (30, 30),
    "proposals": (20, 20),
    "rpn_width": 8,
    "dense": (12,),
    "max_detections": 10,
    "candidates": 30,
}


def features(batch=2, channels=6, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(batch, SIDE // s, SIDE // s, channels)).astype("float32") for s in STRIDES]


def head_of(kind=IoUNetHead, **arguments):
    keras.utils.set_random_seed(0)
    own = {"iou_dense": (24, 16), "iou_samples": 40} if kind is IoUNetHead else {}
    head = kind(3, retina_anchors(octaves=1), STRIDES, seed=0, **{**FEW, **own, **arguments})
    head.build([x.shape for x in features()])
    return head


@pytest.fixture(scope="module")
def decided():
    """A head whose predicted IoUs differ."""
    head = head_of(refine_step=30.0)
    head.iou_branch.class_layer.kernel.assign(np.random.default_rng(1).normal(0, 0.6, (16, 3)))
    return head


def boxes_and_labels(count=12, seed=0):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, SIDE - 20, (2, count, 2))
    boxes = np.concatenate([corner, np.minimum(corner + rng.uniform(10, 100, corner.shape), SIDE)], axis=-1)
    return boxes.astype("float32"), rng.integers(0, 3, (2, count)).astype("int32")


def truth(labels=((0, -1), (2, 1))):
    boxes = [[[10, 12, 60, 50], [0, 0, 0, 0]], [[30, 5, 50, 100], [60, 60, 120, 110]]]
    return {"boxes": np.float32(boxes), "labels": np.int32(labels)}


def iou_term(head, targets, *given):
    return float(head.loss(targets, head(features(), training=True), *given)["iou"])


def test_the_branch_s_gradient_is_tensorflow_s():
    branch = IoUBranch(3, (20, 10))
    branch.build((None, 3, 2, 4))
    rng = np.random.default_rng(0)
    for variable in branch.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    pooled = tf.constant(rng.normal(size=(9, 3, 2, 4)), tf.float32)
    own = np.eye(3, dtype="float32")[rng.integers(0, 3, 9)]
    with tf.GradientTape() as tape:
        tape.watch(pooled)
        expected = tf.reduce_sum(branch(pooled) * own, axis=-1)
    gradient = tape.gradient(expected, pooled)
    values, found = branch.gradient(pooled, own)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found, gradient, rtol=1e-4, atol=1e-4)
    assert np.abs(gradient).max() > 1


def test_the_gradient_to_the_box_is_tensorflow_s(decided):
    maps, (boxes, labels) = features()[:4], boxes_and_labels()
    given = tf.constant(boxes)
    with tf.GradientTape() as tape:
        tape.watch(given)
        expected = 0.5 + 0.5 * decided.signed_ious(maps, given, labels)
    gradient = tape.gradient(expected, given)
    ious, slopes = decided.iou_slopes(maps, given, labels)
    np.testing.assert_allclose(ious, expected, atol=1e-5)
    np.testing.assert_allclose(slopes, gradient, rtol=1e-4, atol=1e-4 * np.abs(gradient).max())
    assert np.abs(gradient).max() > 1e-3


def climbed(head, maps, box, label):
    """The paper's loop for one box."""

    def judged(box):
        found = head.iou_slopes(maps, box[None, None], np.int32([[label]]))
        return [ops.convert_to_numpy(value)[0, 0] for value in found]

    before, slope = judged(box)
    for _ in range(head.refinements):
        sides = np.tile(box[2:] - box[:2], 2)
        moved = np.clip(box + head.refine_step * slope * sides, 0, SIDE).astype("float32")
        after, new_slope = judged(moved)
        if after - before < -0.01:
            break
        settled = abs(after - before) < 0.001
        box, before, slope = moved, after, new_slope
        if settled:
            break
    return box


@pytest.mark.long
def test_refinement_is_the_paper_s_loop_and_raises_the_predicted_overlap(decided):
    maps, (boxes, labels) = features()[:4], boxes_and_labels(6)
    refined = ops.convert_to_numpy(decided.refined_by_iou(maps, boxes, labels))
    for image in range(2):
        own = [x[image : image + 1] for x in maps]
        expected = [climbed(decided, own, *each) for each in zip(boxes[image], labels[image], strict=True)]
        np.testing.assert_allclose(refined[image], expected, atol=1e-2)
    before, after = (
        ops.convert_to_numpy(decided.iou_slopes(maps, each, labels)[0]) for each in (boxes, refined)
    )
    assert np.abs(refined - boxes).max() > 1
    assert (after >= before - 0.01 * decided.refinements).all() and (after - before).mean() > 0.005


def test_what_is_no_detection_stays(decided):
    maps, (boxes, labels) = features()[:4], boxes_and_labels()
    moved = decided.refined_by_iou(maps, boxes, labels)
    some = np.where(np.arange(12) % 2, labels, -1)
    refined = ops.convert_to_numpy(decided.refined_by_iou(maps, boxes, some))
    np.testing.assert_array_equal(refined[:, ::2], boxes[:, ::2])
    np.testing.assert_allclose(refined[:, 1::2], moved[:, 1::2], atol=1e-3)
    assert np.abs(refined - boxes).max() > 1


def test_loss_of_perfect_predictions_and_of_others(monkeypatch):
    head, targets = head_of(), truth([[1, -1], [2, -1]])

    def perfect(maps, boxes, labels):
        assert (labels == targets["labels"][:, :1]).numpy().all()
        return 2 * iou(boxes, targets["boxes"][:, :1]) - 1

    monkeypatch.setattr(head, "signed_ious", perfect)
    assert iou_term(head, targets) < 1e-10
    # An IoU even between 0.5 and 1 is one between 0 and 1 here, off by 1 to 2: less 0.5 for the squares.
    monkeypatch.setattr(head, "signed_ious", lambda *given: perfect(*given) * 0 - 1)
    assert iou_term(head, targets) == pytest.approx(1, abs=0.05)


@pytest.mark.long
def test_what_counts_in_the_loss():
    head = head_of()
    state = head.seed_generator.state.numpy()

    def terms(*given, **further):
        head.seed_generator.state.assign(state)
        return iou_term(head, {**truth(), **further}, *given)

    once = terms()
    assert once > 0.05
    assert terms(np.float32([2, 2])) == pytest.approx(2 * once, rel=1e-5)
    assert terms(weights=np.full((2, 2), 2, np.float32)) == pytest.approx(2 * once, rel=1e-5)
    assert terms(weights=np.zeros((2, 2), np.float32)) == 0
    assert terms(labels=np.full((2, 2), -1, np.int32)) == 0
    # What is ignored in one image changes nothing of the other.
    left = np.int32([[0, -1], [-1, -1]])
    assert terms(np.float32([1, 0]), labels=left) == pytest.approx(terms(labels=left), rel=1e-5)
    head.iou_weight = 3.0
    assert terms() == pytest.approx(3 * once, rel=1e-5)


def test_of_boxes_that_overlap_the_one_that_fits_is_kept(monkeypatch):
    head = head_of(refinements=0, score_threshold=0.05)
    targets = {
        "boxes": np.float32([[[10, 10, 50, 50], [10, 10, 50, 44], [70, 70, 120, 120]]]),
        "labels": np.int32([[1, 1, 1]]),
    }
    outputs = head.encode(targets, [(SIDE // s, SIDE // s) for s in STRIDES[:4]])
    logits = np.log(np.float32([[0.01, 0, 0.9, 0], [0.1, 0, 0.4, 0], [0.1, 0, 0.6, 0]]) + 1e-9)
    outputs = {**outputs, "class": logits[None, :, None]}
    monkeypatch.setattr(head, "signed_ious", lambda maps, boxes, labels: -boxes[..., 3])
    found = {key: ops.convert_to_numpy(value)[0] for key, value in head.decode(outputs).items()}
    np.testing.assert_allclose(found["boxes"][:3], [targets["boxes"][0, 1], targets["boxes"][0, 2], [0] * 4])
    np.testing.assert_allclose(found["scores"][:2], [0.9 / 0.91, 0.6 / 0.7], rtol=1e-5)
    assert found["labels"].tolist() == [1, 1, *[-1] * 8]


def test_without_either_it_is_faster_rcnn():
    plain, head = head_of(RCNNHead), head_of(nms_kind="greedy", refinements=0)
    own = len(plain.variables) - 1  # but for the generator's state
    assert len(head.variables) > len(plain.variables) and own > 5
    outputs = plain(features())
    expected = plain.decode(outputs)
    assert (ops.convert_to_numpy(expected["labels"]) >= 0).any()
    for key, value in head.decode(outputs).items():
        np.testing.assert_array_equal(value, expected[key])


def test_what_is_refused():
    with pytest.raises(ValueError, match="nms_kind='guided' is unknown"):
        YoloHead(3, [[[10, 10]]], (8,), nms_kind="guided")
    with pytest.raises(ValueError, match="nms_kind='guide' is unknown; use guided, greedy"):
        head_of(nms_kind="guide")
    with pytest.raises(ValueError, match="iou_samples=0"):
        head_of(iou_samples=0)
