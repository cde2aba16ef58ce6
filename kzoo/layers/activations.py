"""Darknet's activations, and which layers stand for them."""

from __future__ import annotations

import keras
from keras import layers, ops

LEAKY_SLOPE = 0.1  # Darknet's LEAKY activation


@keras.saving.register_keras_serializable("kzoo")
def loggy(x):
    """Darknet's `loggy`: 2 / (1 + exp(-x)) - 1, elementwise."""
    return 2.0 * ops.sigmoid(x) - 1.0


@keras.saving.register_keras_serializable("kzoo")
def ramp(x):
    """Darknet's `ramp`: ReLU plus a tenth of x, elementwise."""
    return ops.relu(x) + 0.1 * x


@keras.saving.register_keras_serializable("kzoo")
def hard_mish(x):
    """Darknet's `hard_mish`: x above 0, x (x / 2 + 1) down to -2, 0 below, elementwise."""
    return x * ops.clip(0.5 * x + 1.0, 0.0, 1.0)


@keras.saving.register_keras_serializable("kzoo")
def rounded_selu(x):
    """SELU with Darknet's constants, which have five digits, elementwise."""
    return 1.0507 * ops.elu(x, alpha=1.6732)


@keras.saving.register_keras_serializable("kzoo")
def tanh_gelu(x):
    """GELU by the hyperbolic tangent, as Darknet computes it, elementwise."""
    return ops.gelu(x, approximate=True)


# By Darknet's name: a function of ours, or Keras's name of one.
_FUNCTIONS = {
    "elu": "elu",
    "gelu": tanh_gelu,
    "hard_mish": hard_mish,
    "hardswish": "hard_silu",
    "loggy": loggy,
    "logistic": "sigmoid",
    "mish": "mish",
    "ramp": ramp,
    "relu": "relu",
    "relu6": "relu6",
    "selu": rounded_selu,
    "swish": "silu",
    "tanh": "tanh",
}
# Slopes below 0 of those that are leaky ReLUs.
_LEAKS = {"leaky": LEAKY_SLOPE, "relie": 0.01}


def activate(x, activation: str, name: str):
    """One of Darknet's activations as a layer.

    Args:
        x: a tensor of the functional API, of any shape.
        activation: Darknet's name of the activation; "linear" adds no layer.
        name: the layer's name.

    Returns:
        A tensor of the same shape.
    """
    if activation == "linear":
        return x
    if activation in _LEAKS:
        return layers.LeakyReLU(negative_slope=_LEAKS[activation], name=name)(x)
    return layers.Activation(_FUNCTIONS[activation], name=name)(x)


def activation_of(layer: keras.layers.Layer) -> str | None:
    """Darknet's name of what an activation layer does, or None where it has none for it."""
    if isinstance(layer, layers.LeakyReLU):
        return next((name for name, slope in _LEAKS.items() if slope == layer.negative_slope), None)
    if isinstance(layer, layers.ReLU) and layer.negative_slope == layer.threshold == 0:
        return {None: "relu", 6.0: "relu6"}.get(layer.max_value)
    if not isinstance(layer, layers.Activation):
        return None
    known = {keras.activations.get(function): name for name, function in _FUNCTIONS.items()}
    return known.get(layer.activation)
