"""Batch normalisation in training: one operation beside Keras's several, in turns within one run."""

import time

import keras
import pytest

from kzoo.layers.normalization import FusedBatchNormalization

MAPS = [
    (160, 32),
    (160, 96),
    (80, 144),
    (40, 240),
    (20, 480),
]  # side and channels, of EfficientNet-Lite0 at 320 pixels
IMAGES, ROUNDS = 16, 5


@pytest.mark.benchmark
def test_a_step_of_training():
    import tensorflow as tf

    print(
        f"\n{'map':>12} {'Keras ms':>9} {'kzoo ms':>9} {'ratio':>6}   (an image of {IMAGES}, forward and backward)"
    )
    for side, channels in MAPS:
        x = tf.random.normal((IMAGES, side, side, channels))
        steps = [step(kind(), x) for kind in (keras.layers.BatchNormalization, FusedBatchNormalization)]
        best = [float("inf")] * 2
        for _ in range(ROUNDS):
            for which, run in enumerate(steps):
                start = time.perf_counter()
                run()
                best[which] = min(best[which], time.perf_counter() - start)
        theirs, ours = (1000 * seconds / IMAGES for seconds in best)
        print(f"{side:>5}x{side}x{channels:<4} {theirs:>8.2f} {ours:>9.2f} {theirs / ours:>6.1f}")


def step(layer, x):
    import tensorflow as tf

    layer.build(x.shape)

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=True) * x)
        return tape.gradient(loss, x)

    run()  # traced
    return run
