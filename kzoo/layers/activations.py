"""Darknet's activations, and which layers stand for them."""

from __future__ import annotations

import keras
from keras import layers, ops

from kzoo.layers.conv import LEAKY_SLOPE


@keras.saving.register_keras_serializable("kzoo")
def loggy(x):
    """2 / (1 + exp(-x)) - 1."""
    return 2.0 * ops.sigmoid(x) - 1.0


@keras.saving.register_keras_serializable("kzoo")
def ramp(x):
    """ReLU plus a tenth of x."""
    return ops.relu(x) + 0.1 * x


@keras.saving.register_keras_serializable("kzoo")
def hard_mish(x):
    """x above 0, x (x / 2 + 1) down to -2, 0 below."""
    return x * ops.clip(0.5 * x + 1.0, 0.0, 1.0)


@keras.saving.register_keras_serializable("kzoo")
def rounded_selu(x):
    """SELU with Darknet's constants, which have five digits."""
    return 1.0507 * ops.elu(x, alpha=1.6732)


@keras.saving.register_keras_serializable("kzoo")
def tanh_gelu(x):
    """GELU by the hyperbolic tangent."""
    return ops.gelu(x, approximate=True)


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
_LEAKS = {"leaky": LEAKY_SLOPE, "relie": 0.01}


def activate(x, activation: str, name: str):
    """`x` through one of Darknet's activations, as a layer of that name; "linear" adds none."""
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
