"""What corner pooling takes beside a max-pooling of the same map: run it with `pytest -m benchmark -s`."""

import time

import keras
import numpy as np
import pytest

from kzoo.layers.corner_pooling import DIRECTIONS, CornerPooling

SHAPE, RUNS = (4, 128, 128, 128), 12  # CornerNet's at 512 pixels


def with_gradient(layer):
    """A compiled function of maps: the gradient of the layer's outputs, summed."""
    import tensorflow as tf

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(layer(x) * x)
        return tape.gradient(total, x)

    return run


@pytest.mark.benchmark
def test_corner_pooling_speed():
    """Compiled; the best of several runs by turns, forward, and with the gradient."""
    import tensorflow as tf

    x = tf.constant(np.random.default_rng(0).normal(size=SHAPE).astype("float32"))
    layers = {"max 3x3": keras.layers.MaxPooling2D(3, 1, padding="same")}
    layers |= {direction: CornerPooling(direction) for direction in DIRECTIONS}
    runs = {(name, "forward"): tf.function(lambda x, layer=layer: layer(x)) for name, layer in layers.items()}
    runs |= {(name, "with gradient"): with_gradient(layer) for name, layer in layers.items()}
    seconds = {key: [] for key in runs}
    for turn in range(RUNS + 1):
        for key, run in runs.items():
            start = time.perf_counter()
            run(x).numpy()
            if turn:  # the first one traces
                seconds[key].append(time.perf_counter() - start)
    print("\nof a map of 4 x 128 x 128 x 128    best ms    of max-pooling")
    for (name, what), taken in seconds.items():
        share = min(taken) / min(seconds["max 3x3", what])
        print(f"{name:12} {what:16} {1000 * min(taken):14.0f} {share:12.2f}")
