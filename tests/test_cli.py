"""The command as a user meets it: quick, and with one line where something is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kzoo.registry import entry

KZOO = Path(sys.executable).with_name("kzoo")


def kzoo(*arguments, cwd=None):
    """Runs the installed command off a terminal."""
    return subprocess.run([KZOO, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=cwd)


def the_error(said: str, words=()) -> str:
    """The one line of stderr that says what is wrong; TensorFlow may say something there, too, when it is loaded."""
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert all(word in line for word in words)
    return line


def test_help_names_every_command():
    shown = kzoo("--help").stdout
    for command in (
        "demo",
        "list",
        "info",
        "train",
        "evaluate",
        "predict",
        "export",
        "compress",
        "push",
        "serve",
        "benchmark",
        "anchors",
        "data",
    ):
        assert command in shown


def test_list():
    names = [row["name"] for row in json.loads(kzoo("list", "--json").stdout)]
    assert {"yolov3", "yolov3-tiny", "yolov3-spp", "darknet53"} <= set(names)
    assert f"{entry('yolov3-tiny').parameters:,}" in kzoo("list").stdout


def test_info_counts_what_darknet_counts(kzoo_command):
    _, out, _ = kzoo_command("info", "yolov3-tiny", "--json")
    row = json.loads(out)
    assert row["parameters"] == entry("yolov3-tiny").parameters and row["gflops"] == 5.56


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("info", "yolo3"), ("unknown model 'yolo3'", "yolov3")),
        (("predict", "nowhere.keras", "x.jpg"), ("x.jpg",)),
        (("evaluate", "nowhere.keras", "--data", "shapes:8:64"), ("nowhere.keras",)),
        (("data", "check", "nowhere"), ("nowhere",)),
        (("train", "yolo3", "--data", "shapes:8:64"), ("unknown model 'yolo3'", "did you mean")),
        (("train", "yolov3-tiny", "--data", "nowhere"), ("nowhere",)),
    ],
)
def test_what_a_user_can_mend_is_one_line(kzoo_command, arguments, words):
    status, _, said = kzoo_command(*arguments)
    assert status == 1
    the_error(said, words)


@pytest.mark.parametrize(
    "arguments",
    [("train",), ("nonsense",), ("list", "--task", "juggle"), ("info", "yolov3", "--no-such-option")],
)
def test_wrong_usage_is_status_2_and_one_line(kzoo_command, arguments):
    status, _, said = kzoo_command(*arguments)
    assert status == 2
    the_error(said)


@pytest.mark.parametrize(
    "arguments, status",
    [
        (("nonsense",), 2),
        (("data", "check", "nowhere"), 1),
        (("train", "yolov3-tiny", "--data", "nowhere"), 1),
    ],
)
def test_the_installed_command_says_that_line_alone(tmp_path, arguments, status):
    done = kzoo(*arguments, cwd=tmp_path)
    assert done.returncode == status
    assert done.stderr == f"{the_error(done.stderr)}\n"
