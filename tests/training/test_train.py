import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from tiny_detector import SIDE, flat, tiny_detector

import kzoo
from kzoo.data.formats.shapes import Shapes
from kzoo.model import backbone_layers
from kzoo.training import inputs, resume
from kzoo.training.checkpoint import read_state

FILES = {
    *("args.yaml", "results.csv", "results.png", "best.keras", "last.keras", "precision_recall.png"),
    *("confusion.png", "train_batch.jpg", "val_predictions.jpg", "tensorboard"),
}
COLUMNS = {"epoch", "loss", "box_loss", "val_loss", "val_class_loss", "val_map", "val_map50", "learning_rate"}


def table(folder):
    with (folder / "results.csv").open() as file:
        return list(csv.DictReader(file))


class Faulty(Shapes):
    """Shapes of which one has a box without area."""

    def record(self, index):
        record = super().record(index)
        if self._position(index) == 3:
            record.boxes[0, 2] = record.boxes[0, 0]
        return record

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        sample.boxes = self.record(index).boxes.copy()
        return sample


class Stop(keras.callbacks.Callback):
    """Raises in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == self.at and batch == 1:
            raise RuntimeError("power cut")


def test_leaves_a_run_folder_and_the_best_model(untraced, detector, drawn, options):
    train, val = Faulty(24, (SIDE, SIDE)), drawn[1]
    options |= {"epochs": 3, "learning_rate": 1e-2, "skip_faulty": True}
    result = kzoo.train(detector, train, val, **options)
    assert {file.name for file in result.folder.iterdir()} == FILES
    rows = table(result.folder)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"] and set(rows[0]) >= COLUMNS
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    best = max(rows, key=lambda row: float(row["val_map"]))
    assert result.best_epoch == int(best["epoch"])
    assert result.metrics.map == pytest.approx(float(best["val_map"]), abs=1e-5)
    np.testing.assert_array_equal(flat(result.model.weights), flat(detector.weights))
    np.testing.assert_array_equal(flat(kzoo.load(result.folder).weights), flat(detector.weights))
    for name in ("results.png", "train_batch.jpg", "val_predictions.jpg", "confusion.png"):
        assert cv2.imread(str(result.folder / name)).std() > 5, name
    assert len(list((result.folder / "tensorboard").glob("*/events*"))) == 2


def start(program: str) -> subprocess.Popen:
    """A Python process that finds the tests' own modules."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", program], start_new_session=True, env={**os.environ, "PYTHONPATH": path}
    )


KILLED = """
import time
import keras
import kzoo
from kzoo.data.formats.shapes import Shapes
from tiny_detector import tiny_detector
train, val = Shapes(48, (64, 64), split="train"), Shapes(8, (64, 64), split="val")
class Wait(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (2, 2):  # to be killed
            time.sleep(300)
kzoo.train(tiny_detector(policy="mixed_bfloat16"), train, val, callbacks=[Wait()], **{options})
"""


