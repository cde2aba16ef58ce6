"""Boxes and their names on pictures: at what scale, and where the names stand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzoo import Detections
from kzoo.structures.draw import automatic_scale, color, contact_sheet, draw_boxes, scale_into
from kzoo.structures.placing import place_labels

side = st.integers(1, 700)
number = st.floats(-300, 1000)


@given(
    canvas=st.tuples(side, side),
    boxes=st.lists(st.tuples(number, number, number, number), max_size=12),
    label=st.tuples(st.integers(1, 200), st.integers(1, 40)),
)
@settings(deadline=None, max_examples=300)
def test_labels_lie_within_the_canvas_whatever_the_boxes(canvas, boxes, label):
    boxes = np.array(boxes).reshape(-1, 4)
    places = place_labels(boxes, np.tile(label, (len(boxes), 1)), canvas)
    height, width = canvas
    assert places.shape == boxes.shape and places.dtype == np.int64
    assert (places[:, :2] >= 0).all() and (places[:, 2:] <= (width, height)).all()
    assert (places[:, 2:] - places[:, :2] == np.minimum(label, (width, height))).all()


def sparse_scene(rng) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) in cells of 160 x 120 pixels of a picture of 640 x 480, none nearer than 30 to a neighbour's."""
    cells = rng.permutation(16)[: rng.integers(1, 13)]
    origins = np.stack([cells % 4 * 160, cells // 4 * 120], axis=1)  # (N, 2)
    low = rng.uniform(15, 40, (len(cells), 2))
    high = rng.uniform((70, 60), (145, 105), (len(cells), 2))
    return np.concatenate([origins + low, origins + high], axis=1), rng.uniform(
        (30, 11), (100, 15), (len(cells), 2)
    )


def overlaps(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Pixels that rectangles (N, 4) and (M, 4) share: (N, M)."""
    low = np.maximum(ones[:, None, :2], others[None, :, :2])
    high = np.minimum(ones[:, None, 2:], others[None, :, 2:])
    return np.clip(high - low, 0, None).prod(-1)


@pytest.mark.parametrize("seed", range(50))
def test_labels_cover_neither_boxes_nor_each_other_where_there_is_room(seed):
    boxes, sizes = sparse_scene(np.random.default_rng(seed))
    boxes, sizes = np.rint(boxes), np.rint(sizes)
    places = place_labels(boxes, sizes, (480, 640))
    assert overlaps(places, boxes).max() == 0
    assert overlaps(places, places).sum() == (sizes.prod(1)).sum(), "each shares pixels with itself alone"
    grown = places + np.array([-1, -1, 1, 1])
    assert (overlaps(grown, boxes).diagonal() > 0).all(), "each touches its own box"


def test_a_label_stands_above_its_box_where_that_is_free():
    [place] = place_labels(np.array([[100, 100, 200, 160]]), np.array([[50, 12]]), (480, 640))
    assert place.tolist() == [100, 88, 150, 100]


def test_a_label_hides_what_is_large_rather_than_what_is_small():
    # A small box above, a large one around both; nothing is free.
    boxes = np.array([[100, 100, 200, 160], [95, 80, 215, 99], [0, 0, 640, 480]])
    place, *_ = place_labels(boxes, np.array([[50, 12]] * 3), (480, 640))
    assert overlaps(place[None], boxes)[0, :2].sum() == 0


def test_boxes_without_a_label_are_not_hidden_either():
    box, size = np.array([[100, 100, 200, 160]]), np.array([[50, 12]])
    above = np.array([[90, 80, 210, 99]])
    assert overlaps(place_labels(box, size, (480, 640)), above).sum() > 0
    assert overlaps(place_labels(box, size, (480, 640), others=above), above).sum() == 0


def test_pictures_show_what_is_in_the_boxes():
    """Measured on pixels: with and without names, what lies in the boxes of a sparse picture is the same."""
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    boxes, _ = sparse_scene(np.random.default_rng(1))
    picture = draw_boxes(image, boxes, np.arange(len(boxes)), np.full(len(boxes), 0.5))
    for x1, y1, x2, y2 in np.rint(boxes).astype(int).tolist():
        inside = np.s_[y1 + 3 : y2 - 2, x1 + 3 : x2 - 2]  # within the frame and its soft edge
        np.testing.assert_array_equal(picture[inside], image[inside])
    assert (picture != image).any(-1).sum() > 2000, "frames and names"


@pytest.mark.parametrize(
    ("size", "scale"),
    [((128, 128), 5), ((90, 300), 3), ((399, 10), 2), ((400, 10), 1), ((1080, 1920), 1), ((1, 1), 640)],
)
def test_small_images_are_enlarged_by_a_whole_number(size, scale):
    assert automatic_scale(*size) == scale
    found = Detections([[0, 0, *size[::-1]]], [0.9], [0], image=np.zeros((*size, 3), np.uint8))
    assert found.draw().shape == (size[0] * scale, size[1] * scale, 3)
    assert found.draw(scale=1).shape == (*size, 3)


@pytest.mark.parametrize("scale", [0, -1, np.nan])
def test_a_scale_is_above_zero(scale):
    with pytest.raises(ValueError, match=r"draw: scale is .*; give a number above 0"):
        draw_boxes(np.zeros((8, 8, 3), np.uint8), [], [], scale=scale)


@pytest.mark.parametrize("scale", [0.5, 2, 3.2])
def test_boxes_lie_on_the_same_things_at_any_scale(scale):
    image = np.zeros((200, 300, 3), np.uint8)
    image[80:160, 100:200] = 255
    picture = draw_boxes(image, [[100, 80, 200, 160]], [0], scale=scale)
    assert picture.shape == (200 * scale, 300 * scale, 3)
    row = picture[round(120 * scale)].astype(int)
    edges = np.flatnonzero(np.abs(row - color(0)).max(-1) < 40)
    np.testing.assert_allclose([edges.min(), edges.max()], [100 * scale, 200 * scale], atol=1)


def test_many_names_are_written_smaller_but_legibly():
    image = np.zeros((960, 1280, 3), np.uint8)
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 900, (200, 2))
    boxes = np.concatenate([low, low + 30], axis=1)
    few, many = (
        (draw_boxes(image, boxes[:count], np.zeros(count, int), names=["a long name"]) == color(0))
        .all(-1)
        .sum()
        / count
        for count in (5, 200)
    )
    assert many < 0.5 * few


def test_a_sheet_shows_pictures_drawn_for_it_as_they_are():
    image = np.random.default_rng(0).integers(0, 256, (60, 128, 3), dtype=np.uint8)
    picture = draw_boxes(image, [[10, 20, 50, 50]], [0], scale=scale_into(200, image))
    assert picture.shape == (94, 200, 3)
    sheet = contact_sheet([picture] * 3, columns=2, cell=200)
    assert sheet.shape == (400, 400, 3)
    np.testing.assert_array_equal(sheet[:94, 200:], picture)
