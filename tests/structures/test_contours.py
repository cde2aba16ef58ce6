"""Outlines along the pixels' edges, against COCO's own drawing."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_masks

from kzoo.structures.contours import polygon, regions


def area(points) -> float:
    x, y = points.T
    return abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2


@settings(max_examples=150, deadline=None)
@given(
    arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=24)),
    st.sampled_from([None, 0.5, 0.9]),
)
def test_polygons_are_the_pixels(mask, share):
    if share:  # mostly filled: with holes
        mask = np.random.default_rng(mask.size).random(mask.shape) < share
    drawn = np.zeros(mask.shape, int)
    for part, (x1, y1, x2, y2) in regions(mask):
        assert part.shape == (y2 - y1, x2 - x1) and part.any(0).all() and part.any(1).all()
        points = polygon(part, (x1, y1))
        assert area(points) == part.sum()
        rows = [points.astype(float).ravel().tolist()]
        drawn += coco_masks.decode(coco_masks.frPyObjects(rows, *mask.shape))[..., 0]
    np.testing.assert_array_equal(drawn, mask)


def test_nothing_has_no_regions():
    assert list(regions(np.zeros((5, 4), bool))) == []
