"""Roads from a dataset through a model into figures, pictures and files, with one that sees colours."""

import json

import cv2
import keras
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import kzoo
from kzoo.cli.evaluate import evaluate as command
from kzoo.deploy.checking import compare
from kzoo.evaluation import data_task, evaluate
from kzoo.inference.detect import detect
from kzoo.inference.folder import predict
from kzoo.structures import RoadScene, Sample
from kzoo.training.callbacks import score_of
from kzoo.training.config import TrainConfig
from kzoo.training.inputs import open_datasets, training_batches
from kzoo.training.tasks import TASKS, picture_batch

GREEN, RED, BLUE = (20, 250, 20), (250, 20, 20), (20, 20, 250)


class Plain:
    """Photographs of several shapes: a green road, red lines on it, and a blue car."""

    classes, roads, split = ["car"], True, "test"

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index >= len(self):
            raise IndexError(index)
        height, width = ((120, 200), (200, 120), (150, 150), (131, 187))[index]
        image, mask = np.full((height, width, 3), 114, np.uint8), np.zeros((height, width), np.uint8)
        image[height // 2 :], mask[height // 2 :] = GREEN, 1
        line = slice(width // 3, width // 3 + 12)
        image[height // 2 :, line], mask[height // 2 :, line] = RED, 3
        box = [width // 2, height // 3, width // 2 + 40, height // 3 + 30]
        x1, y1, x2, y2 = box
        image[y1:y2, x1:x2], mask[y1:y2, x1:x2] = BLUE, 0
        return Sample(image, [box], [0], mask=mask, id=f"picture_{index}")


class SeesColours:
    task, names, image_size, name, multiple = "drive", ["car"], (192, 256), "sees-colours", 32

    def predict_on_batch(self, images):
        def near(colour):
            return np.abs(images.astype(int) - colour).max(-1) < 125

        count, cars = len(images), near(BLUE)
        found = {"boxes": np.zeros((count, 2, 4), np.float32), "scores": np.zeros((count, 2), np.float32),
                 "labels": np.full((count, 2), -1, np.int32)}  # fmt: skip
        for i, car in enumerate(cars):
            if car.any():
                x, y, width, height = cv2.boundingRect(car.astype(np.uint8))
                found["boxes"][i, 0] = x, y, x + width, y + height
                found["scores"][i, 0], found["labels"][i, 0] = 0.9, 0
        lanes = near(RED)
        return {**found, "drivable": (near(GREEN) | lanes).astype(np.int32), "lanes": lanes.astype(np.int32)}

    def detect(self, images):
        return detect(self, images)


def test_maps_are_compared_in_the_photographs_own_pixels():
    metrics = evaluate(SeesColours(), Plain())
    assert metrics.map50 == pytest.approx(1.0) and metrics.masks is None
    assert 0.97 < metrics.drivable_iou <= 1 and 0.85 < metrics.lane_iou <= 1
    assert metrics.roads.lanes.pixels == sum((sample.mask == 3).sum() for sample in Plain())
    assert "IoU of drivable 0.9" in str(metrics)
    assert json.loads(json.dumps(metrics.to_dict()))["roads"]["lanes"]["iou"] == metrics.lane_iou
    assert data_task(SeesColours()) == "drive"


def test_figures_equal_those_of_the_results_of_detect():
    roads = evaluate(SeesColours(), Plain()).roads
    right = union = 0
    for sample in Plain():
        scene = detect(SeesColours(), sample.image)
        assert isinstance(scene, RoadScene) and scene.drivable.shape == sample.mask.shape
        true = sample.mask == 3
        right, union = right + (true & scene.lanes).sum(), union + (true | scene.lanes).sum()
    assert roads.lanes.iou == pytest.approx(right / union)


def test_a_dataset_without_roads_is_refused():
    class Boxes(Plain):
        roads = False

    with pytest.raises(ValueError, match="no masks of roads to compare with; open it with task='drive'"):
        evaluate(SeesColours(), Boxes())
    with pytest.raises(ValueError, match="no drivable area"):
        evaluate(SeesColours(), "shapes:4:64")
    with pytest.raises(ValueError, match=r"method='window' is not for a detector"):
        evaluate(SeesColours(), Plain(), method="window")


def test_a_plain_detector_is_measured_on_boxes_alone():
    class Detects(SeesColours):
        task = "detect"

        def predict_on_batch(self, images):
            return {
                name: v
                for name, v in super().predict_on_batch(images).items()
                if v.ndim < 3 or name == "boxes"
            }

    metrics = evaluate(Detects(), Plain())
    assert metrics.roads is None and np.isnan(metrics.lane_iou) and metrics.map50 == pytest.approx(1.0)


def test_command_prints_and_writes_figures_of_roads(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "160")
    app = typer.Typer()
    app.command()(command)
    monkeypatch.setattr("kzoo.weights.opening.load", lambda *_, **__: SeesColours())
    monkeypatch.setattr("kzoo.evaluation.open_split", lambda *_, **__: Plain())
    done = CliRunner().invoke(app, ["model", "--data", "data", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "drivable area" in done.output and "lanes' lines" in done.output
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["roads"]["drivable"]["iou"] > 0.97


def test_predictions_are_drawn_and_masks_are_files_of_bits(tmp_path):
    sample = Plain()[0]
    picture = tmp_path / "street.png"
    cv2.imwrite(str(picture), sample.image[..., ::-1])
    said = []
    predict(SeesColours(), picture, tmp_path / "out", kinds=("masks", "labels"), json=True, say=said.append)
    assert "1 car, drivable" in said[0] and "lanes" in said[0]
    mask = cv2.imread(str(tmp_path / "out" / "masks" / "street.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == sample.mask.shape and (mask == sample.mask).mean() > 0.97
    assert (tmp_path / "out" / "street.png").is_file()
    assert (tmp_path / "out" / "labels" / "street.txt").read_text().startswith("0 ")
    (row,) = json.loads((tmp_path / "out" / "predictions.json").read_text())["images"]
    assert set(row) >= {"objects", "drivable", "lanes"}
    with pytest.raises(ValueError, match="'drive' writes no cutouts; leave them out"):
        predict(SeesColours(), picture, tmp_path / "out", kinds=("cutouts",), say=said.append)


def test_segment_is_refused(tmp_path):
    from kzoo.inference.segment import segment

    with pytest.raises(ValueError, match="'drive' finds no masks; use predict or detect"):
        segment(SeesColours(), Plain()[0].image)


def test_a_training_opens_roads_and_its_best_epoch_is_that_of_all_three_tasks(tmp_path):
    config = TrainConfig(image_size=(64, 64), batch_size=2, workers=0, epochs=1, augment="mosaic")
    train, val = open_datasets("roads:8:64", None, task="drive")
    assert train.roads and val.roads
    _, targets = next(iter(training_batches(train, config, (64, 64), task="drive")))
    assert set(targets) == {"boxes", "labels", "mask"}
    with pytest.raises(ValueError, match="trains on boxes and masks of roads; open it with task='drive'"):
        open_datasets(kzoo.data.load("shapes:8:64", "train"), None, task="drive")
    with pytest.raises(
        ValueError, match="has semantic masks, and the model trains on boxes and masks of roads"
    ):
        open_datasets(kzoo.data.load("shapes:8:64", task="segment"), None, task="drive")
    task = TASKS["drive"]
    assert list(task.figures) == ["val_map", "val_map50", "val_drivable_iou", "val_lane_iou"]
    evaluator = task.evaluator(Plain(), SeesColours())
    assert all(getattr(evaluator(SeesColours()), figure) > 0.5 for figure in task.figures.values())
    batch = next(iter(kzoo.data.batches(train, 64, 4)))
    assert picture_batch(task, batch, train.classes, tmp_path / "batch.jpg").is_file()
    assert len(task.draw_predictions(SeesColours(), [Plain()[0].image])) == 1
    assert score_of({"val_map": 0.3, "val_drivable_iou": 0.9, "val_lane_iou": 0.6}) == pytest.approx(0.6)


@pytest.mark.slow
def test_from_training_to_exports_on_the_command_line(kzoo_command, tmp_path):
    """One epoch, figures, a picture, and three exports that give what the model gives."""
    keras.utils.set_random_seed(0)
    short = ("--epochs", 1, "--width", 0.25, "--image-size", 64, "--batch-size", 4, "--workers", 0)
    status, said, error = kzoo_command("train", "yolop", "--data", "roads:8:64", *short, "--name", "a")
    assert status == 0, error
    assert "val_lane_iou" in (tmp_path / "runs" / "drive" / "a" / "results.csv").read_text()
    status, said, error = kzoo_command("evaluate", "runs/drive/a", "--data", "roads:8:64", "--json")
    assert status == 0 and set(json.loads(said)["roads"]) == {"drivable", "lanes"}, error
    cv2.imwrite(str(tmp_path / "street.png"), kzoo.data.load("roads:8:64")[0].image[..., ::-1])
    status, said, error = kzoo_command("predict", "runs/drive/a", "street.png", "--masks", "--out", "out")
    assert status == 0 and (tmp_path / "out" / "masks" / "street.png").is_file(), error
    # After one epoch many boxes score the same, and rounding decides which goes: all 252 are to stay.
    model = kzoo.build(
        "yolop",
        image_size=(64, 64),
        width=0.25,
        weights=tmp_path / "runs" / "drive" / "a" / "best.keras",
        nms_threshold=1.0,
        max_detections=300,
        score_threshold=0.0,
    )
    images = np.stack([kzoo.data.load("roads:3:64")[i].image for i in range(3)])
    expected = model.predict_on_batch(images)
    for place in ("model.onnx", "model.tflite", "model"):
        path = kzoo.export(model, tmp_path / place)
        given = kzoo.load(path).predict_on_batch(images)
        assert set(given) == set(expected)
        np.testing.assert_allclose(given["scores"], expected["scores"], rtol=1e-3, atol=1e-5, err_msg=place)
        agreement = compare(model, path, images, score_threshold=0.0)
        assert agreement.same == agreement.total >= 3, (place, agreement)
        assert agreement.scores < 1e-4 and agreement.boxes < 0.01 and agreement.maps > 0.999, (
            place,
            agreement,
        )
