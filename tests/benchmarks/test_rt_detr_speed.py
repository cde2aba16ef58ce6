"""What a training step of RT-DETR takes beside transformers', and where it goes.

`pytest -m benchmark -s tests/benchmarks/test_rt_detr_speed.py`
"""

import importlib
import sys

import numpy as np
import pytest
from by_turns import seconds

import kzoo

SIDE, BATCH, OBJECTS, CLASSES = 320, 2, 10, 80


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
    """transformers' step, of the same images and objects: R18, three layers of the decoder, denoising."""
    torch = pytest.importorskip("torch")
    sys.path.insert(0, str(shared / "parity"))
    importlib.import_module("torchvision_kernels")  # before the module whose operators it brings
    pytest.importorskip("transformers")
    config = importlib.import_module("transformers.models.rt_detr.configuration_rt_detr")
    resnet = importlib.import_module("transformers.models.rt_detr.configuration_rt_detr_resnet")
    there = importlib.import_module("transformers.models.rt_detr.modeling_rt_detr")
    sizes = [64, 128, 256, 512]
    backbone = resnet.RTDetrResNetConfig(
        hidden_sizes=sizes, depths=[2, 2, 2, 2], layer_type="basic", out_indices=[2, 3, 4]
    )
    settings = config.RTDetrConfig(
        backbone_config=backbone,
        encoder_in_channels=sizes[1:],
        hidden_expansion=0.5,
        decoder_layers=3,
        num_labels=CLASSES,
        freeze_backbone_batch_norms=False,
    )
    network = there.RTDetrForObjectDetection(settings).train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    images, boxes, labels = scene()
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2) / 255).float()
    shares = (
        np.concatenate([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], axis=-1)
        / SIDE
    )
    truth = [
        {"class_labels": torch.from_numpy(classes), "boxes": torch.from_numpy(own).float()}
        for own, classes in zip(shares, labels, strict=True)
    ]

    def step():
        optimizer.zero_grad()
        network(pixels, labels=truth).loss.backward()
        optimizer.step()

    return step


@pytest.mark.benchmark
def test_a_training_step_beside_transformers_s(shared):
    import keras

    images, boxes, labels = scene()
    targets = {"boxes": boxes, "labels": labels.astype("int32")}
    model = kzoo.build("rt-detr-r18", num_classes=CLASSES, image_size=SIDE)
    model.compile(keras.optimizers.AdamW(1e-4))
    ours, theirs = seconds([lambda: model.train_on_batch(images, targets), their_step(shared)], rounds=5)
    print(f"\na step: {ours:.2f} s, transformers' {theirs:.2f} s, ratio {ours / theirs:.2f}")
