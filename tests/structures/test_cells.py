"""Masks cut out by their boxes, and pasted back: against sums over pixels, and torchvision's recorded numbers."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzoo.structures.cells import crop_masks, paste_masks, pasted


def shares(low, high, side, length):
    """(S, L) how much of each cell along an axis each pixel is."""
    edges, pixels = np.linspace(low, high, side + 1), np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.maximum(overlap, 0) / ((high - low) / side)


@given(st.integers(0, 10**6), st.integers(1, 60))
@settings(max_examples=100, deadline=None)
def test_a_cell_is_the_share_that_the_mask_covers(seed, side):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 50, 2)
    masks = rng.random((4, height, width)) > rng.random()
    boxes = np.sort(rng.uniform(-9, 59, (4, 2, 2)), 1).reshape(4, 4)  # also beyond the image
    boxes[0] = np.rint(boxes[0])
    cells = crop_masks(masks, boxes, side)
    assert cells.shape == (4, side, side) and cells.dtype == np.uint8
    for mask, (x1, y1, x2, y2), found in zip(masks, boxes, cells, strict=True):
        if x2 > x1 and y2 > y1:
            exact = 255 * shares(y1, y2, side, height) @ mask @ shares(x1, x2, side, width).T
            assert abs(found - exact).max() < 0.501
        else:
            assert not found.any()


def test_boxes_without_area_or_image_have_nothing():
    masks = np.ones((3, 8, 8), bool)
    assert not crop_masks(masks, np.array([[3, 3, 3, 5], [0, 0, 0, 0], [9, 9, 12, 12]]), 4).any()
    assert crop_masks(np.zeros((0, 8, 8), bool), np.zeros((0, 4)), 4).shape == (0, 4, 4)
    assert paste_masks(np.zeros((0, 28, 28)), np.zeros((0, 4)), (8, 9)).shape == (0, 8, 9)


@pytest.mark.parametrize("threshold", [1e-6, 0.05, 0.2, 0.3, 0.5, 0.7])
def test_pasting_equals_torchvisions(threshold, shared):
    golden = json.loads((shared / "golden" / "roi.json").read_text())["paste_masks"]
    masks, boxes = np.array(golden["masks"])[:, 0], np.array(golden["boxes"])
    expected = np.array(golden["pasted"])[:, 0] >= threshold
    size = tuple(golden["image_height_width"])
    np.testing.assert_array_equal(paste_masks(masks, boxes, size, threshold), expected)
    assert expected.any()


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_pasting_equals_opencvs_resize(seed):
    import cv2

    rng = np.random.default_rng(seed)
    masks = rng.random((3, 28, 28), np.float32)
    boxes = np.sort(rng.uniform(-20, 80, (3, 2, 2)), 1).reshape(3, 4).astype(np.float32)
    found = paste_masks(masks, boxes, (60, 50), 0.4)
    for mask, box, inside in zip(masks, boxes, found, strict=True):
        centre, half = (box[2:] + box[:2]) * 0.5, (box[2:] - box[:2]) * 0.5 * np.float32(30 / 28)
        (x1, y1), (x2, y2) = ((centre + sign * half).astype(int) for sign in (-1, 1))
        large = cv2.resize(np.pad(mask, 1), (x2 - x1 + 1, y2 - y1 + 1), interpolation=cv2.INTER_LINEAR)
        canvas = np.zeros((260, 260), np.float32)  # the image from 100 on
        canvas[100 + y1 : 101 + y2, 100 + x1 : 101 + x2] = large
        near = abs(canvas - 0.4) < 1e-4
        assert ((inside == (canvas >= 0.4)[100:160, 100:150]) | near[100:160, 100:150]).all()


@given(st.integers(0, 10**6), st.sampled_from([28, 56]))
@settings(max_examples=30, deadline=None)
def test_aligned_pasting_undoes_cutting_out(seed, side):
    rng = np.random.default_rng(seed)
    left, top, width, height = *rng.integers(0, 20, 2), *rng.integers(1, side + 1, 2)
    mask = np.zeros((1, 80, 80), bool)
    mask[0, top : top + height, left : left + width] = True
    mask[0, top : top + height // 2, left : left + width // 2] = False
    boxes = np.array([[left, top, left + width, top + height]], float)
    back = paste_masks(crop_masks(mask, boxes, side) / 255.0, boxes, (80, 80), aligned=True)
    assert (back & mask).sum() >= 0.97 * (back | mask).sum()


def test_one_at_a_time_and_boxes_that_are_none():
    masks = np.ones((4, 28, 28))
    boxes = np.array([[1, 1, 5, 5], [np.nan, 0, 1, 1], [-1e30, 0, 1e30, 4], [3, 3, 3, 3]])
    for aligned in (False, True):
        whole = paste_masks(masks, boxes, (6, 7), aligned=aligned)
        np.testing.assert_array_equal(whole, list(pasted(masks, boxes, (6, 7), aligned=aligned)))
        assert whole[0].any() and whole.shape == (4, 6, 7)
