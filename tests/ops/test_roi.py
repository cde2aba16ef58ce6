"""Boxes cut out of feature maps: against recorded numbers, and by what pooling promises."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from roi_reference import check_golden, with_gradients

from kzoo.ops.roi import precise_roi_pool, pyramid_levels, roi_align, roi_pool

STRIDES = (4, 8, 16, 32)
# By name, functions of (maps, boxes, size, strides) as all of them are called for several maps.
OF_SEVERAL_MAPS = {"align": roi_align, "precise": precise_roi_pool}
# By name, functions of (map, boxes, size, stride) for one.
OF_ONE_MAP = {
    "align": lambda x, boxes, size, stride: roi_align([x], boxes, size, [stride]),
    "aligned": lambda x, boxes, size, stride: roi_align([x], boxes, size, [stride], 3, aligned=True),
    "precise": lambda x, boxes, size, stride: precise_roi_pool([x], boxes, size, [stride]),
    "maximum": roi_pool,
}


def pyramid(rng, side=128, channels=3, batch=2):
    return [rng.normal(size=(batch, side // s, side // s, channels)).astype("float32") for s in STRIDES]


def boxes_inside(rng, count, margin, side, batch=2):
    """Boxes of four pixels and more, `margin` pixels and more from the edges."""
    corners = rng.uniform(margin, side - margin - 4, (batch, count, 2))
    far = corners + rng.uniform(4, np.maximum(side - margin - corners, 4.001))
    return np.concatenate([corners, far], axis=-1).astype("float32")


def test_outputs_and_gradients_are_the_recorded_ones(shared):
    assert check_golden(shared / "golden" / "roi.json") == 9


def test_maximum_is_the_lecture_s_example(shared):
    lecture = json.loads((shared / "golden" / "roi_lecture.json").read_text())
    (top, bottom), (left, right) = lecture["rows"], lecture["columns"]
    box = np.float32([[[left, top, right - 1, bottom - 1]]])  # of cells, whose last belongs to the box
    features = np.float32(lecture["map"])[None, ..., None]
    pooled = roi_pool(ops.convert_to_tensor(features), box, 2, 1, disjoint=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(pooled)[0, 0, ..., 0], np.float32(lecture["output"]))
    # The code of the paper widens bins to whole cells, so that the upper ones share a row with the lower ones.
    widened = [[features[0, rows, columns].max() for columns in np.s_[:4, 3:7]] for rows in np.s_[3:6, 5:8]]
    pooled = roi_pool(ops.convert_to_tensor(features), box, 2, 1)
    np.testing.assert_array_equal(ops.convert_to_numpy(pooled)[0, 0, ..., 0], widened)


@given(st.integers(1, 60), st.integers(1, 8))
@settings(max_examples=15)
def test_disjoint_bins_share_no_cell_and_leave_none_out(cells, bins):
    """Of the numbers of a row each bin's largest is its last cell."""
    features = np.arange(1, 61, dtype="float32").reshape(1, 1, 60, 1)
    box = np.float32([[[0, 0, cells - 1, 0]]])
    pooled = ops.convert_to_numpy(roi_pool(ops.convert_to_tensor(features), box, (1, bins), 1, disjoint=True))
    ends = [place * cells // bins for place in range(bins + 1)]
    expected = [after if after > first else 0 for first, after in itertools.pairwise(ends)]
    assert pooled.ravel().tolist() == expected


def test_levels_are_the_recorded_ones(shared):
    record = json.loads((shared / "golden" / "roi.json").read_text())["fpn_levels"]
    boxes = np.float32(record["boxes"])[None]
    for key, strides in (
        ("level_of_P2_to_P5", STRIDES),
        ("level_of_P4_to_P5 (VGG-like, two maps)", (16, 32)),
    ):
        finest = int(np.log2(strides[0]))
        assert (ops.convert_to_numpy(pyramid_levels(boxes, strides))[0] + finest).tolist() == record[key]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_levels_follow_the_formula(seed):
    rng = np.random.default_rng(seed)
    sides = np.exp(rng.uniform(0, 8, (1, 50, 2)))
    boxes = np.concatenate([np.zeros((1, 50, 2)), sides], axis=-1).astype("float32")
    sides = boxes[..., 2:].astype("float64")
    formula = np.floor(4 + np.log2(np.sqrt(sides.prod(-1)) / 224) + 1e-6)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(pyramid_levels(boxes, STRIDES)), np.clip(formula, 2, 5) - 2
    )
    halved = pyramid_levels(boxes, STRIDES, canonical_level=3, canonical_size=112.0)
    np.testing.assert_array_equal(ops.convert_to_numpy(halved), np.clip(formula, 2, 5) - 2)


def test_levels_of_maps_with_one_stride_are_the_first():
    boxes = np.float32([[[0, 0, 4, 4], [0, 0, 500, 900], [5, 5, 5, 5], [9, 9, 3, 3]]])
    assert ops.convert_to_numpy(pyramid_levels(boxes, (32, 32))).tolist() == [[0, 0, 0, 0]]
    assert ops.convert_to_numpy(pyramid_levels(boxes, STRIDES)).tolist() == [[0, 3, 0, 0]]


