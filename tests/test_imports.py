"""Importing is cheap, and imports run one way: ground up."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import kzoo

PACKAGE = Path(kzoo.__file__).parent

# Each room and the floor it is on; a module imports from its own floor or below.
FLOORS = {
    "structures": 0, "files": 0, "progress": 0, "quiet": 0, "registry": 0, "registration": 0, "lazy": 0, "policy": 0,
    "images": 0, "targets": 0, "draw": 0, "contours": 0, "ops": 0,
    "options": 0, "memory": 0,
    "data": 1, "augment": 1, "losses": 1, "layers": 1,
    "backbones": 2, "heads": 2, "sources": 2, "tiles": 2, "streams": 2,
    "model": 3, "detect": 3, "segment": 3,
    "models": 4, "darknet": 4, "weights": 4,
    "metrics": 5, "evaluation": 5, "opening": 5, "results": 5, "predict": 5, "deploy": 5, "training": 5,
    "demo": 6, "cli": 7,
}  # fmt: skip
# The few that reach up on purpose, inside a function, for a method that reads well: model.detect, detections.draw.
NUMPY_ONLY = (
    "structures",
    "files",
    "progress",
    "draw",
    "contours",
    "registry",
    "images",
    "targets",
    "options",
    "memory",
    "data",
    "augment",
    "metrics",
    "tiles",
)
TENSORFLOW_ROOMS = ("deploy", "training")
# Keras's own cannot resize to sides that are known at run time only, and lets TensorFlow tune what Grain has ready.
TENSORFLOW_FILES = ("ops/resize.py", "streams.py")


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE), ast.parse(path.read_text())


def imported(tree):
    """Dotted names of what a module imports anywhere, functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def test_imports_run_one_way():
    wrong = []
    for path, tree in modules():
        if room(path) == "__init__":
            continue
        for name in imported(tree):
            parts = name.split(".")
            if parts[0] == "kzoo" and len(parts) > 1 and parts[1] in FLOORS:
                assert room(path) in FLOORS, f"{path}: give the room a floor"
                if FLOORS[parts[1]] > FLOORS[room(path)]:
                    wrong.append(f"{path} imports {name}")
    assert not wrong


def test_the_data_side_is_numpy_only():
    wrong = [
        f"{path} imports {name}"
        for path, tree in modules()
        for name in imported(tree)
        if room(path) in NUMPY_ONLY and name.split(".")[0] in ("keras", "tensorflow", "torch", "jax")
    ]
    assert not wrong


def test_tensorflow_stays_in_its_rooms():
    wrong = [
        f"{path} imports {name}"
        for path, tree in modules()
        for name in imported(tree)
        if name.split(".")[0] == "tensorflow"
        and room(path) not in TENSORFLOW_ROOMS
        and str(path) not in TENSORFLOW_FILES
    ]
    assert not wrong


@pytest.mark.parametrize(
    "code",
    [
        "import kzoo",
        "import kzoo; kzoo.list_models()",
        "import kzoo.data, kzoo.augment",
        "import kzoo.cli.main",
    ],
)
def test_importing_loads_neither_keras_nor_tensorflow(code):
    check = (
        f"{code}; import sys; sys.exit(bool({{'keras', 'tensorflow', 'torch', 'jax'}} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_every_exported_name_is_there():
    for name in kzoo.__all__:
        assert getattr(kzoo, name) is not None
    assert callable(kzoo.train) and callable(kzoo.export) and callable(kzoo.evaluate)


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = kzoo.nothing
