"""Raw outputs equal a forward pass that torch makes from Darknet's own cfg files, with the same random weights."""

import keras
import numpy as np
import pytest

import kzoo

torch = pytest.importorskip("torch", reason="pip install -e '.[parity]'")


def sections(path):
    """Darknet's cfg as a list of (name, options)."""
    found = []
    for line in path.read_text().splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("["):
            found.append((line[1:-1], {}))
        elif line:
            key, value = line.split("=")
            found[-1][1][key.strip()] = value.strip()
    return found[1:]


def forward(cfg, x, weights):
    """Runs the sections one by one; gives what each [yolo] is fed with, and the last output.

    `weights` yields for every convolution: kernel (k, k, in, out), then gamma, beta, mean, variance, or a bias.
    """
    outputs, heads = [], []
    for name, options in sections(cfg):
        get = {key: int(value) for key, value in options.items() if value.lstrip("-").isdigit()}.get
        if name == "convolutional":
            kernel, *rest = next(weights)
            size = get("size")
            pad = size // 2 if get("pad") else 0
            x = torch.nn.functional.conv2d(x, kernel.permute(3, 2, 0, 1), stride=get("stride"), padding=pad)
            if get("batch_normalize"):
                gamma, beta, mean, variance = rest
                x = torch.nn.functional.batch_norm(x, mean, variance, gamma, beta, eps=1e-5)
            else:
                x = x + rest[0][:, None, None]
            if options["activation"] == "leaky":
                x = torch.nn.functional.leaky_relu(x, 0.1)
        elif name == "maxpool":
            size, stride = get("size"), get("stride")
            before = (size - 1) // 2
            after = size - 1 - before
            padded = torch.nn.functional.pad(x, (before, after, before, after), value=-torch.inf)
            x = torch.nn.functional.max_pool2d(padded, size, stride)
        elif name == "upsample":
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        elif name == "shortcut":
            x = x + outputs[get("from")]
        elif name == "route":
            places = [int(place) for place in options["layers"].split(",")]
            x = torch.cat([outputs[place] for place in places], 1)
        elif name == "avgpool":
            x = x.mean((2, 3), keepdim=True)
        elif name == "yolo":
            heads.append(x)
        outputs.append(x)
    return heads, x


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


@pytest.mark.parametrize("name", ["yolov3", "yolov3-spp", "yolov3-tiny", "darknet53"])
def test_raw_outputs(name, darknet_data):
    rng = np.random.default_rng(0)
    model = kzoo.build(name, image_size=(96, 96))
    values = []
    for conv, norm in convolutions(model):
        kernel = rng.normal(0, np.sqrt(2 / np.prod(conv.kernel.shape[:-1])), conv.kernel.shape)
        if norm is None:
            value = [kernel, rng.normal(0, 0.5, conv.bias.shape)]
            conv.set_weights(value)
            kernel = kernel.reshape((1, 1, *kernel.shape[-2:]))
        else:
            count = conv.filters
            # Small enough that 23 residual sums do not swell: the tolerance is absolute.
            value = [kernel, rng.uniform(0.2, 0.6, count), rng.normal(0, 0.1, count)]
            value += [rng.normal(0, 0.1, count), rng.uniform(0.5, 1.5, count)]
            conv.set_weights(value[:1])
            norm.set_weights(value[1:])
        values.append([torch.tensor(v, dtype=torch.float32) for v in (kernel, *value[1:])])
    weights = iter(values)
    images = rng.integers(0, 256, (1, 64, 96, 3)).astype(np.float32)
    with torch.no_grad():
        x = torch.tensor(images).permute(0, 3, 1, 2) / 255
        heads, last = forward(darknet_data / "cfg" / f"{name}.cfg", x, weights)
    assert next(weights, None) is None
    got = model(images, training=False)
    if model.task == "classify":
        pairs = [(got["logits"], last[:, :, 0, 0])]
    else:
        pairs = [
            (got[f"stride{s}"], h.permute(0, 2, 3, 1))
            for s, h in zip(model.head.strides[::-1], heads, strict=True)
        ]
    for ours, theirs in pairs:
        theirs = theirs.numpy()
        assert np.abs(theirs).max() > 0.1
        difference = np.abs(keras.ops.convert_to_numpy(ours) - theirs).max()
        assert difference <= 1e-4, difference
