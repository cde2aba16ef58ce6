"""Masks from a dataset through a detector into figures, and what trainings ask for, with one that sees colours."""

import json

import numpy as np
import pytest
import typer
from colour_instances import NAMES, Ellipses, SeesColours
from typer.testing import CliRunner

import kzoo
from kzoo.cli.evaluate import evaluate as command
from kzoo.evaluation import Evaluator, data_task, evaluate
from kzoo.inference.detect import detect
from kzoo.metrics import DetectionEvaluator
from kzoo.structures.draw import color
from kzoo.training.config import TrainConfig
from kzoo.training.inputs import open_datasets, training_batches, validation_batches
from kzoo.training.tasks import TASKS, picture_batch


def test_masks_are_compared_in_the_photographs_own_pixels():
    metrics = evaluate(SeesColours(), Ellipses())
    assert metrics.masks.map > 0.95 and metrics.mask_map50 == pytest.approx(1.0)
    assert 0.8 < metrics.masks.boundary["map"] <= metrics.masks.map
    assert [row.name for row in metrics.masks.per_class] == NAMES
    assert "of masks 0.9" in str(metrics) or "of masks 1.0" in str(metrics)
    json.dumps(metrics.to_dict(curves=True), allow_nan=False)
    assert metrics.to_dict()["masks"]["boundary"].keys() == metrics.coco.keys()
    grown = evaluate(SeesColours(head=None), Ellipses())  # pasted in torchvision's way
    assert grown.map == metrics.map and grown.mask_map < metrics.mask_map


def test_an_evaluation_equals_one_of_the_results_of_detect():
    model, data = SeesColours(), Ellipses()
    evaluator = DetectionEvaluator(NAMES)
    for sample in data:
        evaluator.update(sample, detect(model, sample.image))
    assert evaluator.result().masks == evaluate(model, data, score_threshold=0.25).masks


def test_a_plain_detector_is_measured_on_boxes_alone_and_errors_go_beside_masks():
    class Plain(SeesColours):
        task = "detect"

        def predict_on_batch(self, images):
            result = super().predict_on_batch(images)
            del result["masks"]
            return result

    assert evaluate(Plain(), Ellipses()).masks is None
    analysed = evaluate(SeesColours(), Ellipses(), errors=True)
    assert analysed.errors is not None and analysed.masks.map > 0.95


def test_objects_without_masks_are_named():
    with pytest.raises(
        ValueError, match="image 'picture_0': detections have masks and the objects have none; open"
    ):
        evaluate(SeesColours(), Ellipses(masks=False))
    assert data_task(SeesColours()) == "instance"
    with pytest.raises(ValueError, match=r"method='window' is not for a detector"):
        evaluate(SeesColours(), Ellipses(), method="window")


def test_images_that_stay_in_memory_give_the_same_again():
    evaluator = Evaluator(Ellipses(), (192, 256))
    assert evaluator(SeesColours()).masks == evaluator(SeesColours()).masks


@pytest.fixture
def run(monkeypatch):
    app = typer.Typer()
    app.command()(command)
    monkeypatch.setattr("kzoo.weights.opening.load", lambda *_, **__: SeesColours())
    monkeypatch.setattr("kzoo.evaluation.open_split", lambda *_, **__: _Named())

    def invoke(*arguments):
        result = CliRunner().invoke(app, ["model", "--data", "data", *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    return invoke


class _Named(Ellipses):
    split = "test"


def test_command_prints_masks_beside_boxes(run, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "160")
    said = run("--out", str(tmp_path))
    for word in ("boxes", "masks", "boundaries", "mask AP", "boundary AP"):
        assert word in said
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["masks"]["coco"]["map"] > 0.95 and len(written["masks"]["classes"]) == 3
    assert json.loads(run("--json"))["masks"]["coco"] == written["masks"]["coco"]


def test_a_training_for_masks_opens_them():
    config = TrainConfig(image_size=(64, 64), batch_size=2, workers=0, epochs=1, augment="mosaic")
    train, val = open_datasets("shapes:8:64", None, task="instance")
    assert train.instances and val.instances
    for batches in (
        training_batches(train, config, (64, 64), task="instance"),
        validation_batches(val, config, (64, 64), task="instance"),
    ):
        _, targets = next(iter(batches))
        assert targets["masks"].dtype == np.uint8 and targets["masks"].shape[2:] == (56, 56)
    own = open_datasets(Ellipses(), Ellipses(), task="instance")[0]  # nothing but samples
    _, targets = next(iter(training_batches(own, config, (64, 64), task="instance")))
    assert targets["masks"].any()
    boxes = kzoo.data.load("shapes:8:64", "train")
    with pytest.raises(ValueError, match="has boxes, and the model trains on instance masks; open it with"):
        open_datasets(boxes, None, task="instance")
    with pytest.raises(ValueError, match="has semantic masks, and the model trains on instance masks"):
        open_datasets(kzoo.data.load("shapes:8:64", task="segment"), None, task="instance")


def test_pictures_of_a_training_show_masks(tmp_path):
    dataset = kzoo.data.load("shapes:4:64", task="instance")
    batch = next(iter(kzoo.data.batches(dataset, 64, 4)))
    task = TASKS["instance"]
    first = task.draw_batch(batch, dataset.classes)[0]
    assert (first == color(int(batch[1]["labels"][0, 0]))).all(-1).any()
    assert picture_batch(task, batch, dataset.classes, tmp_path / "batch.jpg").is_file()
    assert list(task.figures) == ["val_mask_map", "val_mask_map50", "val_map", "val_map50"]
    evaluator = task.evaluator(Ellipses(), SeesColours())
    figures = {name: getattr(evaluator(SeesColours()), figure) for name, figure in task.figures.items()}
    assert figures["val_mask_map"] > 0.95
    pictures = task.draw_predictions(_Detects(), [Ellipses()[0].image])
    assert (pictures[0] == color(0)).all(-1).any()


class _Detects(SeesColours):
    def detect(self, images):
        return detect(self, images)
