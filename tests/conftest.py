"""What all tests share: where the real data lies, and a quiet TensorFlow."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "agg")

SHARED = Path(os.environ.get("KZOO_SHARED", Path(__file__).parents[2] / "shared"))


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
