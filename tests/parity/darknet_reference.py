"""What Darknet computes, in plain NumPy from a `.cfg` and a `.weights` file: a reference that shares no code with kzoo.

Everything is (batch, channels, height, width) as in Darknet, and computed in float64, so that the rounding that
a comparison finds is the other side's.
"""

import re
import struct
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

HEADS = ("yolo", "Gaussian_yolo", "region", "detection")
NAMES = {
    "avg": "avgpool", "conn": "connected", "conv": "convolutional", "local_avg": "local_avgpool", "max": "maxpool",
    "silence": "empty", "soft": "softmax",
}  # fmt: skip


class Section(dict):
    """Keys and values of one section, as text."""

    def __init__(self, kind):
        super().__init__()
        self.kind = NAMES.get(kind, kind)

    def number(self, key, default=0.0):
        """The number that a value begins with, as C's atof finds it."""
        if key not in self:
            return default
        found = re.match(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", self[key])
        return float(found[0]) if found else 0.0

    def integer(self, key, default=0):
        return int(self.number(key, default))

    def integers(self, key):
        return [int(part) for part in self[key].split("#")[0].split(",") if part]


def sections(path):
    """The sections of a cfg, `[net]` first."""
    found = []
    for line in Path(path).read_text(errors="replace").splitlines():
        line = re.sub(r"\s", "", line)
        if line.startswith("["):
            found.append(Section(line.strip("[]")))
        elif line and line[0] not in "#;":
            key, _, value = line.partition("=")
            found[-1].setdefault(key, value)
    return found


def logistic(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 20))))


def stair(x):
    whole = np.floor(x)
    return np.where(whole % 2 == 0, np.floor(x / 2), x - whole + np.floor(x / 2))


def hard_mish(x):
    return np.where(x > 0, x, np.where(x > -2, x * x / 2 + x, 0))


def normalize_channels(x):
    x = np.maximum(x, 0)
    return x / (1e-4 + x.sum(1, keepdims=True))


def normalize_channels_softmax(x, largest=0.0):
    x = np.exp(x - largest)
    return x / (1e-4 + x.sum(1, keepdims=True))


ACTIVATIONS = {
    "linear": lambda x: x,
    "logistic": logistic,
    "loggy": lambda x: 2 * logistic(x) - 1,
    "leaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "revleaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "relie": lambda x: np.where(x > 0, x, 0.01 * x),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "ramp": lambda x: np.maximum(x, 0) + 0.1 * x,
    "elu": lambda x: np.where(x >= 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: 1.0507 * np.where(x >= 0, x, 1.6732 * np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(0.797885 * x + 0.035677 * x**3)),
    "tanh": np.tanh,
    "hardtan": lambda x: np.clip(x, -1, 1),
    "lhtan": lambda x: np.where(x < 0, 0.001 * x, np.where(x > 1, 0.001 * (x - 1) + 1, x)),
    "plse": lambda x: np.where(x < -4, 0.01 * (x + 4), np.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5)),
    "stair": stair,
    "swish": lambda x: x * logistic(x),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "hard_mish": hard_mish,
    # Not in Darknet's own table, but in later cfg files: MobileNetV3's.
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "normalize_channels": normalize_channels,
    "normalize_channels_softmax": normalize_channels_softmax,
    "normalize_channels_softmax_maxval": lambda x: normalize_channels_softmax(x, x.max(1, keepdims=True)),
}


def windows(x, size, strides, before, after, fill=0.0):
    """Every place of a window: (batch, channels, rows, columns, size, size)."""
    edges = ((0, 0), (0, 0), (before[0], after[0]), (before[1], after[1]))
    x = np.pad(x, edges, constant_values=fill)
    return sliding_window_view(x, (size, size), (2, 3))[:, :, :: strides[0], :: strides[1]]


