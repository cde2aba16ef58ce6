"""Mosaics of four and of nine: boxes and masks are where the pixels went, each picture in its own cell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from painting import assert_mask_follows_image, painted, tight

from kzoo.augment import Affine, Compose, DarknetJitter, Flip, Mosaic, RandomResizedCrop, Rotate90
from kzoo.structures import Sample

SHAPES = st.tuples(st.integers(20, 200), st.integers(20, 200))
UPRIGHT = [
    [],
    [Flip(), Affine(rotate=0.0, shear=0.0)],
    [DarknetJitter()],
    [Rotate90()],
    [RandomResizedCrop()],
]


def pictures(seed: int, count: int, objects: int, **options) -> list[Sample]:
    """Pictures of many shapes whose objects' labels are all different."""
    shapes = np.random.default_rng(seed).integers(20, 200, (count, 2)).tolist()
    samples = [painted(seed + i, *shape, objects, least=4, **options) for i, shape in enumerate(shapes)]
    for i, sample in enumerate(samples):
        sample.labels = i * 1000 + np.arange(objects)
        sample.difficult, sample.crowd = sample.labels % 3 == 0, sample.labels % 5 == 0
    return samples


@given(
    st.integers(0, 10**6),
    SHAPES,
    st.integers(0, 8),
    st.sampled_from([2, 3]),
    st.sampled_from([np.uint8, np.int32]),
)
@settings(max_examples=100, deadline=None)
@pytest.mark.parametrize("geometric", UPRIGHT, ids=lambda chain: " ".join(type(t).__name__ for t in chain))
def test_boxes_are_tight_around_the_painted_objects(geometric, seed, size, objects, grid, dtype):
    before = pictures(seed, grid**2, objects, dtype=dtype)
    after = Mosaic(grid=grid)(np.random.default_rng(seed), before, size, geometric)
    assert after.image.shape == (*size, 3) and after.image.dtype == np.uint8 and after.id == before[0].id
    assert after.masks.shape == (len(after.boxes), *size) and after.mask.dtype == dtype
    assert_mask_follows_image(after)
    for box, mask in zip(after.boxes, after.masks, strict=True):
        np.testing.assert_allclose(box, tight(mask), atol=1.5)


@given(st.integers(0, 10**6), SHAPES, st.integers(0, 300), st.sampled_from([2, 3]))
@settings(max_examples=100, deadline=None)
def test_any_number_of_boxes_inside_the_canvas(seed, size, objects, grid):
    before = pictures(seed, grid**2, objects, masks=False)
    after = Mosaic(grid=grid)(np.random.default_rng(seed), before, size, [Flip(), Affine()])
    assert after.boxes.dtype == np.float32 and after.boxes.shape == (len(after.labels), 4)
    assert (after.boxes[:, :2] >= 0).all() and (after.boxes[:, 2:] <= (size[1], size[0])).all()
    assert (after.boxes[:, 2:] - after.boxes[:, :2] >= 0.999).all()
    assert (np.diff(after.labels) > 0).all(), "no object twice, all in their order"
    np.testing.assert_array_equal(after.difficult, after.labels % 3 == 0)
    np.testing.assert_array_equal(after.crowd, after.labels % 5 == 0)
    assert after.masks is None and after.mask is None


@given(st.integers(0, 10**6), st.sampled_from([2, 3]))
@settings(max_examples=50, deadline=None)
def test_each_picture_lies_in_a_cell_of_its_own(seed, grid):
    """The rectangles around the pixels of each do not overlap, and are in rows and columns."""
    count = grid**2
    shapes = np.random.default_rng(seed).integers(100, 300, (count, 2)).tolist()
    # No mixture with the grey around a picture is of its colour, nor of another's.
    colors = [(255, 20 * i, 0) for i in range(count)]
    plain = [
        Sample(np.full((*shape, 3), paint, np.uint8)) for shape, paint in zip(shapes, colors, strict=True)
    ]
    image = Mosaic(grid=grid)(np.random.default_rng(seed), plain, (240, 240)).image
    found = [tight((image == paint).all(2)) for paint in colors]
    for i in range(count):
        for j in range(i):
            across = found[j][2] <= found[i][0] or found[i][2] <= found[j][0]
            along = found[j][3] <= found[i][1] or found[i][3] <= found[j][1]
            assert across if i // grid == j // grid else along
    # Enlarged to cover three quarters of the mosaic at least one way, they leave little of it grey.
    assert (image == 114).mean() < 0.35


