"""Segmentation networks give on the JAX and torch backends what they give on TensorFlow."""

import textwrap

import keras
import numpy as np
import pytest
from other_backend import BEGINNING, run

import kzoo

NAMES = ("deeplabv3", "deeplabv3plus", "dilated8", "fcn8", "fcn-resnet50")
SCRIPT = BEGINNING + textwrap.dedent(
    """
    folder = Path(sys.argv[2])
    images = np.load(folder / "images.npy")
    for path in sorted(folder.glob("*.keras")):
        wanted = np.load(path.with_suffix(".npy"))
        found = kzoo.load(path).predict(images, verbose=0)["probabilities"]
        assert wanted.std() > 1e-3 and np.abs(found - wanted).max() <= 1e-4, path.stem
        print(path.stem, "ok")
    """
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Small models, and what they make of two images here."""
    folder = tmp_path_factory.mktemp("models")
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    np.save(folder / "images.npy", images)
    for name in NAMES:
        keras.utils.set_random_seed(0)
        model = kzoo.build(name, num_classes=3, image_size=(64, 96), width=0.125, depth=0.34)
        for layer in model.network.layers:
            if layer.name.startswith("neck_score"):  # of FCN: at first nothing but zeros
                layer.set_weights([np.random.default_rng(1).normal(0, 0.1, w.shape) for w in layer.weights])
        model.save(folder / f"{name}.keras")
        np.save(folder / f"{name}.npy", model.predict(images, verbose=0)["probabilities"])
    return folder


@pytest.mark.backends
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_same_numbers(backend, models):
    assert run(backend, "-c", SCRIPT, backend, models).count("ok") == len(NAMES)
