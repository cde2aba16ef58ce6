"""Convolutions of several branches that are added, and the one convolution that computes the same."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from kzoo.layers.activations import activate
from kzoo.layers.normalization import FusedBatchNormalization
from kzoo.layers.yolo_conv import EPSILON, MOMENTUM, conv


def branched_conv(
    x,
    filters: int,
    name: str,
    stride: int = 1,
    identity: bool = False,
    activation: str = "swish",
    epsilon: float = EPSILON,
    momentum: float = MOMENTUM,
):
    """A 3x3 and a 1x1 convolution of the same maps, added, each with batch normalisation; and one activation.

    Once trained `merged_network` makes one 3x3 convolution of it.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        name: prefix of the layers' names.
        stride: pixels between neighbouring windows, 1 (default) or 2.
        identity: whether x itself is added, normalised, too, where stride is 1 and C is `filters`; False by default.
        activation: Darknet's name of the activation, "swish" (SiLU) by default; "linear" for none.
        epsilon: what batch normalisation adds to variances, 1e-3 by default.
        momentum: share of the statistics so far that a step keeps, 0 to 1, 0.97 by default.

    Returns:
        (B, H / stride, W / stride, filters).

    Source: Ding et al. 2021, RepVGG, arXiv:2101.03697, section 3.
    """
    style = {"activation": "linear", "epsilon": epsilon, "momentum": momentum}
    branches = [
        conv(x, filters, f"{name}_dense", 3, stride, **style),
        conv(x, filters, f"{name}_point", 1, stride, **style),
    ]
    if identity and stride == 1 and x.shape[-1] == filters:
        norm = FusedBatchNormalization(momentum=momentum, epsilon=epsilon, name=f"{name}_identity")
        branches.append(norm(x))
    return activate(layers.Add(name=f"{name}_add")(branches), activation, f"{name}_act")


def merged_network(network: keras.Model) -> keras.Model:
    """A copy of a network in which branches that are added are one convolution.

    Merged are sums of a convolution, of smaller ones with the same stride and centre, and of the normalised maps
    themselves, all of the same maps.

    Args:
        network: functional model without batch normalisations behind convolutions, as
            `kzoo.layers.folding.folded_network` gives it; stays as it is.

    Returns:
        The copy, or the network itself where nothing can be merged.
    """
    sums = {}
    for layer in network.layers:
        if isinstance(layer, layers.Add) and len(layer._inbound_nodes) == 1:
            branches = [tensor._keras_history.operation for tensor in layer.input]
            if _can_merge(branches):
                sums[layer.name] = branches
    if not sums:
        return network
    widest = {name: max(branches, key=_side) for name, branches in sums.items()}

    def clone(layer):
        use_bias = {"use_bias": True} if layer in widest.values() else {}
        return type(layer).from_config({**layer.get_config(), **use_bias})

    def call(layer, *args, **kwargs):
        # Of a sum the widest convolution's maps go on; the others' lead nowhere, and are not in the copy.
        if layer.name in sums:
            return args[0][sums[layer.name].index(widest[layer.name])]
        return layer(*args, **kwargs)

    copy = keras.models.clone_model(network, clone_function=clone, call_function=call)
    left = {layer.name for layer in copy.layers}
    for layer in network.layers:
        if layer.weights and layer.name in left:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    for name, branches in sums.items():
        copy.get_layer(widest[name].name).set_weights(_merged(branches, widest[name]))
    return copy


def _can_merge(branches: list) -> bool:
    """Whether layers whose results are added are convolutions of the same maps, or those maps, normalised."""
    if not any(_is_conv(branch) for branch in branches):
        return False
    alone = all(len(branch._inbound_nodes) == len(branch._outbound_nodes) == 1 for branch in branches)
    kinds = all(_is_conv(branch) or _is_norm(branch) for branch in branches)
    if not alone or not kinds or len({branch.name for branch in branches}) < 2:
        return False
    sources = {id(_source(branch)) for branch in branches}
    strides = {branch.strides if _is_conv(branch) else (1, 1) for branch in branches}
    return len(sources) == len(strides) == 1


def _is_conv(layer) -> bool:
    plain = type(layer) is layers.Conv2D and layer.activation is keras.activations.linear
    return plain and layer.groups == 1 and layer.dilation_rate == (1, 1) and _side(layer) % 2 == 1


def _is_norm(layer) -> bool:
    return isinstance(layer, layers.BatchNormalization) and layer.axis in (-1, 3)


def _side(layer) -> int:
    """The side of a convolution's kernel; 0 of other layers."""
    return layer.kernel_size[0] if hasattr(layer, "kernel_size") and len(set(layer.kernel_size)) == 1 else 0


def _source(layer):
    """The maps that a branch is of: before the padding, where that is half of the kernel."""
    tensor = layer.input
    before = tensor._keras_history.operation
    half = (_side(layer) // 2,) * 2
    if (
        isinstance(before, layers.ZeroPadding2D)
        and layer.padding == "valid"
        and before.padding == (half, half)
    ):
        return before.input
    # Kernels that are not padded, or, at a stride, by TensorFlow's rule, have their centres elsewhere.
    centred = (
        not _is_conv(layer) or _side(layer) == 1 or (layer.padding == "same" and layer.strides == (1, 1))
    )
    return tensor if centred else layer


def _merged(branches: list, widest) -> list[np.ndarray]:
    """Kernel and bias of the sum of branches, computed in float64."""
    kernel = np.zeros(widest.kernel.shape)  # (side, side, C, filters)
    bias, centre = np.zeros(kernel.shape[-1]), kernel.shape[0] // 2
    for branch in branches:
        if _is_conv(branch):
            half = _side(branch) // 2
            place = slice(centre - half, centre + half + 1)
            kernel[place, place] += np.asarray(branch.kernel, np.float64)
            bias += np.asarray(branch.bias, np.float64) if branch.use_bias else 0.0
        else:
            mean, variance = (np.asarray(v, np.float64) for v in (branch.moving_mean, branch.moving_variance))
            scale = 1 / np.sqrt(variance + branch.epsilon)
            scale = scale * np.asarray(branch.gamma, np.float64) if branch.scale else scale
            kernel[centre, centre] += np.diag(scale)
            bias += (np.asarray(branch.beta, np.float64) if branch.center else 0.0) - mean * scale
    return [kernel.astype(np.float32), bias.astype(np.float32)]
