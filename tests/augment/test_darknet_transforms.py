"""Darknet's jitter and colours: what they are bounded by, and that boxes follow."""

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzoo.augment import Compose, DarknetColor, DarknetJitter, Flip, Mosaic, place, scale_hsv, transforms
from kzoo.structures import Sample

SIZE = (96, 128)


def painted(seed: int, height: int = 120, width: int = 200) -> Sample:
    rng = np.random.default_rng(seed)
    w, h = rng.integers(20, width // 2), rng.integers(20, height // 2)
    x, y = rng.integers(0, width - w), rng.integers(0, height - h)
    image = np.zeros((height, width, 3), np.uint8)
    image[y : y + h, x : x + w] = 255
    return Sample(image, [[x, y, x + w, y + h]], [3], masks=image[None, ..., 0] > 0)


@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.3]), st.sampled_from([1.0, 1.5, 0.8]))
@settings(max_examples=80, deadline=None)
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
def test_boxes_follow_the_jitter(resize, seed, jitter, ratio):
    moved = place(np.random.default_rng(seed), painted(seed), SIZE, [DarknetJitter(jitter, ratio)], resize)
    assert moved.image.shape == (*SIZE, 3)
    assert (moved.boxes >= 0).all() and (moved.boxes <= (128, 96, 128, 96)).all()
    if len(moved.boxes):
        for seen in (moved.image[..., 0] > 184, moved.masks[0]):
            rows, columns = np.nonzero(seen)
            edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            np.testing.assert_allclose(moved.boxes[0], edges, atol=2.0)


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.2, 0.3]))
@settings(max_examples=100, deadline=None)
def test_each_side_is_cut_or_extended_within_bounds(seed, jitter):
    """What the frame shows, in shares of the picture, as Darknet's pleft, pright, ptop and pbot have it."""
    height, width = SIZE
    matrix = DarknetJitter(jitter).matrix(np.random.default_rng(seed), SIZE)
    shown = np.linalg.inv(matrix) @ np.array([[0, width], [0, height], [1, 1]])
    cut = np.array(
        [shown[0, 0] / width, 1 - shown[0, 1] / width, shown[1, 0] / height, 1 - shown[1, 1] / height]
    )
    assert (np.abs(cut) <= jitter + 1e-9).all()
    assert matrix[0, 1] == matrix[1, 0] == 0
    if jitter:
        assert len(set(cut.round(9))) == 4, "every side by itself"


def test_bounds_are_reached_on_both_sides():
    matrices = [DarknetJitter(0.3).matrix(np.random.default_rng(seed), SIZE) for seed in range(2000)]
    scales = np.array([matrix[0, 0] for matrix in matrices])
    assert 1 / 1.6 <= scales.min() < 0.65 and 2.2 < scales.max() <= 1 / 0.4
    ratios = np.array([matrix[0, 0] / matrix[1, 1] for matrix in matrices])
    assert ratios.min() < 0.5 and ratios.max() > 2, "the aspect varies"


@pytest.mark.parametrize(("ratio", "least", "most"), [(1.5, 1 / 1.5, 1.5), (0.8, 0.8, 1.0), (1.0, 1.0, 1.0)])
def test_resize_scales_besides(ratio, least, most):
    matrices = [DarknetJitter(0.0, ratio).matrix(np.random.default_rng(seed), SIZE) for seed in range(500)]
    scales = np.array([[matrix[0, 0], matrix[1, 1]] for matrix in matrices])
    np.testing.assert_allclose(scales[:, 0], scales[:, 1])
    assert least - 1e-9 <= scales.min() <= least + 0.05 and most - 0.1 <= scales.max() <= most + 1e-9


@pytest.mark.parametrize(
    "arguments", [{"jitter": 0.5}, {"jitter": -0.1}, {"jitter": 0.4, "resize": 1.5}, {"resize": 0}]
)
def test_a_jitter_that_may_leave_nothing_is_refused(arguments):
    with pytest.raises(ValueError, match="may leave nothing"):
        DarknetJitter(**arguments)


@pytest.mark.parametrize(
    "color", [(200, 40, 60), (30, 180, 90), (10, 20, 220), (128, 128, 128), (255, 255, 255)]
)
def test_colours_are_multiplied_in_hsv(color):
    image = np.full((4, 4, 3), color, np.uint8)
    hue, saturation, value = colorsys.rgb_to_hsv(*np.array(color) / 255)
    for turn, more, brighter in ((0.1, 1.0, 1.0), (-0.2, 0.7, 1.0), (0.0, 1.4, 0.6), (0.05, 2.0, 1.5)):
        wanted = colorsys.hsv_to_rgb((hue + turn) % 1, min(1, saturation * more), min(1, value * brighter))
        found = scale_hsv(image, turn, more, brighter)
        # Hue is kept in 256 parts, each of six levels.
        assert np.abs(found[0, 0] - 255 * np.array(wanted)).max() <= 9


def test_no_change_is_exact():
    image = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    assert scale_hsv(image) is image


@pytest.mark.parametrize("most", [1.5, 1 / 1.5])
def test_factors_are_drawn_up_to_the_figure_and_its_reciprocal(most):
    image = np.full((2, 2, 3), 100, np.uint8)
    drawn = [
        DarknetColor(0.0, 1.0, most)(np.random.default_rng(seed), Sample(image)).image[0, 0, 0] / 100
        for seed in range(500)
    ]
    assert 0.66 <= min(drawn) < 0.69 and 1.47 < max(drawn) <= 1.5
    assert 0.4 < np.mean(np.array(drawn) > 1) < 0.6


def test_colours_leave_boxes_and_the_original_alone():
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    before, sample = image.copy(), Sample(image, [[1, 2, 3, 4]], [5], id="x")
    changed = DarknetColor()(np.random.default_rng(1), sample)
    np.testing.assert_array_equal(image, before)
    assert (changed.image != image).any() and changed.image.dtype == np.uint8
    np.testing.assert_array_equal(changed.boxes, sample.boxes)
    with pytest.raises(ValueError, match=r"hue=-0\.1"):
        DarknetColor(hue=-0.1)


def test_names_with_arguments():
    made = transforms(
        [{"mosaic": {"p": 0.5, "centre": [0.2, 0.8]}}, "flip", {"darknet_jitter": {"jitter": 0.2}}]
    )
    assert made == [Mosaic(0.5, [0.2, 0.8]), Flip(), DarknetJitter(0.2)]
    compose = Compose([*made, {"darknet_color": {}}])
    result = compose(np.random.default_rng(0), painted(0), SIZE, lambda: painted(1))
    assert result.image.shape == (*SIZE, 3)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"darknet_jiter": {}}, "darknet_jitter"),
        ({"flip": {"q": 1}}, "flip: .*'q'"),
        ({"flip": {}, "color": {}}, "is no transform; give a name"),
        (7, "7 is no transform"),
    ],
)
def test_wrong_names_and_arguments(wrong, hint):
    with pytest.raises(ValueError, match=hint):
        transforms([wrong])
