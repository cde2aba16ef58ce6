"""Letterbox: boxes go there and come back, pixels land where boxes say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzoo.augment import letterbox, letterbox_placement, stretch

sides = st.integers(1, 700)
inputs = st.tuples(st.integers(1, 20), st.integers(1, 20)).map(lambda s: (32 * s[0], 32 * s[1]))


def random_boxes(seed: int, height: int, width: int, count: int = 20) -> np.ndarray:
    points = np.random.default_rng(seed).uniform(0, (width, height), (count, 2, 2))
    return np.concatenate([points.min(1), points.max(1)], 1).astype(np.float32)


@given(sides, sides, inputs, st.integers(0, 99))
@settings(max_examples=200, deadline=None)
def test_boxes_return(height, width, size, seed):
    placement = letterbox_placement((height, width), size)
    boxes = random_boxes(seed, height, width)
    there = placement.to_input(boxes)
    assert there.dtype == np.float32
    assert (there >= 0).all() and (there <= np.tile(size[::-1], 2)).all()
    # Half a unit in the last place of float32 in the input, seen at the original's scale.
    tolerance = 2e-6 * max(height, width, *size) / min(1, *placement.scale)
    np.testing.assert_allclose(placement.to_original(there), boxes, atol=tolerance)


@given(sides, sides, inputs)
@settings(max_examples=200, deadline=None)
def test_touches_two_sides_and_is_centred(height, width, size):
    placement = letterbox_placement((height, width), size)
    x1, y1, x2, y2 = placement.to_input([0, 0, width, height])
    assert (x1, x2) == (0, size[1]) or (y1, y2) == (0, size[0])
    assert abs((x1 + x2) - size[1]) <= 1 and abs((y1 + y2) - size[0]) <= 1
    # The aspect is kept to the rounding of one side to a whole pixel.
    ratio = min(size[0] / height, size[1] / width)
    assert abs((x2 - x1) - max(1, width * ratio)) <= 0.51 and abs((y2 - y1) - max(1, height * ratio)) <= 0.51


@pytest.mark.parametrize("fit", [letterbox, stretch])
@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (100, 90), (1500, 2000)])
def test_pixels_land_where_boxes_say(fit, shape):
    height, width = shape
    image = np.full((*shape, 3), 50, np.uint8)
    box = np.array([0.2 * width, 0.3 * height, 0.7 * width, 0.6 * height]).round()
    x1, y1, x2, y2 = box.astype(int)
    image[y1:y2, x1:x2] = 250
    canvas, placement = fit(image, (320, 416))
    assert canvas.shape == (320, 416, 3) and canvas.dtype == np.uint8
    rows, columns = np.nonzero(canvas[..., 0] > 150)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(found, placement.to_input(box), atol=0.75)


def test_fill_and_identity():
    canvas, placement = letterbox(np.zeros((10, 20, 3), np.uint8), (40, 40))
    assert (canvas[:10] == 114).all() and (canvas[30:] == 114).all() and (canvas[10:30] == 0).all()
    assert placement.scale == (2.0, 2.0) and placement.offset == (0, 10) and placement.original == (10, 20)
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(letterbox(image, (64, 64))[0], image)


def test_shrinking_keeps_thin_lines():
    image = np.zeros((1000, 1000, 3), np.uint8)
    image[:, 501] = 255
    canvas, _ = letterbox(image, (100, 100))
    assert canvas[:, 50].mean() == pytest.approx(25.5, abs=1.5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (6000, 8000)])
def test_odd_sizes(shape):
    canvas, placement = letterbox(np.full((*shape, 3), 200, np.uint8), (96, 96))
    assert (canvas == 200).any()
    np.testing.assert_allclose(placement.to_original([0, 0, 96, 96]), [0, 0, shape[1], shape[0]])


def test_boxes_of_any_leading_shape():
    placement = letterbox_placement((100, 200), (64, 64))
    assert placement.to_original(np.zeros((2, 5, 4))).shape == (2, 5, 4)
    assert placement.to_input(np.zeros((0, 4))).shape == (0, 4)


def test_an_empty_image_is_refused():
    with pytest.raises(ValueError, match="0x5"):
        letterbox_placement((0, 5), (32, 32))
