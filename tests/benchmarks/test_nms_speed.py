"""What each kind of suppression takes: run it with `pytest -m benchmark -s`."""

import time

import numpy as np
import pytest

from kzoo.ops.nms import KINDS, multiclass_nms

BOXES, CLASSES, OBJECTS, RUNS = 1000, 80, 30, 60


def crowded(rng):
    """About thirty boxes an object, each with one class that stands out: (1, N, 4), (1, N, C)."""
    owner = rng.integers(0, OBJECTS, BOXES)
    center, size = rng.uniform(50, 550, (OBJECTS, 2)), rng.uniform(30, 150, (OBJECTS, 2))
    middle = center[owner] + rng.normal(0, 0.08, (BOXES, 2)) * size[owner]
    half = size[owner] * np.exp(rng.normal(0, 0.12, (BOXES, 2))) / 2
    scores = rng.random((BOXES, CLASSES)) * 0.01
    scores[np.arange(BOXES), rng.integers(0, CLASSES, OBJECTS)[owner]] = rng.uniform(0.02, 1, BOXES)
    return np.concatenate([middle - half, middle + half], -1)[None].astype("float32"), scores[None].astype(
        "float32"
    )


def scattered(rng):
    """Boxes anywhere, of any class."""
    low = rng.uniform(0, 500, (BOXES, 2))
    boxes = np.concatenate([low, low + rng.uniform(10, 150, (BOXES, 2))], -1)
    return boxes[None].astype("float32"), (rng.random((1, BOXES, CLASSES)) ** 8).astype("float32")


@pytest.mark.benchmark
def test_nms_speed():
    """1000 candidates of 1000 boxes x 80 classes, 100 detections, compiled; the best of many runs by turns."""
    import tensorflow as tf

    for scene in (crowded, scattered):
        given = [tf.constant(values) for values in scene(np.random.default_rng(0))]
        compiled = {}
        for kind in KINDS:
            compiled[kind] = tf.function(
                lambda boxes, scores, kind=kind: multiclass_nms(
                    boxes, scores, BOXES, 0.5, 0.001, 100, kind=kind
                ),
                autograph=False,
            )
            compiled[kind](*given)
        seconds = {kind: [] for kind in KINDS}
        for _ in range(RUNS):
            for kind, run in compiled.items():
                start = time.perf_counter()
                run(*given)["scores"].numpy()
                seconds[kind].append(time.perf_counter() - start)
        print(f"\n{scene.__name__:14} best ms  median ms  of greedy")
        for kind, taken in seconds.items():
            best, median = 1000 * min(taken), 1000 * float(np.median(taken))
            print(f"{kind:14} {best:7.1f} {median:10.1f} {best / (1000 * min(seconds['greedy'])):10.2f}")
