"""Large images in tiles: no seams, bounded memory, every size."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kzoo
from kzoo.inference.tiles import Tiling


def network(**arguments):
    """Two levels of convolutions: it sees 16 pixels or less to either side."""
    keras.utils.set_random_seed(1)
    return kzoo.build(
        "unet", width=0.25, depth=0.4, **{"num_classes": 3, "image_size": (96, 96), **arguments}
    )


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(200, 310), (96, 400), (500, 96)])
def test_tiles_give_what_the_whole_image_gives(size):
    model, image = network(), picture(*size)
    whole = model.predict(image[None], verbose=0)
    found = model.segment(image, method="window", overlap=36)
    np.testing.assert_allclose(found.probabilities, whole["probabilities"][0], atol=1e-4)
    assert (found.mask == whole["mask"][0]).mean() > 0.9999


def test_seams_show_without_overlap():
    """What the test above would see."""
    model, image = network(), picture(200, 300)
    whole = model.predict(image[None], verbose=0)
    found = model.segment(image, method="window", overlap=0)
    assert np.abs(found.probabilities - whole["probabilities"][0]).max() > 1e-2


def levels(tiles):
    """A network that looks at each pixel alone."""
    red = tiles[..., :1].astype(np.float32) / 255
    return np.concatenate([1 - red, red], axis=-1)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 150),
    st.integers(1, 150),
    st.sampled_from([(32, 32), (64, 32), (48, 80)]),
    st.integers(0, 22),
    st.sampled_from([1, 2, 8, 16]),
    st.booleans(),
)
def test_every_pixel_is_some_tiles(height, width, tile, overlap, multiple, probabilities):
    image = picture(height, width, seed=height * width)
    if min(tile) - overlap - overlap // 4 < multiple:
        with pytest.raises(ValueError, match=f"overlap={overlap}"):
            Tiling((height, width), tile, overlap, multiple)
        return
    tiling = Tiling((height, width), tile, overlap, multiple)
    assert all(start % multiple == 0 for start in (*tiling.rows, *tiling.columns))
    mask, kept = tiling.run(image, levels, probabilities)
    wanted = levels(image)
    np.testing.assert_array_equal(mask, wanted.argmax(-1))
    assert (kept is None) != probabilities
    if probabilities:
        np.testing.assert_allclose(kept, wanted, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from Linux's /proc")
def test_memory_of_twelve_megapixels():
    """Peak of the whole process, TensorFlow and the 36 MB of the image included."""
    program = """
import pathlib, numpy as np, kzoo
model = kzoo.build("unet", num_classes=2, width=0.25, depth=0.4, image_size=(256, 256))
image = np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), np.uint8)
found = model.segment(image, method="window", probabilities=False)
assert found.mask.shape == (3000, 4000)
# The resource module's figure begins with that of the process that started this one.
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) / 2**20)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.5, f"{done.stdout.strip()} GiB"
