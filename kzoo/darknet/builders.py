"""Darknet's layers in Keras: one function a kind of section, from the planned layer and its inputs to its output.

`kzoo.darknet.sections` has their counterparts, which plan the layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import layers

from kzoo.darknet.plan import Layer, Plan, Shape
from kzoo.layers.activations import activate
from kzoo.layers.conv import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM
from kzoo.layers.darknet_maps import ChannelGroup, Reorg, Shortcut, UnitLength
from kzoo.layers.darknet_windows import Convolution, LocallyConnected, Pool
from kzoo.layers.normalization import FusedBatchNormalization
from kzoo.layers.strided import seen_pixels


@dataclass(frozen=True)
class Job:
    """A layer that is about to be built.

    Attributes:
        layer: the planned layer.
        plan: the whole network, for the shapes of other layers.
        inputs: the tensors that it takes, (B, height, width, channels) each, in the order of `layer.inputs`.
        name: what the names of its Keras layers begin with, such as "layer3".
        convolutions: Keras's convolution and normalisation (or None) of each convolutional layer built so far, by
            number, for layers that share their weights.
    """

    layer: Layer
    plan: Plan
    inputs: list
    name: str
    convolutions: dict

    @property
    def x(self):
        """The main input."""
        return self.inputs[0]

    @property
    def shape(self) -> Shape:
        """The main input's shape."""
        return self.plan.shape_of(self.layer.inputs[0])

    def setting(self, *names: str):
        """The setting of one name, or a list of those of several."""
        values = [self.layer.settings[name] for name in names]
        return values if len(values) > 1 else values[0]

    def activated(self, x):
        """A tensor through the layer's activation."""
        return activate(x, self.setting("activation"), f"{self.name}_act")


def _convolutional(job: Job):
    """A convolution, its normalisation and its activation; with `share_index` the weights of an earlier one."""
    share, index = job.setting("share"), job.layer.index
    size, padding, dilation, strides = job.setting("size", "padding", "dilation", "strides")
    x = job.x
    if not padding:
        x, strides = seen_pixels(x, size, strides, f"{job.name}_pick")
    if share is None:
        shared = any(layer.settings.get("share") == index for layer in job.plan.layers)
        norm = _normalization(job) if job.setting("normalize") else None
        job.convolutions[index] = _convolution(job, strides, shared), norm
    else:
        job.convolutions[index] = job.convolutions[share]
    conv, norm = job.convolutions[index]
    if isinstance(conv, Convolution):
        x = conv(x, strides=strides, dilation=dilation, padding=padding)
    elif padding and conv.padding == "valid":
        x = conv(layers.ZeroPadding2D(padding, name=f"{job.name}_pad")(x))
    else:
        x = conv(x)
    return job.activated(x if norm is None else norm(x))


def _convolution(job: Job, strides: tuple[int, int], shared: bool) -> keras.layers.Layer:
    """Keras's own layer where it can do what is asked for: it is quicker, and exporters and quantisers know it."""
    filters, groups = job.layer.shape[2], job.setting("groups")
    size, padding, dilation = job.setting("size", "padding", "dilation")
    use_bias, name = not job.setting("normalize"), f"{job.name}_conv"
    if shared or (dilation > 1 and max(strides) > 1):
        return Convolution(filters, size, groups, use_bias, name=name)
    # At stride 1 Keras's "same" pads as Darknet does, which saves a layer. At others it would pad right and bottom
    # where Darknet pads left and top.
    same = strides == (1, 1) and 2 * padding == dilation * (size - 1)
    common = {
        "kernel_size": size,
        "strides": strides,
        "padding": "same" if same else "valid",
        "dilation_rate": dilation,
        "use_bias": use_bias,
        "name": name,
    }
    if groups == job.shape[2] and groups > 1:
        return layers.DepthwiseConv2D(
            depth_multiplier=filters // groups, depthwise_initializer="he_normal", **common
        )
    return layers.Conv2D(filters, groups=groups, kernel_initializer="he_normal", **common)


def _normalization(job: Job) -> keras.layers.Layer:
    return FusedBatchNormalization(
        momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON, name=f"{job.name}_bn"
    )


def _connected(job: Job):
    """A dense layer over the whole map, whose output is a map of one place again."""
    outputs, normalize = job.layer.shape[2], job.setting("normalize")
    x = layers.Flatten(name=f"{job.name}_flat")(job.x)
    x = layers.Dense(outputs, use_bias=not normalize, name=f"{job.name}_dense")(x)
    x = _normalization(job)(x) if normalize else x
    return job.activated(layers.Reshape((1, 1, outputs), name=f"{job.name}_map")(x))