def convolve(x, kernels, strides, padding, dilation=1, groups=1):
    """Kernels are (filters, channels / groups, size, size), padding is in pixels on every side."""
    size = kernels.shape[2]
    spread = dilation * (size - 1) + 1
    taken = windows(x, spread, strides, (padding, padding), (padding, padding))
    taken = taken[..., ::dilation, ::dilation].transpose(0, 1, 4, 5, 2, 3)
    batch, channels, *_, rows, columns = taken.shape
    columns_of = taken.reshape(batch, groups, channels // groups * size * size, rows * columns)
    kernels = kernels.reshape(groups, len(kernels) // groups, -1)
    return (kernels @ columns_of).reshape(batch, -1, rows, columns)


def strides_of(section):
    stride = section.integer("stride", 1)
    return section.integer("stride_y", stride), section.integer("stride_x", stride)


class Forward:
    """One pass through a network.

    Args:
        parts: of the cfg, as `sections` gives them.
        take: (what, shape) -> the next weights of the file; what is "weights", "beta", "gamma", "mean" or "variance".
    """

    def __init__(self, parts, take):
        self.net, *self.parts = parts
        self.take, self.outputs, self.heads, self.kernels = take, [], [], {}

    def __call__(self, x):
        for index, section in enumerate(self.parts):
            self.index = index
            if section.kind in (*HEADS, "softmax", "logistic"):
                self.heads.append(x)
            if section.kind not in HEADS:
                x = getattr(self, section.kind)(section, x)
            self.outputs.append(x)
        return x

    convolve = staticmethod(convolve)

    def other(self, number):
        return self.outputs[number if number >= 0 else self.index + number]

    def activate(self, section, x, default="linear"):
        return ACTIVATIONS[section.get("activation", default)](x)

    def normalize(self, count):
        """gamma, mean and variance of a batch normalisation, as one factor and one shift."""
        gamma, mean, variance = (self.take(what, (count,)) for what in ("gamma", "mean", "variance"))
        factor = gamma / np.sqrt(variance + 1e-5)
        return factor[:, None, None], (-mean * factor)[:, None, None]

    def convolutional(self, section, x):
        filters, size = section.integer("filters", 1), section.integer("size", 1)
        groups = section.integer("groups", 1)
        dilation = section.integer("dilation", 1) if size > 1 else 1
        padding = size // 2 if section.integer("pad") else section.integer("padding")
        if "share_index" in section:
            shared = section.integer("share_index")
            own = self.kernels[shared if shared >= 0 else self.index + shared]
        else:
            beta = self.take("beta", (filters,))
            norm = (1.0, 0.0)
            if section.integer("batch_normalize") or section.integer("cbn"):
                norm = self.normalize(filters)
            kernels = self.take("weights", (filters, x.shape[1] // groups, size, size))
            own = kernels, norm, beta[:, None, None]
        self.kernels[self.index] = own
        kernels, (factor, shift), beta = own
        x = self.convolve(x, kernels, strides_of(section), padding * dilation, dilation, groups)
        return self.activate(section, x * factor + shift + beta, "logistic")

    def connected(self, section, x):
        count = section.integer("output", 1)
        flat = x.reshape(len(x), -1)
        beta = self.take("beta", (count,))
        weights = self.take("weights", (count, flat.shape[1]))
        x = (flat @ weights.T)[:, :, None, None]
        if section.integer("batch_normalize"):
            factor, shift = self.normalize(count)
            x = x * factor + shift
        return self.activate(section, x + beta[:, None, None], "logistic")

    def local(self, section, x):
        filters, size = section.integer("filters", 1), section.integer("size", 1)
        padding = section.integer("pad")
        taken = windows(x, size, strides_of(section), (padding,) * 2, (padding,) * 2)
        channels, rows, columns = taken.shape[1:4]
        beta = self.take("beta", (filters, rows, columns))
        weights = self.take("weights", (rows, columns, filters, channels, size, size))
        x = np.einsum("bcrskl,rsfckl->bfrs", taken, weights)
        return self.activate(section, x + beta, "logistic")

    def _pooled(self, section, x, fill):
        """Every window of a pooling layer, whose last one may reach beyond the edge."""
        size = section.integer("size", section.integer("stride", 1))
        padding = section.integer("padding", size - 1)
        strides, sides = strides_of(section), x.shape[2:]
        places = [(side + padding - size) // stride + 1 for side, stride in zip(sides, strides, strict=True)]
        reach = [(count - 1) * stride + size for count, stride in zip(places, strides, strict=True)]
        after = [max(far - padding // 2 - side, 0) for far, side in zip(reach, sides, strict=True)]
        taken = windows(x, size, strides, (padding // 2,) * 2, after, fill)
        return taken[:, :, : places[0], : places[1]]

    def maxpool(self, section, x):
        return self._pooled(section, x, -np.inf).max((4, 5))

    def local_avgpool(self, section, x):
        total = self._pooled(section, x, 0.0).sum((4, 5))
        return total / self._pooled(section, np.ones_like(x), 0.0).sum((4, 5))

    def avgpool(self, section, x):
        return x.mean((2, 3), keepdims=True)

    def upsample(self, section, x):
        stride = section.integer("stride", 2)
        return x.repeat(stride, 2).repeat(stride, 3) * section.number("scale", 1.0)

    def route(self, section, x):
        groups, group = section.integer("groups", 1), section.integer("group_id")
        parts = [self.other(number) for number in section.integers("layers")]
        counts = [part.shape[1] // groups for part in parts]
        return np.concatenate(
            [p[:, group * n : (group + 1) * n] for p, n in zip(parts, counts, strict=True)], 1
        )

    def shortcut(self, section, x):
        others = [self.other(number) for number in section.integers("from")]
        factors = np.ones((len(others) + 1, 1))
        kind = section.get("weights_type", "none")
        if kind != "none":
            factors = self.take("shares", (len(others) + 1, x.shape[1] if kind == "per_channel" else 1))
            how = section.get("weights_normalization", section.get("weights_normalizion", "none"))
            if how in ("relu", "avg_relu"):
                factors = np.maximum(factors, 0)
                factors = factors / (1e-4 + factors.sum(0))
            elif how == "softmax":
                factors = np.exp(factors - factors.max(0))
                factors = factors / (1e-4 + factors.sum(0))
        total = x * factors[0][:, None, None]
        for factor, other in zip(factors[1:], others, strict=True):
            # A larger map gives every so many of its pixels, a smaller one meets every so many.
            give, meet = max(other.shape[2] // x.shape[2], 1), max(x.shape[2] // other.shape[2], 1)
            channels = min(x.shape[1], other.shape[1])
            added = other[:, :channels, ::give, ::give] * factor[:channels, None, None]
            total[:, :channels, ::meet, ::meet] += added
        return self.activate(section, total)

    def scale_channels(self, section, x):
        return self.activate(section, self.other(section.integer("from")) * x)

    def sam(self, section, x):
        return self.activate(section, self.other(section.integer("from")) * x)

    def reorg(self, section, x):
        # Index by index, as Darknet walks: the image is read as one of fewer channels and larger sides.
        stride, (batch, channels, height, width) = section.integer("stride", 1), x.shape
        fewer = channels // stride**2
        k, j, i = np.ogrid[:channels, :height, :width]
        offset, channel = k // fewer, k % fewer
        row, column = j * stride + offset // stride, i * stride + offset % stride
        source = column + width * stride * (row + height * stride * channel)
        taken = x.reshape(batch, -1)[:, source.reshape(-1)]
        return taken.reshape(batch, channels * stride**2, height // stride, width // stride)

    def reorg3d(self, section, x):
        stride = section.integer("stride", 1)
        return np.concatenate(
            [x[:, :, r::stride, c::stride] for r in range(stride) for c in range(stride)], 1
        )

    def dropout(self, section, x):
        return x

    empty = cost = dropout

    def batchnorm(self, section, x):
        factor, shift = self.normalize(x.shape[1])
        return x * factor + shift

    def activation(self, section, x):
        return self.activate(section, x)

    def crop(self, section, x):
        height, width = section.integer("crop_height", 1), section.integer("crop_width", 1)
        top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
        x = x[:, :, top : top + height, left : left + width]
        return x if section.integer("noadjust") else x * 2 - 1

    def l2norm(self, section, x):
        length = np.sqrt((x**2).sum(1, keepdims=True))
        return x / np.where(length == 0, 1, length)

    def logistic(self, section, x):
        return logistic(x)

    def softmax(self, section, x):
        flat = x.reshape(len(x), section.integer("groups", 1), -1) / section.number("temperature", 1.0)
        flat = np.exp(flat - flat.max(-1, keepdims=True))
        return (flat / flat.sum(-1, keepdims=True)).reshape(x.shape)


class Weights:
    """The floats of a `.weights` file, one after the other."""

    def __init__(self, path):
        content = Path(path).read_bytes()
        major, minor, _ = struct.unpack("<3i", content[:12])
        self.floats = np.frombuffer(content, "<f4", offset=20 if major * 10 + minor >= 2 else 16)
        self.taken = 0

    def __call__(self, what, shape):
        count = int(np.prod(shape))
        found = self.floats[self.taken : self.taken + count]
        self.taken += count
        return found.reshape(shape).astype(np.float64)


def forward(cfg, weights, images):
    """What a network makes of images.

    Args:
        cfg: path of the cfg file.
        weights: path of the weights file, which must end with the last layer.
        images: (batch, channels, height, width), 0..1.

    Returns:
        What each head section, `[softmax]` or `[logistic]`, is fed with, and the last layer's output.
    """
    source = Weights(weights)
    run = Forward(sections(cfg), source)
    last = run(images.astype(np.float64))
    assert source.taken == len(source.floats), f"{source.taken} of {len(source.floats)} floats read"
    return run.heads, last


class Shapes(Forward):
    """A pass that spares itself the sums."""

    @staticmethod
    def convolve(x, kernels, strides, padding, dilation=1, groups=1):
        reach = dilation * (kernels.shape[2] - 1)
        sides = [(n + 2 * padding - reach - 1) // s + 1 for n, s in zip(x.shape[2:], strides, strict=True)]
        return np.zeros((len(x), len(kernels), *sides))


def random_weights(cfg, path, rng, header=(0, 2, 0), seen=32013312):
    """Writes weights for a cfg that keep activations moderate in a deep network too.

    Args:
        cfg: path of the cfg file.
        path: of the file to write.
        rng: a NumPy generator.
        header: major, minor, revision.
        seen: images seen in training.

    Returns:
        How many floats the cfg asks for.
    """
    count = 0
    normal = rng.standard_normal(1_000_003, np.float32)  # enough to draw once

    def draw(what, shape):
        nonlocal count
        size = int(np.prod(shape))
        if what == "weights":
            # Of a convolution (filters, channels, size, size), of a connected layer (outputs, inputs).
            inputs = np.prod(shape[1:] if len(shape) < 6 else shape[3:])
            value = np.resize(np.roll(normal, -count), size) * np.float32(np.sqrt(2 / inputs))
        elif what in ("gamma", "variance", "shares"):
            low, high = {"gamma": (0.2, 0.6), "variance": (0.5, 1.5), "shares": (-0.5, 1.5)}[what]
            value = rng.uniform(low, high, size)
        else:
            value = rng.normal(0, 0.1, size)
        value.astype("<f4").tofile(file)
        count += size
        return np.broadcast_to(0.0, shape)

    parts = sections(cfg)
    side = [parts[0].integer(key, 3) for key in ("channels", "height", "width")]
    with Path(path).open("wb") as file:
        file.write(struct.pack("<3i", *header))
        file.write(struct.pack("<Q" if header[0] * 10 + header[1] >= 2 else "<I", seen))
        Shapes(parts, draw)(np.zeros((1, *side)))
    return count
