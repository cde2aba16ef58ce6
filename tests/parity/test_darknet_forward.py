"""Raw outputs equal what the reference makes of Darknet's own cfg files with the same random weights."""

import keras
import numpy as np
import pytest
from darknet_reference import Forward, sections

import kzoo


def convolutions(model):
    """The model's convolutions in the order of Darknet's files, each with its normalisation."""
    layers = {layer.name: layer for layer in model.network.layers}
    backbone, neck = (
        [name for name in layers if name.startswith(part)] for part in ("backbone_conv", "neck_conv")
    )
    for name in sorted(backbone, key=lambda n: int(n.removeprefix("backbone_conv"))):
        yield layers[name], layers[name.replace("conv", "bn")]
    order = sorted((n for n in neck if "concat" not in n), key=lambda n: int(n.removeprefix("neck_conv")))
    heads = list(getattr(model.head, "convs", []))[::-1]  # Darknet's first [yolo] is the coarsest
    # Numbers of the neck's convolutions that a [yolo]'s own follows, all but the last.
    last = {"yolov3": (6, 13), "yolov3-spp": (7, 14), "yolov3-tiny": (2,), "darknet53": ()}[model.name]
    last = [f"neck_conv{number}" for number in last]
    for name in order:
        yield layers[name], layers[name.replace("conv", "bn")]
        if name in last:
            yield heads.pop(0), None
    for head in heads:
        yield head, None
    if model.task == "classify":
        yield model.head.classifier, None


@pytest.mark.parametrize(
    "name",
    [
        "yolov3",
        "yolov3-tiny",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("yolov3-spp", "darknet53")),
    ],
)
def test_raw_outputs(name, darknet_data):
    rng = np.random.default_rng(0)
    model = kzoo.build(name, image_size=(96, 96))
    values = []  # In the order of Darknet's files: beta, gamma, mean, variance, weights.
    for conv, norm in convolutions(model):
        kernel = rng.normal(0, np.sqrt(2 / np.prod(conv.kernel.shape[:-1])), conv.kernel.shape)
        if norm is None:
            beta = rng.normal(0, 0.5, conv.bias.shape)
            conv.set_weights([kernel, beta])
            values += [beta]
        else:
            # gamma, beta, mean, variance: small enough that 23 residual sums do not swell: the tolerance is absolute.
            count = conv.filters
            value = [rng.uniform(0.2, 0.6, count), rng.normal(0, 0.1, count)]
            value += [rng.normal(0, 0.1, count), rng.uniform(0.5, 1.5, count)]
            conv.set_weights([kernel])
            norm.set_weights(value)
            values += [value[1], value[0], *value[2:]]
        values.append(kernel.reshape((1, 1, *kernel.shape)[-4:]).transpose(3, 2, 0, 1))
    weights = iter(values)
    images = rng.integers(0, 256, (1, 64, 96, 3)).astype(np.float32)
    run = Forward(
        sections(darknet_data / "cfg" / f"{name}.cfg"), lambda _, shape: next(weights).reshape(shape)
    )
    run(images.transpose(0, 3, 1, 2) / 255.0)
    assert next(weights, None) is None
    got = model(images, training=False)
    if model.task == "classify":
        pairs = [(got["logits"], run.heads[0][:, :, 0, 0])]
    else:
        pairs = [
            (got[f"stride{s}"], h.transpose(0, 2, 3, 1))
            for s, h in zip(model.head.strides[::-1], run.heads, strict=True)
        ]
    for ours, theirs in pairs:
        assert np.abs(theirs).max() > 0.1
        difference = np.abs(keras.ops.convert_to_numpy(ours) - theirs).max()
        assert difference <= 1e-4, difference