@pytest.mark.parametrize("name", OF_ONE_MAP)
@given(st.integers(0, 2**32 - 1))
@settings(max_examples=5)
def test_a_map_of_one_value_stays_so(name, seed):
    rng = np.random.default_rng(seed)
    features = np.full((2, 12, 12, 2), 1.5, "float32")
    pooled = OF_ONE_MAP[name](ops.convert_to_tensor(features), boxes_inside(rng, 6, 8, 96), (2, 3), 8)
    np.testing.assert_allclose(ops.convert_to_numpy(pooled), np.full((2, 6, 2, 3, 2), 1.5), rtol=1e-5)


@pytest.mark.parametrize("name, offset", [("align", 0.0), ("aligned", 0.5), ("precise", 0.0)])
@given(st.integers(0, 2**32 - 1))
@settings(max_examples=5)
def test_a_sloping_map_has_the_value_of_the_bin_s_middle(name, offset, seed):
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:24, :24].astype("float32")
    features = np.repeat(np.stack([row, column], axis=-1)[None], 2, axis=0)
    boxes = boxes_inside(rng, 6, 8, 96)
    pooled = ops.convert_to_numpy(OF_ONE_MAP[name](ops.convert_to_tensor(features), boxes, (2, 3), 4))
    for axis, (bins, low) in enumerate([(2, 1), (3, 0)]):
        start, extent = boxes[..., low, None], (boxes[..., low + 2] - boxes[..., low])[..., None]
        middles = (start + (np.arange(bins) + 0.5) * extent / bins) / 4 - offset  # (2, 6, bins)
        middles = np.expand_dims(middles, 3 - axis)  # (2, 6, 2, 1) or (2, 6, 1, 3)
        np.testing.assert_allclose(pooled[..., axis], np.broadcast_to(middles, pooled.shape[:-1]), atol=1e-4)


@pytest.mark.parametrize("name", OF_SEVERAL_MAPS)
@pytest.mark.parametrize("given_levels", [False, True])
def test_each_box_is_pooled_from_its_own_map(name, given_levels):
    rng = np.random.default_rng(0)
    features, pool = pyramid(rng), OF_SEVERAL_MAPS[name]
    boxes = boxes_inside(rng, 40, 0, 600)
    levels = (
        rng.integers(0, 4, (2, 40)) if given_levels else ops.convert_to_numpy(pyramid_levels(boxes, STRIDES))
    )
    assert len(np.unique(levels)) == 4
    upstream = rng.normal(size=(2, 40, 3, 2, 3))

    def of_all(*maps):
        return pool(
            maps, ops.convert_to_tensor(boxes), (3, 2), STRIDES, levels=levels if given_levels else None
        )

    together, *gradients = with_gradients(of_all, features, upstream)
    for level, (feature, stride) in enumerate(zip(features, STRIDES, strict=True)):

        def of_one(x, stride=stride):
            return pool([x], ops.convert_to_tensor(boxes), (3, 2), [stride])

        own = (levels == level)[..., None, None, None]
        alone, gradient = with_gradients(of_one, [feature], upstream * own)
        np.testing.assert_allclose(np.where(own, together, 0), np.where(own, alone, 0), atol=1e-5)
        np.testing.assert_allclose(gradients[level], gradient, atol=1e-5)


@pytest.mark.parametrize("name", OF_ONE_MAP)
def test_images_do_not_mix(name):
    rng = np.random.default_rng(1)
    features = rng.normal(size=(3, 9, 7, 2)).astype("float32")
    corners = rng.uniform(-10, 80, (3, 8, 2, 2))
    boxes = corners.reshape(3, 8, 4).astype("float32")  # half of them inverted
    together = ops.convert_to_numpy(OF_ONE_MAP[name](ops.convert_to_tensor(features), boxes, 3, 8))
    for index in range(3):
        alone = OF_ONE_MAP[name](
            ops.convert_to_tensor(features[index : index + 1]), boxes[index : index + 1], 3, 8
        )
        np.testing.assert_array_equal(together[index], ops.convert_to_numpy(alone)[0])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_maximum_equals_the_loop(seed):
    """Few different values, so that many are equal; boxes that hang out, are empty, or larger than the map."""
    rng = np.random.default_rng(seed)
    features = rng.integers(0, 4, (1, 5, 6, 2)).astype("float32")
    boxes = rng.uniform(-30, 70, (1, 6, 4)).astype("float32")
    boxes[:, :3, 2:] = boxes[:, :3, :2] + rng.uniform(0, 60, (1, 3, 2))
    upstream = rng.normal(size=(1, 6, 3, 2, 2)).astype("float32")
    pooled, to_features, to_boxes = with_gradients(
        lambda x, b: roi_pool(x, b, (3, 2), 8), [features, boxes], upstream
    )
    expected, gradient = np.zeros_like(pooled), np.zeros_like(features)

    def cells(low, high, bins, length):
        low, high = (int(np.sign(v) * np.floor(abs(v) + 0.5)) for v in (low / 8, high / 8))
        size = max(high - low + 1, 1)
        for place in range(bins):
            first, after = place * size // bins + low, -(-(place + 1) * size // bins) + low
            yield range(max(first, 0), min(after, length))

    for box in range(6):
        x1, y1, x2, y2 = boxes[0, box]
        for i, rows in enumerate(cells(y1, y2, 3, 5)):
            for j, columns in enumerate(cells(x1, x2, 2, 6)):
                for channel in range(2):
                    found = [(-features[0, y, x, channel], y, x) for y in rows for x in columns]
                    if found:
                        value, y, x = min(found)
                        expected[0, box, i, j, channel] = -value
                        gradient[0, y, x, channel] += upstream[0, box, i, j, channel]
    np.testing.assert_array_equal(pooled, expected)
    np.testing.assert_allclose(to_features, gradient, atol=1e-5)
    assert not to_boxes.any()


