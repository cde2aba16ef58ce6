"""Precise pooling from windows: what the products over whole maps give, and its slopes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from roi_reference import with_gradients

from kzoo.ops.roi import (
    longer_side_levels,
    precise_roi_pool,
    precise_roi_slopes,
    precise_roi_windows,
    pyramid_levels,
)

STRIDES = (4, 8, 16, 32)


def pyramid(rng, height, width, strides=STRIDES, channels=2):
    return [rng.normal(size=(2, height // s, width // s, channels)).astype("float32") for s in strides]


def boxes_of_all_kinds(rng, count, side):
    """Tiny and huge ones, long and flat ones, some that hang out; the first without area, inverted, and of all."""
    corners = rng.uniform(-0.1 * side, side, (2, count, 2))
    boxes = np.concatenate([corners, corners + side ** rng.uniform(0, 1.1, corners.shape)], axis=-1)
    boxes[0, :3] = [[5, 5, 5, 9], [9, 9, 3, 3], [-side, -side, 2 * side, 2 * side]]
    return boxes.astype("float32")


@pytest.mark.parametrize(
    "height, width, strides",
    [(256, 384, STRIDES), (96, 64, STRIDES), (256, 256, (16, 32)), (160, 1600, (32,)), (640, 64, (4, 8))],
)
def test_windows_are_exact(height, width, strides):
    """With maps smaller than a window, larger ones of which the coarsest is too, and a single one."""
    rng = np.random.default_rng(0)
    features, boxes = pyramid(rng, height, width, strides), boxes_of_all_kinds(rng, 40, max(height, width))
    upstream = rng.normal(size=(2, 40, 3, 2, 2)).astype("float32")
    levels = longer_side_levels(boxes, strides)

    def whole(*given):
        return precise_roi_pool(given[:-1], given[-1], (3, 2), strides, levels=levels)

    def windows(*given):
        return precise_roi_windows(given[:-1], given[-1], (3, 2), strides)

    expected, found = (with_gradients(each, [*features, boxes], upstream) for each in (whole, windows))
    assert np.abs(expected[0]).max() > 0.5 and np.abs(expected[-1]).max() > 0.1
    for before, after in zip(expected, found, strict=True):
        np.testing.assert_allclose(after, before, atol=2e-5)


def test_edges_of_windows():
    """Boxes of just under 28 cells that begin anywhere within a cell, at every place of a map."""
    rng = np.random.default_rng(1)
    features = pyramid(rng, 512, 512)
    corner = rng.uniform(-30, 430, (2, 200, 2))
    boxes = np.concatenate([corner, corner + 112 - 10.0 ** rng.uniform(-4, 0, corner.shape)], axis=-1).astype(
        "float32"
    )
    levels = longer_side_levels(boxes, STRIDES)
    assert not ops.convert_to_numpy(levels).any()
    found = precise_roi_windows(features, boxes, 2, STRIDES)
    np.testing.assert_allclose(found, precise_roi_pool(features, boxes, 2, STRIDES, levels=levels), atol=1e-5)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=5, deadline=None)
def test_slopes_are_the_gradients(seed):
    rng = np.random.default_rng(seed)
    features, boxes = pyramid(rng, 128, 192), boxes_of_all_kinds(rng, 30, 192)
    upstream = rng.normal(size=(2, 30, 3, 2, 2)).astype("float32")
    pooled, gradients = with_gradients(
        lambda given: precise_roi_windows(features, given, (3, 2), STRIDES), [boxes], upstream
    )
    again, slopes = precise_roi_slopes(features, boxes, (3, 2), STRIDES)
    np.testing.assert_allclose(again, pooled, atol=1e-5)
    summed = [np.sum(upstream * ops.convert_to_numpy(slope), axis=(2, 3, 4)) for slope in slopes]
    np.testing.assert_allclose(np.stack(summed, axis=-1), gradients, atol=1e-4, rtol=1e-4)
    assert np.abs(gradients).max() > 0.1


def test_levels_are_those_of_squares():
    rng = np.random.default_rng(2)
    corner, side = rng.uniform(0, 100, (1, 50, 2)), np.exp(rng.uniform(0, 7, (1, 50, 1)))
    squares = np.concatenate([corner, corner + side], axis=-1).astype("float32")
    levels = ops.convert_to_numpy(longer_side_levels(squares, STRIDES))
    np.testing.assert_array_equal(levels, ops.convert_to_numpy(pyramid_levels(squares, STRIDES)))
    flat = squares.copy()
    flat[..., 3] = flat[..., 1] + 1
    np.testing.assert_array_equal(ops.convert_to_numpy(longer_side_levels(flat, STRIDES)), levels)


@pytest.mark.parametrize("corner", [np.nan, np.inf])
def test_what_is_no_box_is_nothing_and_disturbs_no_other(corner):
    rng = np.random.default_rng(3)
    features, boxes = pyramid(rng, 64, 64), boxes_of_all_kinds(rng, 8, 64)
    alone, alone_slopes = precise_roi_slopes(features, boxes, 2, STRIDES)
    boxes[1, 4] = corner
    pooled, slopes = precise_roi_slopes(features, boxes, 2, STRIDES)
    for found, expected in zip((pooled, *slopes), (alone, *alone_slopes), strict=True):
        expected = ops.convert_to_numpy(expected).copy()
        expected[1, 4] = 0
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_is_refused():
    maps = [ops.zeros((1, 4, 4, 1))]
    with pytest.raises(ValueError, match="precise_roi_windows: 1 maps and strides"):
        precise_roi_windows(maps, np.zeros((1, 1, 4)), 2, (4, 8))
    with pytest.raises(ValueError, match="precise_roi_slopes: size 0"):
        precise_roi_slopes(maps, np.zeros((1, 1, 4)), 0, (4,))
