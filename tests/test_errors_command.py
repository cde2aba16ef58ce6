"""`kzoo evaluate --errors` end to end: the table, JSON, and the page with its pictures."""

import json
import re
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import typer
from test_evaluation import NAMES, ColorDetector, Rectangles
from typer.testing import CliRunner

from kzoo.cli.evaluate import evaluate as command
from kzoo.evaluation import evaluate, write_error_page
from kzoo.metrics.errors import KINDS


class Clumsy(ColorDetector):
    """Calls red things green, does not see blue ones, and sees another in the corner of every image."""

    def predict_on_batch(self, images):
        outputs = super().predict_on_batch(images)
        outputs["labels"][outputs["labels"] == 0] = 1
        outputs["scores"][outputs["labels"] == 2] = 0
        outputs["boxes"][:, 3], outputs["scores"][:, 3], outputs["labels"][:, 3] = (60, 0, 68, 8), 0.9, 2
        return outputs


class Named(Rectangles):
    """Images whose ids would be read as HTML."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        sample.id = f"<b>{index}"
        return sample


def objects_of(data):
    return np.bincount(np.concatenate([data[i].labels for i in range(len(data))]), minlength=3).tolist()


@pytest.fixture
def run(monkeypatch):
    """Runs the command with a clumsy detector on rectangles."""
    data = Named(20)
    data.split = "test"
    monkeypatch.setitem(
        sys.modules, "kzoo.weights.opening", SimpleNamespace(load=lambda path, weights, names: Clumsy())
    )
    monkeypatch.setattr("kzoo.evaluation.open_split", lambda path, split, task: data)
    app = typer.Typer()
    app.command()(command)

    def runs(*arguments):
        return CliRunner().invoke(app, ["best.keras", "--data", "street", *arguments])

    runs.data = data
    return runs


def test_every_mistake_of_the_detector_is_named():
    data = Rectangles(20)
    red, _, blue = objects_of(data)
    metrics = evaluate(Clumsy(), data, errors=True)
    counts = {row.kind: row.count for row in metrics.errors.kinds}
    assert counts["classification"] == red and counts["background"] == 20 and counts["missed"] == blue
    assert counts["localisation"] == counts["both"] == counts["duplicate"] == 0
    assert metrics.errors.map50 == pytest.approx(metrics.map50)
    assert not hasattr(evaluate(Clumsy(), Rectangles(2)), "errors")


def test_rectangular_batches_keep_the_images_apart(tmp_path):
    network = SimpleNamespace(inputs=[SimpleNamespace(shape=(None, None, None, 3))])
    data = Rectangles(8)
    metrics = evaluate(
        Clumsy(network=network, name="any size"), data, image_size=(128, 128), rectangular=True, errors=True
    )
    assert all(image.id == f"picture_{image.index}" for image in metrics.errors.images)
    assert len(metrics.errors.images) == 8


def test_the_table(run):
    result = run("--errors")
    assert result.exit_code == 0, result.output
    for kind in KINDS:
        assert re.search(rf"{kind}\s*│\s*\d+\s*│\s*\d+\s*│\s*\d\.\d{{3}}", result.output), kind
    assert "false negatives" in result.output and "errors.html" not in result.output
    assert "what is wrong" not in run().output


def test_json_has_it_where_asked(run):
    table = json.loads(run("--json", "--errors").stdout)
    assert table["errors"]["kinds"]["background"]["count"] == 20
    assert {image["id"] for image in table["errors"]["images"]} == {f"<b>{i}" for i in range(20)}
    assert "errors" not in json.loads(run("--json").stdout)


class Page(HTMLParser):
    """Files that a page refers to, and the text on it."""

    def __init__(self, path):
        super().__init__()
        self.files, self.text = set(), ""
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        self.files |= {value for name, value in attrs if name in ("src", "href")}

    def handle_data(self, data):
        self.text += data


def test_the_page_shows_the_worst_sixteen_images(run, tmp_path):
    result = run("--errors", "--out", str(tmp_path))
    assert result.exit_code == 0 and "errors.html" in result.output
    page = Page(tmp_path / "errors.html")
    assert page.files == {"errors.png", *(f"errors/{number:02}.jpg" for number in range(1, 17))}
    for name in page.files:
        assert cv2.imread(str(tmp_path / name)) is not None, name
    table = json.loads((tmp_path / "metrics.json").read_text())["errors"]
    assert all(kind in page.text for kind in KINDS)
    assert all(image["id"] in page.text for image in table["images"][:16]), "ids are escaped"
    assert table["images"][16]["id"] + ":" not in page.text


def test_only_the_worst_images_are_read_again_and_old_pictures_go(tmp_path):
    data = Rectangles(20)
    metrics = evaluate(Clumsy(), data, errors=True)
    data.reads.clear()
    write_error_page(metrics, data, tmp_path, worst=3)
    assert data.reads == [image.index for image in metrics.errors.images[:3]]
    write_error_page(metrics, data, tmp_path, worst=2)
    assert sorted(path.name for path in (tmp_path / "errors").iterdir()) == ["01.jpg", "02.jpg"]


def test_a_page_of_a_perfect_detector(tmp_path):
    data = Rectangles(3)
    page = write_error_page(evaluate(ColorDetector(), data, errors=True), data, tmp_path)
    assert "No image has a mistake" in page.read_text()


def test_another_dataset_is_refused(tmp_path):
    metrics = evaluate(Clumsy(), Rectangles(5), errors=True)
    with pytest.raises(ValueError, match=r"is image '<b>\d', not 'picture_\d'; give the dataset that was"):
        write_error_page(metrics, Named(5), tmp_path)
    with pytest.raises(ValueError, match="is nothing, not 'picture_"):
        write_error_page(metrics, Rectangles(0), tmp_path)
    with pytest.raises(ValueError, match="evaluate with errors=True"):
        write_error_page(evaluate(Clumsy(), Rectangles(2)), Rectangles(2), tmp_path)
    assert not list(tmp_path.iterdir())


def test_faulty_images_that_are_left_out_do_not_shift_the_others(bccd, tmp_path):
    from kzoo import data
    from kzoo.data.checks.check import require_sound

    class Blind(ColorDetector):
        def predict_on_batch(self, images):
            shape = (len(images), 1)
            return {
                "boxes": np.zeros((*shape, 4)),
                "scores": np.zeros(shape),
                "labels": np.full(shape, -1),
            }

    sound = require_sound(data.load(bccd, "val"), skip_faulty=True)
    metrics = evaluate(Blind(sound.classes), sound, errors=True)
    assert metrics.errors.kinds[-1].count == metrics.objects
    write_error_page(metrics, sound, tmp_path, worst=2)
    assert len(list((tmp_path / "errors").iterdir())) == 2


def test_models_without_boxes_are_refused():
    with pytest.raises(ValueError, match="errors=True is not for a segmenter; leave it out"):
        evaluate(SimpleNamespace(task="segment"), Rectangles(1), errors=True)
    with pytest.raises(ValueError, match="'classify' finds no boxes; evaluate a detector"):
        evaluate(ColorDetector(task="classify"), Rectangles(1), errors=True)


def test_names_are_those_of_the_dataset():
    metrics = evaluate(Clumsy(), Rectangles(4), errors=True)
    assert metrics.errors.names == tuple(NAMES) == metrics.names
