"""Corner pooling beside recorded numbers, and beside a loop."""

import keras
import numpy as np
import pytest
from keras import layers

from kzoo.layers.corner_pooling import DIRECTIONS, CornerPooling


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", ["random", "ties"])
def test_values_and_gradients_equal_the_authors(golden_keypoints, direction, kind):
    import tensorflow as tf

    with np.load(golden_keypoints / "pools.npz") as arrays:
        known = {key: np.transpose(arrays[key], (0, 2, 3, 1)) for key in arrays if arrays[key].ndim == 4}
    x = tf.Variable(known[f"{kind}_x"])
    with tf.GradientTape() as tape:
        y = CornerPooling(direction)(x)
        total = tf.reduce_sum(y * known["upstream"])
    np.testing.assert_array_equal(y, known[f"{kind}_{direction}"])
    np.testing.assert_allclose(tape.gradient(total, x), known[f"{kind}_{direction}_grad"], atol=1e-6)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("size", [(1, 1), (7, 16), (33, 5)])
def test_equals_a_loop(direction, size):
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    axis, backward = DIRECTIONS[direction]
    turned = np.flip(x, axis) if backward else x
    wanted = np.maximum.accumulate(turned, axis)
    wanted = np.flip(wanted, axis) if backward else wanted
    np.testing.assert_array_equal(CornerPooling(direction)(x), wanted)


def test_sides_that_are_known_when_it_runs():
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, layers.Add()([CornerPooling("top")(inputs), CornerPooling("left")(inputs)]))
    x = np.random.default_rng(1).normal(size=(1, 9, 12, 2)).astype("float32")
    down = np.flip(np.maximum.accumulate(np.flip(x, 1), 1), 1)
    right = np.flip(np.maximum.accumulate(np.flip(x, 2), 2), 2)
    np.testing.assert_allclose(model.predict(x, verbose=0), down + right, rtol=1e-6)


def test_other_directions_are_refused():
    with pytest.raises(ValueError, match="direction='up'; give one of top, bottom, left, right"):
        CornerPooling("up")
