"""What assignment and loss take of a training step: run it with `pytest -m benchmark -s`."""

import time

import keras
import numpy as np
import pytest

import kzoo

BATCH, OBJECTS, SIZE, RUNS = 2, 100, 416, 4


def median_seconds(function) -> float:
    function()
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


@pytest.mark.benchmark
def test_loss_cost():
    """yolov3 at 416 pixels, 100 objects an image; the loss with its gradient against the whole step."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    model = kzoo.build("yolov3", image_size=(SIZE, SIZE))
    model.compile(keras.optimizers.AdamW(1e-3), jit_compile=False)
    images = rng.integers(0, 256, (BATCH, SIZE, SIZE, 3)).astype(np.uint8)
    corner = rng.uniform(0, 300, (BATCH, OBJECTS, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 100, corner.shape)], -1).astype(np.float32)
    targets = {"boxes": boxes, "labels": rng.integers(0, 80, (BATCH, OBJECTS)).astype(np.int32)}
    outputs = {name: tf.convert_to_tensor(value) for name, value in model(images).items()}

    @tf.function
    def loss_and_gradient(outputs, targets):
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            loss = sum(model.head.loss(targets, outputs).values())
        return tape.gradient(loss, outputs)

    step = median_seconds(lambda: model.train_on_batch(images, targets))
    loss = median_seconds(lambda: next(iter(loss_and_gradient(outputs, targets).values())).numpy())
    print(f"\nstep {step:.2f} s, assignment, loss and its gradient {loss:.4f} s: {100 * loss / step:.1f} %")