def _local(job: Job):
    size, stride, padding = job.setting("size", "stride", "padding")
    return job.activated(
        LocallyConnected(job.layer.shape[2], size, stride, padding, name=f"{job.name}_local")(job.x)
    )


def _pool(job: Job):
    size, strides, padding = job.setting("size", "strides", "padding")
    kind = "max" if job.layer.kind == "maxpool" else "average"
    even = (size, strides) == (2, (2, 2)) and job.shape[0] % 2 == job.shape[1] % 2 == 0
    if padding == size - 1 and (strides == (1, 1) or even):
        # Here Keras's "same" pads by as much, and the smaller half first, too.
        pool = layers.MaxPooling2D if kind == "max" else layers.AveragePooling2D
        return pool(size, strides, padding="same", name=f"{job.name}_pool")(job.x)
    return Pool(kind, size, strides, padding, name=f"{job.name}_pool")(job.x)


def _average(job: Job):
    return layers.GlobalAveragePooling2D(keepdims=True, name=f"{job.name}_mean")(job.x)


def _upsample(job: Job):
    stride, scale = job.setting("stride", "scale")
    x = layers.UpSampling2D(stride, name=f"{job.name}_up")(job.x)
    return x if scale == 1.0 else layers.Rescaling(scale, name=f"{job.name}_scale")(x)


def _route(job: Job):
    groups, group = job.setting("groups", "group")
    maps = job.inputs
    if groups > 1:
        maps = [ChannelGroup(groups, group, name=f"{job.name}_group{i}")(x) for i, x in enumerate(maps)]
    return maps[0] if len(maps) == 1 else layers.Concatenate(name=f"{job.name}_concat")(maps)


def _shortcut(job: Job):
    shapes = [job.plan.shape_of(index) for index in job.layer.inputs]
    _, weights = job.layer.tensors.get("weights", (0, 0))
    if len(set(shapes)) == 1 and not weights:
        x = layers.Add(name=f"{job.name}_add")(job.inputs)
    else:
        height = shapes[0][0]
        # Above 0, every so many pixels of a larger map are taken; below, a smaller one's go to every so many here.
        steps = [other // height if other >= height else -(height // other) for other, *_ in shapes[1:]]
        x = Shortcut(steps, weights, job.setting("normalization"), name=f"{job.name}_add")(job.inputs)
    return job.activated(x)


def _product(job: Job):
    # First the map that `from` names, then the scale that is spread over it.
    return job.activated(layers.Multiply(name=f"{job.name}_product")(job.inputs[::-1]))


def _reorg(job: Job):
    by_places = job.layer.kind == "reorg3d"  # space-to-depth; [reorg] itself mixes places with channels
    return Reorg(job.setting("stride"), by_places, name=f"{job.name}_reorg")(job.x)


def _dropout(job: Job):
    return layers.Dropout(job.setting("probability"), name=f"{job.name}_dropout")(job.x)


def _crop(job: Job):
    margins = []
    for side, wanted in zip(job.shape[:2], job.layer.shape[:2], strict=True):
        before = (side - wanted) // 2
        margins.append((before, side - wanted - before))
    x = layers.Cropping2D(margins, name=f"{job.name}_crop")(job.x)
    return layers.Rescaling(2.0, -1.0, name=f"{job.name}_adjust")(x) if job.setting("adjust") else x


def _through(job: Job):
    """What changes nothing: `[empty]`, `[cost]`, and `[softmax]`, which kzoo's head has inside."""
    return job.x


BUILDERS: dict[str, Callable] = {
    "activation": lambda job: job.activated(job.x),
    "avgpool": _average,
    "batchnorm": lambda job: _normalization(job)(job.x),
    "connected": _connected,
    "convolutional": _convolutional,
    "cost": _through,
    "crop": _crop,
    "dropout": _dropout,
    "empty": _through,
    "l2norm": lambda job: UnitLength(name=f"{job.name}_l2norm")(job.x),
    "local": _local,
    "local_avgpool": _pool,
    "logistic": lambda job: job.activated(job.x),
    "maxpool": _pool,
    "reorg": _reorg,
    "reorg3d": _reorg,
    "route": _route,
    "sam": _product,
    "scale_channels": _product,
    "shortcut": _shortcut,
    "softmax": _through,
    "upsample": _upsample,
}
