"""Semantic masks over their images."""

import numpy as np
import pytest

from kzoo.structures import IGNORED
from kzoo.structures.draw import color, draw_mask


@pytest.fixture
def scene():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    mask = np.zeros((40, 60), np.uint8)
    mask[:10, :20], mask[10:20], mask[30:] = 1, 7, IGNORED
    return image, mask


def test_classes_get_a_veil_of_their_colour(scene):
    image, mask = scene
    picture = draw_mask(image, mask, opacity=0.25, scale=1)
    for value in (1, 7):
        expected = 0.75 * image[mask == value] + 0.25 * np.array(color(value))
        assert np.abs(picture[mask == value] - expected).max() <= 1
    for value in (0, IGNORED):
        np.testing.assert_array_equal(picture[mask == value], image[mask == value])
    assert color(1) != color(7)


def test_any_class_may_be_the_ground(scene):
    image, mask = scene
    np.testing.assert_array_equal(draw_mask(image, mask, background=7, scale=1)[mask == 7], image[mask == 7])
    picture = draw_mask(image, mask, background=None, opacity=1.0, scale=1)
    assert (picture[mask == 0] == color(0)).all()


def test_the_image_is_not_changed(scene):
    image, mask = scene
    before = image.copy()
    draw_mask(image, mask.astype(np.int64), legend=True)
    np.testing.assert_array_equal(image, before)


def test_the_legend_lists_the_classes_that_are_there(scene):
    image, mask = scene
    picture = draw_mask(image, mask, ["ground", "road"], legend=True, scale=1)
    panel = picture[:, 60:]
    assert len(picture) >= 48 and panel.shape[1] > 36
    np.testing.assert_array_equal(picture[:40, :60], draw_mask(image, mask, scale=1))
    shown = {tuple(pixel) for pixel in panel[:, 8:20].reshape(-1, 3).tolist()}
    assert {color(1), color(7)} <= shown and color(0) not in shown
    longer = draw_mask(image, mask, ["ground", "a road that goes on and on"], legend=True, scale=1)
    assert longer.shape[1] > picture.shape[1]


def test_a_legend_of_nothing(scene):
    image, _ = scene
    assert draw_mask(image, np.zeros(image.shape[:2], np.uint8), legend=True, scale=1).shape[0] == 40


def test_sizes_must_agree(scene):
    image, mask = scene
    with pytest.raises(ValueError, match=r"a mask of shape \(40, 59\) on an image of \(40, 60\)"):
        draw_mask(image, mask[:, :-1])


@pytest.mark.parametrize("scale", [3, 2.5, 0.5])
def test_classes_are_not_mixed_at_another_scale(scene, scale):
    image, mask = scene
    picture = draw_mask(image, mask, background=None, opacity=1.0, scale=scale)
    assert picture.shape == (round(40 * scale), round(60 * scale), 3)
    assert {tuple(pixel) for pixel in picture[: round(30 * scale)].reshape(-1, 3).tolist()} == {
        color(value) for value in (0, 1, 7)
    }
    assert (picture[round(5 * scale), round(10 * scale)] == color(1)).all()


def test_small_images_are_enlarged(scene):
    image, mask = scene
    assert draw_mask(image, mask).shape == (440, 660, 3)
