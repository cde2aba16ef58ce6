"""CornerNet, its light versions, ExtremeNet and CenterNet's triplets beside numbers of the authors' own programs."""

import json

import numpy as np
import pytest
from keras import ops
from recorded import SIDE, arrays_of, channels_last, drawn, generator, rule_of, write_weights

import kzoo
from kzoo.heads import CornerHead, ExtremeHead, TripletHead
from kzoo.losses.peaks import peak_focal_loss
from kzoo.ops.corners import Peaks, center_scores
from kzoo.ops.extremes import edge_aggregated, join_extremes

SHORT = {
    "top_left": "tl", "bottom_right": "br", "center": "ct", "top": "t", "left": "l", "bottom": "b", "right": "r",
}  # fmt: skip
HEADS = {
    "cornernet": (CornerHead, {"overlap": 0.3}, "iou0.3_"),
    "cornernet, wide": (CornerHead, {"overlap": 0.7}, "iou0.7_"),
    "triplet": (TripletHead, {"overlap": 0.7}, "iou0.7_"),
    "triplet, wide": (TripletHead, {"overlap": 0.3}, "iou0.3_"),
    "extremenet": (ExtremeHead, {}, ""),
}
TRAINED = ["cornernet", "triplet", "extremenet"]


def outline() -> np.ndarray:
    """A mask that touches its box's top at .4 of its width, its left at .7, its bottom at .8 and its right at .5."""
    mask = np.zeros((10, 10), np.uint8)
    mask[1:9, 1:9] = 255
    mask[0, 3:5] = mask[6:8, 0] = mask[9, 7:9] = mask[4:6, 9] = 255
    return mask


def scenes(folder, name):
    """A head, the objects of three images as its targets, and what was recorded of them."""
    kind, options, prefix = HEADS[name]
    known = arrays_of(folder, f"targets_{name.partition(',')[0]}")
    boxes, labels = np.zeros((3, 6, 4), np.float32), np.full((3, 6), -1, np.int32)
    for image in range(3):
        rows = known[f"scene{image}_x1y1x2y2class"]
        boxes[image, : len(rows)] = rows[:, :4] * np.float32(
            4 * SIDE / 255
        )  # whose cells are 255 / 64 pixels
        labels[image, : len(rows)] = rows[:, 4] - 1
    targets = {"boxes": boxes, "labels": labels}
    if kind is ExtremeHead:
        targets["masks"] = np.broadcast_to(outline(), (3, 6, 10, 10))
    known = {key.removeprefix(prefix): value for key, value in known.items()}
    return kind(4, **options), targets, known


def maps_of(head, place: str, scale: dict, shape, objects=None):
    """Raw outputs of one stack that were drawn by name; of tags and offsets, with `objects`, a row an object."""
    maps = {}
    for kind, channels in head.kinds.items():
        point, _, what = kind.rpartition("_")
        name = f"{place}.{SHORT[point]}_{'regr' if what == 'offset' and not objects else what}"
        factor, shift = scale[what]
        if objects and what != "heat":
            maps[kind] = (drawn(name, (*objects, channels)) * factor + shift).astype(np.float32)[:, None]
        else:
            maps[kind] = channels_last(drawn(name, (shape[0], channels, *shape[1:])) * factor + shift)
    return maps


def matched(given, known, atol=1e-4):
    """Rows of `known` that `given` has one to one; of equal scores the order is no matter."""
    left, found = list(range(len(known))), 0
    for row in given:
        away = [np.abs(known[i] - row).max() for i in left]
        if away and min(away) < atol:
            left.pop(int(np.argmin(away)))
            found += 1
    return found


