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
    """Compiled; the best of several runs by turns, forward, and with the gradient; clock and processor time."""
    import tensorflow as tf

    x = tf.constant(np.random.default_rng(0).normal(size=SHAPE).astype("float32"))
    layers = {"max 3x3": keras.layers.MaxPooling2D(3, 1, padding="same")}
    layers |= {direction: CornerPooling(direction) for direction in DIRECTIONS}
    runs = {(name, "forward"): tf.function(lambda x, layer=layer: layer(x)) for name, layer in layers.items()}
    runs |= {(name, "with gradient"): with_gradient(layer) for name, layer in layers.items()}
    spent = {key: [] for key in runs}
    for turn in range(RUNS + 1):
        for key, run in runs.items():
            start, worked = time.perf_counter(), time.process_time()
            run(x)[0, 0, 0, 0].numpy()
            if turn:  # the first one traces
                spent[key].append((time.perf_counter() - start, time.process_time() - worked))
    best = {key: np.min(taken, axis=0) for key, taken in spent.items()}  # (2,)
    print("\nof a map of 4 x 128 x 128 x 128    best ms    of max-pooling    processor ms    of max-pooling")
    for (name, what), taken in best.items():
        (clock, work), (share, work_share) = 1000 * taken, taken / best["max 3x3", what]
        print(f"{name:12} {what:16} {clock:13.0f} {share:16.2f} {work:15.0f} {work_share:16.2f}")
