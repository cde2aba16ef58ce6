"""What gradient checkpointing saves of a step's memory, and what it adds to its time.

`pytest -m benchmark -s tests/benchmarks/test_recomputing_memory.py`
"""

import json
import subprocess
import sys

import pytest

# The most memory that a process has had falls never: each variant has a process of its own.
STEP = """
import json, resource, sys, time
import numpy as np, keras, kzoo

name, checkpoint, side, batch = sys.argv[1], sys.argv[2] == "True", int(sys.argv[3]), int(sys.argv[4])
model = kzoo.build(name, num_classes=3, image_size=side)
model.checkpoint_gradients = checkpoint
model.compile(keras.optimizers.SGD(1e-4))
def step(count):
    images = np.zeros((count, side, side, 3), np.uint8)
    boxes = np.tile(np.float32([[8, 8, 30, 40]]), (count, 1, 1))
    model.train_on_batch(images, {"boxes": boxes, "labels": np.zeros((count, 1), np.int32)})
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
step(2)
before = peak()
step(batch)
step(batch)
times = []
for _ in range(3):
    start = time.perf_counter()
    step(batch)
    times.append(time.perf_counter() - start)
print(json.dumps([peak() - before, min(times)]))
"""


@pytest.mark.benchmark
@pytest.mark.parametrize(("name", "side", "batch"), [("yolov3", 256, 16), ("retinanet", 256, 16)])
def test_memory_and_time_of_a_step(name, side, batch):
    measured = {}
    for checkpoint in (False, True):
        command = [sys.executable, "-c", STEP, name, str(checkpoint), str(side), str(batch)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        measured[checkpoint] = json.loads(done.stdout.splitlines()[-1])
    (plain, plain_time), (less, longer) = measured[False], measured[True]
    print(
        f"\n{name}, {batch} images of {side}: memory above a batch of 2 {plain:.2f} and {less:.2f} GiB, ratio "
        f"{less / plain:.2f}; step {plain_time:.1f} and {longer:.1f} s, ratio {longer / plain_time:.2f}"
    )