@pytest.mark.parametrize("name", HEADS)
def test_targets(golden_keypoints, name):
    head, targets, known = scenes(golden_keypoints, name)
    there = known["mask"] > 0
    boxes, labels = head.objects(targets)
    aims = head.aims(targets, boxes, labels, (SIDE, SIDE))
    assert set(aims) == set(head.points)
    for point, aim in aims.items():
        short = SHORT[point]
        heat = ops.convert_to_numpy(aim.heat)
        np.testing.assert_allclose(heat, channels_last(known[f"{short}_heat"]), atol=1e-6)
        np.testing.assert_array_equal(np.asarray(aim.place)[there], known[f"{short}_index"][there])
        if point in head.placed:
            offset = np.asarray(aim.offset)[there]
            np.testing.assert_allclose(offset, known[f"{short}_offset"][there], atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_losses_and_gradients(golden_keypoints, name):
    import tensorflow as tf

    values = json.loads((golden_keypoints / f"losses_{name}.json").read_text())["values"]
    head, targets, _ = scenes(golden_keypoints, name)
    boxes, labels = head.objects(targets)
    aims = head.aims(targets, boxes, labels, (SIDE, SIDE))
    counts = ops.cast(labels >= 0, "float32")
    # What was recorded are tags and offsets of objects, not maps: of maps with a cell an object each has its own.
    own = np.broadcast_to(np.arange(6, dtype=np.int32), (3, 6))
    aims = {point: aim._replace(place=own) for point, aim in aims.items()}
    scale = {"heat": (1, -2), "tag": (1, 0), "offset": (1, 0)}
    total, terms, recorded = 0.0, [], arrays_of(golden_keypoints, f"losses_{name}")
    for stack in range(2):
        maps = maps_of(head, f"loss.{stack}", scale, (3, SIDE, SIDE), (3, 6))
        maps = {kind: tf.Variable(value) for kind, value in maps.items()}
        with tf.GradientTape() as tape:
            terms.append(head.terms(aims, maps, counts, None))
            half = sum(terms[-1].values()) / 2
        total += float(half)
        for kind, gradient in tape.gradient(half, maps).items():
            point, _, what = kind.rpartition("_")
            key = f"stack{stack}_{SHORT[point]}_{what}.grad"
            gradient = ops.convert_to_numpy(gradient)
            if what == "heat":
                flat = np.transpose(gradient, (0, 3, 1, 2)).ravel()
                np.testing.assert_allclose(flat[recorded[f"{key}_at"]], recorded[f"{key}_values"], atol=1e-5)
                assert np.linalg.norm(flat) == pytest.approx(float(recorded[f"{key}_norm"][0]), rel=1e-4)
            else:
                np.testing.assert_allclose(gradient[:, 0], recorded[key], atol=1e-6)
    assert total == pytest.approx(values["total"], rel=1e-5)
    if head.tagged:
        assert float(terms[0]["pull"]) == pytest.approx(0.1 * values["pull_stack0"], rel=1e-4)
        assert float(terms[0]["push"]) == pytest.approx(0.1 * values["push_stack0"], rel=1e-4)


def test_loss_without_objects_and_of_known_places(golden_keypoints):
    values = json.loads((golden_keypoints / "losses_cornernet.json").read_text())["values"]
    lite = json.loads((golden_keypoints / "decode_cornerlite.json").read_text())["values"]
    true = channels_last(arrays_of(golden_keypoints, "targets_cornernet")["iou0.3_tl_heat"])
    logits = channels_last(drawn("loss.0.tl_heat", (3, 4, SIDE, SIDE)) - 2)
    loss = ops.convert_to_numpy(peak_focal_loss(true, logits))
    assert loss.sum() / (true == 1).sum() == pytest.approx(values["focal_tl_stack0"], rel=1e-5)
    valid = channels_last(generator("loss.valid").random((3, 4, SIDE, SIDE)) > 0.2)
    assert (loss * valid).sum() / (true == 1).sum() == pytest.approx(lite["focal_masked"], rel=1e-5)
    none = ops.convert_to_numpy(peak_focal_loss(np.zeros_like(true), logits))
    assert none.sum() == pytest.approx(values["focal_no_object"], rel=1e-5)


DECODED = {"heat": (1.5, -2), "tag": (0.4, 0), "offset": (0.3, 0.5)}
LITE = {"peaks": 20, "candidates": 100}
SACCADE = {"peaks": 12, "candidates": 12, "tag_distance": 0.3, "border": False}


@pytest.mark.parametrize(
    ("file", "key", "options"),
    [
        ("decode_cornernet", "detections", {}),
        ("decode_cornerlite", "detections_squeeze", LITE),
        ("decode_cornerlite", "detections_saccade", SACCADE),
    ],
)
def test_pairs_of_corners(golden_keypoints, file, key, options):
    head = CornerHead(4, stride=1, stacks=1, **options)
    found = head.paired(maps_of(head, "decode", DECODED, (2, SIDE, SIDE)))
    boxes, scores, labels = (ops.convert_to_numpy(one) for one in found)
    for image, known in enumerate(arrays_of(golden_keypoints, file)[key]):
        known = known[known[:, 4] >= 0][:, [0, 1, 2, 3, 4, 7]]
        given = np.column_stack([boxes[image], scores[image], labels[image]])[scores[image] >= 0]
        assert len(given) == len(known) == matched(given, known) > 0


def test_triplets(golden_keypoints):
    known = arrays_of(golden_keypoints, "decode_triplet")
    head = TripletHead(4, stride=1, stacks=1)
    maps = maps_of(head, "decode", DECODED, (2, SIDE, SIDE))
    boxes, scores, labels = (ops.convert_to_numpy(one) for one in head.paired(maps))
    centers = head.found(maps, "center")
    for image in range(2):
        given = np.column_stack([boxes[image], scores[image], labels[image]])[scores[image] >= 0]
        rows = known["detections"][image]
        rows = rows[rows[:, 4] >= 0][:, [0, 1, 2, 3, 4, 7]]
        assert len(given) == len(rows) == matched(given, rows) > 0
        places = np.column_stack(
            [np.asarray(each)[image] for each in (centers.x, centers.y, centers.labels, centers.scores)]
        )
        np.testing.assert_allclose(places, known["centers"][image], atol=1e-5)
    # The authors take the second image for the first one's mirror, and join both before centres count.
    boxes[1] = np.stack([64 - boxes[1, :, 2], boxes[1, :, 1], 64 - boxes[1, :, 0], boxes[1, :, 3]], -1)
    both = {name: np.concatenate(np.asarray(getattr(centers, name)))[None] for name in ("scores", "labels")}
    x, y = np.asarray(centers.x), np.asarray(centers.y)
    x = np.concatenate([x[0], 64 - x[1]])[None] * np.float32(255 / 64)
    y = np.concatenate(y)[None] * np.float32(255 / 64)
    joined = Peaks(both["scores"], both["labels"], None, None, x, y)
    pixels = boxes.reshape(1, -1, 4) * np.float32(255 / 64)
    given = ops.convert_to_numpy(center_scores(pixels, scores.reshape(1, -1), labels.reshape(1, -1), joined))[
        0
    ]
    for label in range(4):
        rows = known[f"scored_class{label + 1}"]
        own = (labels.reshape(-1) == label) & (given > -1)
        assert own.sum() == len(rows) == matched(np.column_stack([pixels[0], given])[own], rows[:, :5], 1e-3)


def extremes(aggregation, peaks):
    head = ExtremeHead(3, stride=1, stacks=1, peaks=peaks, aggregation=aggregation)
    maps = maps_of(head, "decode", {"heat": (1.5, -1), "offset": (0.3, 0.5)}, (1, 32, 32))
    found = head.extremes(maps)
    found = join_extremes(*found, ops.sigmoid(maps["center_heat"]), 1000)
    boxes, scores, labels, points = (ops.convert_to_numpy(one)[0] for one in found)
    rows = np.column_stack([boxes, scores, points.reshape(-1, 8), labels])
    return rows[rows[:, 4] > 0]


def test_extreme_points(golden_keypoints):
    known = arrays_of(golden_keypoints, "decode_extremenet")
    plain = known["detections_without_aggregation"]
    given = extremes(0.0, 20)
    assert len(given) == len(plain) == matched(given, plain)
    heat = 1 / (1 + np.exp(-channels_last(drawn("decode.t_heat", (1, 3, 32, 32)) * 1.5 - 1)[..., :1]))
    for axis, key in ((2, "h_aggregated"), (1, "v_aggregated")):
        gathered = ops.convert_to_numpy(edge_aggregated(ops.convert_to_tensor(heat), axis))
        np.testing.assert_allclose(gathered, channels_last(known[key]), atol=1e-6)
    # Gathered, some forty peaks of each kind reach 1, of which torch took any twenty: of all there are these, too.
    rows = known["detections"]
    assert matched(extremes(0.1, 45), rows) == len(rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "options"),
    [
        ("cornernet-squeeze", "cornernet_squeeze", {}),
        ("centernet-triplet", "centernet_triplet52", {"stacks": 1}),
        ("cornernet", "cornernet", {}),
        ("extremenet", "extremenet", {}),
    ],
)
def test_networks_compute_what_the_authors_do(golden_keypoints, name, file, options, tmp_path):
    """Raw maps of the authors' weights."""
    path = tmp_path / f"{name}.safetensors"
    write_weights(golden_keypoints, file, path)
    model = kzoo.build(name, weights=path, image_size=(128, 128), **options)
    path.unlink()
    outputs = model(rule_of(golden_keypoints).image(), training=False)
    known, seen = arrays_of(golden_keypoints, file), 0
    for kind in model.head.kinds:
        point, _, what = kind.rpartition("_")
        raw = np.transpose(ops.convert_to_numpy(outputs[kind]), (0, 3, 1, 2))
        names = [f"{SHORT[point]}_{each}" for each in ((what,) if what != "offset" else ("regr", "off"))]
        for key in (each for each in names if each in known or f"{each}.at" in known):
            values = raw if key in known else raw.ravel()[known[f"{key}.at"]]
            np.testing.assert_allclose(values, known.get(key, known.get(f"{key}.values")), atol=1e-4)
            seen += 1
    assert seen == len(model.head.kinds)
