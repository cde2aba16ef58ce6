"""Crops: the part is drawn as stated, and what is not in it is gone, for good."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from painting import assert_mask_follows_image, assert_sound, painted, tight
from pycocotools import mask as coco

from kzoo.augment import Affine, Compose, Flip, Mosaic, Rotate90, place
from kzoo.augment.crop import DETRCrop, RandomResizedCrop, SSDCrop
from kzoo.structures import Sample

CROPS = [
    [RandomResizedCrop()],
    [RandomResizedCrop(scale=(0.01, 0.2), ratio=(0.3, 3.0))],
    [SSDCrop()],
    [SSDCrop(zoom_out=1.0)],
    [Flip(p=1.0), SSDCrop(), RandomResizedCrop()],
    [RandomResizedCrop(), Affine(rotate=0.0, shear=0.0)],
    [Flip(), DETRCrop()],
    [DETRCrop(crop=(30, 200), p=1.0)],
]
SHAPES = st.tuples(st.integers(20, 200), st.integers(20, 200))


def blank(height: int, width: int, boxes=()) -> Sample:
    return Sample(np.full((height, width, 3), 255, np.uint8), boxes, np.arange(len(boxes)))


def part_of(kept: Sample, matrix: np.ndarray, before: Sample, size=(90, 120)) -> np.ndarray:
    """The part that became the frame, in the pixels of the whole picture."""
    inverse = np.linalg.inv(matrix)
    corners = np.array([[0.0, 0.0], [size[1], size[0]]]) @ inverse[:2, :2].T + inverse[:2, 2]
    # What was left is a window on the same memory: how far its start is tells where it was cut.
    start = kept.image.__array_interface__["data"][0] - before.image.__array_interface__["data"][0]
    y, x = divmod(start // 3, before.size[1])
    return (corners + np.array([x, y])).ravel()


@given(st.integers(0, 10**6), SHAPES, SHAPES, st.integers(0, 12), st.sampled_from([np.uint8, np.int32]))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("chain", CROPS, ids=lambda chain: " ".join(type(t).__name__ for t in chain))
def test_boxes_are_tight_around_the_painted_objects(chain, seed, shape, size, count, dtype):
    before = painted(seed, *shape, count, least=4, dtype=dtype)
    after = place(np.random.default_rng(seed), before, size, chain)
    assert_sound(after, size, before)
    assert_mask_follows_image(after)
    for box, mask in zip(after.boxes, after.masks, strict=True):
        np.testing.assert_allclose(box, tight(mask), atol=1.5)


@given(st.integers(0, 10**6), SHAPES, SHAPES, st.integers(0, 300))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("chain", CROPS, ids=lambda chain: " ".join(type(t).__name__ for t in chain))
def test_any_number_of_boxes(chain, seed, shape, size, count):
    before = painted(seed, *shape, count, masks=False)
    before.labels = np.arange(count)
    before.difficult = before.labels == 2
    rng = np.random.default_rng(seed)
    after = place(rng, before, size, chain)
    assert_sound(after, size, before)
    assert len(set(after.labels)) == len(after.labels)
    assert (np.diff(after.labels) > 0).all(), "objects stay in their order"
    again = place(np.random.default_rng(seed), before, size, chain)
    np.testing.assert_array_equal(again.image, after.image)
    np.testing.assert_array_equal(again.boxes, after.boxes)


@given(st.integers(0, 10**6), st.floats(0.05, 1.0))
@settings(max_examples=100, deadline=None)
def test_visible_share_decides(seed, least):
    rng = np.random.default_rng(seed)
    before = painted(seed, 90, 120, 20, least=2)
    before.labels = np.arange(20)
    inside = np.zeros((900, 1200), bool)  # ten times finer than the picture
    kept, matrix = RandomResizedCrop(min_visible=least).extend(rng, before, np.eye(3), (90, 120))
    x1, y1, x2, y2 = part_of(kept, matrix, before)
    inside[round(y1 * 10) : round(y2 * 10), round(x1 * 10) : round(x2 * 10)] = True
    for label, (a, b, c, d) in enumerate(before.boxes.astype(int) * 10):
        share = inside[b:d, a:c].mean()
        if abs(share - least) > 0.03:
            assert (label in kept.labels) == (share > least)


def test_area_and_aspect_are_drawn_within_their_bounds():
    sample = blank(90, 120, [[0, 0, 120, 90]])
    shares, stretches = [], []
    for seed in range(400):
        transform = RandomResizedCrop(scale=(0.2, 0.6), ratio=(0.5, 1.5))
        kept, matrix = transform.extend(np.random.default_rng(seed), sample, np.eye(3), (90, 120))
        x1, y1, x2, y2 = part_of(kept, matrix, sample)
        shares.append((x2 - x1) * (y2 - y1) / (90 * 120))
        stretches.append((x2 - x1) / (y2 - y1) / (120 / 90))
        assert x1 >= -1e-6 and y1 >= -1e-6 and x2 <= 120 + 1e-6 and y2 <= 90 + 1e-6
    assert min(shares) >= 0.2 - 1e-9 and max(shares) <= 0.6 + 1e-9 and np.ptp(shares) > 0.38
    assert min(stretches) >= 0.5 - 1e-9 and max(stretches) <= 1.5 + 1e-9 and np.ptp(stretches) > 0.9


@pytest.mark.parametrize("size", [(100, 100), (60, 200), (200, 60)])
def test_no_grey_in_a_crop_of_a_letterboxed_picture(size):
    for seed in range(30):
        after = place(np.random.default_rng(seed), blank(50, 80), size, [RandomResizedCrop(scale=(0.1, 0.3))])
        # At the picture's edge the outermost pixel is mixed with the ground, but nothing is ground alone.
        assert after.image.min() > 140


def test_an_object_is_left_if_there_was_one():
    for seed in range(100):
        sample = blank(200, 200, [[150, 20, 156, 26]])
        for transform in (RandomResizedCrop(scale=(0.02, 0.1)), SSDCrop()):
            assert len(transform(np.random.default_rng(seed), sample).boxes) == 1


def test_what_was_cut_off_does_not_come_back():
    """Its objects are gone: a transform that makes the picture smaller again must not show it."""
    image = np.zeros((100, 100, 3), np.uint8)
    image[40:60, 40:60] = 255
    for seed in range(50):
        crop = RandomResizedCrop(scale=(0.01, 0.02))
        chain = [crop, Affine(scale=(0.3, 0.3), translate=0.0, rotate=0.0, shear=0.0)]
        after = place(np.random.default_rng(seed), Sample(image, [[40, 40, 60, 60]], [0]), (400, 400), chain)
        grey = (after.image == 114).all(2)
        assert len(after.boxes) == 1
        # The frame shrunk to 0.3 of its side, and two pixels of the picture around it, which are up to 14 wide.
        assert (~grey).mean() < (0.3 + 2 * 2 * 14 / 400) ** 2
        x1, y1, x2, y2 = after.boxes[0]
        assert x1 >= 140 - 28 and y1 >= 140 - 28 and x2 <= 260 + 28 and y2 <= 260 + 28


def test_mosaics_label_all_that_they_show():
    def sample(seed):
        image = np.zeros((80, 80, 3), np.uint8)
        boxes = [[x, y, x + 20, y + 20] for y in (0, 30, 60) for x in (0, 30, 60)]
        for i, (x, y, x2, y2) in enumerate(boxes):
            image[y:y2, x:x2] = (10 * (i + 1), 60 * seed + 20, 255)
        return Sample(image, boxes, 9 * seed + np.arange(9))

    crops = {  # and what of an object may be seen, although it is left out
        RandomResizedCrop(scale=(0.25, 0.25), ratio=(1.0, 1.0)): 0.15,
        SSDCrop(scale=(0.5, 0.5), ratio=(1.0, 1.0), zoom_out=1.0): 0.5,
    }
    for seed in range(30):
        for crop, most in crops.items():
            others = iter([sample(1), sample(2), sample(3)])
            compose = Compose([Mosaic(), crop])
            after = compose(np.random.default_rng(seed), sample(0), (160, 160), others.__next__)
            for label in set(range(36)) - set(after.labels):
                paint = (10 * (label % 9 + 1), 60 * (label // 9) + 20, 255)
                shown = (after.image == paint).all(2)
                assert (
                    shown.sum() <= most * 80**2 + 100
                )  # twice by the letterbox, twice by the crop: 80 pixels


@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))
@settings(max_examples=150, deadline=None)
def test_ssd_parts_fulfil_the_wish_and_go_by_centres(seed, wish):
    before = painted(seed, 90, 120, 4, least=20)
    before.labels = np.arange(4)
    transform = SSDCrop(min_iou=(wish,), zoom_out=1.0)
    kept, matrix = transform.extend(np.random.default_rng(seed), before, np.eye(3), (90, 120))
    x1, y1, x2, y2 = part = part_of(kept, matrix, before)
    if np.allclose(part, (0, 0, 120, 90)):
        assert len(kept.boxes) == 4
        return
    sides = (x2 - x1) * (y2 - y1)
    assert 0.09 - 1e-6 <= sides / (90 * 120) <= 1
    assert 0.5 - 1e-6 <= (x2 - x1) / (y2 - y1) * 90 / 120 <= 2 + 1e-6
    as_coco = np.concatenate([before.boxes[:, :2], before.boxes[:, 2:] - before.boxes[:, :2]], 1)
    ious = coco.iou(as_coco.astype(float), np.array([[x1, y1, x2 - x1, y2 - y1]]), [0])
    assert ious.max() >= wish - 1e-6
    centres = (before.boxes[:, :2] + before.boxes[:, 2:]) / 2
    inside = ((centres >= part[:2]) & (centres < part[2:])).all(1)
    np.testing.assert_array_equal(kept.labels, np.flatnonzero(inside))
    assert inside.any()


def test_ssd_parts_are_as_large_as_stated():
    sample, sides = blank(90, 120), []
    for seed in range(400):
        transform = SSDCrop(min_iou=(0.0,), zoom_out=1.0, ratio=(0.9, 1.1))
        kept, matrix = transform.extend(np.random.default_rng(seed), sample, np.eye(3), (90, 120))
        x1, y1, x2, y2 = part_of(kept, matrix, sample)
        sides.append(math.sqrt((x2 - x1) * (y2 - y1) / (90 * 120)))
    parts = [side for side in sides if side < 1 - 1e-9]
    assert 0.3 <= min(parts) < 0.33 and max(parts) > 0.94
    assert np.mean(parts) == pytest.approx(0.64, abs=0.04), (
        "evenly, but that the largest stick out more often"
    )


def test_ssd_wishes_come_equally_often():
    """A part or the whole half the time each, where there is one wish that can be fulfilled; else the whole."""
    any_part, near = SSDCrop(min_iou=(0.0,), zoom_out=1.0), SSDCrop(min_iou=(0.9,), zoom_out=1.0)
    large, small = blank(100, 100, [[10, 10, 90, 90]]), blank(100, 100, [[10, 10, 20, 20]])

    def is_cut(transform, sample, seed):
        kept, _ = transform.extend(np.random.default_rng(seed), sample, np.eye(3), (100, 100))
        return kept.size != (100, 100)

    assert 0.4 < np.mean([is_cut(any_part, large, seed) for seed in range(400)]) < 0.6
    assert not any(is_cut(near, small, seed) for seed in range(50))


def test_zoom_out_lays_the_picture_on_grey_ground():
    sample, shares, places = blank(60, 80, [[0, 0, 80, 60]]), [], []
    for seed in range(200):
        after = place(np.random.default_rng(seed), sample, (120, 160), [SSDCrop(min_iou=(), zoom_out_p=1.0)])
        picture = (after.image > 184).all(2)
        np.testing.assert_allclose(after.boxes[0], tight(picture), atol=1.5)
        width, height = after.boxes[0, 2:] - after.boxes[0, :2]
        assert width / height == pytest.approx(4 / 3, rel=1e-4)
        shares.append(160 / width)
        if width < 150:
            places.append(after.boxes[0, :2] / (160 - width, 120 - height))
    assert 1 <= min(shares) < 1.1 and 3.9 < max(shares) <= 4
    assert np.mean(shares) == pytest.approx(2.5, abs=0.15)
    assert np.min(places) < 0.05 and np.max(places) > 0.95 and np.mean(places) == pytest.approx(0.5, abs=0.06)
    sometimes = [
        place(np.random.default_rng(s), sample, (60, 80), [SSDCrop(min_iou=())]).boxes[0, 2]
        for s in range(200)
    ]
    assert 0.4 < np.mean(np.array(sometimes) < 80) < 0.6


def test_detr_s_sizes_are_those_of_the_paper():
    """Without a crop the shorter side is one of 480, 512, ... 800 where 800 fills the input, equally often."""
    sample, seen = blank(60, 60, [[0, 0, 60, 60]]), []
    for seed in range(600):
        after = place(np.random.default_rng(seed), sample, (800, 800), [DETRCrop(p=0.0)])
        assert after.boxes[0, :2].tolist() == [0, 0] and after.boxes[0, 2] == pytest.approx(after.boxes[0, 3])
        seen.append(round(float(after.boxes[0, 2])))
    lengths, counts = np.unique(seen, return_counts=True)
    assert lengths.tolist() == list(range(480, 801, 32))
    assert counts.min() > 600 / 11 * 0.6 and counts.max() < 600 / 11 * 1.5


@pytest.mark.parametrize("resize", ["corner", "letterbox", "stretch"])
def test_detr_s_crops_keep_their_shape_in_the_corner(resize):
    """Sides of a crop are 384 to 600 pixels of a copy whose shorter side is 400, 500 or 600, or all that it has."""
    sample, sides, shares = blank(100, 200, [[0, 0, 200, 100]]), [], []
    for seed in range(300):
        after = place(np.random.default_rng(seed), sample, (120, 160), [DETRCrop(p=1.0)], resize)
        x1, y1, x2, y2 = after.boxes[0]  # what is seen of an object that fills the picture: the crop
        assert (x1, y1) == (0, 0) and x2 <= 160 and y2 <= 120
        share = max((x2 - x1) / 160, (y2 - y1) / 120)
        shares.append(share)
        sides.append((x2 / share, y2 / share))
        covered = (after.image > 184).all(2)
        np.testing.assert_allclose(tight(covered), after.boxes[0], atol=2.5)
    assert min(shares) > 0.59 and max(shares) < 1.01 and np.ptp(shares) > 0.38
    ratios = np.array([width / height for width, height in sides])
    assert 0.6 < ratios.min() < 0.8 and 1.4 < ratios.max() < 1.62  # of 384 to 600 and of 600 to 384


def test_detr_s_crops_fall_on_all_of_the_picture():
    """A small object is in the crop as often as crops of that size cover its place, and its surroundings with it."""
    sample = blank(100, 100, [[49, 49, 51, 51]])
    edge = blank(100, 100, [[0, 0, 2, 2]])
    crop = DETRCrop(p=1.0, shorter=(600,), crop=(300, 300))
    kept = [len(place(np.random.default_rng(seed), sample, (100, 100), [crop]).boxes) for seed in range(200)]
    assert np.mean(kept) > 0.97  # half of either side, wherever it lies, has the middle
    kept = [len(place(np.random.default_rng(seed), edge, (100, 100), [crop]).boxes) for seed in range(200)]
    assert np.mean(kept) < 0.03


def test_pictures_without_objects_and_tiny_ones():
    for shape in ((1, 1), (1, 50), (3, 2)):
        for chain in CROPS:
            for seed in range(5):
                after = place(np.random.default_rng(seed), blank(*shape), (32, 48), chain)
                assert after.image.shape == (32, 48, 3) and after.boxes.shape == (0, 4)


def test_turned_pictures_are_cropped_too():
    for seed in range(60):
        before = painted(seed, 70, 100, 5, least=10)
        chain = [Affine(rotate=30.0, scale=(0.8, 2.0)), Rotate90(), RandomResizedCrop()]
        after = place(np.random.default_rng(seed), before, (96, 128), chain)
        assert_sound(after, (96, 128), before)
        assert_mask_follows_image(after)
        for box, mask in zip(after.boxes, after.masks, strict=True):
            if mask.any():
                x1, y1, x2, y2 = tight(mask)
                assert (box[:2] <= (x1 + 1.5, y1 + 1.5)).all() and (box[2:] >= (x2 - 1.5, y2 - 1.5)).all()


@pytest.mark.parametrize(
    "transform",
    [
        RandomResizedCrop(p=0.3),
        SSDCrop(min_iou=(0.0,), zoom_out_p=1.0, p=0.3),
        DETRCrop(scale=(1.0, 1.0), crop=(300, 350), p=0.3),
    ],
)
def test_share_of_samples(transform):
    sample = blank(50, 50)
    moved = [
        not np.array_equal(
            transform.extend(np.random.default_rng(s), sample, np.eye(3), (50, 50))[1], np.eye(3)
        )
        for s in range(400)
    ]
    assert 0.22 < np.mean(moved) < 0.38


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (RandomResizedCrop, {"scale": (0.5, 0.2)}, "random_resized_crop: scale=.*the smaller first"),
        (RandomResizedCrop, {"scale": 0.5}, "scale=0.5; give two numbers from 0.001 to 1"),
        (RandomResizedCrop, {"ratio": (0, 1)}, "ratio"),
        (RandomResizedCrop, {"min_visible": 2}, "min_visible=2; give a number from 0 to 1"),
        (SSDCrop, {"min_iou": (0.5, 1.5)}, "ssd_crop: min_iou=1.5"),
        (SSDCrop, {"zoom_out": 0.5}, "zoom_out=0.5; give a number from 1 to 32"),
        (SSDCrop, {"p": float("nan")}, "p=nan"),
        (DETRCrop, {"scale": (0.5, 1.5)}, "detr_crop: scale=.*from 0.01 to 1"),
        (DETRCrop, {"shorter": ()}, "detr_crop: shorter is empty; give at least one length"),
        (DETRCrop, {"shorter": (300,)}, "detr_crop: shorter=300; give a whole number from 384 to 100000"),
        (DETRCrop, {"crop": (600, 384)}, "detr_crop: crop=.*the smaller first"),
        (DETRCrop, {"steps": 0.5}, "detr_crop: steps=0.5; give a whole number"),
    ],
)
def test_wrong_arguments_are_refused(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**arguments)