def test_nine_are_smaller_than_four():
    square = Sample(np.full((50, 50, 3), 7, np.uint8), [[20, 20, 30, 30]], [0])
    for grid, side in ((2, 60.0), (3, 40.0)):
        boxes = [
            Mosaic(grid=grid)(np.random.default_rng(seed), [square] * grid**2, (300, 300)).boxes
            for seed in range(5)
        ]
        assert np.concatenate(boxes).max() <= 300
        sides = np.concatenate(boxes)[:, 2:] - np.concatenate(boxes)[:, :2]
        assert sides.max() == pytest.approx(side, abs=1e-3)


@pytest.mark.parametrize("grid", [2, 3])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (1.0, 1.0), (0.02, 0.02)])
def test_a_centre_at_the_edge_leaves_cells_empty(grid, centre):
    before = pictures(1, grid**2, 3)
    after = Mosaic(centre=centre, grid=grid)(np.random.default_rng(0), before, (90, 120))
    assert after.masks.shape == (len(after.boxes), 90, 120)
    assert_mask_follows_image(after)


def test_objects_mostly_cut_off_are_left_out():
    """An object in the middle of each picture of one grey, so large that a cell shows only part of it."""
    for seed in range(60):
        samples = [Sample(np.full((100, 100, 3), v, np.uint8), [[10, 10, 90, 90]], [v]) for v in (1, 2, 3, 4)]
        after = Mosaic(centre=(0.05, 0.95))(np.random.default_rng(seed), samples, (100, 100))
        shares = (after.boxes[:, 2:] - after.boxes[:, :2]).prod(1) / 80**2
        assert (shares >= 0.15 - 1e-6).all()
        for value in {1, 2, 3, 4} - set(after.labels.tolist()):
            # At most the share, and the picture's own margin beside it.
            assert (after.image[..., 0] == value).sum() < 0.15 * 80**2 + 4 * 10 * 100


def test_one_picture_is_a_mosaic_of_itself():
    only = painted(3, 60, 80, 4)
    for grid in (2, 3):
        after = Compose([{"mosaic": {"grid": grid}}, "affine"])(
            np.random.default_rng(0), only, (96, 96), lambda: only
        )
        assert len(after.boxes) <= grid**2 * 4 and set(after.labels) <= set(only.labels)


def test_masks_only_where_all_have_them():
    samples = pictures(0, 4, 2)
    samples[1].masks = None
    after = Mosaic()(np.random.default_rng(0), samples, (96, 96))
    assert after.masks is None and after.mask is not None
    samples = pictures(0, 4, 2)
    samples[2].mask = None
    samples[3] = Sample(samples[3].image, mask=samples[3].mask)
    after = Mosaic()(np.random.default_rng(0), samples, (96, 96))
    assert after.masks is not None and after.mask is None, "a picture without objects needs no masks"


def test_the_pictures_themselves_are_left_alone():
    samples = pictures(5, 4, 3)
    kept = [(s.image.copy(), s.boxes.copy(), s.masks.copy()) for s in samples]
    for sample in samples:
        sample.image.flags.writeable = sample.masks.flags.writeable = False
    Compose(["mosaic", "affine", "color"])(np.random.default_rng(0), samples[0], (64, 64), lambda: samples[1])
    for sample, (image, boxes, masks) in zip(samples, kept, strict=True):
        np.testing.assert_array_equal(sample.image, image)
        np.testing.assert_array_equal(sample.boxes, boxes)
        np.testing.assert_array_equal(sample.masks, masks)


@pytest.mark.parametrize(
    "arguments, hint",
    [
        ({"grid": 4}, r"mosaic: grid=4; give one of 2, 3"),
        ({"p": 1.5}, r"mosaic: p=1.5"),
        ({"centre": (0.7, 0.3)}, r"mosaic: centre=\(0.7, 0.3\)"),
        ({"centre": 0.5}, r"mosaic: centre=0.5"),
    ],
)
def test_wrong_arguments(arguments, hint):
    with pytest.raises(ValueError, match=hint):
        Compose([{"mosaic": arguments}])


def test_wrong_number_of_pictures():
    with pytest.raises(ValueError, match="needs 9 samples, got 4"):
        Mosaic(grid=3)(np.random.default_rng(0), pictures(0, 4, 1), (64, 64))
