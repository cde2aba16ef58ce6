"""Programs that run on another backend of Keras, which takes a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# What a script begins with: it gets the backend's name as its first argument.
BEGINNING = """
import sys
from pathlib import Path

import keras
import numpy as np
import kzoo

assert keras.backend.backend() == sys.argv[1]
assert "tensorflow" not in sys.modules
"""


def run(backend: str, *command, modules: Path | None = None) -> str:
    """What Python prints; the test is skipped where there is no such backend.

    Args:
        backend: "jax" or "torch".
        command: arguments of Python.
        modules: folder of modules that the program imports.
    """
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; pip install -e '.[parity]'")
    environment = {**os.environ, "KERAS_BACKEND": backend}
    if modules is not None:
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(modules), os.environ.get("PYTHONPATH")])
        )
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=TESTS.parent,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout
