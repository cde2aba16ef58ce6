"""A training step in a process of its own, ours on some backend or its equal in plain torch, timed on demand.

`python training_steps.py MODEL WAY SHARED` says how many parameters are trained once it has made a step; to each line
it then answers with the seconds of a further step, by the clock and of the processor. MODEL is one of `CASES`; WAY is
a policy of Keras for ours, on the backend that KERAS_BACKEND names, or "eager" or "compiled" for torch's; SHARED the
folder with `data/` and `parity/`.
"""

import importlib
import json
import os
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

CASES = {"yolov3": (416, 2), "retinanet": (512, 2), "unet": (256, 8)}  # side in pixels, images
THREADS = int(os.environ.get("KZOO_THREADS", "2"))
CLASSES, OBJECTS = 80, 10
PEERS = ("eager", "compiled")


def scene(name: str):
    """Images, and a segmenter's masks, or boxes and labels."""
    side, batch = CASES[name]
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch, side, side, 3), np.uint8)
    if name == "unet":
        return images, {"mask": rng.integers(0, CLASSES, (batch, side, side)).astype("int32")}
    corner = rng.uniform(0, side - 100, (batch, OBJECTS, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(20, 100, corner.shape)], axis=-1)
    labels = rng.integers(0, CLASSES, (batch, OBJECTS))
    return images, {"boxes": boxes.astype("float32"), "labels": labels.astype("int32")}


def our_step(name: str, policy: str):
    import keras

    import kzoo

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    elif keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(THREADS)
    keras.config.set_dtype_policy(policy)
    images, targets = scene(name)
    model = kzoo.build(name, num_classes=CLASSES, image_size=images.shape[1:3])
    model.compile(kzoo.training.AdamW(1e-4), jit_compile=keras.backend.backend() == "jax")
    count = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    return lambda: model.train_on_batch(images, targets), count


def darknet(cfg: Path):
    """The network that a cfg of convolutions, shortcuts, routes and upsamplings describes, up to its `[yolo]`s."""
    from torch import cat, nn

    sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))
    from darknet_reference import sections

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.sections, self.parts, channels = sections(cfg)[1:], nn.ModuleList(), []
            for own in self.sections:
                part, count = nn.Identity(), channels[-1] if channels else 3
                if own.kind == "convolutional":
                    size, stride, normal = (
                        own.integer("size"),
                        own.integer("stride"),
                        "batch_normalize" in own,
                    )
                    filters = CLASSES * 3 + 15 if own["activation"] == "linear" else own.integer("filters")
                    layers = [nn.Conv2d(count, filters, size, stride, size // 2, bias=not normal)]
                    layers += [nn.BatchNorm2d(filters)] if normal else []
                    layers += [nn.LeakyReLU(0.1, inplace=True)] if own["activation"] == "leaky" else []
                    part, count = nn.Sequential(*layers), filters
                elif own.kind == "upsample":
                    part = nn.Upsample(scale_factor=2)
                elif own.kind == "route":
                    count = sum(channels[at] for at in own.integers("layers"))
                self.parts.append(part)
                channels.append(count)

        def forward(self, x):
            known, raw = [], []
            for own, part in zip(self.sections, self.parts, strict=True):
                if own.kind == "route":
                    x = cat([known[at] for at in own.integers("layers")], 1)
                elif own.kind == "shortcut":
                    x = known[-1] + known[own.integer("from")]
                elif own.kind == "yolo":
                    raw.append(x)
                else:
                    x = part(x)
                known.append(x)
            return raw

    return Network()


def unet():
    """Five levels of two convolutions with ReLUs, joined by transposed convolutions."""
    from torch import cat, nn

    def pair(before, after):
        convolutions = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        return nn.Sequential(convolutions[0], nn.ReLU(True), convolutions[1], nn.ReLU(True))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            widths = [64 << level for level in range(5)]
            self.down = nn.ModuleList(pair(*both) for both in pairwise([3, *widths]))
            steps = list(pairwise(widths[::-1]))
            self.grow = nn.ModuleList(nn.ConvTranspose2d(*both, 2, 2) for both in steps)
            self.up = nn.ModuleList(pair(*both) for both in steps)
            self.last, self.pool = nn.Conv2d(64, CLASSES, 1), nn.MaxPool2d(2)

        def forward(self, x):
            skips = []
            for level, part in enumerate(self.down):
                x = part(self.pool(x) if level else x)
                skips.append(x)
            for grow, part in zip(self.grow, self.up, strict=True):
                skips.pop()
                x = part(cat([skips[-1], grow(x)], 1))
            return self.last(x)

    return Network()


def their_step(name: str, way: str, shared: Path):
    """The same network of torch's own layers. Losses are torch's; of YOLO the mean of the outputs' squares."""
    import torch

    torch.set_num_threads(THREADS)
    images, targets = scene(name)
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2) / 255).float()
    if name == "yolov3":
        network = darknet(shared / "data" / "darknet" / "cfg" / "yolov3.cfg")
        inputs, total = (pixels,), lambda raw: sum(each.square().mean() for each in raw)
    elif name == "unet":
        network, mask = unet(), torch.from_numpy(targets["mask"]).long()
        inputs, total = (pixels,), lambda raw: torch.nn.functional.cross_entropy(raw, mask)
    else:
        sys.path.insert(0, str(shared / "parity"))
        importlib.import_module("torchvision_kernels")  # before the module whose operators it brings
        detection = importlib.import_module("torchvision").models.detection
        side = CASES[name][0]
        network = detection.retinanet_resnet50_fpn(
            weights=None, weights_backbone=None, num_classes=CLASSES, min_size=side, max_size=side
        )
        truth = [
            {"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(labels).long()}
            for boxes, labels in zip(targets["boxes"], targets["labels"], strict=True)
        ]
        inputs, total = (list(pixels), truth), lambda losses: sum(losses.values())
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    run = torch.compile(network) if way == "compiled" else network

    def step():
        optimizer.zero_grad()
        total(run(*inputs)).backward()
        optimizer.step()

    return step, sum(each.numel() for each in network.parameters() if each.requires_grad)


def main():
    name, way, shared = sys.argv[1:]
    # Libraries print what they like to stdout, so the answers get a channel of their own.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    step, count = their_step(name, way, Path(shared)) if way in PEERS else our_step(name, way)
    step()
    print(count, file=answers)
    for _ in sys.stdin:
        clock, processor = time.perf_counter(), time.process_time()
        step()
        print(json.dumps([time.perf_counter() - clock, time.process_time() - processor]), file=answers)


if __name__ == "__main__":
    main()
