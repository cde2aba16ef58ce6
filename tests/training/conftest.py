import pytest
from tiny_detector import SIDE, tiny_detector

from kzoo.data.formats.shapes import Shapes


@pytest.fixture
def detector():
    return tiny_detector()


@pytest.fixture
def drawn():
    """Shapes to train on and to validate on."""
    return Shapes(24, (SIDE, SIDE), split="train"), Shapes(8, (SIDE, SIDE), split="val")


@pytest.fixture
def options(tmp_path):
    """Of a training that is over soon."""
    return {"epochs": 2, "batch_size": 8, "augment": "none", "workers": 0, "runs": tmp_path, "verbose": 0}
