"""Crops of objects, of background and of pictures with masks: where they lie, and what is said of them."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from kzoo.augment.letterbox import FILL
from kzoo.data import batches
from kzoo.data.formats.shapes import Shapes
from kzoo.data.loading.crops import (
    SIDES,
    PixelShares,
    background_squares,
    cut,
    fitting_side,
    object_crops,
    pixel_shares,
    squares_around,
    tiles,
)
from kzoo.structures import Sample

COUNT, SIDE = 12, 64


class Listed:
    """A dataset as a user writes it: samples in a list, and no `record`."""

    semantic = False

    def __init__(self, samples, classes=("ball", "cube")):
        self.samples, self.classes = samples, list(classes)

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def picture(width=100, height=80):
    """Each pixel another colour: red is its column and green its row."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([columns, rows, np.full_like(rows, 200)], -1).astype(np.uint8)


@st.composite
def boxes_within(draw, width=100, height=80):
    x1, y1 = draw(st.floats(0, width - 2)), draw(st.floats(0, height - 2))
    return [x1, y1, draw(st.floats(x1 + 1, width)), draw(st.floats(y1 + 1, height))]


@given(boxes_within())
@settings(max_examples=100)
def test_a_box_lies_in_the_middle_of_its_square(box):
    x1, y1, x2, y2 = box
    [square] = squares_around(np.array([box]))
    sides = square[2:] - square[:2]
    np.testing.assert_allclose(square[:2] + square[2:], (x1 + x2, y1 + y2), atol=1e-9)
    np.testing.assert_allclose(sides, 1.25 * max(x2 - x1, y2 - y1))


@given(boxes_within(), st.sampled_from(SIDES))
@settings(max_examples=100)
def test_a_crop_shows_the_picture_and_grey_beside_it(box, side):
    """The pixel in the middle is the box's, and what lies outside of the picture is grey and ignored."""
    mask = np.ones((80, 100), np.uint8)
    [square] = squares_around(np.array([box]))
    crop = cut(Sample(picture(), mask=mask), square, side)
    assert crop.size == (side, side) and crop.mask.shape == (side, side)
    scale = side / (square[2] - square[0])
    middles = (np.arange(side) + 0.5) / scale  # of the crop's pixels, from the square's corner
    xs, ys = square[0] + middles, square[1] + middles
    border = 1 + 1 / scale  # pixels near the picture's edge are mixed with grey
    inside_x, inside_y = (xs > border) & (xs < 100 - border), (ys > border) & (ys < 80 - border)
    outside_x, outside_y = (xs < -border) | (xs > 100 + border), (ys < -border) | (ys > 80 + border)
    inside, outside = np.outer(inside_y, inside_x), outside_y[:, None] | outside_x[None]
    expected = np.stack(np.broadcast_arrays(xs[None] - 0.5, ys[:, None] - 0.5), -1)
    tolerance = 1.5 + 1.5 / scale
    assert np.abs(crop.image[..., :2] - expected)[inside].max(initial=0) <= tolerance
    assert (crop.image[outside] == FILL).all() and (crop.mask[outside] == 255).all()
    assert (crop.mask[inside] == 1).all()


