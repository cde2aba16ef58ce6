"""From a plan to a Keras model: Darknet's sections as a functional network, and its heads as kzoo's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import layers

from kzoo.darknet.heads import head_arguments
from kzoo.darknet.plan import HEADS, IMAGE, Layer, Plan, Shape
from kzoo.heads.classify import ClassifyHead
from kzoo.heads.features import FeatureHead
from kzoo.heads.gaussian import GaussianYoloHead
from kzoo.heads.grid import GridHead
from kzoo.heads.region import RegionHead
from kzoo.heads.yolo import YoloHead
from kzoo.layers.activations import activate
from kzoo.layers.conv import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM
from kzoo.layers.darknet import (
    ChannelGroup,
    Convolution,
    First,
    LocallyConnected,
    Luma,
    Pool,
    Reorg,
    Shortcut,
    UnitLength,
)
from kzoo.model import ZooModel, images_input

# Layers whose weights, or whose cut, are made for one size of the image.
_FIXED_SIZE = ("connected", "local", "crop")
_HEADS = {
    "yolo": YoloHead,
    "gaussian": GaussianYoloHead,
    "region": RegionHead,
    "grid": GridHead,
    "classify": ClassifyHead,
    "features": FeatureHead,
}


def build_model(plan: Plan, names: list[str] | None, name: str) -> ZooModel:
    """An untrained model of a plan.

    Args:
        plan: of the network.
        names: class names, as many as there are classes.
        name: of the model.

    Raises:
        ValueError: the heads contradict each other, or the names are too few or too many.
    """
    kind, arguments, names = head_arguments(plan, names)
    if names and len(names) != arguments["num_classes"]:
        raise ValueError(
            f"names: {len(names)}, {names[0]!r} first, for the {arguments['num_classes']} classes of {plan.cfg.path}; "
            "give one a class"
        )
    network = build_network(plan)
    return ZooModel(
        network,
        _HEADS[kind](**arguments, name="head"),
        plan.shape[:2],
        names,
        resize="darknet-letterbox" if plan.cfg.net.flag("letter_box") else "darknet",
        name=name,
    )


def build_network(plan: Plan) -> keras.Model:
    """The functional network, from images in 0..255 to what the heads are fed with.

    Layers are called `layer3_conv`, `layer3_bn`, ... by their number in Darknet.
    """
    fixed = any(layer.kind in _FIXED_SIZE or not layer.settings.get("divide", True) for layer in plan.layers)
    inputs, image = images_input(plan.shape[:2] if fixed else (None, None))
    if plan.shape[2] == 1:
        image = Luma(name="gray", dtype="float32")(image)
    outputs, convolutions = {IMAGE: image}, {}
    features = []
    for layer in plan.layers:
        x = [outputs[index] for index in layer.inputs]
        if layer.kind in HEADS:
            features.append(_logits(x[0], layer, plan))
        else:
            job = Job(layer, plan, x, f"layer{layer.index}", convolutions)
            outputs[layer.index] = BUILDERS[layer.kind](job)
    if not features:
        features = [outputs[len(plan.layers) - 1]]
    used = {index for layer in plan.layers for index in layer.inputs} | {len(plan.layers) - 1}
    unused = [outputs[index] for index in outputs if index not in used]
    if unused:
        features[0] = First(name="unused")([features[0], *unused])
    return keras.Model(inputs, features, name="network")


@dataclass(frozen=True)
class Job:
    """A layer that is about to be built.

    Attributes:
        layer, plan: what is asked for.
        inputs: tensors, in the order of the layer's inputs.
        name: what its Keras layers' names begin with.
        convolutions: Keras's convolution and normalisation of each number, for layers that share them.
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
        """Settings of the layer, one or several."""
        values = [self.layer.settings[name] for name in names]
        return values if len(values) > 1 else values[0]

    def activated(self, x):
        """`x` through the layer's activation."""
        return activate(x, self.setting("activation"), f"{self.name}_act")


def _logits(x, head: Layer, plan: Plan):
    """What a head is fed with, before a logistic of `new_coords`, which kzoo's head has inside."""
    if not head.settings.get("new_coords"):
        return x
    before = plan.layers[head.inputs[0]]
    if before.settings.get("activation") != "logistic":
        raise before.section.fault("activation", "has to be logistic before a [yolo] with new_coords=1")
    return x._keras_history.operation.input


def _convolutional(job: Job):
    share, index = job.setting("share"), job.layer.index
    if share is None:
        shared = any(layer.settings.get("share") == index for layer in job.plan.layers)
        norm = _normalization(job) if job.setting("normalize") else None
        job.convolutions[index] = _convolution(job, shared), norm
    else:
        job.convolutions[index] = job.convolutions[share]
    conv, norm = job.convolutions[index]
    padding, dilation, strides = job.setting("padding", "dilation", "strides")
    if isinstance(conv, Convolution):
        x = conv(job.x, strides=strides, dilation=dilation, padding=padding)
    elif padding and conv.padding == "valid":
        x = conv(layers.ZeroPadding2D(padding, name=f"{job.name}_pad")(job.x))
    else:
        x = conv(job.x)
    return job.activated(x if norm is None else norm(x))


def _convolution(job: Job, shared: bool) -> keras.layers.Layer:
    """Keras's own layer where it can do what is asked for."""
    filters, groups = job.layer.shape[2], job.setting("groups")
    size, padding, dilation, strides = job.setting("size", "padding", "dilation", "strides")
    use_bias, name = not job.setting("normalize"), f"{job.name}_conv"
    if shared or (dilation > 1 and max(strides) > 1):
        return Convolution(filters, size, groups, use_bias, name=name)
    # Where Keras's "same" pads as Darknet does it saves a layer.
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
    return layers.BatchNormalization(
        momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON, name=f"{job.name}_bn"
    )


def _connected(job: Job):
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
    parts = job.inputs
    if groups > 1:
        parts = [ChannelGroup(groups, group, name=f"{job.name}_group{i}")(x) for i, x in enumerate(parts)]
    return parts[0] if len(parts) == 1 else layers.Concatenate(name=f"{job.name}_concat")(parts)


def _shortcut(job: Job):
    shapes = [job.plan.shape_of(index) for index in job.layer.inputs]
    _, weights = job.layer.tensors.get("weights", (0, 0))
    if len(set(shapes)) == 1 and not weights:
        x = layers.Add(name=f"{job.name}_add")(job.inputs)
    else:
        height = shapes[0][0]
        steps = [other // height if other >= height else -(height // other) for other, *_ in shapes[1:]]
        x = Shortcut(steps, weights, job.setting("normalization"), name=f"{job.name}_add")(job.inputs)
    return job.activated(x)


def _product(job: Job):
    return job.activated(layers.Multiply(name=f"{job.name}_product")(job.inputs[::-1]))


def _reorg(job: Job):
    true = job.layer.kind == "reorg3d"
    return Reorg(job.setting("stride"), true, name=f"{job.name}_reorg")(job.x)


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
