"""Covering parts of pictures: where, how much, and what becomes of the objects there."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from painting import assert_sound, painted

from kzoo.augment.compose import transforms
from kzoo.augment.erase import Cutout, GridMask, HideAndSeek, RandomErasing
from kzoo.structures import Sample

ALL = [
    Cutout(p=1.0),
    Cutout(count=8, fill="random", p=1.0),
    RandomErasing(p=1.0),
    RandomErasing(where="objects", p=1.0),
    RandomErasing(where="both", fill=0, p=1.0),
    GridMask(p=1.0),
    HideAndSeek(p=1.0),
]
WHITE = Sample(np.full((90, 120, 3), 255, np.uint8))


def covered(transform, seed: int, sample: Sample = WHITE) -> np.ndarray:
    """(H, W) bool: what a transform with a dark fill covers of a white picture."""
    return (transform(np.random.default_rng(seed), sample).image == 0).all(2)


def rectangles(mask: np.ndarray) -> np.ndarray:
    """x, y, width, height and area of every connected part."""
    return cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)[2][1:]


@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 120), st.integers(1, 120)),
    st.integers(0, 300),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("transform", ALL, ids=str)
def test_objects_are_kept_and_the_rest_of_the_picture_too(transform, seed, shape, count, masks):
    before = painted(seed, *shape, count, masks=masks and count < 30)
    copy = before.image.copy()
    after = transform(np.random.default_rng(seed), before)
    assert_sound(after, shape, before)
    for field in ("boxes", "labels", "masks", "mask", "difficult", "crowd"):
        np.testing.assert_array_equal(getattr(after, field), getattr(before, field))
    np.testing.assert_array_equal(before.image, copy, "the original is not written to")
    again = transform(np.random.default_rng(seed), before)
    np.testing.assert_array_equal(again.image, after.image)
    if transform.fill != "random":
        changed = (after.image != before.image).any(2)
        assert (after.image[changed] == transform.fill).all()


@given(st.integers(0, 10**6), st.floats(0.05, 1.0), st.booleans())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("kind", [Cutout, RandomErasing, GridMask, HideAndSeek])
def test_visible_share_decides(kind, seed, least, masks):
    before = painted(seed, 80, 100, 12, least=3)
    if not masks:
        before.masks, before.mask = None, None
    before.labels, before.difficult = np.arange(12), np.arange(12) == 2
    kept = kind(p=1.0, min_visible=least)(np.random.default_rng(seed), before)
    # The same rectangles on a white picture, in a colour that is not there.
    white = Sample(np.full((80, 100, 3), 255, np.uint8), before.boxes, before.labels)
    hidden = (kind(p=1.0, fill=7)(np.random.default_rng(seed), white).image == 7).all(2)
    for label, (x1, y1, x2, y2) in enumerate(before.boxes.astype(int)):
        share = 1 - hidden[y1:y2, x1:x2].mean()
        if abs(share - least) > 1e-6:
            assert (label in kept.labels) == (share > least)
    np.testing.assert_array_equal(kept.boxes, before.boxes[kept.labels])
    if masks:
        np.testing.assert_array_equal(kept.masks, before.masks[kept.labels])
        np.testing.assert_array_equal(kept.mask, before.mask)


def test_cutout_covers_squares_of_the_stated_size():
    sides, cut = [], 0
    for seed in range(300):
        [(x, y, width, height, area)] = rectangles(covered(Cutout(size=(0.2, 0.5), fill=0, p=1.0), seed))
        assert area == width * height
        if x > 0 and y > 0 and x + width < 120 and y + height < 90:
            assert abs(int(width) - int(height)) <= 1
            sides.append(width / 90)
        else:
            cut += 1  # the centre may be near the edge
    assert 0.19 <= min(sides) < 0.23 and max(sides) <= 0.51 and cut > 30


def test_cutout_has_as_many_as_stated():
    most = max(
        len(rectangles(covered(Cutout(size=(0.05, 0.05), count=5, fill=0, p=1.0), s))) for s in range(30)
    )
    assert most == 5


def test_random_erasing_covers_one_rectangle_of_the_stated_area_and_aspect():
    shares, ratios = [], []
    for seed in range(300):
        [(_, _, width, height, area)] = rectangles(covered(RandomErasing(fill=0, p=1.0), seed))
        assert area == width * height
        shares.append(area / (90 * 120))
        ratios.append(height / width)
    assert 0.015 < min(shares) < 0.03 and 0.18 < max(shares) < 0.21
    assert 0.25 < min(ratios) < 0.36 and 2.7 < max(ratios) < 3.8
    assert 0.4 < np.mean(np.array(ratios) > 1) < 0.6, "lying and standing ones are equally many"


def test_random_erasing_does_not_stick_out():
    for seed in range(100):
        mask = covered(RandomErasing(scale=(0.3, 0.3), ratio=(0.1, 10.0), fill=0, p=1.0), seed)
        assert mask.mean() == pytest.approx(0.3, abs=0.02)


def test_random_erasing_in_every_object():
    boxes = np.array([[5, 5, 45, 35], [60, 40, 110, 85], [70, 3, 100, 30]], np.float32)
    sample = Sample(WHITE.image, boxes, [0, 1, 2])
    for seed in range(50):
        parts = rectangles(covered(RandomErasing(where="objects", fill=0, p=1.0), seed, sample))
        assert len(parts) == 3
        for x, y, width, height, area in parts:
            inside = (boxes[:, :2] <= (x + 0.5, y + 0.5)).all(1) & (
                boxes[:, 2:] >= (x + width - 0.5, y + height - 0.5)
            ).all(1)
            assert inside.sum() == 1
            whole = (boxes[inside][0, 2:] - boxes[inside][0, :2]).prod()
            assert 0.01 < area / whole < 0.25
    counts = [
        len(rectangles(covered(RandomErasing(where="both", fill=0, p=1.0), s, sample))) for s in range(20)
    ]
    assert max(counts) == 4


def test_random_erasing_fills_with_noise():
    after = RandomErasing(scale=(0.2, 0.2), p=1.0)(np.random.default_rng(0), WHITE).image
    filled = after[(after != 255).any(2)]
    assert len(filled) == pytest.approx(0.2 * 90 * 120, rel=0.05)
    assert filled.mean() == pytest.approx(127.5, abs=4) and filled.std() == pytest.approx(73.9, abs=3)


def test_grid_mask_covers_equal_squares_at_equal_distances():
    for seed in range(40):
        mask = covered(GridMask(unit=(0.3, 0.3), keep=0.6, rotate=0.0, fill=0, p=1.0), seed)
        parts = rectangles(mask)
        inner = [p for p in parts if p[0] > 0 and p[1] > 0 and p[0] + p[2] < 120 and p[1] + p[3] < 90]
        assert len(inner) >= 4
        for _, _, width, height, area in inner:
            assert area == width * height and abs(width - 0.4 * 27) <= 1 and abs(height - 0.4 * 27) <= 1
        steps = np.diff(np.unique([p[0] for p in inner]))
        assert (np.abs(steps - 27) <= 1).all()


def test_grid_mask_keeps_the_stated_share_at_any_angle():
    large = Sample(np.full((300, 300, 3), 255, np.uint8))
    for keep in (0.4, 0.6, 0.9):
        shares = [
            covered(GridMask(unit=(0.1, 0.3), keep=keep, fill=0, p=1.0), s, large).mean() for s in range(40)
        ]
        assert np.mean(shares) == pytest.approx((1 - keep) ** 2, rel=0.06)
    turned = rectangles(covered(GridMask(unit=(0.5, 0.5), rotate=45.0, fill=0, p=1.0), 1, large))
    assert any(area < 0.9 * width * height for _, _, width, height, area in turned)


def test_hide_and_seek_covers_cells_by_chance():
    shares = []
    for seed in range(100):
        mask = covered(HideAndSeek(cells=(9, 9), share=0.5, fill=0, p=1.0), seed)
        cells = mask.reshape(9, 10, 12, 10)
        assert (cells.all((1, 3)) | ~cells.any((1, 3))).all()
        shares.append(mask.mean())
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02) and np.std(shares) > 0.02


@pytest.mark.parametrize("kind", [Cutout, RandomErasing, GridMask, HideAndSeek])
def test_share_of_samples(kind):
    changed = [kind(p=0.3)(np.random.default_rng(seed), WHITE) is not WHITE for seed in range(300)]
    assert 0.2 < np.mean(changed) < 0.4


def test_by_name_as_from_a_file():
    chosen = [{"cutout": {"size": [0.1, 0.2]}}, {"random_erasing": {"scale": [0.1, 0.2], "where": "both"}}]
    for transform in transforms([*chosen, "grid_mask", "hide_and_seek"]):
        assert transform(np.random.default_rng(0), WHITE).image.shape == WHITE.image.shape


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cutout(fill="noise"), 'cutout: fill=.noise.; give a grey level from 0 to 255, or "random"'),
        (lambda: Cutout(fill=300), "fill=300; give a number from 0 to 255"),
        (lambda: Cutout(count=1.5), "count=1.5; give a whole number"),
        (
            lambda: RandomErasing(where="boxes"),
            "random_erasing: where='boxes'; give one of picture, objects, both",
        ),
        (lambda: RandomErasing(ratio=(0, 1)), "ratio"),
        (lambda: GridMask(keep=1.2), "grid_mask: keep=1.2"),
        (lambda: HideAndSeek(cells=(0, 4)), "hide_and_seek: cells"),
        (lambda: HideAndSeek(min_visible=-1), "min_visible=-1"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
