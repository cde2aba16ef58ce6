"""Geometric transforms: the boxes are where the pixels went."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzoo.augment import Affine, Flip, FlipVertical, Rotate90, place, warp
from kzoo.augment.geometric import clip_boxes, transform_boxes, warp_image
from kzoo.structures import Sample

ALWAYS = [Flip(p=1.0), FlipVertical(p=1.0), Rotate90(), Affine(rotate=0.0, shear=0.0)]


def painted(seed: int, height: int, width: int) -> Sample:
    """One bright rectangle on black, with its box and mask."""
    rng = np.random.default_rng(seed)
    w, h = rng.integers(20, width // 2), rng.integers(20, height // 2)
    x, y = rng.integers(0, width - w), rng.integers(0, height - h)
    image = np.zeros((height, width, 3), np.uint8)
    image[y : y + h, x : x + w] = 255
    return Sample(
        image,
        [[x, y, x + w, y + h]],
        [1],
        masks=image[None, ..., 0] > 0,
        mask=(image[..., 0] > 0).astype(np.uint8),
    )


def tight(mask: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@given(
    st.integers(0, 10**6),
    st.sampled_from([(240, 320), (320, 240), (300, 300)]),
    st.sampled_from([160, 320, 416]),
)
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("transform", ALWAYS, ids=lambda t: type(t).__name__)
def test_box_is_tight_around_the_painted_object(transform, seed, shape, side):
    rng = np.random.default_rng(seed)
    moved = place(rng, painted(seed, *shape), (side, side), [transform])
    assert moved.image.dtype == np.uint8 and moved.image.shape == (side, side, 3)
    if len(moved.boxes):
        bright = moved.image[..., 0] > 184  # halfway between the object and the grey around the picture
        np.testing.assert_allclose(moved.boxes[0], tight(bright), atol=1.5)
        np.testing.assert_allclose(moved.boxes[0], tight(moved.masks[0]), atol=1.5)
        np.testing.assert_allclose(moved.boxes[0], tight(moved.mask == 1), atol=1.5)


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_turned_boxes_hold_the_object(seed):
    transform = Affine(rotate=15.0, shear=8.0, translate=0.3)
    moved = place(np.random.default_rng(seed), painted(seed, 240, 320), (320, 320), [transform])
    if len(moved.boxes):
        x1, y1, x2, y2 = tight(moved.masks[0])
        box = moved.boxes[0]
        assert box[0] <= x1 + 1 and box[1] <= y1 + 1 and box[2] >= x2 - 1 and box[3] >= y2 - 1
        if box.min() > 0 and box.max() < 320:  # of an object cut off, the highest corner may be outside
            np.testing.assert_allclose(box, (x1, y1, x2, y2), atol=2.5)


@given(
    st.integers(0, 10**6),
    st.integers(0, 300),
    st.sampled_from([[Affine()], [Flip(), Affine(scale=(0.3, 3.0))], [Rotate90()]]),
)
@settings(max_examples=100, deadline=None)
def test_boxes_stay_inside_labels_stay_with_them(seed, count, geometric):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, (120, 90), (count, 2, 2))
    boxes = np.concatenate([points.min(1), points.max(1)], 1)
    # The label tells the box's area, so that a mix-up shows.
    sample = Sample(
        np.zeros((90, 120, 3), np.uint8),
        boxes,
        np.arange(count),
        difficult=np.arange(count) % 3 == 0,
        crowd=np.arange(count) % 5 == 0,
    )
    state = rng.bit_generator.state
    moved = place(rng, sample, (64, 96), geometric)
    assert moved.boxes.shape == (len(moved.labels), 4) and moved.boxes.dtype == np.float32
    assert (moved.boxes[:, :2] >= 0).all() and (moved.boxes[:, 2:] <= (96, 64)).all()
    assert ((moved.boxes[:, 2:] - moved.boxes[:, :2]) >= 0.999).all()
    np.testing.assert_array_equal(moved.difficult, moved.labels % 3 == 0)
    np.testing.assert_array_equal(moved.crowd, moved.labels % 5 == 0)
    # Each surviving box alone, by the same matrix, ends where it did in company.
    for i in range(0, len(moved.labels), 40):
        rng.bit_generator.state = state
        alone = place(rng, Sample(sample.image, boxes[[moved.labels[i]]], [0]), (64, 96), geometric)
        np.testing.assert_array_equal(alone.boxes[0], moved.boxes[i])


def test_flips_equal_numpy():
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    sample = Sample(image, [[1, 2, 11, 22]], [0])
    rng = np.random.default_rng(0)
    flipped = Flip(p=1.0)(rng, sample)
    np.testing.assert_array_equal(flipped.image, image[:, ::-1])
    np.testing.assert_allclose(flipped.boxes, [[39, 2, 49, 22]])
    upside = FlipVertical(p=1.0)(rng, sample)
    np.testing.assert_array_equal(upside.image, image[::-1])
    np.testing.assert_allclose(upside.boxes, [[1, 8, 11, 28]])
    assert Flip(p=0.0)(rng, sample).image is not image
    np.testing.assert_array_equal(Flip(p=0.0)(rng, sample).image, image)


def test_quarter_turns_equal_numpy():
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    sample = Sample(image, [[0, 0, 10, 20]], [0])
    rng = np.random.default_rng(1)
    turns = [Rotate90()(rng, sample) for _ in range(40)]
    expected = [np.rot90(image, -k) for k in range(4)]
    matches = [next(k for k in range(4) if np.array_equal(turn.image, expected[k])) for turn in turns]
    assert set(matches) == {0, 1, 2, 3}
    boxes = [[0, 0, 10, 20], [20, 0, 40, 10], [30, 20, 40, 40], [0, 30, 20, 40]]
    for turn, k in zip(turns, matches, strict=True):
        np.testing.assert_allclose(turn.boxes[0], boxes[k], atol=1e-4)


@pytest.mark.parametrize(("share", "stays"), [(0.5, 1), (0.2, 1), (0.1, 0), (0.0, 0)])
def test_objects_mostly_outside_are_left_out(share, stays):
    sample = Sample(np.zeros((100, 100, 3), np.uint8), [[40, 40, 60, 60]], [0])
    shift = np.array([[1.0, 0, -60 + 20 * share], [0, 1, 0], [0, 0, 1]])
    assert len(warp(sample, shift, (100, 100)).boxes) == stays


def test_objects_too_small_to_see_are_left_out():
    sample = Sample(np.zeros((100, 100, 3), np.uint8), [[0, 0, 50, 1.9], [0, 0, 50, 2.1]], [0, 1])
    np.testing.assert_array_equal(warp(sample, np.diag([0.5, 0.5, 1]), (50, 50)).labels, [1])


def test_a_warp_equals_opencv_resize():
    image = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8), (0, 0), 2
    )
    warped = warp_image(image, np.diag([0.75, 0.75, 1.0]), (72, 96))
    resized = cv2.resize(image, (96, 72), interpolation=cv2.INTER_LINEAR)
    # The outermost row mixes with the ground in a warp.
    assert np.abs(warped.astype(int) - resized)[1:-1, 1:-1].max() <= 2


def test_strong_shrinking_averages():
    image = np.zeros((800, 800, 3), np.uint8)
    image[:, ::8] = 255
    warped = warp_image(image, np.diag([0.1, 0.1, 1.0]), (80, 80))
    assert warped[5:-5, 5:-5].mean() == pytest.approx(32, abs=2) and warped[5:-5, 5:-5].std() < 12


def test_no_boxes_keep_their_shape():
    assert transform_boxes(np.zeros((0, 4)), np.eye(3)).shape == (0, 4)
    clipped, keep = clip_boxes(np.zeros((0, 4)), (0, 0, 5, 5))
    assert clipped.shape == (0, 4) and keep.shape == (0,)
    empty = Sample(np.zeros((8, 8, 3), np.uint8), masks=np.zeros((0, 8, 8), bool))
    moved = warp(empty, np.eye(3), (16, 16))
    assert moved.boxes.shape == (0, 4) and moved.masks.shape == (0, 16, 16)


def test_probability_and_seed():
    size = (100, 100)
    moved = [
        not np.array_equal(Flip(0.3).matrix(np.random.default_rng(i), size), np.eye(3)) for i in range(500)
    ]
    assert 0.22 < np.mean(moved) < 0.38
    first, again = (Affine().matrix(np.random.default_rng(5), size) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(Affine(p=0.0).matrix(np.random.default_rng(5), size), np.eye(3))
