"""A model as it is run rather than trained: float32, batch normalisation folded into the convolutions."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from kzoo.model import ZooModel


def inference_model(model: ZooModel) -> ZooModel:
    """A copy of the model for export: the same results from fewer operations, in float32 whatever its policy.

    Args:
        model: stays as it is.
    """
    config = model.head.get_config()
    head = type(model.head).from_config({**config, "dtype": "float32"})
    copy = ZooModel(folded_network(model.network), head, model.image_size, model.names, name=model.name)
    head.set_weights(model.head.get_weights())
    return copy


def folded_network(network: keras.Model) -> keras.Model:
    """The functional network without the batch normalisations that follow a convolution."""
    before = _convolutions_before(network)
    folded = {conv.name for conv in before.values()}

    def clone(layer):
        config = {**layer.get_config(), "dtype": "float32"}
        if layer.name in folded:
            config["use_bias"] = True
        return type(layer).from_config(config)

    def call(layer, *args, **kwargs):
        return args[0] if layer.name in before else layer(*args, **kwargs)

    copy = keras.models.clone_model(network, clone_function=clone, call_function=call)
    for layer in network.layers:
        if layer.name in before:
            conv = before[layer.name]
            copy.get_layer(conv.name).set_weights(_fold(conv, layer))
        elif layer.weights and layer.name not in folded:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def _convolutions_before(network: keras.Model) -> dict:
    """Of every normalisation that can be folded, by name: the convolution that feeds it and nothing else."""
    found = {}
    for layer in network.layers:
        if not isinstance(layer, layers.BatchNormalization) or len(layer._inbound_nodes) != 1:
            continue
        source = layer.input._keras_history.operation
        linear = isinstance(source, layers.Conv2D) and source.activation is keras.activations.linear
        if linear and len(source._outbound_nodes) == 1 and layer.axis in (-1, 3):
            found[layer.name] = source
    return found


def _fold(conv: layers.Conv2D, norm: layers.BatchNormalization) -> list[np.ndarray]:
    """Kernel and bias that do what the convolution and the normalisation did, computed in float64."""
    mean, variance = (np.asarray(v, np.float64) for v in (norm.moving_mean, norm.moving_variance))
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma, np.float64)
    bias = np.asarray(conv.bias, np.float64) if conv.use_bias else 0.0
    shift = np.asarray(norm.beta, np.float64) if norm.center else 0.0
    kernel = np.asarray(conv.kernel, np.float64) * scale
    return [kernel.astype(np.float32), ((bias - mean) * scale + shift).astype(np.float32)]