def test_crops_have_the_labels_of_their_objects_and_backgrounds_one_of_their_own():
    image = np.full((80, 100, 3), 50, np.uint8)
    image[10:30, 10:30] = 255  # a ball, and a cube
    image[50:60, 60:70] = 150
    sample = Sample(image, [[10, 10, 30, 30], [60, 50, 70, 60]], [0, 1])
    crops = object_crops(Listed([sample] * 4), SIDE)
    assert crops.classes == ["ball", "cube", "background"] and crops.shown == 3
    levels = {"ball": 255, "cube": 150, "background": 50}
    for crop, share in zip(crops.images, crops.shares, strict=True):
        assert share.sum() == 1
        level = levels[crops.classes[share.argmax()]]
        assert abs(int(crop[SIDE // 2, SIDE // 2, 0]) - level) < 40  # half grey at the picture's very edge


def test_what_is_not_learnt_from_is_neither_object_nor_background():
    """A crowd, a difficult object, an unknown class, a box outside of the picture."""
    boxes = [[0, 0, 100, 40], [0, 40, 100, 80], [20, 20, 40, 40], [200, 200, 210, 210], [10, 10, 20, 20]]
    sample = Sample(
        picture(),
        boxes,
        [0, 0, 7, 0, 1],
        crowd=[True, False, False, False, False],
        difficult=[False, True, False, False, False],
    )
    crops = object_crops(Listed([sample]), SIDE)
    assert crops.shares.tolist() == [[0, 1, 0]]


@given(st.lists(boxes_within(), min_size=1, max_size=6), st.integers(0, 10**6))
@settings(max_examples=50)
def test_backgrounds_keep_away_from_boxes(boxes, seed):
    sample = Sample(picture(), boxes, [0] * len(boxes))
    sized = squares_around(sample.boxes)
    found = background_squares(np.random.default_rng(seed), sample, sized, 3)
    assert len(found) <= 3
    largest = (sized[:, 2] - sized[:, 0]).max()
    for x1, y1, x2, y2 in found:
        assert x2 - x1 == pytest.approx(y2 - y1) and x2 - x1 <= largest * 1.0001
        for low, high, length in ((x1, x2, 100), (y1, y2, 80)):
            out = max(0, -low) + max(0, high - length)
            assert out <= max(0.101 * (high - low), high - low - length)
        for left, top, right, bottom in boxes:
            common = max(0, min(x2, right) - max(x1, left)) * max(0, min(y2, bottom) - max(y1, top))
            assert common <= 0.101 * min((x2 - x1) ** 2, (right - left) * (bottom - top))


def test_pictures_without_objects_are_background_of_the_size_of_others():
    empty, full = Sample(picture()), Sample(picture(), [[10, 10, 30, 30]], [0])
    assert len(object_crops(Listed([empty] * 3), SIDE)) == 0
    crops = object_crops(Listed([empty] * 3 + [full] * 3), SIDE)
    assert crops.shares.sum(0)[0] == 3 and crops.shares.sum(0)[2] >= 3


def test_no_more_images_are_read_than_are_needed():
    dataset = Listed([Sample(picture(), [[10, 10, 30, 30]], [0])] * 50)
    reads = []
    dataset.__class__ = type(
        "Counted", (Listed,), {"__getitem__": lambda self, index: reads.append(index) or self.samples[index]}
    )
    assert len(object_crops(dataset, SIDE, most=7)) == 7 and len(reads) <= 7


@pytest.mark.parametrize("make", [object_crops, lambda data, side, seed: tiles(data, side, (64, 64), seed)])
def test_the_same_seed_gives_the_same_crops(make):
    data = Shapes(COUNT, (96, 96), task="detect" if make is object_crops else "segment")
    one, again, other = (make(data, SIDE, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.images, again.images)
    np.testing.assert_array_equal(one.shares, again.shares)
    assert not np.array_equal(one.images, other.images)


def test_the_side_fits_the_boxes():
    def boxes_of(side):
        return Listed([Sample(picture(), [[0, 0, side, 8]], [0])])

    assert fitting_side(boxes_of(40), (80, 100)) == 64 and fitting_side(boxes_of(80), (80, 100)) == 128
    assert fitting_side(boxes_of(40), (160, 200)) == 128  # of the network's input
    assert fitting_side(Shapes(4, (256, 256)), (64, 64)) == 64
    assert fitting_side(Listed([Sample(picture())]), (80, 100)) == 64


def test_tiles_cover_pictures_at_the_network_s_scale():
    mask = np.zeros((80, 160), np.uint8)
    mask[:, :20] = 2
    mask[:, 150:] = 255
    dataset = Listed([Sample(picture(160), mask=mask)], "abc")
    found = tiles(dataset, 64, image_size=(128, 128))  # into which a picture of 160 pixels is fitted at 0.8
    assert len(found) == 2 and found.shown == 2  # 2 tiles of 80 pixels are as large as the picture
    small = tiles(dataset, 64, image_size=(640, 1280))
    assert len(small) == 200
    for image, tile, share in zip(small.images, small.masks, small.shares, strict=True):
        np.testing.assert_array_equal(share, pixel_shares(tile, 3))
        assert share.sum() == pytest.approx(1)
        assert (
            image[4:-4, 4:-4, 2] == 200
        ).all()  # within the picture, whose outermost half pixel is mixed with grey
    assert 60 < (small.shares[:, 2] > 0).sum() < 160  # an eighth of the pixels, around half of the tiles


def test_a_picture_smaller_than_a_tile_lies_in_its_middle():
    mask = np.ones((40, 64), np.uint8)
    found = tiles(Listed([Sample(picture(64, 40), mask=mask)]), 64, image_size=(64, 64))
    assert found.shares.tolist() == [[0, 1]]
    assert (found.masks[0] == 255).sum(0).tolist() == [24] * 64 and (found.masks[0][12:52] == 1).all()


def test_shares_are_of_what_pixels_are_known():
    mask = np.array([[0, 0, 0, 2], [255, 255, 255, 9]], np.uint8)
    assert pixel_shares(mask, 3).tolist() == [0.75, 0, 0.25]
    assert pixel_shares(np.full((2, 2), 255, np.uint8), 3).tolist() == [0, 0, 0]


def test_batches_say_what_is_left_in_a_tile():
    """Shifted half out of the frame, a tile shows what the rest of it shows."""
    data = tiles(Shapes(COUNT, (96, 96), task="segment"), SIDE, (96, 96))
    augment = [{"affine": {"translate": 0.5, "scale": (1.0, 2.0)}}, PixelShares(4)]
    plain, moved = (
        next(iter(batches(data, SIDE, 8, chosen, shuffle=False)))[1]["label"] for chosen in ("none", augment)
    )
    np.testing.assert_array_equal(plain, data.shares[:8])
    assert np.abs(moved - plain).max() > 0.05
    np.testing.assert_allclose(moved.sum(1), 1, rtol=1e-5)
