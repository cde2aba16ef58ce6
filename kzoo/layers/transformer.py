"""Transformers' layers: what follows attention, and an encoder of the cells of a map."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import layers, ops

from kzoo.layers.multihead import MultiHeadAttention
from kzoo.layers.positions import block_sine_map, sine_map
from kzoo.policy import dtype_policy

EPSILON = 1e-5  # of the layer normalisation, as torch has it
ACTIVATIONS = ("relu", "gelu", "prelu")
# How positions of a map's cells are made, by name.
MAP_POSITIONS = {
    "sine": sine_map,
    "sine-centered": lambda *sizes: sine_map(*sizes, shift=0.5),
    "sine-20": lambda *sizes: sine_map(*sizes, temperature=20.0),
    "sine-blocks": block_sine_map,
}


def gelu(x):
    """GELU by the error function, written out: ONNX knows neither its complement nor Keras's form."""
    return 0.5 * x * (1.0 + ops.erf(x * (1.0 / math.sqrt(2.0))))


def inverse_sigmoid(x, margin: float = 1e-5):
    """Logits (...) of probabilities (...), which stay by `margin` away from 0 and 1."""
    x = ops.clip(x, 0.0, 1.0)
    return ops.log(ops.maximum(x, margin) / ops.maximum(1.0 - x, margin))


def norm(name: str) -> layers.LayerNormalization:
    """Layer normalisation with torch's number."""
    return layers.LayerNormalization(epsilon=EPSILON, name=name)


class SharedPReLU(layers.Layer):
    """ReLU with a learnt slope below 0, one for all channels. Shapes: (...) in and out."""

    def build(self, input_shape=None):
        initializer = keras.initializers.Constant(0.25)
        self.slope = self.add_weight(shape=(1,), initializer=initializer, name="slope")
        self.built = True

    def call(self, x):
        return ops.relu(x) - ops.cast(self.slope, x.dtype) * ops.relu(-x)


