"""Perspective: boxes and masks go where OpenCV's own projection takes them, and affine chains stay affine."""

import functools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from painting import assert_mask_follows_image, assert_sound, painted, tight

from kzoo.augment import Affine, Compose, Flip, Mosaic, place, warp
from kzoo.augment.crop import RandomResizedCrop
from kzoo.augment.geometric import transform_boxes
from kzoo.augment.perspective import Perspective
from kzoo.structures import Sample

SHAPES = st.tuples(st.integers(20, 200), st.integers(20, 200))


def corners_of(box) -> np.ndarray:
    x1, y1, x2, y2 = box
    return np.array([[[x1, y1], [x2, y1], [x2, y2], [x1, y2]]], np.float64)


@given(
    st.integers(0, 10**6),
    SHAPES,
    SHAPES,
    st.integers(0, 10),
    st.sampled_from([np.uint8, np.int32]),
    st.sampled_from(
        [
            [Perspective()],
            [Perspective(strength=0.2)],
            [Flip(p=1.0), Perspective(), Affine(rotate=0.0, shear=0.0, scale=(0.5, 1.0))],
        ]
    ),
)
@settings(max_examples=120, deadline=None)
def test_boxes_hold_the_painted_objects(seed, shape, size, count, dtype, chain):
    before = painted(seed, *shape, count, least=6, dtype=dtype)
    after = place(np.random.default_rng(seed), before, size, chain)
    assert_sound(after, size, before)
    assert_mask_follows_image(after)
    for box, mask in zip(after.boxes, after.masks, strict=True):
        if not mask.any():
            continue  # of an object cut off, only the box's empty corner is left
        # Tight it is around the moved corners, see below: they may be too sharp to hold a pixel's centre.
        found = tight(mask)
        assert (box[:2] <= found[:2] + 1.5).all() and (box[2:] >= found[2:] - 1.5).all()


@given(st.integers(0, 10**6), SHAPES, st.integers(0, 300))
@settings(max_examples=60, deadline=None)
def test_any_number_of_boxes(seed, size, count):
    before = painted(seed, 60, 80, count, masks=False)
    before.labels = np.arange(count)
    before.difficult = before.labels == 2
    chain = [Affine(), Perspective(strength=0.2)]
    after = place(np.random.default_rng(seed), before, size, chain)
    assert_sound(after, size, before)
    assert (np.diff(after.labels) > 0).all(), "objects stay in their order, each once"
    again = place(np.random.default_rng(seed), before, size, chain)
    np.testing.assert_array_equal(again.image, after.image)
    np.testing.assert_array_equal(again.boxes, after.boxes)


@given(st.integers(0, 10**6), SHAPES)
@settings(max_examples=60, deadline=None)
def test_boxes_are_those_around_opencvs_corners(seed, size):
    matrix = Perspective(strength=0.2).matrix(np.random.default_rng(seed), size)
    boxes = painted(seed, *size, 5, masks=False).boxes
    for box, moved in zip(boxes, transform_boxes(boxes, matrix), strict=True):
        points = cv2.perspectiveTransform(corners_of(box), matrix)[0]
        np.testing.assert_allclose(moved, [*points.min(0), *points.max(0)], atol=1e-9)


def test_corners_move_as_far_as_stated():
    frame, moves = corners_of((0, 0, 200, 100)), []
    for seed in range(200):
        matrix = Perspective(strength=0.1).matrix(np.random.default_rng(seed), (100, 200))
        moves.append((cv2.perspectiveTransform(frame, matrix) - frame)[0] / (200, 100))
    moves = np.array(moves)
    assert np.abs(moves).max() <= 0.1 + 1e-6 and np.ptp(moves, 0).min() > 0.19
    assert np.abs(np.corrcoef(moves.reshape(200, 8).T) - np.eye(8)).max() < 0.3, "each by itself"


