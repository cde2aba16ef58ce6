"""What reading 248 MB of weights costs beyond building the network: run it with `pytest -m benchmark -s`."""

import json
import struct
import subprocess
import sys

import numpy as np
import pytest

PARAMETERS = 62_001_757
# In a process of its own, for the peak is the process's. `{}` stands for what is measured.
PROGRAM = """
import json, resource, sys, time
import keras, kzoo, kzoo.darknet.importing
import kzoo.models.yolov3
keras.ops.zeros(1)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
cfg, weights = sys.argv[1:]
start, before = time.perf_counter(), peak()
model = {}
print(json.dumps([time.perf_counter() - start, peak() - before, model.count_params()]))
"""
WAYS = {
    "kzoo.darknet.load": ("kzoo.darknet.load(cfg)", "kzoo.darknet.load(cfg, weights)"),
    "kzoo.build": ("kzoo.build('yolov3')", "kzoo.build('yolov3', weights=weights)"),
}


def measured(program: str, *arguments) -> list:
    """Seconds, bytes at the peak beyond those after the imports, parameters."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(program), *map(str, arguments)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.benchmark
def test_darknet_load(darknet_data, tmp_path):
    """Wanted are at most 3 seconds beyond building, and at most three times the file in memory."""
    cfg, weights = darknet_data / "cfg" / "yolov3.cfg", tmp_path / "yolov3.weights"
    with weights.open("wb") as file:
        file.write(struct.pack("<3iQ", 0, 2, 0, 32013312))
        np.random.default_rng(0).random(PARAMETERS, np.float32).tofile(file)
    size = weights.stat().st_size
    weights.read_bytes()  # in the system's cache, for it is not the disk that is measured
    print(f"\n{'':<20} building  reading  peak, of {size / 1e6:.0f} MB")
    for name, (build, read) in WAYS.items():
        building, _, _ = measured(build, cfg, weights)
        whole, peak, parameters = measured(read, cfg, weights)
        assert parameters == PARAMETERS
        print(f"{name:<20} {building:6.2f} s {whole - building:6.2f} s  {peak / size:.2f} times")
