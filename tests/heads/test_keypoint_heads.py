"""Corners, triplets and extreme points: what is encoded comes back, odd objects, weights, masks."""

import logging

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.heads import CenterHead, CornerHead, ExtremeHead, SaccadeHead, TripletHead

CELLS, CLASSES = 32, 3  # maps of 32 x 32 cells of 4 pixels
OPTIONS = {"nms_kind": "greedy", "nms_threshold": 1.0}
HEADS = {
    "corner": lambda **more: CornerHead(CLASSES, stacks=1, **{**OPTIONS, **more}),
    "saccade": lambda **more: SaccadeHead(CLASSES, stacks=1, **{**OPTIONS, **more}),
    "triplet": lambda **more: TripletHead(CLASSES, stacks=1, **{**OPTIONS, **more}),
    "extreme": lambda **more: ExtremeHead(CLASSES, stacks=1, **{**OPTIONS, **more}),
    "center": lambda **more: CenterHead(CLASSES, **more),
}
every_head = pytest.mark.parametrize("name", HEADS)
of_several_points = pytest.mark.parametrize("name", [name for name in HEADS if name != "center"])


def raw(head, seed=0, batch=2):
    rng = np.random.default_rng(seed)
    steps = {"attention_large": 4, "attention_medium": 2}
    return {
        kind: rng.normal(
            -1 if kind.endswith("heat") else 0, 1, (batch, *[CELLS // steps.get(kind, 1)] * 2, channels)
        ).astype("float32")
        for kind, channels in head.kinds.items()
    }


def targets(*objects, batch=2, most=6):
    boxes, labels = np.zeros((batch, most, 4), np.float32), np.full((batch, most), -1, np.int32)
    for i, (box, label) in enumerate(objects):
        boxes[:, i], labels[:, i] = box, label
    return {"boxes": boxes, "labels": labels}


def total(head, truth, outputs, **more):
    return sum(float(term) for term in head.loss(truth, outputs, **more).values())


def scenes(count, objects=4):
    """Random scenes in which no two objects have a point of a kind in one cell."""
    rng = np.random.default_rng(0)
    boxes, labels = np.zeros((count, objects, 4), np.float32), rng.integers(0, CLASSES, (count, objects))
    for scene in range(count):
        taken = [set() for _ in range(7)]
        for i in range(objects):
            while True:
                corner, size = rng.uniform(0, 100, 2), rng.uniform(2, 60, 2)
                box = np.concatenate([corner, np.minimum(corner + size, 4 * CELLS)])
                x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
                points = [box[:2], box[2:], (x, y), (x, box[1]), (box[0], y), (x, box[3]), (box[2], y)]
                cells = [tuple(np.floor(np.array(point) / 4).astype(int)) for point in points]
                # Of ExtremeNet's points neighbours share their heat along an edge.
                if all(cell not in known for cell, known in zip(cells, taken, strict=True)):
                    break
            for cell, known in zip(cells, taken, strict=True):
                known.add(cell)
            boxes[scene, i] = box
    return {"boxes": boxes, "labels": labels.astype(np.int32)}


@pytest.mark.long
@pytest.mark.parametrize(
    "name", [name if name == "corner" else pytest.param(name, marks=pytest.mark.slow) for name in HEADS]
)
def test_random_scenes_come_back(name):
    head, truth = HEADS[name](), scenes(200)
    if name == "extreme":
        head = HEADS[name](ghost_factor=100.0, peaks=8, pairs=None)  # all its boxes are to be seen
    found = head.decode(head.encode(truth, [(CELLS, CELLS)]))
    boxes, scores, labels = (ops.convert_to_numpy(found[key]) for key in ("boxes", "scores", "labels"))
    for scene in range(200):
        sure = scores[scene] > 0.5
        for box, label in zip(truth["boxes"][scene], truth["labels"][scene], strict=True):
            away = np.abs(boxes[scene] - box).max(-1)
            assert away[sure & (labels[scene] == label)].min() < 0.5
        if name != "extreme":  # of which four points of several objects may make a box, too
            assert sure.sum() == len(truth["boxes"][scene])


@every_head
def test_odd_objects(name):
    head = HEADS[name]()
    outputs = raw(head)
    same = targets(([8, 8, 40, 40], 0), ([8, 8, 40, 40], 1), ([8, 8, 40, 40], 0))
    tiny = targets(([8, 8, 8.5, 8.7], 0), ([40, 40, 40.01, 90], 1))
    crowd = targets(
        *(([i % 50, i // 50 * 5, i % 50 + 20, i // 50 * 5 + 20], i % 3) for i in range(500)), most=500
    )
    none = targets()
    without_any = {"boxes": np.zeros((2, 0, 4), np.float32), "labels": np.zeros((2, 0), np.int32)}
    broken = targets(([20, 20, 10, 10], 0), ([np.nan, 0, 5, 5], 1), ([0, 0, np.inf, 9], 2))
    whole = targets(([0, 0, 4 * CELLS, 4 * CELLS], 2))
    for truth in (same, tiny, crowd, none, without_any, whole):
        assert np.isfinite(total(head, truth, outputs))
    assert total(head, broken, outputs) == pytest.approx(total(head, none, outputs), rel=1e-6)
    assert total(head, without_any, outputs) == pytest.approx(total(head, none, outputs), rel=1e-6)
    for truth in (tiny, whole):  # boxes of less than a cell, and of all cells, come back
        found = head.decode(head.encode(truth, [(CELLS, CELLS)]))
        boxes = ops.convert_to_numpy(found["boxes"])[0]
        for box in truth["boxes"][0][truth["labels"][0] >= 0]:
            assert np.abs(boxes - box).max(-1).min() < 0.5


@of_several_points
def test_regions_without_a_label_are_no_background(name):
    head = HEADS[name]()
    outputs = raw(head)
    given, region = targets(([8, 8, 40, 40], 0)), targets(([8, 8, 40, 40], 0), ([60, 60, 128, 128], -1))
    before = total(head, region, outputs)
    assert before < total(head, given, outputs)
    louder = dict(outputs)
    for kind in head.heats:
        louder[kind] = outputs[kind].copy()
        louder[kind][:, 16:30, 16:30] += 3.0
    assert total(head, region, louder) == pytest.approx(before, rel=1e-6)
    assert total(head, given, louder) > total(head, given, outputs)


@of_several_points
def test_weights_of_images_and_objects(name):
    head = HEADS[name]()
    outputs, truth = raw(head), targets(([8, 8, 40, 40], 0), ([50, 60, 90, 100], 1))
    plain = total(head, truth, outputs)
    assert total(head, truth, outputs, sample_weight=np.ones(2)) == pytest.approx(plain, rel=1e-6)
    assert total(head, truth, outputs, sample_weight=np.full(2, 10.0)) == pytest.approx(10 * plain, rel=1e-5)
    assert total(head, truth, outputs, sample_weight=np.zeros(2)) == 0
    ones = {**truth, "weights": np.ones((2, 6), np.float32)}
    assert total(head, ones, outputs) == pytest.approx(plain, rel=1e-6)
    # An object without weight has its peak still, but tells nothing of offsets and tags.
    light = {**truth, "weights": np.array([[1, 0, 1, 1, 1, 1]] * 2, np.float32)}
    alone = targets(([8, 8, 40, 40], 0))
    for term in set(head.loss_names) - {"heat", "attention"}:
        wanted = float(head.loss(alone, outputs)[term])
        assert float(head.loss(light, outputs)[term]) == pytest.approx(wanted, rel=1e-5)


def test_extreme_points_follow_masks_and_a_warning_tells_of_boxes_once(caplog, monkeypatch):
    from kzoo.heads import extreme

    monkeypatch.setattr(extreme, "_said", set())
    head, truth = HEADS["extreme"](), targets(([8, 8, 88, 88], 0))
    with caplog.at_level(logging.WARNING, "kzoo"):
        middle = head.encode(truth, [(CELLS, CELLS)])
        head.encode(truth, [(CELLS, CELLS)])
    (said,) = [record.getMessage() for record in caplog.records]
    assert "no 'masks'" in said and "task='instance'" in said
    masks = np.zeros((2, 6, 56, 56), np.uint8)
    masks[:, 0, np.arange(56), np.arange(56)] = 255  # from the top left to the bottom right
    diagonal = head.encode({**truth, "masks": masks}, [(CELLS, CELLS)])
    place = [
        np.argwhere(ops.convert_to_numpy(each["top_heat"])[0, :, :, 0] > 0).tolist()
        for each in (middle, diagonal)
    ]
    assert place == [[[2, 12]], [[2, 2]]]
    found = head.decode(diagonal)
    np.testing.assert_allclose(ops.convert_to_numpy(found["boxes"])[0, 0], [8, 8, 88, 88], atol=1e-3)
    points = ops.convert_to_numpy(found["extremes"])
    half = 80 / 112  # of a cell of the mask, whose middle is the point
    ends = [[8 + half, 8], [8, 8 + half], [88 - half, 88], [88, 88 - half]]
    np.testing.assert_allclose(points[0, 0], ends, atol=1e-3)
    assert not points[ops.convert_to_numpy(found["labels"]) < 0].any()


def test_attention_is_by_size():
    head = HEADS["saccade"]()
    truth = targets(([0, 0, 20, 31], 0), ([40, 40, 72, 60], 1), ([10, 10, 110, 120], 2))
    boxes, labels = head.objects(truth)
    aims = head.aims(truth, boxes, labels, (CELLS, CELLS))
    spots = {
        size: np.argwhere(ops.convert_to_numpy(aims[f"attention_{size}"].heat)[0, ..., 0] == 1).tolist()
        for size in ("small", "medium", "large")
    }
    assert spots == {"small": [[3, 2]], "medium": [[6, 7]], "large": [[4, 3]]}


def test_corners_on_the_border_are_left_out_on_demand():
    truth = targets(([0, 30, 50, 60], 0), ([30, 30, 128, 70], 1), ([40, 40, 80, 80], 2))
    for border, count in ((True, 3), (False, 1)):
        head = HEADS["corner"](border=border)
        found = head.decode(head.encode(truth, [(CELLS, CELLS)]))
        assert (ops.convert_to_numpy(found["scores"])[0] > 0.5).sum() == count


@pytest.mark.parametrize(
    ("head", "options", "said"),
    [
        (CornerHead, {"tag_distance": -1}, "tag_distance"),
        (CornerHead, {"peaks": 0}, "peaks"),
        (SaccadeHead, {"attention_weight": -0.5}, "attention_weight"),
        (TripletHead, {"small_area": float("nan")}, "small_area"),
        (ExtremeHead, {"pairs": 0}, "pairs"),
        (ExtremeHead, {"center_threshold": 1.5}, "center_threshold"),
    ],
)
def test_values_out_of_range_are_refused(head, options, said):
    with pytest.raises(ValueError, match=said):
        head(CLASSES, **options)


def test_a_wrong_number_of_feature_maps_is_refused():
    with pytest.raises(ValueError, match="stacks=2: 3 feature maps; give 2 a stack"):
        CornerHead(CLASSES).build([(None, 8, 8, 16)] * 3)


@of_several_points
def test_a_head_of_its_configuration_is_the_same(name):
    head = HEADS[name]()
    again = keras.layers.deserialize(keras.layers.serialize(head))
    assert type(again) is type(head) and again.get_config() == head.get_config()
