"""YoloHead's other meanings of raw outputs, other assignments and other sums, against loops in plain Python."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.heads import YoloHead
from kzoo.model import ZooModel

CLASSES = 4
HEIGHT, WIDTH = 96, 128
# Coarsest level first, unequal counts, one shape in both levels, one in none: as masks 2,3,4 and 1,2 of six.
STRIDES = (32, 16)
SIZES = [(3, 4), (6, 8)]
ANCHORS = [[[30, 40], [64, 30], [50, 70]], [[23, 27], [30, 40]]]
SPARE = [[12, 10]]


def head(**arguments):
    arguments = {"iou_threshold": 1.0, "spare_anchors": SPARE, "ignore_threshold": 0.4, **arguments}
    return YoloHead(CLASSES, ANCHORS, STRIDES, **arguments)


def random_outputs(seed, batch=2):
    rng = np.random.default_rng(seed)
    return {
        f"stride{stride}": rng.normal(0, 1, (batch, *size, len(anchors) * (5 + CLASSES))).astype(np.float32)
        for stride, size, anchors in zip(STRIDES, SIZES, ANCHORS, strict=True)
    }


def random_targets(seed, batch=2, count=6, padding=9):
    rng = np.random.default_rng(seed)
    boxes, labels = np.zeros((batch, padding, 4), np.float32), np.full((batch, padding), -1)
    low = rng.uniform(0, 60, (batch, count, 2))
    boxes[:, :count] = np.concatenate([low, low + rng.uniform(8, 60, (batch, count, 2))], -1)
    labels[:, :count] = rng.integers(0, CLASSES, (batch, count))
    labels[:, count - 1] = -1  # a region to ignore
    return {"boxes": boxes, "labels": labels}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def bce(true, logit):
    return -(true * np.log(sigmoid(logit)) + (1 - true) * np.log(1 - sigmoid(logit)))


def shape_iou(a, b):
    shared = min(a[0], b[0]) * min(a[1], b[1])
    return shared / (a[0] * a[1] + b[0] * b[1] - shared)


def box_iou(a, b):
    overlap = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    return overlap / union


def owners(truth, iou_threshold):
    """(level, line, column, slot) -> the last object that is given to it."""
    slots = [
        (level, slot, shape) for level, shapes in enumerate(ANCHORS) for slot, shape in enumerate(shapes)
    ]
    found = {}
    for t, c in truth:
        size = (t[2] - t[0], t[3] - t[1])
        best = max([shape for _, _, shape in slots] + SPARE, key=lambda shape: shape_iou(size, shape))
        for level, slot, shape in slots:
            if shape == best or shape_iou(size, shape) > iou_threshold:
                stride = STRIDES[level]
                column, line = int((t[0] + t[2]) / 2 // stride), int((t[1] + t[3]) / 2 // stride)
                found[level, line, column, slot] = (t, c)
    return found


def decoded(row, column, line, stride, anchor, scale, transform):
    x, y = (
        (sigmoid(row[i]) * scale - (scale - 1) / 2 + cell) * stride for i, cell in enumerate((column, line))
    )
    factor = np.exp(row[2:4]) if transform == "exp" else (2 * sigmoid(row[2:4])) ** 2
    w, h = factor * anchor
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def box_term(row, t, column, line, stride, anchor, scale, options):
    if options["box_loss"] == "iou":
        return 1 - box_iou(decoded(row, column, line, stride, anchor, scale, options["size_transform"]), t)
    center = [(t[0] + t[2]) / 2 / stride - column, (t[1] + t[3]) / 2 / stride - line]
    center = np.clip((np.array(center) + (scale - 1) / 2) / scale, 1e-4, 1 - 1e-4)
    factor = np.array([t[2] - t[0], t[3] - t[1]]) / anchor
    if options["size_transform"] == "exp":
        miss = np.log(factor) - row[2:4]
    else:
        miss = np.clip(np.sqrt(factor) / 2, 1e-4, 1 - 1e-4) - sigmoid(row[2:4])
    return bce(center, row[:2]).sum() + (miss**2).sum() / 2


def class_term(row, c, options):
    true = np.eye(CLASSES)[c]
    if options["class_activation"] == "softmax":
        return -np.log(np.exp(row[5 + c]) / np.exp(row[5:]).sum())
    return bce(true, row[5:]).sum()


def loop_loss(outputs, targets, scales, options):
    """Every prediction of every image: object, ignored or background."""
    sums, positives = {"box": 0.0, "objectness": 0.0, "class": 0.0}, 0
    for b, (boxes, labels) in enumerate(zip(targets["boxes"], targets["labels"], strict=True)):
        regions = [(t.astype(float), c) for t, c in zip(boxes, labels, strict=True) if t.any()]
        truth = [(t, c) for t, c in regions if c >= 0]
        taken = owners(truth, options["iou_threshold"])
        for level, (stride, (lines, columns)) in enumerate(zip(STRIDES, SIZES, strict=True)):
            cells = outputs[f"stride{stride}"][b].astype(float).reshape(lines, columns, -1, 5 + CLASSES)
            for line, column, slot in np.ndindex(cells.shape[:3]):
                row, anchor = cells[line, column, slot], np.array(ANCHORS[level][slot], float)
                where = (column, line, stride, anchor, scales[level])
                box = decoded(row, *where, options["size_transform"])
                near = max(truth, key=lambda object: box_iou(box, object[0]))
                owner = taken.get((level, line, column, slot))
                if owner is None and box_iou(box, near[0]) > options["truth_threshold"]:
                    owner = near
                weight = options["objectness_weight"][level]
                if owner is None:
                    if max(box_iou(box, t) for t, _ in regions) <= 0.4:
                        sums["objectness"] += weight * bce(0, row[4])
                    continue
                t, c = owner
                positives += 1
                reached = box_iou(box, t) if options["objectness_target"] == "iou" else 1.0
                sums["objectness"] += weight * bce(reached, row[4])
                sums["class"] += class_term(row, c, options)
                small = 2 - (t[2] - t[0]) * (t[3] - t[1]) / (WIDTH * HEIGHT)
                small = small if options["size_weighting"] else 1
                sums["box"] += small * box_term(row, t, *where, options)
    count = len(targets["boxes"]) if options["normalize_by"] == "images" else positives
    return {name: value / count for name, value in sums.items()}, positives


PLAIN = {
    "box_loss": "paper",
    "iou_threshold": 1.0,
    "truth_threshold": 1.0,
    "size_transform": "exp",
    "class_activation": "sigmoid",
    "objectness_target": "one",
    "objectness_weight": [1.0, 1.0],
    "normalize_by": "objects",
    "size_weighting": True,
    "scale_xy": [1.0, 1.0],
}
VARIANTS = {
    "shared and spare anchors": {},
    "further anchors": {"iou_threshold": 0.3},
    "near predictions": {"truth_threshold": 0.25},
    "near predictions by overlap": {"truth_threshold": 0.25, "objectness_target": "iou", "box_loss": "iou"},
    "new coordinates": {"size_transform": "square", "scale_xy": [2.0, 1.1], "truth_threshold": 0.4},
    "new coordinates by overlap": {"size_transform": "square", "box_loss": "iou", "size_weighting": False},
    "one class each": {"class_activation": "softmax", "normalize_by": "images"},
    "levels of their own": {"objectness_weight": [4.0, 0.4], "scale_xy": [1.05, 1.2]},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_loss_equals_a_loop(variant):
    options = {**PLAIN, **VARIANTS[variant]}
    made, least = head(**options), 20 if options["truth_threshold"] < 1 else 5
    for seed in range(3):
        outputs, targets = random_outputs(seed), random_targets(seed)
        wanted, positives = loop_loss(outputs, targets, options["scale_xy"], options)
        assert positives > least
        got = made.loss(targets, outputs)
        if options["box_loss"] == "iou":
            wanted["box"] *= 2  # the weight of box losses other than the paper's
        for name, value in wanted.items():
            assert float(got[name]) == pytest.approx(value, rel=2e-3), (seed, name)


def test_an_object_of_a_spare_shape_is_nobody_s():
    targets = {"boxes": np.float32([[[40, 40, 52, 50]]]), "labels": np.array([[1]])}
    assert float(ops.sum(matched(targets).weight)) == 0
    assert float(ops.sum(matched(targets, spare_anchors=()).weight)) == 1


def test_an_object_of_a_shared_shape_is_found_in_both_levels():
    targets = {"boxes": np.float32([[[40, 40, 70, 80]]]), "labels": np.array([[1]])}
    match = matched(targets)
    rows = np.flatnonzero(ops.convert_to_numpy(match.taken)[0])
    # Centre (55, 60): cell (1, 1) of 4 x 3 at slot 0 of 3; cell (3, 3) of 8 x 6 at slot 1 of 2.
    assert rows.tolist() == [(1 * 4 + 1) * 3 + 0, 36 + (3 * 8 + 3) * 2 + 1]
    np.testing.assert_allclose(ops.convert_to_numpy(match.places.anchor)[0], [[30, 40], [30, 40]])
    np.testing.assert_allclose(ops.convert_to_numpy(match.places.origin)[0], [[32, 32], [48, 48]])


def matched(targets, **arguments):
    made = head(**arguments)
    _, grid = made._rows(random_outputs(0, batch=1))
    return grid.match(targets["boxes"], targets["labels"], 1.0)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"iou_threshold": 0.3},
        {"scale_xy": [1.05, 2.0]},
        {"size_transform": "square", "scale_xy": 2.0},
        {"class_activation": "softmax"},
        {"nms_kind": "diou"},
    ],
)
def test_decoding_undoes_encoding(arguments):
    made = head(spare_anchors=(), **arguments)
    boxes = np.float32([[[4, 5, 30, 40], [50, 20, 110, 60], [70, 60, 100, 90]]])
    found = made.decode(made.encode({"boxes": boxes, "labels": np.array([[3, 0, 2]])}, SIZES))
    sure = ops.convert_to_numpy(found["scores"])[0] > 0.5
    got = {
        int(label): box for box, label in zip(found["boxes"][0][sure], found["labels"][0][sure], strict=True)
    }
    assert sure.sum() == 3 and set(got) == {3, 0, 2}
    for box, label in zip(boxes[0], (3, 0, 2), strict=True):
        np.testing.assert_allclose(got[label], box, atol=0.05)


def test_the_best_by_softmax_are_not_the_best_by_logit():
    """Preselection has to rank by the probabilities, not by the highest logits."""
    made = head(class_activation="softmax", candidates=1, nms_threshold=1.0)
    outputs = {name: np.full_like(raw, -9.0) for name, raw in random_outputs(0, batch=1).items()}
    rows = {name: raw.reshape(-1, 5 + CLASSES) for name, raw in outputs.items()}
    rows["stride32"][0, 4:] = [4, 9, 9, 9, 9]  # probability 1/4 of each
    rows["stride16"][0, 4:] = [4, -4, 3, -4, -4]  # nearly 1 of one
    found = made.decode(outputs)
    assert int(found["labels"][0, 0]) == 1 and float(found["scores"][0, 0]) > 0.9


def test_distance_keeps_what_lies_side_by_side():
    boxes = np.float32([[[36, 32, 68, 64], [48, 32, 80, 64]]])  # an IoU of 0.45, less 0.16 for the distance
    targets = {"boxes": boxes, "labels": np.array([[1, 1]])}
    counts = {}
    for kind in ("greedy", "diou"):
        made = YoloHead(CLASSES, [[[32, 32]]], [16], nms_kind=kind, nms_threshold=0.4, iou_threshold=1.0)
        found = made.decode(made.encode(targets, [(6, 8)]))
        counts[kind] = int((ops.convert_to_numpy(found["scores"]) > 0.5).sum())
    assert counts == {"greedy": 1, "diou": 2}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("objects", [0, 6])
def test_gradients_are_finite(variant, objects):
    import tensorflow as tf

    made = head(**{**PLAIN, **VARIANTS[variant]})
    targets = random_targets(0)
    targets["labels"][:, objects:] = -1
    targets["boxes"][:, objects:] = 0
    outputs = {name: tf.constant(raw * 30) for name, raw in random_outputs(0).items()}
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = sum(made.loss(targets, outputs).values())
    assert np.isfinite(loss)
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(loss, outputs).values())


def small_model(**arguments):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3), name="images")
    coarse = keras.layers.Conv2D(3 * (5 + CLASSES), 32, 32)(inputs)
    fine = keras.layers.Conv2D(2 * (5 + CLASSES), 16, 16)(inputs)
    made = head(project=False, name="head", **arguments)
    return ZooModel(keras.Model(inputs, [coarse, fine], name="network"), made, (HEIGHT, WIDTH))


@pytest.mark.long
def test_a_model_without_convolutions_of_the_head_saves_and_loads(tmp_path):
    model = small_model(scale_xy=[1.05, 1.2], nms_kind="diou", size_transform="square", truth_threshold=0.9)
    assert not model.head.weights
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    # Tuples come back as lists.
    assert json.dumps(again.head.get_config()) == json.dumps(model.head.get_config())
    images = np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH, 3), np.uint8)
    for key, value in model.predict(images, verbose=0).items():
        np.testing.assert_array_equal(again.predict(images, verbose=0)[key], value)


def test_levels_of_one_stride_have_names_of_their_own():
    made = YoloHead(CLASSES, [[[1, 2]]] * 4, (8, 16, 8, 8))
    assert made.levels == ["stride8", "stride16", "stride8_2", "stride8_3"]
    made.build([(None, 4, 4, 7)] * 4)
    outputs = made([np.ones((1, 4, 4, 7), np.float32)] * 4)
    assert list(outputs) == made.levels
    assert made.decode(outputs)["boxes"].shape == (1, 100, 4)


@pytest.mark.parametrize(
    "shapes, fault",
    [
        ([(None, 3, 4, 26), (None, 6, 8, 18)], r"stride32: 26 channels .* = 27; "),
        ([(None, 3, 4, 27)], r"strides=\(32, 16\): 1 feature maps"),
    ],
)
def test_feature_maps_that_do_not_fit_are_named(shapes, fault):
    with pytest.raises(ValueError, match=fault) as caught:
        head(project=False).build(shapes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"scale_xy": [1.0, 1.0, 1.0]},
        {"objectness_weight": [1.0]},
        {"spare_anchors": [[1]]},
        {"size_transform": "cube"},
        {"class_activation": "relu"},
        {"normalize_by": "boxes"},
        {"nms_kind": "soft"},
    ],
)
def test_faulty_arguments_are_named(arguments):
    with pytest.raises(ValueError, match=f"{next(iter(arguments))}="):
        head(**arguments)
