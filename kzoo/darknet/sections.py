"""What each of Darknet's sections asks for: one function a kind, from where it stands to the planned layer."""

from __future__ import annotations

import math

from kzoo.darknet.heads import cost, detection, gaussian_yolo, region, yolo
from kzoo.darknet.plan import MAX_CHANNELS, MAX_OUTPUT, MAX_SIDE, Layer, Planner, Site

ACTIVATIONS = (
    "linear", "leaky", "relu", "relu6", "mish", "swish", "logistic", "hardswish",
    "elu", "gelu", "hard_mish", "loggy", "ramp", "relie", "selu", "tanh",
)  # fmt: skip
_NORMALIZATION = ("gamma", "mean", "variance")


def _activation(site: Site, default: str = "linear") -> str:
    return site.section.choice("activation", default, ACTIVATIONS)


def _strides(site: Site) -> tuple[int, int]:
    """Along y and x."""
    stride = site.section.integer("stride", 1, least=1, most=MAX_SIDE)
    return tuple(site.section.integer(f"stride_{axis}", stride, least=1, most=MAX_SIDE) for axis in "yx")


def _slid_sides(sides: tuple[int, int], size: int, strides: tuple[int, int], padding: int) -> tuple[int, int]:
    """Height and width after a window has slid over them; `padding` in all, both sides together."""
    return tuple((side + padding - size) // stride + 1 for side, stride in zip(sides, strides, strict=True))


def _check_padded(site: Site, padding: int) -> None:
    """Refuses padding that would make a map too large to be held, though what comes out of it is small."""
    height, width, channels = site.shape
    if padding and (height + padding) * (width + padding) * channels > MAX_OUTPUT:
        raise site.section.fault(
            "size", f"would widen {width}x{height} by {padding} pixels; give a smaller one"
        )


def convolutional(site: Site) -> Layer:
    """`[convolutional]`: of its weights the file has the bias first, then the normalisation, then the kernel."""
    section, (height, width, channels) = site.section, site.shape
    filters = section.integer("filters", 1, least=1, most=MAX_CHANNELS)
    size = section.integer("size", 1, least=1, most=MAX_SIDE)
    groups = section.integer("groups", 1, least=1, most=MAX_CHANNELS)
    dilation = 1 if size == 1 else section.integer("dilation", 1, least=1, most=MAX_SIDE)
    for key, value in (("groups", channels), ("filters", filters)):
        if value % groups:
            raise section.fault(
                key, f"{groups} groups do not divide {channels} channels into {filters} filters"
            )
    strides = _strides(site)
    padding = size // 2 if section.flag("pad") else section.integer("padding", 0, least=0, most=MAX_SIDE)
    if dilation > 1 and 2 * padding != size - 1:
        # Darknet widens the padding by the dilation, but not the size of the output, and reads past its memory.
        raise section.fault("dilation", f"wants an odd size and pad=1, not size={size} padded by {padding}")
    _check_padded(site, 2 * padding * dilation)
    sides = _slid_sides((height, width), size, strides, 2 * padding)
    normalize = section.flag("batch_normalize") or section.flag("cbn")
    share = (
        _shared(site, (filters, channels // groups, size, normalize)) if "share_index" in section else None
    )
    tensors = {"beta": (filters,)} | dict.fromkeys(_NORMALIZATION if normalize else (), (filters,))
    tensors["weights"] = (filters, channels // groups, size, size)
    return site.layer(
        (*sides, filters),
        tensors={} if share is not None else tensors,
        size=size, strides=strides, groups=groups, dilation=dilation, padding=padding * dilation,
        normalize=normalize, activation=_activation(site, "logistic"), share=share,
    )  # fmt: skip


def _shared(site: Site, wanted: tuple) -> int:
    """The number of the convolution whose weights this one uses."""
    (index,) = site.others("share_index")
    layer = site.plan.layers[index]
    shape = layer.tensors.get("weights", ())
    if layer.kind != "convolutional" or (*shape[:3], layer.settings["normalize"]) != wanted:
        raise site.section.fault("share_index", f"layer {index} is no convolution of the same kind")
    return index


def connected(site: Site) -> Layer:
    """`[connected]`: a dense layer over the whole map; the file has its normalisation behind the matrix."""
    outputs = site.section.integer("output", 1, least=1, most=MAX_CHANNELS)
    normalize = site.section.flag("batch_normalize")
    tensors = {"beta": (outputs,), "weights": (outputs, math.prod(site.shape))}
    tensors |= dict.fromkeys(_NORMALIZATION if normalize else (), (outputs,))
    return site.layer(
        (1, 1, outputs), tensors=tensors, normalize=normalize, activation=_activation(site, "logistic")
    )


def local(site: Site) -> Layer:
    """`[local]`: a convolution with a kernel and a bias for each place of its output."""
    section, (height, width, channels) = site.section, site.shape
    filters = section.integer("filters", 1, least=1, most=MAX_CHANNELS)
    size = section.integer("size", 1, least=1, most=MAX_SIDE)
    stride = section.integer("stride", 1, least=1, most=MAX_SIDE)
    # Darknet's local layers pad by one pixel, whatever the size of their window.
    padding = int(section.flag("pad"))
    rows, columns = (((side - 1 if padding else side - size) // stride + 1) for side in (height, width))
    if padding and size != 3:
        raise section.fault("size", "with pad=1 only 3 is built")
    tensors = {
        "beta": (filters, rows, columns),
        "weights": (rows * columns, filters, channels * size * size),
    }
    return site.layer(
        (rows, columns, filters),
        tensors=tensors, size=size, stride=stride, padding=padding, activation=_activation(site, "logistic"),
    )  # fmt: skip


def maxpool(site: Site) -> Layer:
    """`[maxpool]`: padded by default so that at stride 1 the map keeps its size; `padding` counts both sides."""
    section, (height, width, channels) = site.section, site.shape
    strides = _strides(site)
    size = section.integer("size", section.integer("stride", 1), least=1, most=MAX_SIDE)
    padding = section.integer("padding", size - 1, least=0, most=MAX_SIDE)
    if padding > 2 * (size - 1):
        raise section.fault(
            "padding", f"is more than a window of {size} can reach; give {2 * (size - 1)} at most"
        )
    _check_padded(site, padding)
    sides = _slid_sides((height, width), size, strides, padding)
    return site.layer((*sides, channels), size=size, strides=strides, padding=padding)


def avgpool(site: Site) -> Layer:
    """`[avgpool]`: the mean of the whole map."""
    return site.layer((1, 1, site.shape[2]))


def upsample(site: Site) -> Layer:
    """`[upsample]`: each pixel repeated, and multiplied by `scale`."""
    height, width, channels = site.shape
    stride = site.section.integer("stride", 2, least=1, most=MAX_SIDE)
    return site.layer(
        (height * stride, width * stride, channels), stride=stride, scale=site.section.number("scale", 1.0)
    )


def route(site: Site) -> Layer:
    """`[route]`: the channels of earlier layers one after the other, or one of `groups` equal shares of each."""
    section = site.section
    inputs = site.others("layers")
    groups = section.integer("groups", 1, least=1, most=MAX_CHANNELS)
    group = section.integer("group_id", 0, least=0, most=groups - 1)
    shapes = [site.plan.shape_of(index) for index in inputs]
    for index, shape in zip(inputs, shapes, strict=True):
        if shape[:2] != shapes[0][:2]:
            raise section.fault(
                "layers", f"layer {index} is {shape[1]}x{shape[0]}, layer {inputs[0]} {shapes[0][1]}x{shapes[0][0]}"
                "; join layers of one size"
            )  # fmt: skip
        if shape[2] % groups:
            raise section.fault("groups", f"does not divide the {shape[2]} channels of layer {index}")
    channels = sum(shape[2] // groups for shape in shapes)
    return site.layer((*shapes[0][:2], channels), tuple(inputs), groups=groups, group=group)


def shortcut(site: Site) -> Layer:
    """`[shortcut]`: the layer before, plus earlier ones, which may be weighted."""
    section, shape = site.section, site.shape
    others = site.others("from")
    for key in ("alpha", "beta"):
        if section.number(key, 1.0) != 1.0:
            raise section.fault(key, "is not built; only 1 is")
    for index in others:
        other = site.plan.shape_of(index)
        # Maps of two sizes are added as pjreddie does: every so many pixels of the larger one meet one of the smaller.
        whole = (
            all(max(a, b) % min(a, b) == 0 for a, b in zip(shape[:2], other[:2], strict=True))
            and other[0] * shape[1] == other[1] * shape[0]
        )
        if not whole or (other[:2] != shape[:2] and len(others) > 1):
            raise section.fault(
                "from",
                f"layer {index} is {other[1]}x{other[0]}, this one {shape[1]}x{shape[0]}; add layers of one size",
            )
    kind = section.choice("weights_type", "none", ("none", "per_feature", "per_layer", "per_channel"))
    # The name of the key was misspelt in AlexeyAB's fork, and cfg files of that time have it so.
    key = "weights_normalizion" if "weights_normalizion" in section else "weights_normalization"
    normalization = section.choice(key, "none", ("none", "relu", "avg_relu", "softmax"))
    tensors = {}
    if kind != "none":
        tensors["weights"] = (len(others) + 1, shape[2] if kind == "per_channel" else 1)
    return site.layer(
        shape,
        (site.before, *others),
        tensors=tensors,
        normalization=normalization.removeprefix("avg_"),
        activation=_activation(site),
    )


def scale_channels(site: Site) -> Layer:
    """Squeeze and excitation: the layer named by `from`, each channel times this one's."""
    section, shape = site.section, site.shape
    (other,) = site.others("from")[:1]
    scaled = site.plan.shape_of(other)
    wanted = (*scaled[:2], 1) if section.flag("scale_wh") else (1, 1, scaled[2])
    if shape != wanted:
        raise section.fault(
            "from",
            f"layer {other} is {_size_text(scaled)}, the scale {_size_text(shape)}; it has to be {_size_text(wanted)}",
        )
    return site.layer(scaled, (site.before, other), activation=_activation(site))


def sam(site: Site) -> Layer:
    """Spatial attention: this layer times the one named by `from`, place by place."""
    (other,) = site.others("from")[:1]
    if site.plan.shape_of(other) != site.shape:
        raise site.section.fault(
            "from",
            f"layer {other} is {_size_text(site.plan.shape_of(other))}, this one {_size_text(site.shape)}",
        )
    return site.layer(site.shape, (site.before, other), activation=_activation(site))


def _size_text(shape) -> str:
    """A map's size as people write it, width first."""
    height, width, channels = shape
    return f"{width}x{height}x{channels}"


def reorg(site: Site) -> Layer:
    """`[reorg]` and `[reorg3d]`: a smaller map of more channels."""
    height, width, channels = site.shape
    stride = site.section.integer("stride", 1, least=1, most=MAX_SIDE)
    if height % stride or width % stride:
        raise site.section.fault("stride", f"does not divide {width}x{height}")
    if site.section.kind == "reorg" and channels % stride**2:
        raise site.section.fault("stride", f"its square does not divide the {channels} channels")
    return site.layer((height // stride, width // stride, channels * stride**2), stride=stride)


def dropout(site: Site) -> Layer:
    """`[dropout]`: of training alone."""
    probability = site.section.number("probability", 0.2, least=0.0)
    if probability >= 1:
        raise site.section.fault("probability", "is no share to drop; give a number from 0 up to 1")
    return site.layer(site.shape, probability=probability)


def batchnorm(site: Site) -> Layer:
    """`[batchnorm]`: a normalisation that stands by itself."""
    return site.layer(site.shape, tensors=dict.fromkeys(_NORMALIZATION, (site.shape[2],)))


def activation(site: Site) -> Layer:
    """`[activation]`: one that stands by itself."""
    return site.layer(site.shape, activation=_activation(site))


def crop(site: Site) -> Layer:
    """The middle of the image, its values carried from 0..1 to -1..1 unless `noadjust`."""
    height, width, channels = site.shape
    sides = (
        site.section.integer("crop_height", 1, least=1, most=height),
        site.section.integer("crop_width", 1, least=1, most=width),
    )
    return site.layer((*sides, channels), adjust=not site.section.flag("noadjust"))


def empty(site: Site) -> Layer:
    """`[empty]`, which changes nothing, and `[l2norm]`, which changes no size."""
    return site.layer(site.shape)


def softmax(site: Site) -> Layer:
    """`[softmax]`: the end of a classifier; kzoo's head has it inside."""
    if site.section.integer("groups", 1) != 1:
        raise site.section.fault("groups", "is not built; only 1 is")
    temperature = site.section.number("temperature", 1.0)
    if temperature <= 0:
        raise site.section.fault("temperature", "give a number above 0")
    behind = site.plan.cfg.sections[site.index + 1 :]
    if any(section.kind != "cost" for section in behind):
        raise behind[0].fault(None, "stands behind [softmax], which has to be the last layer but for [cost]")
    if site.shape[:2] != (1, 1):
        raise site.section.fault(
            None, f"takes a vector of class scores, not a map of {_size_text(site.shape)}"
        )
    return site.layer(site.shape, temperature=temperature)


def logistic(site: Site) -> Layer:
    """Each number through a logistic: at the end of a vector what classes go through that do not exclude each other."""
    behind = site.plan.cfg.sections[site.index + 1 :]
    last = site.shape[:2] == (1, 1) and all(section.kind == "cost" for section in behind)
    # kzoo's head has it inside.
    return site.layer(site.shape, activation="linear" if last else "logistic", last=last)


def local_avgpool(site: Site) -> Layer:
    """`[local_avgpool]`: the mean of each window, which slides as that of `[maxpool]`."""
    return maxpool(site)


PLANNERS: dict[str, Planner] = {
    function.__name__: function
    for function in (
        convolutional, connected, local, maxpool, local_avgpool, avgpool, upsample, route, shortcut, scale_channels,
        sam, reorg, dropout, batchnorm, activation, crop, empty, softmax, logistic, cost, yolo, region, detection,
    )
} | {"reorg3d": reorg, "l2norm": empty, "Gaussian_yolo": gaussian_yolo}  # fmt: skip
