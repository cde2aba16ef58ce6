"""What assignment and loss take of a training step, and of memory: run it with `pytest -m benchmark -s`."""

import functools
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
STEPS += [(name, 512, 4) for name in ("centernet-resnet18", "cornernet-squeeze", "fcos")]
STEPS += [(name, 512, 1) for name in ("extremenet", "centernet-triplet")]  # a minute of a core an image
STEPS += [(name, 416, 4) for name in ("yolov5n", "yolov7-tiny", "yolov8n", "yolox-tiny", "pp-yoloe-s")]
OBJECTS, RUNS, ENOUGH = 100, 4, 15.0  # seconds, after which there are no further runs


def median_seconds(function) -> float:
    """Processor time, on which other work on the machine tells less than on the clock."""
    function()
    seconds = []
    while len(seconds) < RUNS and sum(seconds) < ENOUGH:
        start = time.process_time()
        function()
        seconds.append(time.process_time() - start)
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


def retinanet_head():
    """RetinaNet's head, and by the names of its outputs their strides and channels."""
    from kzoo.heads import AnchorHead
    from kzoo.models.retinanet import STRIDES
    from kzoo.ops.anchors import retina_anchors

    head = AnchorHead(CLASSES, retina_anchors(), STRIDES, shared=True, offset=0.0, fit_strides=True)
    kinds = (("class", CLASSES), ("box", 4))
    return head, {f"{kind}_stride{one}": (one, 9 * fields) for one in STRIDES for kind, fields in kinds}


def point_head(**options):
    """A head of points, and by the names of its outputs their strides and channels."""
    from kzoo.heads import PointHead

    head = PointHead(CLASSES, (8, 16, 32), **options)
    return head, {f"stride{one}": (one, head.fields) for one in head.strides}


def peak_head(kind):
    """A head of heat maps, and by the names of its outputs their strides and channels."""
    from kzoo import heads

    head = getattr(heads, kind)(CLASSES)
    names = [
        (head.output_name(name, stack), n) for stack in range(head.stacks) for name, n in head.kinds.items()
    ]
    return head, {name: (head.stride, channels) for name, channels in names}


HEADS = {
    **{kind: functools.partial(peak_head, kind) for kind in ("CenterHead", "CornerHead", "ExtremeHead")},
    "retinanet": retinanet_head,
    "task-aligned": point_head,
    "sim-ota": functools.partial(point_head, assigner="sim-ota"),
}


def peak_of_loss(kind: str, objects: int, answer) -> None:
    """In a process of its own: how much the loss of a head adds to the peak of memory, in MiB."""
    head, shapes = HEADS[kind]()
    rng = np.random.default_rng(0)
    outputs = {
        name: rng.normal(0, 0.1, (4, 512 // stride, 512 // stride, channels)).astype("float32")
        for name, (stride, channels) in shapes.items()
    }
    before = peak()
    loss_and_gradient(head)(
        {key: keras.ops.convert_to_tensor(value) for key, value in outputs.items()}, targets(4, objects, 512)
    )
    answer.put(peak() - before)


def peak() -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


@pytest.mark.parametrize("kind", HEADS)
def test_memory_by_objects(kind):
    """A head's loss and its gradient at 512 pixels, batch 4: the peak grows with the objects, no faster."""
    context = multiprocessing.get_context("spawn")
    print(f"\n{kind}\nobjects an image    MiB")
    for objects in (10, 100, 250, 500):
        answer = context.Queue()
        process = context.Process(target=peak_of_loss, args=(kind, objects, answer))
        process.start()
        print(f"{objects:>16} {answer.get(timeout=300):>6.0f}")
        process.join()
