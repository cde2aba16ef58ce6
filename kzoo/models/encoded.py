"""Networks whose coarsest map goes through a transformer's encoder, as DETR and its successors have them."""

from __future__ import annotations

from pathlib import Path

import keras
from keras import layers

from kzoo.backbones.convnext import CONVNEXTS
from kzoo.backbones.named import backbone_features
from kzoo.heads.query import QueryHead
from kzoo.layers.conv import repeats, scaled
from kzoo.layers.normalize import normalized
from kzoo.layers.transformer import Encoder
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import assembled
from kzoo.weights.reading import reading

MULTIPLE = 32  # of the image's sides
DEPTH = 6  # layers of the encoder, and of the decoder
HEADS = 8
CHANNELS, FEEDFORWARD = 256, 2048


def encoded_model(
    head_type: type[QueryHead],
    own: tuple,
    width: float,
    depth: float,
    backbone: str,
    dilated: bool,
    batch_norm: str | None,
    load: tuple[str | Path | None, str | Path | None],
    options: dict,
    feedforward: int = FEEDFORWARD,
    **settings,
) -> ZooModel:
    """Such a network and a head with queries: what DETR and the models made of it share.

    Args:
        head_type: class of the head.
        own: number of classes, height and width in pixels, class names or None, and the model's name.
        width: factor of the channels, above 0.
        depth: factor of the backbone's blocks of a stage and of the layers of encoder and decoder, above 0.
        backbone: one of `kzoo.backbones.named.BACKBONES`.
        dilated: whether the last stage dilates its kernels in the place of its stride, for a map at stride 16.
        batch_norm: kind of the backbone's batch normalisation, as `encoded_network` has it.
        load: the backbone's weights and the weights, or None.
        options: further arguments of the head.
        feedforward: channels between a decoder layer's dense layers at width 1, 2048 by default.
        **settings: further arguments of `encoded_network`.
    """
    num_classes, image_size, names, name = own
    check_arguments(num_classes, image_size, names, MULTIPLE)
    network = encoded_network(width, depth, backbone, dilated, batch_norm, load, **settings)
    head = head_type(num_classes, **{**decoder_settings(width, depth, dilated, feedforward), **options})
    backbone_weights, weights = load
    return assembled(network, head, image_size, names, name, weights, backbone_weights)


def encoded_network(
    width: float,
    depth: float,
    backbone: str,
    dilated: bool,
    batch_norm: str | None,
    load: tuple[str | Path | None, str | Path | None],
    encoder: bool = True,
    group_norm: bool = False,
    **settings,
) -> keras.Model:
    """Images to one map: a backbone, a 1x1 convolution, and an encoder of six layers.

    Args:
        width: factor of the channels, above 0; of 256 channels of the map.
        depth: factor of the backbone's blocks of a stage and of the encoder's layers, above 0.
        backbone: one of `kzoo.backbones.named.BACKBONES`.
        dilated: whether the last stage dilates its kernels in the place of its stride, for a map at stride 16.
        batch_norm: kind of the backbone's batch normalisation; where None "frozen" with weights and "trained" without.
        load: the backbone's weights and the weights that are going to be loaded, or None.
        encoder: whether there is an encoder (default), rather than the convolution's map alone.
        group_norm: whether the convolution is followed by group normalisation; False by default.
        **settings: further arguments of the encoder.
    """
    if batch_norm is None and backbone not in CONVNEXTS:
        batch_norm = "trained" if load == (None, None) else "frozen"
    read = reading(*load, backbone=backbone)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, read.normalize)
    stride = 16 if dilated else 32
    stages = backbone_features(x, backbone, stride, width, depth, batch_norm=batch_norm, **read.strides)
    channels = scaled(CHANNELS, width)
    x = layers.Conv2D(channels, 1, name="neck_input")(stages[-1])
    if group_norm:
        x = layers.GroupNormalization(32 if channels % 32 == 0 else 8, epsilon=1e-5, name="neck_input_norm")(
            x
        )
    if encoder:
        layers_of = {
            "depth": repeats(DEPTH, depth),
            "heads": HEADS,
            "feedforward": scaled(FEEDFORWARD, width),
        }
        x = Encoder(**layers_of, name="neck_encoder", **settings)(x)
    return keras.Model(inputs, [x], name="network")


def decoder_settings(width: float, depth: float, dilated: bool, feedforward: int = FEEDFORWARD) -> dict:
    """What a head with queries is given that goes with such a network.

    Args:
        width: factor of the channels, above 0.
        depth: factor of the decoder's layers, above 0.
        dilated: whether the map is at stride 16 rather than 32.
        feedforward: channels between a layer's dense layers at width 1, 2048 by default.
    """
    return {
        "strides": (16 if dilated else 32,),
        "decoder_depth": repeats(DEPTH, depth),
        "query_width": scaled(CHANNELS, width),
        "heads": HEADS,
        "feedforward": scaled(feedforward, width),
        "name": "head",
    }
