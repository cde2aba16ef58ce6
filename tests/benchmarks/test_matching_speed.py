"""What the assignment of objects to queries costs, alone and in a training step."""

import time

import keras
import numpy as np
import pytest

import kzoo
from kzoo.ops.matching import solved

LAYERS, IMAGES, QUERIES, OBJECTS, SIDE = 6, 2, 300, 20, 256


def spent(run, times=3):
    """Least processor time of several runs, in milliseconds."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return 1000 * min(taken)


@pytest.mark.benchmark
def test_share_of_the_assignment_in_a_training_step():
    rng = np.random.default_rng(0)
    cost = rng.normal(size=(LAYERS * IMAGES, QUERIES, OBJECTS)).astype("float32")
    alone = spent(lambda: solved(cost, np.ones(cost.shape[::2], bool)), times=20)
    keras.utils.set_random_seed(0)
    model = kzoo.build("conditional-detr-r50", num_classes=91, image_size=SIDE)
    model.compile("sgd", run_eagerly=True)
    images = rng.integers(0, 256, (IMAGES, SIDE, SIDE, 3), np.uint8)
    corners = rng.uniform(0, SIDE / 2, (IMAGES, OBJECTS, 2)).astype("float32")
    boxes = np.concatenate([corners, corners + 40], axis=-1)
    truth = {"boxes": boxes, "labels": rng.integers(0, 91, (IMAGES, OBJECTS)).astype("int32")}
    step = spent(lambda: model.train_on_batch(images, truth), times=2)
    print(f"\nassignment {alone:.2f} ms, step {step:.0f} ms of processor time: {100 * alone / step:.2f} %")