def test_precise_follows_a_moving_box():
    """The gradients to the corners are what small steps of them change."""
    rng = np.random.default_rng(2)
    features = rng.normal(size=(1, 8, 8, 1)).astype("float32")
    boxes = np.float32([[[9.3, 5.1, 41.7, 50.9], [20.2, 31.4, 26.9, 35.3], [-9.1, 40.2, 30.3, 90.8]]])
    upstream = rng.normal(size=(1, 3, 2, 2, 1)).astype("float32")

    def pool(x):
        return precise_roi_pool([ops.convert_to_tensor(features)], x, 2, [8])

    _, gradient = with_gradients(pool, [boxes], upstream)
    for place in np.ndindex(3, 4):
        step = np.zeros_like(boxes)
        step[0, *place] = 0.05
        ahead, behind = (ops.convert_to_numpy(pool(ops.convert_to_tensor(boxes + s))) for s in (step, -step))
        change = ((ahead - behind).astype("float64") * upstream).sum() / 0.1
        assert change == pytest.approx(gradient[0, *place], abs=2e-4)


def test_sizes_may_be_unknown_until_a_graph_runs():
    import tensorflow as tf

    rng = np.random.default_rng(3)
    spec = tf.TensorSpec((None, None, None, 3))

    @tf.function(input_signature=[[spec] * 4, tf.TensorSpec((None, 20, 4))])
    def pool(features, boxes):
        return roi_align(features, boxes, 2, STRIDES)

    for side in (128, 64):
        features, boxes = pyramid(rng, side), boxes_inside(rng, 20, 0, 500)
        expected = roi_align([ops.convert_to_tensor(f) for f in features], boxes, 2, STRIDES)
        np.testing.assert_array_equal(pool(features, boxes), expected)


@pytest.mark.parametrize("name", OF_ONE_MAP)
def test_maps_of_half_precision_are_pooled_in_it(name):
    rng = np.random.default_rng(4)
    features, boxes = rng.normal(size=(1, 8, 8, 4)).astype("float32"), boxes_inside(rng, 5, 0, 64, 1)
    half = OF_ONE_MAP[name](ops.cast(features, "bfloat16"), boxes, 2, 8)
    assert "bfloat16" in str(half.dtype)
    full = OF_ONE_MAP[name](ops.convert_to_tensor(features), boxes, 2, 8)
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(half, "float32")), full, atol=0.05)


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda x, b: roi_align([x], b, 7, [8], sampling=0), "sampling=0"),
        (lambda x, b: roi_align([x], b, 7, [8], sampling=-1), "whole number of samples from 1"),
        (lambda x, b: roi_align([x], b, 7, [8, 16]), "roi_align: 1 maps and strides"),
        (lambda x, b: roi_align([x, x], b, 7, [8, 24]), "give powers of two"),
        (lambda x, b: roi_align([x, x], b, 7, [8, 32]), "each the one before or its double"),
        (lambda x, b: roi_align([x], b, 0, [8]), "roi_align: size 0"),
        (lambda x, b: precise_roi_pool([x], b, (7, 7, 7), [8]), "precise_roi_pool: size"),
        (lambda x, b: precise_roi_pool([x], b, 7, [0]), "one stride above 0"),
        (lambda x, b: roi_pool(x, b, 2.5, 8), "roi_pool: size 2.5"),
        (lambda x, b: roi_pool(x, b, 7, -8), "stride=-8"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call(ops.zeros((1, 4, 4, 2)), ops.zeros((1, 3, 4)))


@pytest.mark.parametrize("pool", [roi_pool, OF_ONE_MAP["precise"]])
def test_maps_of_unknown_size_are_refused_where_it_matters(pool):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3))])
    def run(features):
        return pool(features, tf.zeros((1, 2, 4)), 2, 8)

    with pytest.raises(ValueError, match="give the model a fixed image_size"):
        run(tf.zeros((1, 4, 4, 3)))
