"""What a training step takes beside plain torch's of the same network, in turns, each in a process with two threads.

`pytest -m benchmark -s tests/benchmarks/test_training_speed.py -k "yolov3 and tensorflow-float32"`

A way is a backend of Keras and a policy, or torch's own compiler. On a machine with other work the processor's time
tells more than the clock's, and with `KZOO_THREADS=1` it does not count threads that wait for each other.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from training_steps import CASES

ROUNDS = 3
WAYS = [
    "tensorflow-float32",
    "tensorflow-mixed_bfloat16",
    "torch-float32",
    "torch-mixed_bfloat16",
    "compiled",
]


class Steps:
    """A process that makes steps, as a context that ends it.

    Attributes:
        parameters: how many it trains.
        seconds: of each step by the clock, and of the processor.
    """

    def __init__(self, name: str, way: str, shared: Path):
        backend, _, policy = way.rpartition("-")
        program = Path(__file__).with_name("training_steps.py")
        self.process = subprocess.Popen(
            [sys.executable, program, name, policy, shared],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "KERAS_BACKEND": backend or "tensorflow"},
        )
        self.seconds = []

    def __enter__(self):
        self.parameters = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.communicate()

    def step(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.seconds.append(json.loads(self.process.stdout.readline()))


@pytest.mark.benchmark
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_a_step_beside_torch_s(name, way, shared):
    pytest.importorskip("torch")
    with Steps(name, way, shared) as ours, Steps(name, "eager", shared) as theirs:
        assert ours.parameters == theirs.parameters
        for _ in range(ROUNDS):
            ours.step()
            theirs.step()
    side, batch = CASES[name]
    print(f"\n{name} at {side}, batch {batch}, {way}: a step, torch's eager one, ratio")
    kinds = ("by the clock", "of the processor")
    columns = (zip(*steps.seconds, strict=True) for steps in (ours, theirs))
    for what, mine, known in zip(kinds, *columns, strict=True):
        print(f"{what:<17} {min(mine):7.2f} s {min(known):7.2f} s {min(mine) / min(known):6.2f}")
