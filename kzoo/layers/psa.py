"""Attention between all cells of a map, on half of its channels."""

from __future__ import annotations

import keras
from keras import layers, ops

from kzoo.layers.darknet_maps import ChannelGroup
from kzoo.layers.yolo_conv import conv

HEAD_WIDTH = 64  # channels of a head's values; queries and keys have half as many


@keras.saving.register_keras_serializable("kzoo")
class CellAttention(layers.Layer):
    """Each cell's weighted mean of all cells' values, head by head.

    Args:
        heads: number of heads, which the channels are dealt out to, 1 or more.
        key_width: channels of a head's queries, and of its keys; those that are left are of its values.

    Shapes:
        inputs: (B, H, W, heads * (2 * key_width + v)), head by head queries, keys and values.
        outputs: (B, H, W, heads * v) weighted values, and (B, H, W, heads * v) the values as they came.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2; in YOLO11's form.
    """

    def __init__(self, heads: int, key_width: int, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.key_width = heads, key_width

    def call(self, x):
        batch, height, width, channels = ops.shape(x)
        cells, k = height * width, self.key_width
        value_width = channels // self.heads - 2 * k
        x = ops.reshape(x, (batch, cells, self.heads, 2 * k + value_width))
        x = ops.transpose(x, (0, 2, 1, 3))  # (B, heads, cells, 2 k + v)
        query, key, value = x[..., :k], x[..., k : 2 * k], x[..., 2 * k :]
        scores = ops.matmul(query * k**-0.5, ops.transpose(key, (0, 1, 3, 2)))  # (B, heads, cells, cells)
        seen = ops.matmul(ops.softmax(scores), value)  # (B, heads, cells, v)
        shape = (batch, height, width, self.heads * value_width)
        return tuple(ops.reshape(ops.transpose(maps, (0, 2, 1, 3)), shape) for maps in (seen, value))

    def compute_output_shape(self, input_shape):
        channels = input_shape[-1] - 2 * self.key_width * self.heads
        return (*input_shape[:-1], channels), (*input_shape[:-1], channels)


def c2psa(x, filters: int, name: str, blocks: int = 1, **style):
    """Half the channels through blocks of attention, half past them; a 1x1 convolution joins both.

    Args:
        x: (B, H, W, C) maps.
        filters: number of output channels.
        name: prefix of the layers' names.
        blocks: number of blocks of attention in a row, 1 (default) or more.
        **style: activation, epsilon and momentum of `kzoo.layers.yolo_conv.conv`.

    Returns:
        (B, H, W, filters).

    Source: YOLO11; after Wang et al. 2024, YOLOv10, arXiv:2405.14458, section 3.3, "Partial self-attention".
    """
    hidden = filters // 2
    x = conv(x, 2 * hidden, f"{name}_cv1", **style)
    past, through = (ChannelGroup(2, half, name=f"{name}_half{half}")(x) for half in (0, 1))
    for i in range(blocks):
        through = _attended(through, f"{name}_m{i}", **style)
    return conv(layers.Concatenate(name=f"{name}_concat")([past, through]), filters, f"{name}_cv2", **style)


def _attended(x, name: str, **style):
    """x (B, H, W, C) plus what attention makes of it, and that plus what two 1x1 convolutions make of that."""
    channels = x.shape[-1]
    linear = {**style, "activation": "linear"}
    heads = max(channels // HEAD_WIDTH, 1)
    key_width = channels // heads // 2
    both = conv(x, channels + 2 * heads * key_width, f"{name}_attn_qkv", **linear)
    seen, value = CellAttention(heads, key_width, name=f"{name}_attn_cells")(both)
    # A depthwise convolution of the values tells where they are, which attention does not.
    place = conv(value, channels, f"{name}_attn_pe", 3, depthwise=True, **linear)
    seen = layers.Add(name=f"{name}_attn_add")([seen, place])
    x = layers.Add(name=f"{name}_add1")([x, conv(seen, channels, f"{name}_attn_proj", **linear)])
    inner = conv(x, 2 * channels, f"{name}_ffn0", **style)
    return layers.Add(name=f"{name}_add2")([x, conv(inner, channels, f"{name}_ffn1", **linear)])
