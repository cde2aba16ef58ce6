"""Files for small networks; their random weights are written by the NumPy reference."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "parity"))

from darknet_reference import random_weights


@pytest.fixture
def files(tmp_path):
    """Writes a cfg, and random weights for it: their paths."""

    def write(text, name="small", **header):
        cfg, weights = tmp_path / f"{name}.cfg", tmp_path / f"{name}.weights"
        cfg.write_text(text)
        random_weights(cfg, weights, np.random.default_rng(0), **header)
        return cfg, weights

    return write


@pytest.fixture
def images():
    """Two images for small networks, (2, 12, 16, 3) in 0..255."""
    return np.random.default_rng(1).integers(0, 256, (2, 12, 16, 3)).astype(np.float32)
