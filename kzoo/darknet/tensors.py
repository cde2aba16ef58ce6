"""Between Darknet's arrays and Keras's variables: the same numbers, the axes in another order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from kzoo.darknet.plan import Layer


@dataclass(frozen=True)
class KerasLayers:
    """The Keras layers that hold the weights of one of Darknet's layers.

    Attributes:
        main: the convolution, the dense or locally connected layer, the shortcut; of `[batchnorm]` the normalisation.
        norm: the normalisation that follows the main layer, or None.
    """

    main: keras.layers.Layer
    norm: keras.layers.BatchNormalization | None = None

    def assign(self, layer: Layer, arrays: Mapping[str, np.ndarray], inputs: tuple[int, int, int]) -> None:
        """Takes Darknet's arrays over.

        Args:
            layer: the layer of Darknet, as planned.
            arrays: the layer's weights by name, in the shapes of `layer.tensors`.
            inputs: height, width and channels of the map that the layer takes.
        """
        if layer.kind == "batchnorm":
            _set_normalization(self.main, arrays)
            return
        kernel = _to_keras(self.main, layer, arrays["weights"], inputs)
        if layer.kind == "shortcut":
            self.main.set_weights([kernel])
        elif self.norm is None:
            self.main.set_weights([kernel, _bias_to_keras(layer, arrays["beta"])])
        else:
            self.main.set_weights([kernel])
            _set_normalization(self.norm, arrays)

    def arrays(self, layer: Layer, inputs: tuple[int, int, int]) -> dict[str, np.ndarray]:
        """Darknet's arrays, by name; the arguments are those of `assign`."""
        if layer.kind == "batchnorm":
            return _normalization(self.main)
        kernel, *bias = (keras.ops.convert_to_numpy(weight) for weight in self.main.weights)
        arrays = {"weights": _to_darknet(self.main, layer, kernel, inputs)}
        if self.norm is not None:
            arrays |= _normalization(self.norm)
        elif bias:
            arrays["beta"] = _bias_to_darknet(layer, bias[0])
        return arrays


def _set_normalization(norm: keras.layers.BatchNormalization, arrays: Mapping[str, np.ndarray]) -> None:
    beta = arrays.get("beta", np.zeros_like(arrays["gamma"]))  # [batchnorm] of pjreddie's fork has none
    norm.set_weights([arrays["gamma"], beta, arrays["mean"], arrays["variance"]])


def _normalization(norm: keras.layers.BatchNormalization) -> dict[str, np.ndarray]:
    values = (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    names = ("gamma", "beta", "mean", "variance")
    return {name: keras.ops.convert_to_numpy(value) for name, value in zip(names, values, strict=True)}


def _to_keras(main, layer: Layer, weights: np.ndarray, inputs) -> np.ndarray:
    """A kernel from Darknet's order of axes, outputs first, to Keras's."""
    height, width, channels = inputs
    if layer.kind == "shortcut":
        return weights  # (maps, 1 or channels)
    if layer.kind == "connected":
        # Darknet flattens a map channel by channel, Keras place by place.
        outputs = len(weights)
        weights = weights.reshape(outputs, channels, height, width)
        return weights.transpose(2, 3, 1, 0).reshape(-1, outputs)  # (height * width * channels, outputs)
    if layer.kind == "local":
        places, filters, _ = weights.shape
        size = layer.settings["size"]
        windows = weights.reshape(places, filters, channels, size, size).transpose(0, 3, 4, 2, 1)
        return windows.reshape(places, -1, filters)  # (places, size * size * channels, filters)
    if isinstance(main, keras.layers.DepthwiseConv2D):
        filters, _, *window = weights.shape
        weights = weights.reshape(channels, filters // channels, *window)
        return weights.transpose(2, 3, 0, 1)  # (size, size, channels, multiplier)
    kernel = weights.transpose(2, 3, 1, 0)  # (size, size, channels / groups, filters)
    return kernel.reshape(
        main.kernel.shape
    )  # the same, but for a projection that the zoo has as a dense layer


def _to_darknet(main, layer: Layer, kernel: np.ndarray, inputs) -> np.ndarray:
    """`_to_keras`, undone."""
    height, width, channels = inputs
    shape = layer.tensors["weights"]
    if layer.kind == "shortcut":
        return kernel
    if layer.kind == "connected":
        return kernel.reshape(height, width, channels, -1).transpose(3, 2, 0, 1).reshape(shape)
    if layer.kind == "local":
        size = layer.settings["size"]
        windows = kernel.reshape(shape[0], size, size, channels, shape[1])
        return windows.transpose(0, 4, 3, 1, 2).reshape(shape)
    if isinstance(main, keras.layers.DepthwiseConv2D):
        return kernel.transpose(2, 3, 0, 1).reshape(shape)
    return kernel.reshape(*shape[2:], *shape[1::-1]).transpose(3, 2, 0, 1)


def _bias_to_keras(layer: Layer, bias: np.ndarray) -> np.ndarray:
    """A bias (filters,); of `[local]`, which has one a place, from (filters, rows, columns) to channels last."""
    return bias.transpose(1, 2, 0) if layer.kind == "local" else bias


def _bias_to_darknet(layer: Layer, bias: np.ndarray) -> np.ndarray:
    """`_bias_to_keras`, undone."""
    return bias.transpose(2, 0, 1) if layer.kind == "local" else bias
