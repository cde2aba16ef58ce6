"""Ways to make a photograph an input: what they show, where boxes go, and that training places as inference does."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzoo.augment import RESIZES, Compose, Flip, Mosaic, fit, fit_placement, place
from kzoo.data.formats.shapes import Shapes
from kzoo.data.loading.loader import batches
from kzoo.options import commands
from kzoo.structures import Sample

sides = st.integers(1, 40)


def aligned(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Darknet's resize, a pixel at a time, in float64."""
    height, width = image.shape[:2]
    result = np.zeros((rows, columns, 3))
    for row in range(rows):
        y = row * (height - 1) / (rows - 1) if rows > 1 else 0.0
        top, bottom = int(y), min(int(y) + 1, height - 1)
        for column in range(columns):
            x = column * (width - 1) / (columns - 1) if columns > 1 else 0.0
            left, right = int(x), min(int(x) + 1, width - 1)
            upper = (1 - x + left) * image[top, left] + (x - left) * image[top, right]
            lower = (1 - x + left) * image[bottom, left] + (x - left) * image[bottom, right]
            result[row, column] = (1 - y + top) * upper + (y - top) * lower
    return result


@given(sides, sides, sides, sides, st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_darknets_resize_is_bilinear_with_aligned_corners(height, width, rows, columns, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    canvas, placement = fit(image, (rows, columns), "darknet")
    assert canvas.dtype == np.uint8 and canvas.shape == (rows, columns, 3)
    assert np.abs(canvas - aligned(image, rows, columns)).max() <= 0.5 + 1e-3
    assert placement == fit_placement((height, width), (rows, columns), "stretch")


def test_darknets_resize_keeps_corners_and_sees_every_pixel_of_none_but_two():
    image = np.zeros((7, 101, 3), np.uint8)
    image[0, 0], image[-1, -1], image[:, 51] = 200, 100, 250
    canvas, _ = fit(image, (14, 11), "darknet")
    assert (canvas[0, 0] == 200).all() and (canvas[-1, -1] == 100).all()
    assert (canvas[:, 5] == 0).all(), "a line between two samples vanishes, as it does in Darknet"


def test_a_photograph_of_the_inputs_size_stays():
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    for resize in RESIZES:
        np.testing.assert_array_equal(fit(image, (32, 64), resize)[0], image)


def test_stretching_is_opencvs():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    canvas, placement = fit(image, (64, 64), "stretch")
    np.testing.assert_array_equal(canvas, cv2.resize(image, (64, 64), interpolation=cv2.INTER_LINEAR))
    np.testing.assert_allclose(placement.to_input([0, 0, 60, 40]), [0, 0, 64, 64])


@given(sides, sides, st.sampled_from([(32, 32), (32, 57), (20, 60)]), st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_darknets_letterbox(height, width, size, seed):
    """Sides by C's division of whole numbers, its own resize, .5 beside, half pixels counted on the way back."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows, columns = size
    inner = (
        (height * columns // width, columns)
        if columns / width < rows / height
        else (rows, width * rows // height)
    )
    inner = max(inner[0], 1), max(inner[1], 1)
    canvas, placement = fit(image, size, "darknet-letterbox")
    top, left = (rows - inner[0]) // 2, (columns - inner[1]) // 2
    shown = canvas[top : top + inner[0], left : left + inner[1]]
    assert np.abs(shown - aligned(image, *inner)).max() <= 0.5 + 1e-3
    assert (canvas == 128).sum() >= canvas.size - shown.size
    boxes = np.array([[0.1, 0.2, 0.9, 0.7]]) * [width, height, width, height]
    x1, y1, x2, y2 = (boxes / [width, height, width, height])[0]
    shares = np.array([x1 * inner[1], y1 * inner[0], x2 * inner[1], y2 * inner[0]])
    there = shares + np.tile([(columns - inner[1]) / 2, (rows - inner[0]) / 2], 2)
    np.testing.assert_allclose(placement.to_input(boxes)[0], there, atol=1e-4)
    np.testing.assert_allclose(placement.to_original(there[None]), boxes, atol=1e-3)


@pytest.mark.parametrize(
    "resize, inner, corner, colour",
    [
        ("letterbox", (67, 100), (0, 16), (114, 114, 114)),
        ("letterbox-black", (67, 100), (0, 16), (0, 0, 0)),
        ("letterbox-mean", (67, 100), (0, 16), (124, 116, 104)),
        ("corner", (66, 100), (0, 0), (114, 114, 114)),
        ("corner-black", (66, 100), (0, 0), (0, 0, 0)),
        ("corner-mean", (66, 100), (0, 0), (124, 116, 104)),
        ("darknet-letterbox", (66, 100), (0, 17), (128, 128, 128)),
    ],
)
def test_places_and_colours(resize, inner, corner, colour):
    image = np.full((200, 300, 3), 250, np.uint8)
    canvas, placement = fit(image, (100, 100), resize)
    assert (placement.inner, placement.corner) == (inner, corner)
    (rows, columns), (left, top) = inner, corner
    inside = np.zeros((100, 100), bool)
    inside[top : top + rows, left : left + columns] = True
    assert (canvas[inside] == 250).all() and (canvas[~inside] == colour).all()
    # So does a picture that is warped rather than resized, whatever colour is beside it.
    turned = place(np.random.default_rng(0), Sample(image), (100, 100), [Flip(p=1.0)], resize)
    assert (turned.image[-1, 50] == colour).all() and (turned.image[top + 5, 50] == 250).all()
    compose = Compose([Mosaic()], resize)
    mosaic = compose(np.random.default_rng(0), Sample(image), (100, 100), lambda: Sample(image))
    assert (mosaic.image == np.array(colour)).all(-1).any()


def test_one_ratio_carries_back_from_the_corner():
    placement = fit_placement((200, 301), (100, 100), "corner")
    assert placement.scale == (100 / 301, 100 / 301) and placement.inner == (66, 100)
    assert fit_placement((200, 301), (100, 100), "corner-mean").scale == (100 / 301, 66 / 200)


def test_cubic():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    canvas, _ = fit(image, (64, 64), "stretch-cubic")
    np.testing.assert_array_equal(canvas, cv2.resize(image, (64, 64), interpolation=cv2.INTER_CUBIC))


def test_commands_know_every_way():
    assert tuple(RESIZES) == commands.RESIZES


@pytest.mark.parametrize("resize", ["stretch", "stretch-cubic", "darknet"])
def test_stretched_boxes_return(resize):
    placement = fit_placement((300, 500), (416, 320), resize)
    boxes = np.array([[0, 0, 500, 300], [10.5, 20.25, 400, 100]], np.float32)
    np.testing.assert_allclose(placement.to_original(placement.to_input(boxes)), boxes, atol=1e-3)
    with pytest.raises(ValueError, match="0x5"):
        fit_placement((0, 5), (32, 32), resize)


@pytest.mark.parametrize("call", [fit, lambda image, size, resize: fit_placement((8, 8), size, resize)])
def test_an_unknown_way_is_told(call):
    with pytest.raises(ValueError, match="resize='crop' is unknown; use letterbox, stretch, darknet"):
        call(np.zeros((8, 8, 3), np.uint8), (8, 8), "crop")


def block() -> Sample:
    """A white rectangle on black, its box and its mask."""
    image = np.zeros((60, 120, 3), np.uint8)
    image[15:45, 30:90] = 255
    return Sample(image, [[30, 15, 90, 45]], [0], masks=image[None, ..., 0] > 0)


@pytest.mark.parametrize("resize", RESIZES)
def test_training_places_as_inference_does(resize):
    sample = block()
    sample.masks = None
    placed = Compose("none", resize)(np.random.default_rng(0), sample, (96, 96))
    canvas, placement = fit(sample.image, (96, 96), resize)
    np.testing.assert_array_equal(placed.image, canvas)
    np.testing.assert_allclose(placed.boxes, placement.to_input(sample.boxes))
    turned = place(np.random.default_rng(0), block(), (96, 96), [Flip(p=1.0)], resize)
    for moved in (turned.image[..., 0] > 184, turned.masks[0]):
        rows, columns = np.nonzero(moved)
        edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        np.testing.assert_allclose(turned.boxes[0], edges, atol=1.5)


@pytest.mark.parametrize("resize", ["stretch", "darknet"])
def test_stretched_mosaics_are_full_of_pictures(resize):
    white = Sample(np.full((40, 160, 3), 255, np.uint8))
    compose = Compose([Mosaic()], resize)
    result = compose(np.random.default_rng(0), white, (96, 96), lambda: white)
    assert (result.image == 255).all()
    boxed = Compose([Mosaic()])(np.random.default_rng(0), white, (96, 96), lambda: white)
    assert (boxed.image == 114).any()


def test_batches_are_placed_as_asked():
    dataset = Shapes(2, (40, 80))
    images, targets = batches(dataset, 64, 2, shuffle=False, resize="darknet").maker.batch(0, 0)
    canvas, placement = fit(dataset[1].image, (64, 64), "darknet")
    np.testing.assert_array_equal(images[1], canvas)
    count = len(dataset[1].boxes)
    np.testing.assert_allclose(targets["boxes"][1, :count], placement.to_input(dataset[1].boxes), atol=1e-4)


def test_batches_keep_a_size_for_as_many_as_asked():
    maker = batches(Shapes(64, (32, 32)), [(32, 32), (64, 64)], 1, size_steps=20).maker
    sizes = [maker.size(0, step) for step in range(1, 61)]
    assert [len(set(sizes[start : start + 20])) for start in (0, 20, 40)] == [1, 1, 1]
    assert sizes[0] != sizes[20]
