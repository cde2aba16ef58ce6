import keras
import numpy as np
import pytest
from tiny_detector import flat

from kzoo.training.assembly import compile_model
from kzoo.training.config import TrainConfig
from kzoo.training.optimizers import average_momentum, averaged_weights

STEPS = 5


def compiled(model, **options):
    return compile_model(model, TrainConfig(**options), steps_per_epoch=STEPS)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_decay_moves_kernels_and_nothing_else(detector, name):
    compiled(detector, optimizer=name, weight_decay=0.1, burn_in=0, ema=False)
    before = [keras.ops.convert_to_numpy(weight) for weight in detector.trainable_variables]
    # Without gradients decay alone moves anything.
    detector.optimizer.apply([keras.ops.zeros_like(weight) for weight in detector.trainable_variables])
    for old, weight in zip(before, detector.trainable_variables, strict=True):
        rate = 5e-3 if name == "adamw" else 1e-2
        wanted = old * (1 - 0.1 * rate) if weight.name == "kernel" else old
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), wanted, rtol=1e-5, err_msg=weight.path)


def test_gradients_are_clipped_to_their_norm_all_together(detector):
    compiled(
        detector, optimizer="sgd", weight_decay=0, momentum=0, schedule="constant", burn_in=0, clip_norm=2
    )
    before = flat(detector.trainable_variables)
    detector.optimizer.apply([keras.ops.ones_like(weight) for weight in detector.trainable_variables])
    moved = flat(detector.trainable_variables) - before
    assert np.linalg.norm(moved) == pytest.approx(0.01 * 2, rel=1e-3)


def test_accumulated_batches_make_one_step(detector):
    compiled(detector, optimizer="sgd", burn_in=0, accumulate=3)
    before = flat(detector.trainable_variables)
    gradients = [keras.ops.ones_like(weight) for weight in detector.trainable_variables]
    for step in range(3):
        assert (flat(detector.trainable_variables) == before).all(), step
        detector.optimizer.apply(gradients)
    assert (flat(detector.trainable_variables) != before).any()


def test_averages_are_the_moving_average_and_swapping_is_exact(detector):
    compiled(detector, optimizer="sgd", burn_in=0, ema_momentum=0.75)
    average, rng = None, np.random.default_rng(0)
    for _ in range(4):
        detector.optimizer.apply(
            [rng.normal(size=v.shape).astype("f4") for v in detector.trainable_variables]
        )
        raw = flat(detector.trainable_variables)
        average = raw if average is None else 0.75 * average + 0.25 * raw
    with averaged_weights(detector):
        np.testing.assert_allclose(flat(detector.trainable_variables), average, rtol=1e-4, atol=1e-6)
        shown = flat(detector.trainable_variables)
    np.testing.assert_array_equal(flat(detector.trainable_variables), raw)
    with averaged_weights(detector):
        np.testing.assert_array_equal(flat(detector.trainable_variables), shown)


def test_without_averages_nothing_is_swapped(detector):
    compiled(detector, ema=False)
    before = flat(detector.trainable_variables)
    with averaged_weights(detector):
        np.testing.assert_array_equal(flat(detector.trainable_variables), before)


@pytest.mark.parametrize(("epochs", "momentum"), [(1, 0.9), (120, 1 - 1 / 18), (100_000, 0.99)])
def test_batch_statistics_keep_up_with_short_trainings(detector, epochs, momentum):
    compiled(detector, epochs=epochs)
    layers = [v for v in detector.network.layers if isinstance(v, keras.layers.BatchNormalization)]
    assert [layer.momentum for layer in layers] == pytest.approx([momentum] * 6)


def test_short_trainings_average_over_little():
    looks_back = [1 / (1 - average_momentum(steps)) for steps in (10, 600, 10_000, 10**7)]
    np.testing.assert_allclose(looks_back, [10, 18, 300, 5000], rtol=1e-6)
