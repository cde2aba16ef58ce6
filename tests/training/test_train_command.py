import dataclasses
import inspect
import subprocess
import sys
from typing import get_args

import pytest
import typer
from typer.testing import CliRunner

from kzoo.cli import train as module
from kzoo.training.config import TrainConfig

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(module.train)


@pytest.fixture
def calls(monkeypatch):
    """What the command asks of the package, in the place of a training."""
    import kzoo.training

    seen = []
    monkeypatch.setattr(kzoo.training, "train", lambda *a, **k: seen.append((a, k)), raising=False)
    monkeypatch.setattr(kzoo.training, "resume", lambda *a, **k: seen.append(("resume", a, k)), raising=False)
    return seen


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_defaults_are_those_of_the_configuration(calls):
    result = run("yolov3-tiny", "--data", "shapes")
    assert result.exit_code == 0, result.output
    ((arguments, options),) = calls
    assert arguments == ("yolov3-tiny", "shapes", None)
    assert TrainConfig.of(options) == TrainConfig()


def test_options_arrive_with_their_types(calls):
    words = (
        "--epochs 3 --image-size 320x416 --augment flip,color --anchors 10,13,16,30 --no-ema --multi-scale"
    )
    words += " --learning-rate 2e-3 --head focal_gamma=2 --head class-agnostic=true --skip-faulty --burn-in 0"
    result = run("yolov3-tiny", "--data", "shapes", *words.split())
    assert result.exit_code == 0, result.output
    config = TrainConfig.of(calls[0][1])
    assert config == dataclasses.replace(
        TrainConfig(),
        epochs=3,
        image_size=(320, 416),
        augment=["flip", "color"],
        anchors=[10.0, 13.0, 16.0, 30.0],
        ema=False,
        multi_scale=True,
        learning_rate=2e-3,
        head={"focal_gamma": 2, "class_agnostic": True},
        skip_faulty=True,
        burn_in=0,
    )


def test_of_a_cfg_only_what_is_written_wins(calls):
    result = run("net.cfg", "--data", "shapes", "--epochs", 50, "--weights", "net.weights", "--stop-at", 74)
    assert result.exit_code == 0, result.output
    ((arguments, options),) = calls
    assert arguments == ("net.cfg", "shapes", None)
    assert options == {"epochs": 50, "weights": "net.weights", "stop_at": 74}


def test_sizes_arrive_with_their_types(calls):
    assert run("yolov3-tiny", "--data", "shapes", "--sizes", "320,352x384").exit_code == 0
    assert TrainConfig.of(calls[0][1]).sizes == [(320, 320), (352, 384)]


def test_resumes_a_run_with_what_is_written(calls):
    assert run("--resume", "runs/x").exit_code == 0
    assert run("--resume", "runs/x", "--epochs", TrainConfig().epochs, "--patience", "3").exit_code == 0
    assert calls == [
        ("resume", ("runs/x", None, None), {}),
        ("resume", ("runs/x", None, None), {"epochs": TrainConfig().epochs, "patience": 3}),
    ]
    assert run("yolov3-tiny", "--resume", "runs/x").exit_code == 2


@pytest.mark.parametrize(
    "words", ["", "yolov3-tiny", "--data shapes", "yolov3-tiny --data shapes --image-size big"]
)
def test_wrong_usage_has_status_2(words, calls):
    assert run(*words.split()).exit_code == 2
    assert not calls


def test_help_has_headings_with_the_ten_that_people_use_first_on_top():
    panels = {}
    for parameter in inspect.signature(module.train).parameters.values():
        for about in get_args(parameter.annotation)[1:]:
            panels.setdefault(about.rich_help_panel, []).append(parameter.name)
    assert panels.pop(None) == ["model"]
    assert list(panels) == [
        *("Used first", "Data", "Model", "Optimiser", "Schedule", "Augmentation", "Run", "Speed"),
    ]
    assert len(panels["Used first"]) == 10 and {"data", "val", "epochs", "batch_size"} < set(
        panels["Used first"]
    )


def test_help_imports_neither_keras_nor_tensorflow():
    program = (
        "import sys, kzoo.cli.train; assert not {'keras', 'tensorflow', 'numpy', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