@pytest.mark.long
def test_killed_and_resumed_equals_uninterrupted(tmp_path):
    options = {"epochs": 4, "batch_size": 8, "augment": "mosaic", "accumulate": 2, "verbose": 0}
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(KILLED.format(options={**options, "run": str(killed)}))
    deadline = time.monotonic() + 200
    while not (killed / "results.csv").exists() or len(table(killed)) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert read_state(killed / "last.keras")["epoch"] == 2
    train, val = Shapes(48, (SIDE, SIDE), split="train"), Shapes(8, (SIDE, SIDE), split="val")
    with pytest.raises(ValueError, match="pass it as `data`"):
        resume(killed)
    resumed = resume(killed, train, val, verbose=0)
    result = kzoo.train(
        tiny_detector(policy="mixed_bfloat16"), train, val, **{**options, "runs": None, "run": whole}
    )
    assert (killed / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()
    np.testing.assert_array_equal(flat(resumed.model.weights), flat(result.model.weights))
    assert (len(resumed.rows), resumed.best_epoch) == (4, result.best_epoch)
    # What chose the epoch are the figures of what is saved, in float32.
    assert result.metrics.map == result.rows[result.best_epoch - 1]["val_map"]
    # Resuming what is finished changes nothing.
    again = resume(killed, train, val, verbose=0)
    assert again.rows == resumed.rows


@pytest.mark.long
def test_resumes_what_failed_within_an_epoch(untraced, drawn, options, tmp_path):
    train, val = drawn
    run = tmp_path / "run"
    with pytest.raises(RuntimeError, match="power cut"):
        model = tiny_detector(policy="mixed_float16")
        there = {**options, "runs": None, "run": run}
        kzoo.train(model, train, val, callbacks=[Stop(1)], freeze_backbone=True, **there)
    assert len(table(run)) == 1
    # As if the process had been killed between checkpoint and table.
    (run / "results.csv").write_text("epoch,loss\n1,2\n2,3\n")
    result = resume(run, train, val, verbose=0)
    assert [row["epoch"] for row in table(run)] == ["1", "2"]
    assert np.isfinite(result.rows[-1]["loss"]) and result.model.dtype_policy.name == "float32"
    initial = {layer.name: layer for layer in backbone_layers(tiny_detector())}
    for layer in backbone_layers(result.model):
        assert all(map(np.array_equal, layer.get_weights(), initial[layer.name].get_weights())), layer.name


@pytest.mark.long
def test_a_named_model_is_built_for_the_data(untraced, tmp_path):
    options = {"epochs": 1, "image_size": 32, "width": 0.1, "verbose": 0, "box_loss": "giou", "run": tmp_path}
    model = kzoo.train("yolov3-tiny", "shapes:16:32", head={"focal_gamma": 2.0}, **options).model
    assert model.names == ["circle", "rectangle", "triangle"] and model.image_size == (32, 32)
    assert (model.head.box_loss, model.head.focal_gamma) == ("giou", 2.0)
    assert (
        np.max(model.head.anchors) < 16
    )  # shapes fill at most a third of the image, and a third of 32 is small


@pytest.mark.long
def test_other_options_train_and_without_validation_the_loss_decides(untraced, drawn, options):
    options |= {"optimizer": "sgd", "schedule": "step", "multi_scale": True, "augment": ["flip", "color"]}
    options |= {"ema": False, "clip_norm": 0, "image_size": SIDE, "workers": 2}
    result = kzoo.train(tiny_detector(), drawn[0], **options)
    losses = [row["loss"] for row in result.rows]
    assert np.isfinite(losses).all() and "val_loss" not in result.rows[0]
    assert result.metrics is None and result.best_epoch == 1 + int(np.argmin(losses))


@pytest.mark.long
def test_nan_stops_with_a_line_and_keeps_the_checkpoint(untraced, drawn, options, tmp_path):
    train, val = drawn
    options |= {"run": tmp_path / "run", "runs": None, "learning_rate": 1e30, "burn_in": 0, "clip_norm": 0}
    with pytest.raises(ValueError, match=r"epoch 1, batch \d.*learning rate") as caught:
        kzoo.train(tiny_detector(), train, val, **options)
    assert "\n" not in str(caught.value)
    assert read_state(tmp_path / "run" / "last.keras")["epoch"] == 0


def test_faults_stop_the_training(options):
    with pytest.raises(ValueError, match="1 fault; mend what follows") as caught:
        kzoo.train(tiny_detector(), Faulty(16, (SIDE, SIDE)), **options)
    assert "zero-area" in str(caught.value)
    assert not list(options["runs"].iterdir())


def test_a_broken_image_is_named_in_a_line(untraced, drawn, options):
    class Broken(Shapes):
        def __getitem__(self, index):
            if index == 5:
                raise ValueError("photo5.jpg: not an image")
            return super().__getitem__(index)

    with pytest.raises(ValueError, match=r"^photo5.jpg: not an image$"):
        kzoo.train(tiny_detector(), Broken(16, (SIDE, SIDE)), drawn[1], **options)


@pytest.mark.parametrize(
    ("arguments", "more", "words"),
    [
        (("yolov3-tinny", "shapes"), {}, "did you mean yolov3-tiny"),
        (("yolov3-tiny", "no/such/folder"), {}, "no such dataset"),
        (("yolov3-tiny", "shapes:8:64"), {"image_size": 50}, "multiples of 32"),
        (("yolov3-tiny", "shapes:8:64"), {"head": {"nms": 3}}, "nms"),
        (("yolov3-tiny", "shapes:8:64"), {"anchors": "automatic"}, "give auto, default"),
        (("yolov3-tiny", "shapes:8:64"), {"epoch": 3}, "did you mean epochs"),
        ((tiny_detector, "shapes:8:64"), {"width": 0.5}, "by name only"),
        ((tiny_detector, "shapes:8:64"), {"precision": "mixed_float16"}, "built in float32"),
        ((lambda: tiny_detector(classes=2), "shapes:8:64"), {}, "has 2 classes, the dataset has 3"),
    ],
)
def test_mistakes_are_told_in_a_line_and_leave_nothing(arguments, more, words, tmp_path):
    model, data = arguments
    options = (
        {"runs": tmp_path, "width": 0.25, "image_size": SIDE}
        if isinstance(model, str)
        else {"runs": tmp_path}
    )
    with pytest.raises((ValueError, OSError), match=words) as caught:
        kzoo.train(model if isinstance(model, str) else model(), data, **{**options, **more})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_sizes_of_multi_scale_are_two_to_four_thirds():
    assert inputs.sizes((416, 416))[0] == (288, 288) and inputs.sizes((416, 416))[-1] == (544, 544)
    assert inputs.sizes((64, 96)) == [(32, 64), (64, 96), (96, 128)]
    assert inputs.sizes((32, 32)) == [(32, 32), (64, 64)]


TWO_DEVICES = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from kzoo.training import devices
devices.gpus = lambda: ["CPU:0", "CPU:1"]
import kzoo
from kzoo.data.formats.shapes import Shapes
try:
    devices.strategy(batch_size=9)
except ValueError as error:
    assert "give a multiple of 2" in str(error)
from kzoo.training import pretraining
from tiny_detector import tiny_detector
class Told(pretraining.StopOnNaN):
    def on_epoch_end(self, epoch, logs=None):
        assert 1 < logs["loss"] < 2  # of four classes, of which nothing is known yet, ln 4, on however many devices
pretraining.StopOnNaN = Told
options = dict(batch_size=8, augment="none", verbose=0, epochs=1, run={run!r}, pretrain="classify", pretrain_epochs=1)
with devices.strategy(batch_size=8):
    model = tiny_detector()
result = kzoo.train(model, Shapes(16, (64, 64)), **options)
assert model.distribute_strategy.num_replicas_in_sync == 2
assert 0 < result.rows[0]["box_loss"] < 10
"""


@pytest.mark.long
def test_two_devices_share_a_batch(tmp_path):
    assert start(TWO_DEVICES.format(run=str(tmp_path / "run"))).wait(200) == 0
