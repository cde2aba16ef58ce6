"""Deformable attention and RT-DETR on the JAX and torch backends, each in a process of its own."""

import textwrap

import pytest
from other_backend import BEGINNING, TESTS, run

SCRIPT = BEGINNING + textwrap.dedent(
    """
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    targets = {"boxes": np.zeros((2, 8, 4), "float32"), "labels": np.full((2, 8), -1, "int32")}
    targets["boxes"][0, :2] = [[4, 4, 30, 40], [30, 20, 60, 60]]
    targets["labels"][0, :2] = [0, 2]
    for name in ("rt-detr-r18", "d-fine-n"):
        keras.utils.set_random_seed(0)
        settings = {"queries": 20, "denoising": 8, "width": 0.25, "depth": 0.05}
        model = kzoo.build(name, num_classes=3, image_size=(64, 64), **settings)
        model.compile(keras.optimizers.AdamW(2e-3, clipnorm=0.1))
        losses = model.fit(images, targets, epochs=12, verbose=0).history["loss"]
        assert np.isfinite(losses).all() and losses[-1] < 0.8 * losses[0], losses
        found = model.predict(images, verbose=0)
        assert np.isfinite(found["boxes"]).all() and (found["scores"] >= 0).all()
        print(name, "ok")
    """
)


@pytest.mark.backends
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_recorded_numbers(backend):
    """Sums and gradients of deformable attention, spoilt queries and the choice among cells."""
    files = [str(TESTS / place) for place in ("layers/test_deformable_attention.py", "ops/test_denoising.py")]
    assert " passed" in run(backend, "-m", "pytest", "-p", "no:cacheprovider", *files)


@pytest.mark.backends
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_trains_and_predicts(backend):
    assert run(backend, "-c", SCRIPT, backend).count("ok") == 2
