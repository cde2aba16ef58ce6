"""What a training step of Faster R-CNN takes beside torchvision's, and where it goes.

`pytest -m benchmark -s tests/benchmarks/test_two_stage_speed.py`
"""

import importlib
import sys
import time

import numpy as np
import pytest

import kzoo

SIDE, BATCH, OBJECTS, CLASSES = 512, 2, 10, 80
STEPS = 4


def seconds(function, steps=STEPS):
    """The least of some runs, after one that makes graphs."""
    function()
    spent = []
    for _ in range(steps):
        start = time.perf_counter()
        function()
        spent.append(time.perf_counter() - start)
    return min(spent)


def scene():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8)
    corner, extent = (
        rng.uniform(0, SIDE - 100, (BATCH, OBJECTS, 2)),
        rng.uniform(20, 100, (BATCH, OBJECTS, 2)),
    )
    boxes = np.concatenate([corner, corner + extent], axis=-1).astype("float32")
    return images, boxes, rng.integers(0, CLASSES, (BATCH, OBJECTS))


def their_step(shared):
    """torchvision's step, of the same images and objects."""
    torch = pytest.importorskip("torch")
    sys.path.insert(0, str(shared / "parity"))
    importlib.import_module("torchvision_kernels")  # before the module whose operators it brings
    torchvision = importlib.import_module("torchvision")

    images, boxes, labels = scene()
    network = torchvision.models.detection.fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=CLASSES + 1, min_size=SIDE, max_size=SIDE
    ).train()
    optimizer = torch.optim.SGD(network.parameters(), 1e-4)
    pixels = [torch.from_numpy(image.transpose(2, 0, 1) / 255).float() for image in images]
    truth = [
        {"boxes": torch.from_numpy(own), "labels": torch.from_numpy(classes + 1)}
        for own, classes in zip(boxes, labels, strict=True)
    ]

    def step():
        optimizer.zero_grad()
        sum(network(pixels, truth).values()).backward()
        optimizer.step()

    return step


@pytest.mark.benchmark
def test_a_training_step_beside_torchvision_s(shared):
    import keras
    import tensorflow as tf

    theirs = seconds(their_step(shared))
    images, boxes, labels = scene()
    targets = {"boxes": boxes, "labels": labels.astype("int32")}
    model = kzoo.build("faster-rcnn", num_classes=CLASSES, image_size=(SIDE, SIDE))
    model.compile(keras.optimizers.SGD(1e-4), jit_compile=False)
    ours = seconds(lambda: model.train_on_batch(images, targets))
    print(f"\na step: {ours:.2f} s, torchvision's {theirs:.2f} s, ratio {ours / theirs:.2f}")

    head = model.head
    outputs = head(model.features(images.astype("float32"), training=False), training=True)
    proposals, features = head.propose(outputs, True), head.features(outputs)
    regions = head.sample(targets, proposals).boxes

    def pooled():
        with tf.GradientTape() as tape:
            tape.watch(features)
            total = tf.reduce_sum(head.pooled(features, regions, head.pool_size) ** 2)
        return tape.gradient(total, features)

    parts = {
        "proposals": lambda: head.propose(outputs, True),
        "sampling": lambda: head.sample(targets, proposals).boxes,
        "pooling, forward and backward": pooled,
    }
    spent = {name: seconds(tf.function(part, autograph=False)) for name, part in parts.items()}
    for name, each in spent.items():
        print(f"{name}: {each:.3f} s, {each / ours:.1%} of the step")
    print(f"together {sum(spent.values()) / ours:.1%}")
