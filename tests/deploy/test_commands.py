"""`kzoo export` and `kzoo benchmark` as a user runs them."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

import kzoo
from kzoo.cli.main import app
from kzoo.deploy.benchmark import benchmark


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return invoke


@pytest.fixture(scope="session")
def run_folder(small_detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "cells"
    folder.mkdir()
    small_detector.save(folder / "best.keras")
    return folder


def test_export_writes_says_and_checks(run, run_folder, tmp_path):
    done = run("export", run_folder, "--format", "tflite")
    assert done.stdout.startswith("saved_models/cells.tflite  ")
    found, total, same = re.findall(r"check: (\d+) of Keras's (\d+) results, (\d+) at IoU", done.stdout)[0]
    assert found == total == same and int(total) > 10
    assert kzoo.load(tmp_path / "saved_models" / "cells.tflite").name == "cells"


@pytest.mark.long
def test_export_to_another_size_calibrated_on_a_dataset(run, run_folder, tmp_path):
    done = run(
        "export", run_folder / "best.keras", "--quantize", "int8", "--data", "shapes:4:64",
        "--image-size", 96, "--batch-size", 2, "--out", "small.tflite",
    )  # fmt: skip
    assert done.exit_code == 0 and "small.tflite" in done.stdout
    opened = kzoo.load(tmp_path / "small.tflite")
    assert opened.image_size == (96, 96) and opened.batch_size == 2 and opened.metadata.quantize == "int8"


@pytest.mark.long
def test_export_leaves_the_suppression_to_others(run, run_folder, tmp_path):
    done = run("export", run_folder, "--format", "onnx", "--nms", "none", "--batch", "dynamic")
    found, total, same = re.findall(r"check: (\d+) of Keras's (\d+) results, (\d+) at IoU", done.stdout)[0]
    assert found == total == same and int(total) > 10
    opened = kzoo.load(tmp_path / "saved_models" / "cells.onnx")
    assert not opened.metadata.suppressed and opened.batch_size is None


@pytest.mark.long
def test_benchmark_prints_a_row_a_form(run, run_folder):
    done = run("benchmark", run_folder, "--forms", "keras,onnx", "--runs", 2, "--threads", 1)
    lines = done.stdout.splitlines()
    assert "64x64" in lines[0] and "1 core;" in lines[0] and "640x480" in lines[1]
    assert [line.split()[0] for line in lines[3:5]] == ["keras", "onnx"]
    # Median and 90th percentile of network, decoding and both, images a second, memory and size.
    assert all(float(figure) > 0 for line in lines[3:5] for figure in line.split()[1:10])
    assert lines[5].startswith("onnx with decoding takes")


@pytest.mark.slow
def test_benchmark_of_an_export(run, exported):
    report = json.loads(run("benchmark", exported("tflite-int8"), "--runs", 3, "--json").stdout)
    (row,) = report["forms"]
    assert row["form"] == "tflite-int8" and 0 < row["whole_ms"]["median"] <= row["whole_ms"]["p90"]
    assert row["size_mb"] == round(exported("tflite-int8").stat().st_size / 1e6, 1)
    assert row["peak_memory_mb"] > 20 and row["images_per_second"] > 0 and "network_ms" not in row


@pytest.mark.slow
def test_the_parts_make_the_whole(small_detector):
    """Also of int8, whose network and head are two conversions."""
    (form,) = benchmark(small_detector, ("tflite-int8",), runs=4, threads=1).forms
    assert {part: len(seconds) for part, seconds in form.seconds.items()} == {
        "network": 4,
        "decoding": 4,
        "whole": 4,
    }
    parts = np.min(form.seconds["network"]) + np.min(form.seconds["decoding"])
    assert 0.3 * parts < np.min(form.seconds["whole"]) < 3 * parts


def test_benchmark_says_what_is_missing(detector, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else found(name)
    )
    result = benchmark(detector, ("onnx",), runs=1)
    assert result.to_dict()["forms"] == [{"form": "onnx", "missing": "pip install 'kzoo[onnx]'"}]


def test_an_unknown_form_is_one_line(detector):
    with pytest.raises(ValueError, match=r"forms=\('caffe',\): give a list out of keras"):
        benchmark(detector, ("caffe",))