class MLP(layers.Layer):
    """Dense layers in a row with ReLUs between them. Shapes: (..., inputs) in, (..., units[-1]) out.

    Args:
        inputs: number of channels of what goes in.
        units: number of channels of what each layer gives.
        last: what the last layer's kernel begins with, by Keras's name; "glorot_uniform" by default.
        last_bias: what its bias begins with; "zeros" by default.
        **kwargs: arguments of every Keras layer; parts have names that begin with this one's.
    """

    def __init__(self, inputs: int, units: Sequence[int], last="glorot_uniform", last_bias="zeros", **kwargs):
        super().__init__(**kwargs)
        self.widths = [inputs, *units]
        self.layers = [
            layers.Dense(count, activation="relu", name=f"{self.name}{i}")
            for i, count in enumerate(units[:-1])
        ]
        self.layers.append(
            layers.Dense(
                units[-1],
                kernel_initializer=last,
                bias_initializer=last_bias,
                name=f"{self.name}{len(units) - 1}",
            )
        )

    def build(self, input_shape=None):
        for layer, width in zip(self.layers, self.widths, strict=False):
            layer.build((None, None, width))
        self.built = True

    def call(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def operations(self, rows: int) -> float:
        """Floating-point operations of so many rows, two a multiply-add."""
        return 2 * rows * sum(a * b for a, b in zip(self.widths, self.widths[1:], strict=False))


class FeedForward(layers.Layer):
    """Two dense layers with an activation between them. Shapes: (B, N, width) in and out.

    Args:
        width: number of channels of what goes in and out.
        hidden: number of channels between the layers.
        activation: one of `ACTIVATIONS`, "relu" by default; "gelu" by the error function, "prelu" of one slope.
        dropout: share that is dropped between the layers in training, 0 (default) to below 1.
        **kwargs: arguments of every Keras layer; parts have names that begin with this one's.
    """

    def __init__(self, width: int, hidden: int, activation: str = "relu", dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.width, self.hidden = width, hidden
        self.first = layers.Dense(hidden, name=f"{self.name}_first")
        self.activation = SharedPReLU(name=f"{self.name}_slope") if activation == "prelu" else None
        self.function = {"gelu": gelu, "relu": ops.relu}.get(activation)
        self.dropout = layers.Dropout(dropout, name=f"{self.name}_dropout") if dropout else None
        self.last = layers.Dense(width, name=f"{self.name}_last")

    def build(self, input_shape=None):
        self.first.build((None, None, self.width))
        self.last.build((None, None, self.hidden))
        if self.activation is not None:
            self.activation.build()
        self.built = True

    def call(self, x, training=None):
        x = self.first(x)
        x = self.function(x) if self.activation is None else self.activation(x)
        return self.last(x if self.dropout is None else self.dropout(x))

    def operations(self, rows: int) -> float:
        """Floating-point operations of so many rows, two a multiply-add."""
        return 4 * rows * self.width * self.hidden


class Residual(layers.Layer):
    """What is made of x is dropped in part, added to x, and normalised: afterwards, or before it is made.

    Args:
        width: number of channels of x.
        dropout: share of what is made that is dropped in training, 0 (default) to below 1.
        first: whether x is normalised before something is made of it; False (default) for the sum afterwards.
        **kwargs: arguments of every Keras layer; parts have names that begin with this one's.

    Shapes: x (B, N, width) and a function of that; (B, N, width) out.
    """

    def __init__(self, width: int, dropout: float = 0.0, first: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.width, self.first = width, first
        self.norm = norm(f"{self.name}_norm")
        self.dropout = layers.Dropout(dropout, name=f"{self.name}_dropout") if dropout else None

    def build(self, input_shape=None):
        self.norm.build((None, None, self.width))
        self.built = True

    def call(self, x, make, training=None):
        made = make(self.norm(x) if self.first else x)
        x = x + (made if self.dropout is None else self.dropout(made))
        return x if self.first else self.norm(x)


class EncoderLayer(layers.Layer):
    """Each cell looks at all cells, then goes through two dense layers.

    Args:
        width: number of channels, a multiple of `heads`.
        heads: number of heads.
        feedforward: number of channels between the dense layers.
        dropout: share of weights and channels that is dropped in training, 0 to below 1.
        activation: activation between the dense layers, one of `ACTIVATIONS`.
        pre_norm: whether normalisation comes first.
        **kwargs: arguments of every Keras layer; parts have names that begin with this one's.

    Shapes: x (B, N, width) and positions (1 or B, N, width); (B, N, width) out.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        feedforward: int,
        dropout: float,
        activation: str,
        pre_norm: bool,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.attention = MultiHeadAttention(width, heads, dropout, name=f"{self.name}_self")
        self.feedforward = FeedForward(
            width, feedforward, activation, dropout, name=f"{self.name}_feedforward"
        )
        self.residuals = [
            Residual(width, dropout, pre_norm, name=f"{self.name}_{part}") for part in ("self", "feedforward")
        ]

    def build(self, input_shape=None):
        for layer in (self.attention, self.feedforward, *self.residuals):
            layer.build()
        self.built = True

    def call(self, x, position, training=None):
        def look(x):
            placed = x + position
            return self.attention(placed, placed, x)

        x = self.residuals[0](x, make=look)
        return self.residuals[1](x, make=self.feedforward)

    def operations(self, cells: int) -> float:
        """Floating-point operations of so many cells, two a multiply-add."""
        return self.attention.operations(cells, cells) + self.feedforward.operations(cells)


@keras.saving.register_keras_serializable("kzoo")
class Encoder(layers.Layer):
    """The cells of a map look at each other, several times in a row.

    Args:
        depth: number of layers, 1 or more.
        heads: number of heads, which divides the channels.
        feedforward: number of channels between the dense layers of each layer.
        dropout: share of weights and channels that is dropped in training, 0 (default) to below 1.
        activation: activation between the dense layers, one of `ACTIVATIONS`, "relu" by default.
        pre_norm: whether normalisation comes first in each layer, and once more at the end; False by default.
        position: how positions are made, one of `MAP_POSITIONS`, "sine" by default.
        scaled: whether positions count, channel by channel, by what two dense layers make of the cell, as DAB-DETR
            has it; False by default.
        **kwargs: arguments of every Keras layer.

    Shapes: (B, H, W, C) in and out.

    Source: Carion et al. 2020, DETR, arXiv:2005.12872, section 3.2 and appendix A.3.
    """

    def __init__(
        self,
        depth: int,
        heads: int,
        feedforward: int,
        dropout: float = 0.0,
        activation: str = "relu",
        pre_norm: bool = False,
        position: str = "sine",
        scaled: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.depth, self.heads, self.feedforward = depth, heads, feedforward
        self.dropout, self.activation, self.pre_norm = dropout, activation, pre_norm
        self.position, self.scaled = position, scaled

    def get_config(self):
        names = ("depth", "heads", "feedforward", "dropout", "activation", "pre_norm", "position", "scaled")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def build(self, input_shape):
        width = input_shape[-1]
        settings = (width, self.heads, self.feedforward, self.dropout, self.activation, self.pre_norm)
        with dtype_policy(self.dtype_policy):  # its layers are made late, when another may be set
            self.layers = [EncoderLayer(*settings, name=f"layer{i}") for i in range(self.depth)]
            self.scale = MLP(width, (width, width), name="scale") if self.scaled else None
            self.norm = norm("norm") if self.pre_norm else None
        for layer in (*self.layers, self.scale, self.norm):
            if layer is not None:
                layer.build((None, None, width))
        self.built = True

    def call(self, x, training=None):
        batch, height, width, channels = ops.shape(x)
        position = ops.cast(MAP_POSITIONS[self.position](height, width, channels), x.dtype)  # (1, N, C)
        x = ops.reshape(x, (batch, height * width, channels))
        for layer in self.layers:
            x = layer(x, position if self.scale is None else position * self.scale(x))
        x = x if self.norm is None else self.norm(x)
        return ops.reshape(x, (batch, height, width, channels))

    def compute_output_shape(self, input_shape):
        return input_shape

    def map_operations(self, shape) -> float:
        """Floating-point operations of a map (1, H, W, C), two a multiply-add."""
        cells = shape[1] * shape[2]
        scale = 0 if self.scale is None else self.scale.operations(cells) * self.depth
        return sum(layer.operations(cells) for layer in self.layers) + scale
