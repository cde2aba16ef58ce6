"""U-Net, with the decoders, encoders and blocks of its descendants by choice."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from kzoo.backbones.named import backbone_features, check_backbone
from kzoo.backbones.vgg import vgg16
from kzoo.heads.pixel import PixelHead
from kzoo.layers.conv import repeats, scaled
from kzoo.layers.normalize import normalized
from kzoo.layers.padding import MirrorPadding2D
from kzoo.layers.unet import Blocks, Grey, attention_gate, cropped, doubled
from kzoo.model import ZooModel, check_arguments, images_input
from kzoo.models.architecture import architecture
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading

LEVELS, FILTERS = 5, 64
OWN_BACKBONES = ("plain", "vgg16")


@architecture(PixelHead, own=("multiple",), backbones=OWN_BACKBONES)
def unet(
    num_classes: int = 2,
    image_size: Sequence[int] = (256, 256),
    width: float = 1.0,
    depth: float = 1.0,
    decoder_width: float = 1.0,
    up: str = "transposed",
    padding: str = "same",
    backbone: str = "plain",
    encoder: str | None = None,
    channels: int = 3,
    batch_norm: bool = False,
    dropout: float = 0.0,
    residual: bool = False,
    attention: bool = False,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "unet",
    **head,
) -> ZooModel:
    """U-Net: an encoder, and a decoder that doubles the resolution level by level and joins what the encoder had there.

    Args:
        num_classes: number of classes, 1 to 255, the background among them, 2 by default.
        image_size: height and width in pixels, (256, 256) by default, multiples of 16 at depth 1; other sizes work as
            well at run time.
        width: factor of the channels, above 0, 1 by default: 64 at the first level and twice as many at each further
            one.
        depth: factor of the levels of the plain encoder, of which there are 5 at 1 (default), or of the blocks of
            another; above 0.
        decoder_width: factor of the decoder's channels besides `width`, above 0 and up to 16, 1 by default. For
            pretrained encoders, which need their full width: the decoder is most of the arithmetic.
        up: how the decoder doubles the resolution: "transposed" (default; a transposed 2x2 convolution) or
            "upsampling" (bilinear, then a 2x2 convolution).
        padding: "same" (default), or "valid" as in the paper: convolutions without padding, in an image that is
            continued by its mirror image, so that the result is still as large as the image. Takes sides above 94
            pixels.
        backbone: the encoder: "plain" (default), as in the paper; "vgg16"; or one of `kzoo.backbones.named.BACKBONES`,
            such as "resnet50" or "efficientnet-lite0". Images are normalised as the backbone's weights ask.
        encoder: earlier name of `backbone`, which it takes the place of; None by default.
        channels: number of the image's channels that the network looks at: 3 (default), or 1, for which it turns the
            image grey first.
        batch_norm: whether convolutions are batch-normalised, which trains faster; False by default.
        dropout: share of the features that the plain encoder's two coarsest levels drop in training, 0 or more
            and below 1, 0 by default.
        residual: whether every pair of convolutions has a shortcut; False by default. Source: Zhang et al. 2018,
            arXiv:1711.10684.
        attention: whether gates weight what the encoder hands over; False by default. Source: Oktay et al. 2018,
            arXiv:1804.03999.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; untrained where None.
        backbone_weights: weights of the encoder: a `.keras` file of a model with the same; of all but "plain" also
            torchvision's, timm's or "imagenet": see `kzoo.weights.loading`. Untrained where None.
        name: name of the model, which messages and files go by, "unet" by default.
        **head: further arguments of `kzoo.heads.pixel.PixelHead`, such as `loss="ce+dice"`.

    Raises:
        ValueError: an argument is unknown, or some do not go together.

    Source: Ronneberger et al. 2015, arXiv:1505.04597, figure 1.
    """
    backbone = _backbone(backbone, encoder)
    levels = max(2, repeats(LEVELS, depth)) if backbone == "plain" else LEVELS
    multiple = 2 ** (levels - 1) if backbone in OWN_BACKBONES else 32
    check_arguments(num_classes, image_size, names, multiple)
    _check_choices(up, padding, backbone, channels, image_size, levels)
    blocks = Blocks(padding, batch_norm, residual)
    if backbone == "plain":
        inputs, x = images_input()
        skips = _plain(x, levels, width, channels, dropout, blocks)
    else:
        read = reading(backbone_weights, weights, backbone=backbone)
        inputs = keras.Input((None, None, 3), name="images")
        x = normalized(inputs, read.normalize)
        if backbone == "vgg16":
            skips = vgg16(x, width, depth, pooled=False, batch_norm=batch_norm)
        else:
            skips = backbone_features(x, backbone, 32, width, depth, stem=True, **read.strides)
    wide = width * decoder_width
    x = _decoded(skips, levels, wide, up, attention, blocks)
    finest = multiple // 2 ** (len(skips) - 1)  # stride of the finest map
    for level in range(finest.bit_length() - 1):
        filters, prefix = scaled(FILTERS // 2 ** (level + 1), wide), f"neck_level{-level}"
        x = blocks(doubled(x, filters, up, prefix), filters, prefix)

    network = keras.Model(inputs, [x], name="network")
    head = PixelHead(num_classes, multiple=multiple, name="head", **head)
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)


def _backbone(backbone: str, encoder: str | None) -> str:
    """The backbone's name, given as `backbone` or by the earlier name of that argument."""
    if encoder is None:
        return backbone
    if backbone not in ("plain", encoder):
        raise ValueError(f"unet: encoder={encoder!r} with backbone={backbone!r}; leave encoder out")
    check_backbone(encoder, OWN_BACKBONES)
    return encoder


