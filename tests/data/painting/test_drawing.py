"""Outlines and run lengths are drawn and counted as pycocotools, COCO's own evaluation, draws and counts them."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from pycocotools import mask as oracle

from kzoo.data.painting.rasterise import paint
from kzoo.data.painting.rle import box_of_runs, draw_masks, run_lengths
from kzoo.data.record import Record
from kzoo.structures.runs import encode_mask


@given(hypothesis_numpy.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
@settings(deadline=None)
def test_encode_mask_against_pycocotools(mask):
    encoded = encode_mask(mask)
    assert sum(encoded["counts"]) == mask.size
    assert np.array_equal(oracle.decode(oracle.frPyObjects(encoded, *mask.shape)), mask)
    assert np.array_equal(draw_masks([encoded], mask.shape)[0], mask)


def test_mask_of_another_size_is_an_error():
    with pytest.raises(ValueError, match=r"mask of \[2, 2\] on an image of \[3, 3\]"):
        draw_masks([{"size": [2, 2], "counts": [4]}], (3, 3))


@given(hypothesis_numpy.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
@settings(deadline=None)
def test_run_lengths_are_what_pycocotools_takes_them_for(mask):
    packed = oracle.encode(np.asfortranarray(mask, np.uint8))
    runs = run_lengths(packed["counts"].decode(), mask.shape)
    assert np.array_equal(runs, run_lengths(encode_mask(mask)["counts"], mask.shape))
    rows, columns = np.nonzero(mask)
    around = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if mask.any() else None
    assert box_of_runs(runs, mask.shape[0]) == around


def test_polygons_far_beyond_the_image_cost_no_more_than_the_image():
    far = np.array([[-1e8, -1e8], [1e8, -1e8], [1e8, 1e8], [-1e8, 1e8]])
    assert draw_masks([[far]], (30, 40)).all()
    assert not draw_masks([[far + 3e8]], (30, 40)).any()
    zigzag = np.random.default_rng(0).uniform(-1e8, 1e8, (3000, 2))
    assert draw_masks([[zigzag]], (100, 100)).shape == (1, 100, 100)
    with pytest.raises(ValueError, match="NaN or infinity"):
        draw_masks([[far * np.nan]], (30, 40))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_polygons_around_the_image_are_drawn_as_pycocotools_draws_them(seed):
    rng = np.random.default_rng(seed)
    size = tuple(int(side) for side in rng.integers(5, 60, 2))
    polygon = rng.uniform(-0.9, 1.9, (int(rng.integers(3, 9)), 2)) * size[::-1]
    drawn = oracle.decode(oracle.frPyObjects([polygon.ravel().tolist()], *size))[..., 0]
    assert np.array_equal(draw_masks([[polygon]], size)[0], drawn)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(317)  # an outline that reaches far to the left of the image
@example(13471184)  # an outline that reaches far beyond the part of the image it covers
def test_painting_objects_one_by_one_is_painting_them_on_the_whole_image(seed):
    rng = np.random.default_rng(seed)
    size = tuple(int(side) for side in rng.integers(4, 50, 2))
    shapes, wanted = [], np.zeros(size, np.uint8)
    for label in range(1, 5):
        low, high = sorted(rng.choice([-0.3, 0.0, 0.2, 0.5, 0.9, 1.0, 1.4], 2, replace=False))
        parts = [
            rng.uniform(low, high, (int(rng.integers(3, 7)), 2)) * size[::-1]
            for _ in range(int(rng.integers(1, 3)))
        ]
        parts = [part.round(int(rng.integers(0, 3))) for part in parts]
        shapes.append(parts)
        drawn = oracle.decode(oracle.frPyObjects([part.ravel().tolist() for part in parts], *size)).any(
            axis=2
        )
        wanted[drawn] = label
    record = Record("a.png", np.zeros((4, 4)), [1, 2, 3, 4], polygons=shapes)
    assert np.array_equal(paint(record, size), wanted)
