"""A disk without room, met by commands in processes of their own: no success, one line, and nothing half-written."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kzoo

# No file may grow beyond so many bytes, by the system's own refusal.
COMMAND = """
import resource, sys
from kzoo.cli.main import main
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
main()
"""


def run(limit, *arguments):
    """The exit status of a command, its line of error, and all it said."""
    environment = {**os.environ, "PYTHONPATH": str(Path(kzoo.__file__).parents[1])}
    command = [sys.executable, "-c", COMMAND, str(limit), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    return done.returncode, [line for line in done.stderr.splitlines() if line.startswith("error: ")], said


def left(folder):
    """What there is, without `args.yaml`, which is whole."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != "args.yaml")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A detector of 500 kB in a file."""
    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    options = {"num_classes": 3, "image_size": (64, 64), "width": 0.1}
    kzoo.build("yolov3-tiny", **options, names=["circle", "rectangle", "triangle"]).save(path)
    return path


@pytest.mark.long
@pytest.mark.parametrize("to", ["coco", "yolo", "voc"])
def test_datasets(tmp_path, to):
    status, errors, _ = run(3000, "data", "convert", "shapes:9:64", tmp_path / "new", "--to", to)
    assert status == 1 and errors == [f"error: {tmp_path / 'new'}: File too large"]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["new", "new.tflite", "new.onnx"])
def test_exports(model, tmp_path, name):
    status, errors, _ = run(100_000, "export", model, "--out", tmp_path / name)
    (line,) = errors
    assert status == 1 and line.startswith(f"error: {tmp_path / name}: cannot be written (File too large)")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_videos(model, tmp_path):
    pytest.importorskip("av")
    from kzoo.sources import writing_video

    rng, source = np.random.default_rng(0), tmp_path / "a.mp4"
    with writing_video(source, 25) as writer:
        for _ in range(20):
            writer.write(rng.integers(0, 256, (120, 160, 3), np.uint8))
    limit = source.stat().st_size // 2
    status, errors, _ = run(limit, "predict", model, source, "--out", tmp_path / "out")
    (line,) = errors
    assert status == 1 and line.startswith(f"error: {tmp_path}/out/a.mp4: the video could not be written")
    assert set(left(tmp_path / "out")) <= {"a.jsonl"}


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.9])
def test_trainings_without_a_checkpoint_are_to_start_anew(model, tmp_path, share):
    limit = int(share * model.stat().st_size)
    given = ("--data", "shapes:4:64", "--epochs", 1, "--batch-size", 2, "--runs", tmp_path)
    status, errors, said = run(limit, "train", model, *given)
    (line,) = errors
    assert status == 1 and line.startswith(f"error: {tmp_path}/exp/last.keras: cannot be written")
    assert line.endswith("make room and train anew") and "--resume" not in said
    assert left(tmp_path) == []


@pytest.mark.long
def test_the_limit_is_the_systems_own(tmp_path):
    """What the others stand on: without it they would write."""
    status, errors, _ = run(
        resource.RLIM_INFINITY, "data", "convert", "shapes:2:64", tmp_path / "new", "--to", "yolo"
    )
    assert (status, errors) == (0, []) and (tmp_path / "new" / "data.yaml").is_file()
