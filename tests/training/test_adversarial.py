"""Self-adversarial training: altered pictures are harder, stay pictures, and train."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.training.adversarial import Adversary

RNG = np.random.default_rng(0)


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return kzoo.build("yolov3-tiny", num_classes=2, image_size=(64, 64), width=0.25)


def batch():
    images = RNG.integers(0, 256, (2, 64, 64, 3), np.uint8)
    boxes = np.zeros((2, 8, 4), np.float32)
    boxes[:, 0] = [8, 8, 40, 48]
    labels = np.full((2, 8), -1, np.int32)
    labels[:, 0] = [0, 1]
    return images, {"boxes": boxes, "labels": labels}


def loss(model, images, targets):
    outputs = model(images.astype("float32"), training=False)
    return sum(float(value) for value in model.head.loss(targets, outputs).values())


def test_the_loss_of_what_was_altered_is_higher(model):
    images, targets = batch()
    before = [weight.copy() for weight in model.get_weights()]
    altered = np.asarray(Adversary(model, 1.0, step=4).sometimes_altered(images, targets, 0))
    assert altered.dtype == np.uint8
    moved = np.abs(altered.astype(int) - images)
    assert moved.max() == 4 and (moved == 4).mean() > 0.9
    assert loss(model, altered, targets) > 1.02 * loss(model, images, targets)
    noise = np.clip(images + 4 * RNG.choice([-1, 1], images.shape), 0, 255).astype(np.uint8)
    assert loss(model, altered, targets) > loss(model, noise, targets)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_seed_and_number_decide_which_batches_are_altered(model, monkeypatch):
    images, targets = np.zeros((1, 2, 2, 3), np.uint8), {}
    monkeypatch.setattr(Adversary, "altered", lambda self, images, targets: images + 1)

    def chosen(seed):
        adversary = Adversary(model, 0.5, seed=seed)
        return [int(np.max(adversary.sometimes_altered(images, targets, number))) for number in range(40)]

    assert chosen(1) == chosen(1) != chosen(2)
    assert 10 <= sum(chosen(1)) <= 30


@pytest.mark.slow
def test_trains_with_it(tmp_path):
    run = kzoo.train(
        "yolov3-tiny", "shapes:8:64", epochs=1, batch_size=4, image_size=64, width=0.25, sat=1.0, workers=0,
        run=str(tmp_path / "run"), verbose=0,
    )  # fmt: skip
    assert np.isfinite(run.rows[-1]["loss"])


def test_a_share_that_is_none_is_told(model):
    with pytest.raises(ValueError, match=r"sat=2: give a number, 0 to 1"):
        kzoo.train("yolov3-tiny", "shapes:8:64", sat=2)
