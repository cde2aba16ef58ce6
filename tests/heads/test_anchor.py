"""The anchor head: shapes, assignment's inverse, what counts in its loss, and what it refuses."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.heads import AnchorHead
from kzoo.ops.anchors import default_boxes, retina_anchors

CLASSES = 3
STRIDES = (8, 16, 32)
SIZES = [(8, 12), (4, 6), (2, 3)]  # of 64 x 96 pixels


def retina(**options):
    arguments = {"tower": 1, "tower_width": 16, "shared": True, "offset": 0.0, "fit_strides": True, **options}
    return AnchorHead(CLASSES, retina_anchors((16, 32, 64)), STRIDES, **arguments)


def ssd(**options):
    arguments = {
        "class_loss": "hard_negative",
        "box_loss": "smooth_l1",
        "negative_threshold": 0.5,
        "rescue": "best",
        "coder_weights": (10, 10, 5, 5),
        "normalize_by": "batch",
        **options,
    }
    boxes = default_boxes((64, 96), (0.15, 0.3, 0.6, 0.9), [[2], [2, 3], [2]])
    return AnchorHead(CLASSES, boxes, STRIDES, **arguments)


both = pytest.mark.parametrize("make", [retina, ssd])


def features(channels=8, images=2, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(images, *size, channels)).astype(np.float32) for size in SIZES]


def outputs(head):
    return head(features())


def targets(objects=3, images=2, padding=5, seed=0):
    rng = np.random.default_rng(seed)
    boxes, labels = np.zeros((images, padding, 4), np.float32), np.full((images, padding), -1, np.int32)
    for b in range(images):
        for i in range(objects):
            corner = np.array([30 * i + rng.uniform(0, 4), rng.uniform(0, 40)])
            boxes[b, i] = [*corner, *(corner + rng.uniform(8, 24, 2))]
            labels[b, i] = rng.integers(CLASSES)
    return {"boxes": boxes, "labels": labels}


def total(losses):
    return float(sum(losses.values()))


@both
def test_outputs_are_maps_of_each_level(make):
    head = make()
    found = outputs(head)
    for name, size, level in zip(head.levels, SIZES, head.anchors, strict=True):
        assert found[f"class_{name}"].shape == (2, *size, len(level) * head.fields)
        assert found[f"box_{name}"].shape == (2, *size, len(level) * 4)
    logits, deltas = head.rows(found)
    anchors = head.boxes_of_anchors(head.sizes(found))
    assert logits.shape[1] == deltas.shape[1] == len(anchors)


def test_a_detector_begins_with_the_prior():
    head = retina()
    logits, _ = head.rows(head([0 * feature for feature in features()]))
    np.testing.assert_allclose(ops.sigmoid(logits), 0.01, rtol=1e-5)


@both
@pytest.mark.parametrize("objects", [0, 1, 3])
def test_decoding_undoes_encoding(make, objects):
    head, truth = make(), targets(objects)
    found = head.decode(head.encode(truth, SIZES))
    for b in range(2):
        kept = ops.convert_to_numpy(found["scores"][b]) > 0.5
        boxes = ops.convert_to_numpy(found["boxes"][b])[kept]
        labels = ops.convert_to_numpy(found["labels"][b])[kept]
        order, wanted = np.argsort(boxes[:, 0]), np.argsort(truth["boxes"][b, :objects, 0])
        np.testing.assert_allclose(boxes[order], truth["boxes"][b, wanted], atol=0.01)
        np.testing.assert_array_equal(labels[order], truth["labels"][b, wanted])


@both
def test_the_truth_costs_next_to_nothing(make):
    head, truth = make(), targets()
    assert (
        total(head.loss(truth, head.encode(truth, SIZES)))
        < 1e-3
        < 0.1
        < total(head.loss(truth, outputs(head)))
    )


@both
def test_detections_stay_within_the_image(make):
    head = make(score_threshold=0.0)
    wild = {name: 10.0 * value for name, value in outputs(head).items()}
    boxes = ops.convert_to_numpy(head.decode(wild)["boxes"])
    assert boxes.min() == 0 and boxes[..., [0, 2]].max() == 96 and boxes[..., [1, 3]].max() == 64


def test_detections_end_with_an_image_that_is_no_multiple_of_the_stride():
    head = ssd(score_threshold=0.0, image_size=(60, 91))
    wild = {name: 10.0 * value for name, value in outputs(head).items()}
    boxes = ops.convert_to_numpy(head.decode(wild)["boxes"])
    assert boxes[..., 2].max() == 91 and boxes[..., 3].max() == 60
    other = {name: value[:, :-1] for name, value in wild.items()}  # of an image of another height
    assert ops.convert_to_numpy(head.decode(other)["boxes"])[..., 3].max() == 56


@both
def test_without_objects_no_box_is_trained(make):
    head = make()
    losses = head.loss(targets(0), outputs(head))
    assert float(losses["box"]) == 0
    # Without positives there are no hard negatives to go with them; the focal loss has all anchors learn.
    assert (float(losses["class"]) > 0) == (head.class_loss == "focal")


@both
def test_what_is_neither_object_nor_background_is_not_trained(make):
    """A false alarm costs nothing on a region without a label, and costs beside it."""
    head = make(rescue="none")
    truth = targets(2)
    anchors = ops.convert_to_numpy(head.boxes_of_anchors(SIZES))
    inside = anchors[(anchors >= 0).all(1) & (anchors[:, 2] <= 96) & (anchors[:, 3] <= 64)]
    truth["boxes"][:, 0], truth["boxes"][:, 1] = inside[0], inside[-1]  # far from each other
    alarm = head.encode(truth, SIZES)
    truth["labels"][:, 1] = -1
    ignored = total(head.loss(truth, alarm))
    truth["boxes"][:, 1] = 0
    assert ignored < 1e-3 < 1 < total(head.loss(truth, alarm))


@both
def test_an_object_counts_by_its_weight(make):
    head, truth = make(), targets(1)
    raw = outputs(head)
    full, half, none = (
        float(head.loss({**truth, "weights": np.full((2, 5), weight, np.float32)}, raw)["box"])
        for weight in (1.0, 0.5, 0.0)
    )
    assert full == pytest.approx(float(head.loss(truth, raw)["box"])) and none == 0 and 0 < half <= full


def test_plain_cross_entropy_is_the_focal_loss_without_focus():
    head = retina(focal_gamma=0.0, focal_alpha=None)
    raw, truth = outputs(head), targets()
    logits, _ = head.rows(raw)
    _, labels, found = head.assign(truth, head.boxes_of_anchors(SIZES))
    true = np.zeros(logits.shape, np.float32)
    for b, n in zip(*np.nonzero(found.positive), strict=True):
        true[b, n, labels[b, found.owner[b, n]]] = 1
    trained = np.array(found.positive | found.negative)
    cost = keras.losses.binary_crossentropy(true, logits, from_logits=True) * CLASSES
    count = np.sum(found.positive, -1)
    wanted = np.mean(np.sum(cost * trained, -1) / count)
    assert float(head.loss(truth, raw)["class"]) == pytest.approx(wanted, rel=1e-5)


@both
def test_comes_back_from_its_config(make):
    head = make(nms_kind="diou")
    again = type(head).from_config(head.get_config())
    outputs(head), outputs(again)
    again.set_weights(head.get_weights())
    for name, value in outputs(head).items():
        np.testing.assert_array_equal(value, outputs(again)[name])


def test_levels_share_their_convolutions_or_have_their_own():
    shared, own = retina(), ssd()
    outputs(shared), outputs(own)
    assert {layer.name for layer in shared.class_layers} == {
        "class_tower0",
        "class_tower0_relu",
        "class_logits",
    }
    assert len(shared.weights) == 8 and len(own.weights) == 2 * 2 * len(STRIDES)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"tower_norm": "batch"}, "tower_norm='batch'"),
        ({"rescue": "all"}, "rescue='all'"),
        ({"class_loss": "softmax"}, "class_loss='softmax'"),
        ({"box_loss": "l2"}, "box_loss='l2'"),
        ({"normalize_by": "anchors"}, "normalize_by='anchors'"),
        ({"negative_threshold": 0.6}, "negative_threshold=0.6"),
        ({"shared": False}, "tower=1"),
        ({"anchors": [[[8, 8]], [[8, 8], [9, 9]], [[8, 8]]]}, r"\[1, 2, 1\]"),
        ({"anchors": [[[8, 8]], [[8, -8]], [[8, 8]]]}, "positive"),
    ],
)
def test_refuses_in_one_line(options, words):
    given = {
        "anchors": retina_anchors((16, 32, 64)),
        "strides": STRIDES,
        "tower": 1,
        "shared": True,
        **options,
    }
    with pytest.raises(ValueError, match=words) as caught:
        AnchorHead(CLASSES, **given)
    assert "\n" not in str(caught.value)


def test_refuses_more_or_fewer_maps_than_strides():
    with pytest.raises(ValueError, match="2 feature maps"):
        retina()(features()[:2])
