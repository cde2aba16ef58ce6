"""Shapes and places of anchors, their differences from boxes, and which of them takes which object."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kzoo.ops.anchors import default_boxes, lay_anchors, retina_anchors
from kzoo.ops.assign import assign_anchors, sound_boxes
from kzoo.ops.box_coder import decode_deltas, encode_deltas


def array(tensor):
    return ops.convert_to_numpy(tensor)


def test_retina_anchors_have_the_papers_areas_and_ratios():
    levels = retina_anchors()
    assert [len(level) for level in levels] == [9] * 5
    for size, level in zip((32, 64, 128, 256, 512), levels, strict=True):
        areas = sorted(w * h for w, h in level)
        wanted = sorted((size * 2 ** (i / 3)) ** 2 for i in range(3) for _ in range(3))
        np.testing.assert_allclose(areas, wanted, rtol=0.08)  # whole pixels
        ratios = [h / w for w, h in level]
        np.testing.assert_allclose(ratios, [0.5] * 3 + [1.0] * 3 + [2.0] * 3, rtol=0.08)


def test_default_boxes_follow_the_paper():
    (level,) = default_boxes((300, 600), (0.2, 0.45), ([2, 3],))
    mean = math.sqrt(0.2 * 0.45)
    long, longer = 0.2 * math.sqrt(2), 0.2 * math.sqrt(3)
    shares = [(0.2, 0.2), (mean, mean), (long, long / 2), (long / 2, long)]
    shares += [(longer, longer / 3), (longer / 3, longer)]
    np.testing.assert_allclose(level, [(w * 600, h * 300) for w, h in shares])
    (large,) = default_boxes((300, 300), (0.9, 1.2), ([2],))
    assert max(max(pair) for pair in large) == 300


def test_anchors_lie_level_by_level_cell_by_cell():
    boxes = array(lay_anchors([(2, 3), (1, 2)], [[[4, 2], [2, 4]], [[8, 8]]], [8, 16]))
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    wanted = [(x, y) for y in (4, 12) for x in (4, 12, 20) for _ in range(2)] + [(8, 8), (24, 8)]
    np.testing.assert_array_equal(centers, wanted)
    np.testing.assert_array_equal((boxes[:, 2:] - boxes[:, :2])[:3], [(4, 2), (2, 4), (4, 2)])


def test_fitted_strides_are_the_images_share_of_a_cell():
    # 13 cells of 8 pixels, 104, that a coarser map has 4 of: 26 pixels each, not 32.
    boxes = array(lay_anchors([(13, 13), (4, 4)], [[[2, 2]], [[2, 2]]], [8, 32], 0.0, fit_strides=True))
    centers = (boxes[:, 0] + boxes[:, 2]) / 2
    np.testing.assert_array_equal(centers[169:173], [0, 26, 52, 78])


sides = st.floats(1, 500, width=32)
places = st.floats(-200, 700, width=32)
box = st.builds(lambda x, y, w, h: [x, y, x + w, y + h], places, places, sides, sides)


@given(
    st.lists(st.tuples(box, box), min_size=1, max_size=20), st.sampled_from([(1, 1, 1, 1), (10, 10, 5, 5)])
)
@settings(max_examples=50, deadline=None)
def test_decoding_undoes_encoding_within_the_limit(pairs, weights):
    boxes, anchors = (np.array(part, np.float32) for part in zip(*pairs, strict=True))
    deltas = encode_deltas(boxes, anchors, weights)
    found = array(decode_deltas(deltas, anchors, weights))
    size = (anchors[:, 2:] - anchors[:, :2]) * 62.5
    reachable = (boxes[:, 2:] - boxes[:, :2] <= size).all(-1)
    np.testing.assert_allclose(found[reachable], boxes[reachable], atol=0.05)
    assert np.isfinite(found).all()


def test_huge_differences_stay_finite():
    anchors = np.float32([[0, 0, 16, 16]])
    found = array(decode_deltas(np.float32([[0, 0, 1e4, 1e4]]), anchors))
    np.testing.assert_allclose(found, [[8 - 500, 8 - 500, 8 + 500, 8 + 500]], rtol=1e-5)


def plain_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return shared / (sum(areas) - shared)


def plain_assignment(anchors, boxes, labels, positive, negative, rescue):
    """The papers' sentences, one after the other."""
    outcome = []
    objects = [i for i, label in enumerate(labels) if label >= 0]
    overlap = [[plain_iou(anchor, box) for box in boxes] for anchor in anchors]
    for row in overlap:
        best = max(objects, key=lambda i: row[i]) if objects else None
        if best is not None and row[best] >= positive:
            outcome.append(best)
        else:
            outcome.append("background" if max(row) < negative else "ignored")
    if rescue == "best":
        for i in objects:
            outcome[max(range(len(anchors)), key=lambda n: overlap[n][i])] = i
    if rescue == "ties":
        for i in objects:
            most = max(row[i] for row in overlap)
            for n, row in enumerate(overlap):
                if most > 0 and row[i] == most:
                    outcome[n] = max(objects, key=lambda k: row[k])
    return outcome


@pytest.mark.parametrize("rescue", ["ties", "best", "none"])
@pytest.mark.parametrize("thresholds", [(0.5, 0.4), (0.5, 0.5), (0.7, 0.3)])
def test_assignment_equals_the_plain_one(rescue, thresholds):
    rng = np.random.default_rng(0)
    anchors = array(lay_anchors([(6, 6), (3, 3)], [[[12, 12], [16, 8]], [[24, 24], [30, 15]]], [8, 16]))
    for count in (0, 1, 3, 8):
        corner = rng.uniform(0, 30, (2, 8, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(3, 24, (2, 8, 2))], -1).astype(np.float32)
        labels = np.where(np.arange(8) < count, rng.integers(0, 4, (2, 8)), -1)
        labels[1, ::3] = -1  # regions to ignore among the objects
        found = assign_anchors(anchors, boxes, labels, *thresholds, rescue)
        owner, positive, negative = (array(part) for part in (found.owner, found.positive, found.negative))
        for b in range(2):
            wanted = plain_assignment(anchors, boxes[b], labels[b], *thresholds, rescue)
            got = [
                int(o) if p else "background" if n else "ignored"
                for o, p, n in zip(owner[b], positive[b], negative[b], strict=True)
            ]
            assert got == wanted


def test_unsound_boxes_take_no_anchor():
    anchors = np.float32([[0, 0, 10, 10]])
    boxes = np.float32([[[5, 5, 5, 9], [9, 9, 1, 1], [0, 0, np.nan, 4], [0, 0, np.inf, 4]]])
    found = assign_anchors(anchors, sound_boxes(boxes), np.zeros((1, 4), int))
    assert not array(found.positive).any() and array(found.negative).all()
