"""Two-stage detectors and instance masks give on JAX and torch what they give on TensorFlow, and learn there."""

import textwrap

import keras
import numpy as np
import pytest
from other_backend import BEGINNING, run

import kzoo

NAMES = ("iou-net", "mask-rcnn")
KEYS = ("boxes", "scores", "labels", "masks")
SETTINGS = {"num_classes": 3, "image_size": (64, 64), "width": 0.125, "depth": 0.34}
SETTINGS |= {
    "proposals": (100, 30),
    "region_samples": 32,
    "dense": (256,),
    "seed": 0,
    "score_threshold": 0.01,
}
SCRIPT = BEGINNING + textwrap.dedent(
    """
    folder = Path(sys.argv[2])
    images = np.load(folder / "images.npy")
    boxes = np.zeros((2, 4, 4), "float32")
    boxes[0, :2] = [[4, 4, 30, 40], [30, 20, 60, 60]]
    labels = np.array([[0, 2, -1, -1], [-1, -1, -1, -1]], "int32")
    targets = {"boxes": boxes, "labels": labels}
    for path in sorted(folder.glob("*.keras")):
        model = kzoo.load(path)
        wanted, found = np.load(path.with_suffix(".npz")), model.predict(images, verbose=0)
        assert set(wanted) <= set(found)
        # The order of what is equally likely hangs on the last digit.
        assert np.abs(np.sort(found["scores"]) - np.sort(wanted["scores"])).max() <= 1e-4, path.stem
        for image in range(2):
            there = wanted["labels"][image] >= 0
            assert there.any()
            for box, label in zip(wanted["boxes"][image][there], wanted["labels"][image][there]):
                far = np.abs(found["boxes"][image] - box).max(-1) + 1e3 * (found["labels"][image] != label)
                assert far.min() <= 0.01, (path.stem, image, far.min())
        if "masks" in wanted:
            assert np.abs(np.sort(found["masks"].ravel()) - np.sort(wanted["masks"].ravel())).max() <= 0.005
            targets["masks"] = np.full((2, 4, 28, 28), 255, np.uint8)
        model.compile(keras.optimizers.AdamW(1e-3))
        losses = model.fit(images, targets, epochs=8, verbose=0).history["loss"]
        assert np.isfinite(losses).all() and losses[-1] < 0.9 * losses[0], (path.stem, losses)
        print(path.stem, "ok")
    """
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Small models that find something, and what they find in two images here."""
    folder = tmp_path_factory.mktemp("models")
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    np.save(folder / "images.npy", images)
    for name in NAMES:
        keras.utils.set_random_seed(0)
        model = kzoo.build(name, **SETTINGS)
        model.save(folder / f"{name}.keras")
        found = model.predict(images, verbose=0)
        np.savez(folder / f"{name}.npz", **{key: found[key] for key in KEYS if key in found})
    return folder


@pytest.mark.backends
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_gives_the_same_and_learns(backend, models):
    assert run(backend, "-c", SCRIPT, backend, models).count("ok") == len(NAMES)