def test_pixels_go_where_opencv_takes_them():
    """A dot is found where its centre's projection is."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y = rng.integers(20, 80, 2)
        image = np.zeros((100, 100, 3), np.uint8)
        image[y - 3 : y + 4, x - 3 : x + 4] = 255
        matrix = Perspective(strength=0.15).matrix(rng, (100, 100))
        moved = warp(Sample(image), matrix, (100, 100)).image[..., 0].astype(float)
        moved[moved < 150] = 0  # the grey around the picture
        rows, columns = np.mgrid[:100, :100] + 0.5
        found = np.array([(moved * columns).sum(), (moved * rows).sum()]) / moved.sum()
        expected = cv2.perspectiveTransform(np.array([[[x + 0.5, y + 0.5]]]), matrix)[0, 0]
        np.testing.assert_allclose(found, expected, atol=0.3)


def test_a_multiple_of_an_affine_matrix_is_the_same_map():
    """Which goes the projective way: the two ways agree."""
    sample = painted(0, 90, 120, 8, least=10)
    matrix = np.array([[0.8, 0.1, 5.0], [-0.05, 0.9, 3.0], [0.0, 0.0, 1.0]])
    once, twice = warp(sample, matrix, (100, 100)), warp(sample, 2 * matrix, (100, 100))
    np.testing.assert_allclose(once.boxes, twice.boxes, atol=1e-4)
    np.testing.assert_array_equal(once.labels, twice.labels)
    # OpenCV 4 places its samples on a grid of 1/32 pixel.
    assert np.abs(once.image.astype(int) - twice.image).max() <= 10
    assert (once.mask != twice.mask).mean() < 0.01


def test_a_picture_far_out_of_the_frame_stays_in_front():
    for seed in range(100):
        chain = [
            Affine(scale=(5.0, 5.0), translate=1.0),
            Perspective(strength=0.2),
            Perspective(strength=0.2),
        ]
        before = painted(seed, 50, 70, 5, least=5)
        assert_sound(place(np.random.default_rng(seed), before, (64, 64), chain), (64, 64), before)


def test_a_horizon_in_the_picture_is_refused():
    matrix = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, -0.02, 1.0]])
    with pytest.raises(ValueError, match="horizon"):
        warp(Sample(np.zeros((100, 100, 3), np.uint8), [[0, 0, 100, 100]], [0]), matrix, (100, 100))


def test_crops_and_mosaics_take_it_along():
    compose = Compose([Mosaic(), Perspective()])
    for seed in range(30):
        before = painted(seed, 60, 80, 6, least=8)
        chain = [Perspective(strength=0.2), RandomResizedCrop(), Perspective()]
        after = place(np.random.default_rng(seed), before, (96, 128), chain)
        assert_sound(after, (96, 128), before)
        assert_mask_follows_image(after)
        rng = np.random.default_rng(seed)
        after = compose(rng, before, (96, 128), functools.partial(painted, seed, 60, 80, 6))
        assert_sound(after, (96, 128), before)
        for box, mask in zip(after.boxes, after.masks, strict=True):
            if mask.any():
                x1, y1, x2, y2 = tight(mask)
                assert (box[:2] <= (x1 + 1.5, y1 + 1.5)).all() and (box[2:] >= (x2 - 1.5, y2 - 1.5)).all()


def test_share_of_samples_and_the_rest_stays_affine(monkeypatch):
    moved = [
        not np.array_equal(Perspective(p=0.3).matrix(np.random.default_rng(s), (64, 64)), np.eye(3))
        for s in range(400)
    ]
    assert 0.22 < np.mean(moved) < 0.38
    monkeypatch.delattr(cv2, "warpPerspective")  # affine chains do not pay for it
    sample = painted(0, 60, 80, 3)
    for chain in ([Affine()], [Perspective(p=0.0), Affine()], [Perspective(strength=0.0)]):
        place(np.random.default_rng(0), sample, (64, 64), chain)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"strength": 0.3}, "perspective: strength=0.3; give a number from 0 to 0.2"), ({"p": "a"}, "p='a'")],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Perspective(**arguments)
