"""Extreme points of masks and boxes, heat gathered along edges, combinations and ghosts: beside loops."""

import itertools

import numpy as np
import pytest
from keras import ops

from kzoo.ops.corners import Peaks
from kzoo.ops.extremes import edge_aggregated, extreme_points, join_extremes, without_ghosts

RNG = np.random.default_rng(0)


def points_of(mask):
    """Top, left, bottom and right of a mask on the box (0, 0, 10, 20)."""
    box = np.array([[[0, 0, 10, 20]]], "float32")
    found = extreme_points(box, None if mask is None else ops.convert_to_tensor(mask[None, None]))
    return ops.convert_to_numpy(found)[0, 0].tolist()


def test_without_a_mask_they_are_in_the_middle_of_the_edges():
    assert points_of(None) == [[5, 0], [0, 10], [5, 20], [10, 10]]
    assert points_of(np.zeros((8, 8), np.uint8)) == points_of(None)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_mask_says_where_it_touches_its_edges(kind):
    mask = np.zeros((10, 10), np.float32)
    mask[2:8, 2:8] = 1
    mask[0, 1:3] = mask[9, 6:10] = mask[4, 0] = mask[0:2, 9] = 1
    mask[0, 5:8] = 1  # a second touch, which does not count
    scaled = (255 * mask).astype(kind) if kind is np.uint8 else mask
    np.testing.assert_allclose(points_of(scaled), [[2, 0], [0, 9], [8, 20], [10, 2]], atol=1e-5)


def test_a_first_line_that_is_hardly_covered_does_not_count():
    mask = np.zeros((10, 10), np.uint8)
    mask[0, :] = 100
    mask[1, 4] = 255
    np.testing.assert_allclose(points_of(mask)[0], [4.5, 0], atol=1e-5)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("shape", [(2, 7, 9, 3), (1, 1, 1, 1), (1, 33, 5, 2)])
def test_heat_is_gathered_as_in_a_loop(axis, shape):
    heat = np.round(RNG.random(shape), 1).astype("float32")  # some neighbours are equal
    rows = np.moveaxis(heat, axis, 0)
    wanted = rows.copy()
    for turn in (1, -1):
        line, total = rows[::turn], rows[::turn].copy()
        for i in range(1, len(line)):
            total[i] += total[i - 1] * (line[i] >= line[i - 1])
        wanted += 0.1 * (total - line)[::turn]
    given = ops.convert_to_numpy(edge_aggregated(ops.convert_to_tensor(heat), axis))
    np.testing.assert_allclose(given, np.moveaxis(wanted, 0, axis), atol=1e-5)
    np.testing.assert_array_equal(edge_aggregated(heat, axis, 0.0), heat)


def drawn_peaks(count, side, classes, axis, low):
    """Peaks anywhere, but along an axis (0 for x) from `low` on, within a third of the map."""
    scores = np.sort(RNG.random(count))[::-1]
    labels, *places = (RNG.integers(0, most, count) for most in (classes, side, side))
    places[axis] = low + places[axis] // 3
    where = [place + RNG.random(count) for place in places]
    integers = (each.astype("int32")[None] for each in (labels, *places))
    return Peaks(scores.astype("float32")[None], *integers, *(one.astype("float32")[None] for one in where))


@pytest.mark.parametrize("pairs", [None, 64, 20])
def test_combinations_are_those_of_a_loop(pairs):
    side, classes = 12, 2
    kinds = [drawn_peaks(8, side, classes, axis, low) for axis, low in ((1, 1), (0, 1), (1, 7), (0, 7))]
    centers = RNG.random((1, side, side, classes)).astype("float32")
    wanted = {}
    for chosen in itertools.product(range(8), repeat=4):
        (
            (ts, tc, tx, ty, _, t),
            (ls, lc, lx, ly, left, _),
            (bs, bc, bx, by, _, b),
            (rs, rc, rx, ry, right, _),
        ) = ([np.asarray(values)[0, i] for values in kind[:6]] for kind, i in zip(kinds, chosen, strict=True))
        center = centers[0, (ty + by) // 2, (lx + rx) // 2, tc]
        sound = tc == lc == bc == rc and ty <= min(ly, by, ry) and by >= max(ty, ly, ry)
        sound = sound and lx <= min(tx, bx, rx) and rx >= max(tx, bx, lx) and center >= 0.1
        if sound and min(ts, ls, bs, rs) >= 0.1:
            wanted[tuple(np.round([left, t, right, b], 4).tolist())] = (ts + ls + bs + rs + 2 * center) / 6
    boxes, scores, _, points = (
        ops.convert_to_numpy(one)[0] for one in join_extremes(*kinds, centers, 1000, pairs)
    )
    np.testing.assert_array_equal(boxes, points[:, [1, 0, 3, 2], [0, 1, 0, 1]])
    given = {
        tuple(np.round(box, 4).tolist()): score for box, score in zip(boxes, scores, strict=True) if score > 0
    }
    assert (np.diff(scores) <= 0).all() and wanted
    if pairs == 20:  # fewer pairs than there are: what is found is sound
        assert set(given) <= set(wanted)
        return
    assert given == pytest.approx(wanted, abs=1e-5)


def test_a_box_around_several_objects_loses_half_of_its_score():
    boxes = np.array([[[0, 0, 9, 9], [1, 1, 3, 3], [4, 4, 6, 6], [7, 7, 9, 9], [0, 0, 9, 9]]], "float32")
    scores, labels = np.array([[0.6, 0.9, 0.8, 0.7, 0.5]], "float32"), np.array([[0, 0, 0, 0, 1]])
    given = ops.convert_to_numpy(without_ghosts(boxes, scores, labels))[0]
    assert given == pytest.approx([0.3, 0.9, 0.8, 0.7, 0.5])
    kept = ops.convert_to_numpy(without_ghosts(boxes, scores, labels, factor=8.0))[0]
    assert kept == pytest.approx(scores[0])
    weak = ops.convert_to_numpy(without_ghosts(boxes, scores / 4, labels))[0]
    assert weak == pytest.approx(scores[0] / 4)  # below the least score nothing is halved
