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


def refused(*arguments, status=1, cwd=None) -> str:
    """What the command says on stderr, after checking that it is a refusal and no traceback."""
    done = kzoo(*arguments, cwd=cwd)
    assert done.returncode == status, done.stderr or done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


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
        "benchmark",
        "anchors",
        "data",
    ):
        assert command in shown


def test_list():
    names = [row["name"] for row in json.loads(kzoo("list", "--json").stdout)]
    assert {"yolov3", "yolov3-tiny", "yolov3-spp", "darknet53"} <= set(names)
    assert f"{entry('yolov3-tiny').parameters:,}" in kzoo("list").stdout


def test_info_counts_what_darknet_counts():
    row = json.loads(kzoo("info", "yolov3-tiny", "--json").stdout)
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
def test_what_a_user_can_mend_is_one_line(tmp_path, arguments, words):
    said = refused(*arguments, cwd=tmp_path)
    assert said.startswith("error: ") and said.count("\n") == 1
    assert all(word in said for word in words)


@pytest.mark.parametrize(
    "arguments",
    [("train",), ("nonsense",), ("list", "--task", "juggle"), ("info", "yolov3", "--no-such-option")],
)
def test_wrong_usage_is_status_2_and_one_line(arguments):
    said = refused(*arguments, status=2)
    assert said.startswith("error: ") and said.count("\n") == 1