def _decoded(skips: list, levels: int, width: float, up: str, attention: bool, blocks: Blocks):
    """The decoder: from the coarsest of what the encoder hands over to the size of the finest, (B, H, W, filters)."""
    *finer, x = skips
    valid = blocks.padding == "valid"
    for level, skip in reversed(list(enumerate(finer))):
        filters, prefix = scaled(FILTERS * 2**level, width), f"neck_level{level + 1}"
        skip = cropped(skip, _lost(levels - level) // 2 if valid else 0, f"{prefix}_crop")
        skip = attention_gate(skip, x, filters, prefix) if attention else skip
        x = doubled(x, filters, up, prefix)
        x = layers.Concatenate(name=f"{prefix}_concat")([skip, x])
        x = blocks(x, filters, prefix)
    return cropped(x, _margin(levels) - (_lost(levels) + 8) // 2 if valid else 0, "neck_crop")


def _plain(x, levels: int, width: float, channels: int, dropout: float, blocks: Blocks) -> list:
    """The paper's encoder: what each level hands over, the finest first, at half the resolution of the one before."""
    x = Grey(name="grey")(x) if channels == 1 else x
    x = MirrorPadding2D(_margin(levels), name="mirror")(x) if blocks.padding == "valid" else x
    skips = []
    for level in range(levels):
        if level:
            x = layers.MaxPooling2D(2, name=f"backbone_pool{level}")(x)
        x = blocks(x, scaled(FILTERS * 2**level, width), f"backbone_level{level + 1}")
        if dropout and level >= levels - 2:
            x = layers.Dropout(dropout, name=f"backbone_dropout{level + 1}")(x)
        skips.append(x)
    return skips


def _lost(levels: int) -> int:
    """Pixels by which a decoder without padding falls short of the level it joins, that of `levels` below it.

    At half the resolution are lost what the levels below lose, four pixels to the encoder's pair of convolutions, and,
    but on the lowest level, which has no decoder, four to the decoder's pair.
    """
    if levels == 1:
        return 0
    return 2 * _lost(levels - 1) + (8 if levels == 2 else 16)


def _margin(levels: int) -> int:
    """Mirrored pixels on each side with which every pooling meets even sides and the result covers the image."""
    multiple = 2 ** (levels - 1)
    half = (_lost(levels) + 8) // 2
    # Every pooling sees the pixels that four convolutions took off at each level above it.
    return next(m for m in range(half, half + multiple) if (2 * m - 4 * (multiple - 1)) % multiple == 0)


def _check_choices(
    up: str, padding: str, backbone: str, channels: int, image_size: Sequence[int], levels: int
) -> None:
    """Refuses values that are unknown, and those that do not go together."""
    for name, value, known in (
        ("up", up, ("transposed", "upsampling")),
        ("padding", padding, ("same", "valid")),
        ("channels", channels, (1, 3)),
    ):
        if value not in known:
            raise ValueError(f"unet: {name}={value!r}; give {' or '.join(map(repr, known))}")
    if backbone != "plain" and (padding != "same" or channels != 3):
        raise ValueError(
            f"unet: backbone={backbone!r} with padding={padding!r} and channels={channels}: it pads, and takes "
            "colours; leave both out"
        )
    if padding == "valid" and min(image_size) <= _margin(levels):
        raise ValueError(
            f"unet: padding='valid' mirrors {_margin(levels)} pixels, more than image_size={tuple(image_size)} has; "
            "give larger sides"
        )
