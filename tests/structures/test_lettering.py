"""Class names in pictures, whatever their script."""

import logging

import numpy as np
import pytest

from kzoo import Detections
from kzoo.metrics import DetectionEvaluator, plot_confusion, plot_precision_recall
from kzoo.structures import Sample, lettering
from kzoo.structures.draw import draw_mask
from kzoo.structures.lettering import own_font, readable, text_size, write


@pytest.fixture
def no_other_fonts(monkeypatch):
    """A machine that has the font of matplotlib alone."""
    monkeypatch.delenv("KZOO_FONT", raising=False)
    monkeypatch.setattr(lettering, "_system_fonts", tuple)
    _forget()
    yield
    _forget()


def _forget():
    for kept in (lettering.readable, lettering._alpha, lettering._covering):
        kept.cache_clear()


def drawn(*names):
    image = np.full((120, 200, 3), 90, np.uint8)
    boxes = [[10, 30, 150, 100]] * len(names)
    return Detections(boxes, [0.9] * len(names), range(len(names)), names=names, image=image).draw()


@pytest.mark.parametrize("name", ["théière", "чайник", "τσαγιέρα", "إبريق", "plain"])
def test_letters_of_a_font_are_drawn_as_they_are(name, no_other_fonts):
    assert readable(name, "class 0") == name
    assert (drawn(name) != drawn("?" * len(name))).any() and (drawn(name) != drawn("")).any()


def test_names_that_no_font_has_stay_apart_and_are_told_once(no_other_fonts, caplog):
    with caplog.at_level(logging.WARNING, "kzoo"):
        assert readable("茶壶", "class 3") == "ChaHu (class 3)"
        drawn("茶壶")
        drawn("茶壶")
    assert caplog.text.count("'ChaHu (class 0)'") == 1 and "KZOO_FONT" in caplog.text
    # 他 and 她 are transliterated alike.
    assert readable("他", "class 0") != readable("她", "class 1")
    assert readable("\U000f0000", "class 2") == "class 2"


def test_line_breaks_are_spaces(no_other_fonts):
    assert readable("tea\npot\x07", "class 0") == "tea pot "


def test_the_font_of_the_user_goes_first(no_other_fonts, monkeypatch, tmp_path, caplog):
    other = own_font().with_name("DejaVuSerif.ttf")
    plain = drawn("kettle")
    monkeypatch.setenv("KZOO_FONT", str(other))
    _forget()
    assert (drawn("kettle") != plain).any()
    monkeypatch.setenv("KZOO_FONT", str(tmp_path / "none.ttf"))
    _forget()
    np.testing.assert_array_equal(drawn("kettle"), plain)
    assert "none.ttf: no font that can be read" in caplog.text


@pytest.mark.parametrize(
    "place", [(-5, -5), (0, 0), (195, 110), (205, 20), (20, 125), (400, 400), (-400, 20)]
)
def test_what_lies_beyond_the_edge_is_cut(place):
    canvas = np.zeros((120, 200, 3), np.uint8)
    write(canvas, "kettle", *place, 14, (255, 255, 255))
    width, height = text_size("kettle", 14)
    inside = -width < place[0] < 200 and -height < place[1] < 120
    assert canvas.any() == inside


def test_text_lies_where_its_size_says():
    canvas = np.zeros((60, 200, 3), np.uint8)
    write(canvas, "kettle", 20, 10, 16, (250, 200, 10))
    rows, columns = np.nonzero(canvas.any(axis=2))
    width, height = text_size("kettle", 16)
    assert rows.min() >= 10 and rows.max() < 10 + height
    assert columns.min() >= 20 and columns.max() < 20 + width
    assert tuple(canvas.reshape(-1, 3).max(axis=0)) == (250, 200, 10)


@pytest.mark.long
def test_masks_and_plots_take_any_name(no_other_fonts, tmp_path):
    mask = np.zeros((40, 60), np.uint8)
    mask[:20] = 1
    image = np.zeros((40, 60, 3), np.uint8)
    panels = [draw_mask(image, mask, ["ground", name], legend=True) for name in ("чайник", "кружка")]
    assert panels[0].shape != panels[1].shape or (panels[0] != panels[1]).any()
    names = ["_ground", "$x", "a $\\frac$ b"]
    pictures = [_plots([name, *names], tmp_path) for name in ("茶壶", "水杯")]
    assert pictures[0][0] != pictures[1][0] and pictures[0][1] != pictures[1][1]


def _plots(names, folder):
    """The bytes of both plots of a detector that finds every object of every class."""
    evaluator = DetectionEvaluator(names)
    boxes = np.array([[10.0 * i, 0, 10 * i + 8, 8] for i in range(len(names))])
    labels = np.arange(len(names))
    image = np.zeros((20, 100, 3), np.uint8)
    evaluator.update(Sample(image, boxes, labels), Detections(boxes, np.full(len(names), 0.9), labels))
    metrics = evaluator.result()
    return [draw(metrics, folder / "a.png").read_bytes() for draw in (plot_confusion, plot_precision_recall)]
