"""What assignment and loss take of a training step, and of memory: run it with `pytest -m benchmark -s`."""

import multiprocessing
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import kzoo

pytestmark = pytest.mark.benchmark
CLASSES = 80
STEPS = [("yolov3", 416, 2), ("retinanet", 512, 4), ("ssd300", 300, 4)]
OBJECTS, RUNS = 100, 4


def median_seconds(function) -> float:
    function()
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def targets(batch: int, objects: int, size: int) -> dict:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 0.7 * size, (batch, objects, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 0.25 * size, corner.shape)], -1)
    labels = rng.integers(0, CLASSES, (batch, objects))
    return {"boxes": boxes.astype(np.float32), "labels": labels.astype(np.int32)}


def loss_and_gradient(head):
    import tensorflow as tf

    @tf.function
    def run(outputs, truth):
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            loss = sum(head.loss(truth, outputs).values())
        return tape.gradient(loss, outputs)

    return lambda outputs, truth: next(iter(run(outputs, truth).values())).numpy()


@pytest.mark.parametrize("name, size, batch", STEPS)
def test_loss_cost(name, size, batch):
    """100 objects an image; the loss with its gradient against the whole step."""
    import tensorflow as tf

    model = kzoo.build(name, num_classes=CLASSES, image_size=(size, size))
    model.compile(keras.optimizers.AdamW(1e-4), jit_compile=False)
    images = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3)).astype(np.uint8)
    truth = targets(batch, OBJECTS, size)
    outputs = {key: tf.convert_to_tensor(value) for key, value in model(images).items()}
    run = loss_and_gradient(model.head)
    step = median_seconds(lambda: model.train_on_batch(images, truth))
    loss = median_seconds(lambda: run(outputs, truth))
    print(
        f"\n{name} at {size}, batch {batch}: step {step:.2f} s, assignment, loss and its gradient {loss:.4f} s: "
        f"{100 * loss / step:.1f} %"
    )


def peak_of_loss(objects: int, answer) -> None:
    """In a process of its own: how much the loss of RetinaNet adds to the peak of memory, in MiB."""
    from kzoo.heads import AnchorHead
    from kzoo.models.retinanet import STRIDES
    from kzoo.ops.anchors import retina_anchors

    head = AnchorHead(CLASSES, retina_anchors(), STRIDES, shared=True, offset=0.0, fit_strides=True)
    rng = np.random.default_rng(0)
    outputs = {
        f"{kind}_stride{stride}": rng.normal(0, 0.1, (4, 512 // stride, 512 // stride, 9 * fields)).astype(
            "float32"
        )
        for stride in STRIDES
        for kind, fields in (("class", CLASSES), ("box", 4))
    }
    before = peak()
    loss_and_gradient(head)(
        {key: keras.ops.convert_to_tensor(value) for key, value in outputs.items()}, targets(4, objects, 512)
    )
    answer.put(peak() - before)


def peak() -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def test_memory_by_objects():
    """RetinaNet's loss and its gradient at 512 pixels, batch 4: the peak grows with the objects, no faster."""
    context = multiprocessing.get_context("spawn")
    print("\nobjects an image    MiB")
    for objects in (10, 100, 250, 500):
        answer = context.Queue()
        process = context.Process(target=peak_of_loss, args=(objects, answer))
        process.start()
        print(f"{objects:>16} {answer.get(timeout=300):>6.0f}")
        process.join()
