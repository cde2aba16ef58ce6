"""What all tests share: where the real data lies, a quiet TensorFlow, memory given back, and how widely to look."""

import gc
import os
import sys
import zlib
from pathlib import Path

import hypothesis
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "agg")

if "PYTEST_XDIST_WORKER" in os.environ:  # a process a core: threads would only be in each other's way
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

SHARED = Path(os.environ.get("KZOO_SHARED", Path(__file__).parents[2] / "shared"))

# The same examples in each run: what fails once fails again, and nothing fails that no change has touched.
# `--hypothesis-profile=random` draws others each time, or by `--hypothesis-seed`.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("random", deadline=None, derandomize=False)
hypothesis.settings.load_profile("same")


LONG_SHARES = 10  # as many commits see each test that takes long


def pytest_addoption(parser):
    parser.addoption(
        "--commit",
        type=int,
        metavar="N",
        help="of the tests that are dealt out over commits, those of the N-th: a tenth of the long ones; "
        "of the slow ones, other backends and parity a share for every family",
    )


def pytest_configure(config):
    # Neighbours go to the same process, and share the fixtures of their module and what is traced.
    if config.getoption("dist", "no") == "load":
        config.option.dist = "worksteal"


def _is_due(item, commit: int, families: int) -> bool:
    """Whether a test is run for the commit of this number: by its name, so that a new test moves no other."""
    marks = {mark.name for mark in item.iter_markers()}
    if marks & {"slow", "backends", "parity"}:
        shares = families
    elif "long" in marks:
        shares = LONG_SHARES
    else:
        return True
    return zlib.crc32(item.nodeid.encode()) % shares == commit % shares


def pytest_collection_modifyitems(config, items):
    if config.option.commit is not None:
        from samples import families

        due = [item for item in items if _is_due(item, config.option.commit, len(families()))]
        config.hook.pytest_deselected(items=[item for item in items if item not in due])
        items[:] = due


@pytest.fixture(scope="module", autouse=True)
def models_are_forgotten():
    """Models and their graphs refer to each other in circles, which Python breaks only when it is told to."""
    yield
    if "keras" in sys.modules:
        gc.collect()


def _folder(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path.name} is not at hand; set KZOO_SHARED to the folder that holds data/ and golden/")
    return path


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data."""
    return _folder(SHARED)


@pytest.fixture(scope="session")
def bccd() -> Path:
    """Blood cells in Pascal VOC layout: 364 photographs."""
    return _folder(SHARED / "data" / "bccd")


@pytest.fixture(scope="session")
def nuclei() -> Path:
    """Cell nuclei under the microscope: 140 images, a mask an instance."""
    return _folder(SHARED / "data" / "nuclei")


@pytest.fixture(scope="session")
def darknet_data() -> Path:
    """Darknet's cfg files, names and six photographs."""
    return _folder(SHARED / "data" / "darknet")


@pytest.fixture(scope="session")
def golden_keypoints() -> Path:
    """Recorded outputs, targets, losses and detections of keypoint detectors' references."""
    return _folder(SHARED / "golden" / "keypoints")


@pytest.fixture(scope="session")
def golden_detr() -> Path:
    """Recorded outputs, losses and assignments of references of DETR and its successors."""
    return _folder(SHARED / "golden" / "detr")


@pytest.fixture(scope="session")
def golden_yolo() -> Path:
    """Recorded outputs, losses and assignments of the YOLO family's references."""
    return _folder(SHARED / "golden" / "yolo")


@pytest.fixture
def untraced():
    """Steps run as they stand: tracing takes longer than the few of a test."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def kzoo_command(monkeypatch, tmp_path, capfd):
    """Runs `kzoo` with arguments in this process, in an empty folder: exit status, stdout, stderr."""
    from kzoo.cli.main import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["kzoo", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code or 0
        said = capfd.readouterr()
        return status, said.out, said.err

    return run
