"""Folding batch normalisation, and convolutions side by side, into one: the same results from fewer operations."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from kzoo.layers.repvgg import RepConv

_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D)


def folded_network(network: keras.Model, float32: bool = False) -> keras.Model:
    """A copy of a functional network without the batch normalisations that follow a convolution.

    Convolutions that are several in training only (`kzoo.layers.repvgg`) become the one that they come to.

    Args:
        network: functional model, which stays as it is.
        float32: whether the copy computes in float32 whatever the network's policy; False by default.
    """
    before = convolutions_before(network)
    folded = {conv.name for conv in before.values()}

    def clone(layer):
        config = {**layer.get_config(), **({"dtype": "float32"} if float32 else {})}
        if layer.name in folded:
            config["use_bias"] = True
        copied = type(layer).from_config(config)
        return copied.plain() if isinstance(layer, RepConv) else copied

    copy = keras.models.clone_model(network, clone_function=clone, call_function=_skipping(before))
    for layer in network.layers:
        if layer.name in before:
            conv = before[layer.name]
            copy.get_layer(conv.name).set_weights(_fold(conv, layer))
        elif isinstance(layer, RepConv):
            copy.get_layer(layer.name).set_weights(layer.merged())
        elif layer.weights and layer.name not in folded:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def _skipping(names) -> Callable:
    """How a network is cloned without the layers of these names: what goes into them comes out."""

    def call(layer, *args, **kwargs):
        return args[0] if layer.name in names else layer(*args, **kwargs)

    return call


def convolutions_before(network: keras.Model) -> dict:
    """For every normalisation that can be folded, by its name, the convolution that feeds it and nothing else."""
    before = {}
    for layer in network.layers:
        if not isinstance(layer, layers.BatchNormalization) or len(layer._inbound_nodes) != 1:
            continue
        # Keras has no public way to ask where a tensor comes from, and which layers take it.
        source = layer.input._keras_history.operation
        linear = isinstance(source, _CONVOLUTIONS) and source.activation is keras.activations.linear
        if linear and len(source._outbound_nodes) == 1 and layer.axis in (-1, 3):
            before[layer.name] = source
    return before


def _fold(conv: keras.layers.Layer, norm: layers.BatchNormalization) -> list[np.ndarray]:
    """Kernel and bias that do what the convolution and the normalisation did, computed in float64."""
    mean, variance = (np.asarray(v, np.float64) for v in (norm.moving_mean, norm.moving_variance))
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma, np.float64)
    bias = np.asarray(conv.bias, np.float64) if conv.use_bias else 0.0
    shift = np.asarray(norm.beta, np.float64) if norm.center else 0.0
    kernel = np.asarray(conv.kernel, np.float64)
    # A depthwise kernel's last two axes are input channels and filters of each; a plain one's last is filters.
    wide = scale.reshape(kernel.shape[2:]) if isinstance(conv, layers.DepthwiseConv2D) else scale
    return [(kernel * wide).astype(np.float32), ((bias - mean) * scale + shift).astype(np.float32)]
