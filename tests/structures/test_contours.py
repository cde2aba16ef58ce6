"""Outlines along the pixels' edges, against COCO's own drawing."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_masks

from kzoo.structures.contours import fill_convex, octagons, polygon, regions


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


def test_octagons_cover_what_coco_s_tools_say():
    boxes = np.array([[10, 10, 90, 90], [5.5, 20.25, 61, 40], [-20, 30, 30, 140.5]])
    points = np.array(
        [
            [[50, 10], [10, 50], [50, 90], [90, 50]],
            [[5.5, 20.25], [5.5, 20.25], [61, 40], [61, 40]],
            [[0, 30], [-20, 90], [4, 140.5], [30, 55]],
        ]
    )
    outlines = octagons(boxes, points)
    middle = [[40, 10], [60, 10], [90, 40], [90, 60], [60, 90], [40, 90], [10, 60], [10, 40]]
    np.testing.assert_allclose(outlines[0], middle)
    assert area(outlines[0]) == 80 * 80 - 4 * 30 * 30 / 2
    np.testing.assert_array_equal(outlines[1][0], [5.5, 20.25])  # ended by the corner
    masks = fill_convex(outlines, (100, 120))
    for mask, outline in zip(masks, outlines, strict=True):
        # COCO's tools grow polygons by up to a pixel on the left and on top.
        runs = coco_masks.merge(coco_masks.frPyObjects([outline.ravel().tolist()], *mask.shape))
        oracle = coco_masks.decode(runs).astype(bool)
        assert np.sum(mask & oracle) / np.sum(mask | oracle) > 0.93 and mask.any()
    assert abs(masks[0].sum() - area(outlines[0])) < 80
