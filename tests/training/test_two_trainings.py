"""Two trainings on one run folder, each a process of its own: the second says so and leaves it alone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import kzoo
from kzoo.training.checkpoint import read_state
from kzoo.training.run import RunFolder

# Two epochs, of which the second waits until it is let go on.
FIRST = """
import sys, time
from pathlib import Path
import keras
import kzoo
from tiny_detector import tiny_detector
run, gate = sys.argv[1:]
class Wait(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        while epoch and not Path(gate).exists():
            time.sleep(0.05)
options = {"epochs": 2, "batch_size": 2, "augment": "none", "verbose": 0}
kzoo.train(tiny_detector(), "shapes:4:64", run=run, callbacks=[Wait()], **options)
"""
SECOND = "import sys; from kzoo.cli.main import main; sys.argv[0] = 'kzoo'; main()"


def process(program, *arguments):
    folders = (Path(kzoo.__file__).parents[1], Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


@pytest.mark.slow
def test_the_second_ends_in_one_line_and_the_first_is_whole(tmp_path):
    run, gate = tmp_path / "run", tmp_path / "gate"
    first, folder = process(FIRST, run, gate), RunFolder(run)
    try:
        deadline = time.monotonic() + 300
        while not folder.results.is_file():
            assert first.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        before = {path: path.read_bytes() for path in (folder.args, folder.last, folder.best, folder.results)}
        anew = ("yolov3-tiny", "--data", "shapes:4:64", "--image-size", 64, "--width", 0.1, "--run", run)
        for arguments in (("--resume", run), (*anew, "--exist-ok")):
            second = process(SECOND, "train", *arguments)
            said, wrong = second.communicate(timeout=300)
            assert second.returncode == 1, said + wrong
            (line,) = [line for line in wrong.splitlines() if line.startswith("error: ")]
            assert line.startswith(f"error: {run}: another training is at work in this folder"), wrong
            assert "Traceback" not in wrong and "go on with" not in said + wrong
        assert before == {path: path.read_bytes() for path in before}, "nothing of the first was touched"
        gate.touch()
        first.communicate(timeout=300)
        assert first.returncode == 0
    finally:
        first.kill()
    assert read_state(folder.last)["epoch"] == 2 and len(folder.read_results()) == 2
    assert kzoo.load(folder.best).task == "detect"
