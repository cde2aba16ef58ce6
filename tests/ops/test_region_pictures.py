"""SPP-net's pyramid and R-CNN's crops, against torch's adaptive pooling and OpenCV's warp."""

import cv2
import numpy as np
import pytest
from keras import ops

from kzoo.ops.roi import pyramid_pool, warp_crops
from kzoo.ops.roi.pyramid import box_windows

STRIDE = 16


def some_boxes(count, width, height, seed=0):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, (width - 1, height - 1), (1, count, 2))
    high = np.minimum(low + rng.uniform(1, 120, (1, count, 2)), (width, height))
    return np.concatenate([low, high], -1).astype(np.float32)


def test_windows_are_the_cells_whose_middles_boxes_hold():
    boxes = some_boxes(300, 160, 112)
    windows = ops.convert_to_numpy(box_windows(boxes, (7, 10), STRIDE))[0].astype(int)
    for (x1, y1, x2, y2), (left, top, right, bottom) in zip(boxes[0], windows, strict=True):
        for low, high, first, last, count in ((x1, x2, left, right, 10), (y1, y2, top, bottom, 7)):
            middles = (np.arange(count) + 0.5) * STRIDE
            held = np.flatnonzero((middles > low) & (middles < high))
            if len(held):
                assert (first, last) == (held[0], held[-1])
            else:  # the nearest cell
                assert first == last and abs(middles[first] - (low + high) / 2) <= STRIDE / 2 + 8


@pytest.mark.backends
def test_grids_are_torchs_adaptive_pooling_of_the_windows():
    torch = pytest.importorskip("torch")
    features = np.random.default_rng(1).normal(size=(2, 9, 12, 5)).astype(np.float32)
    boxes = np.concatenate([some_boxes(40, 192, 144, seed) for seed in (2, 3)])
    got = ops.convert_to_numpy(pyramid_pool(features, boxes, (6, 3, 2, 1), STRIDE))
    assert got.shape == (2, 40, 50, 5)
    windows = ops.convert_to_numpy(box_windows(boxes, (9, 12), STRIDE)).astype(int)
    for image in range(2):
        for row, (left, top, right, bottom) in enumerate(windows[image]):
            cells = torch.from_numpy(features[image, top : bottom + 1, left : right + 1]).permute(2, 0, 1)[
                None
            ]
            grids = [
                torch.nn.functional.adaptive_max_pool2d(cells, level)[0].flatten(1) for level in (6, 3, 2, 1)
            ]
            np.testing.assert_array_equal(got[image, row], torch.cat(grids, 1).T.numpy())


def test_crops_are_opencvs_warp():
    image = np.random.default_rng(4).normal(size=(60, 80, 3)).astype(np.float32)
    boxes = np.float32(
        [[[10, 12, 50, 40], [0, 0, 30, 30], [60, 40, 80, 60], [5.3, 7.8, 6.1, 9.2], [0, 0, 80, 60]]]
    )
    size, context = 32, 4
    got = ops.convert_to_numpy(warp_crops(image[None], boxes, size, context))[0]
    for crop, (x1, y1, x2, y2) in zip(got, boxes[0], strict=True):
        grown = size / (size - 2 * context)
        middle, half = np.array([x1 + x2, y1 + y2]) / 2, np.array([x2 - x1, y2 - y1]) / 2 * grown
        low, high = np.floor(middle - half + 0.5), np.floor(middle + half + 0.5)
        high = np.maximum(high, low + 1)
        step = (high - low) / size
        places = [low[axis] + (np.arange(size) + 0.5) * step[axis] for axis in (0, 1)]
        x, y = np.meshgrid(*places)
        wanted = cv2.remap(
            image, (x - 0.5).astype(np.float32), (y - 0.5).astype(np.float32), cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        outside = (x < 0) | (x >= 80) | (y < 0) | (y >= 60)
        wanted[outside] = 0
        np.testing.assert_allclose(crop, wanted, atol=0.06)  # OpenCV looks at a grid of 1/32 pixel


def test_the_box_itself_lies_within_the_context():
    """A white box on black: white in the middle, and black in the margin."""
    image = np.zeros((1, 64, 64, 1), np.float32)
    image[:, 16:40, 20:44] = 1
    crop = ops.convert_to_numpy(warp_crops(image, np.float32([[[20, 16, 44, 40]]]), 32, 4))[0, 0, ..., 0]
    assert (crop[5:27, 5:27] == 1).all() and (crop[[0, 1, 2, -1, -2, -3]] == 0).all()


def test_refuses_a_context_that_leaves_nothing():
    with pytest.raises(ValueError, match="context=16 of size=32"):
        warp_crops(np.zeros((1, 8, 8, 3), np.float32), np.zeros((1, 1, 4), np.float32), 32, 16)
