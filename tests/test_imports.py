"""Importing is cheap, and imports run one way: ground up."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import kzoo

PACKAGE = Path(kzoo.__file__).parent

# The rooms of each floor, from the ground up: a room stands right above the highest of those that it imports from.
HOUSE = (
    ("entries", "ops", "options", "policy", "published", "registration", "structures", "system"),
    ("augment", "layers", "losses", "metrics", "sources"),
    ("backbones", "data", "inference", "proposals"),
    ("heads",),
    ("model",),
    ("darknet", "deploy"),
    ("weights",),
    ("evaluation", "models", "registry", "serving"),
    ("training",),
    ("sharing",),
    ("cli",),
)
FLOORS = {room: floor for floor, rooms in enumerate(HOUSE, 1) for room in rooms}
# Within `data`: files to records, what can be wrong with them, and batches of them.
DATA_FLOORS = {"painting": 0, "formats": 1, "checks": 2, "loading": 2}
NUMPY_ONLY = (
    "structures",
    "system",
    "options",
    "entries",
    "registry",
    "data",
    "augment",
    "metrics",
    "proposals",
    "sources",
)
MOST_FILES = 10  # side by side in kzoo/ and in kzoo/data/
TENSORFLOW_ROOMS = ("deploy", "training")
# Keras's own cannot resize to sides that are known at run time only, lets TensorFlow tune what Grain has ready,
# normalises a batch in many operations, and does not let devices tell each other of their images.
TENSORFLOW_FILES = (
    "ops/resize.py",
    "ops/fused.py",
    "ops/matching.py",
    "model/replicas.py",
    "model/streams.py",
    "layers/normalization.py",
)


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


def rooms_below():
    """Each room, and the rooms that its files import from, functions included, with the first file that does."""
    below = {}
    for path, tree in modules():
        if room(path) != "__init__":
            others = below.setdefault(room(path), {})
            for name in imported(tree):
                package, *parts = name.split(".")
                if package == "kzoo" and parts and parts[0] in FLOORS and parts[0] != room(path):
                    others.setdefault(parts[0], f"{path} imports {name}")
    return below


def test_every_room_has_its_floor():
    assert set(rooms_below()) == set(FLOORS), "give the room a floor"


def test_imports_run_one_way():
    wrong = [
        f"{said}, floor {FLOORS[other]} from floor {FLOORS[name]}"
        for name, others in rooms_below().items()
        for other, said in others.items()
        if FLOORS[other] >= FLOORS[name]
    ]
    assert not wrong


def test_no_room_stands_higher_than_it_has_to():
    for name, others in rooms_below().items():
        assert FLOORS[name] == 1 + max((FLOORS[other] for other in others), default=0), name


def test_imports_within_data_run_one_way():
    wrong = []
    for path, tree in modules():
        own = DATA_FLOORS.get(path.parts[1]) if path.parts[0] == "data" else None
        for name in imported(tree) if own is not None else ():
            parts = name.split(".")
            if parts[:2] == ["kzoo", "data"] and DATA_FLOORS.get(parts[2], 0) > own:
                wrong.append(f"{path} imports {name}")
    assert not wrong


def test_no_files_import_each_other_in_a_circle():
    """Imports inside functions count, too: two files in a circle are one file that pretends to be two."""
    names = {dotted(path): tree for path, tree in modules()}
    arrows = {
        name: {target for target in targets(tree, names) if target != name} for name, tree in names.items()
    }
    # A package's face hands on names of its own files, and kzoo's, which all name, imports what it is asked for.
    arrows["kzoo"] = set()
    assert circles(arrows) == []


def dotted(path: Path) -> str:
    parts = ["kzoo", *path.with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def targets(tree, names):
    """The modules of kzoo that a module imports: of `a.b.c` the longest part that is one."""
    for name in imported(tree):
        while name and name not in names:
            name = name.rpartition(".")[0]
        if name:
            yield name


def circles(arrows):
    """Paths of modules that end where they begin, one for each module that is on one."""
    found = []
    for start in arrows:
        paths, seen = [[start]], {start}
        while paths:
            path = paths.pop()
            if start in arrows[path[-1]]:
                found.append(" -> ".join([*path, start]))
                break
            fresh = arrows[path[-1]] - seen
            seen |= fresh
            paths += [[*path, name] for name in sorted(fresh)]
    return found


def test_circles_are_seen():
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b -> c -> b", "c -> b -> c"]


@pytest.mark.parametrize("room", ["", "data"])
def test_rooms_are_not_heaps(room):
    files = [path for path in (PACKAGE / room).iterdir() if path.suffix == ".py"]
    assert len(files) <= MOST_FILES, f"{len(files)} files in a row; which of them belong together?"


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
