"""Darknet's feature extractors: image -> list of feature maps, finest first."""

from __future__ import annotations

from keras import layers

from kzoo.layers.conv import ConvNamer, repeats, scaled

# Residual blocks of Darknet-53's five stages (YOLOv3, table 1); stage i ends at stride 2 ** (i + 1).
DARKNET53_BLOCKS = (1, 2, 8, 8, 4)
# Pairs of a 1x1 and a 3x3 convolution of Darknet-19's stages; stage i ends at stride 2 ** i.
DARKNET19_PAIRS = (0, 0, 1, 1, 2, 2)


def darknet53(images, width: float = 1.0, depth: float = 1.0) -> list:
    """Darknet-53 without its classifier: 52 convolutions in residual pairs.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of 32.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the residual blocks of a stage, above 0, 1 by default.

    Returns:
        Feature maps at strides 8, 16 and 32, with 256, 512 and 1024 channels at width 1.

    Source: YOLOv3, arXiv:1804.02767, table 1.
    """
    namer = ConvNamer("backbone")
    x = namer.conv(images, scaled(32, width))
    features = []
    for stage, blocks in enumerate(DARKNET53_BLOCKS):
        filters = scaled(64 * 2**stage, width)
        x = namer.conv(x, filters, stride=2)
        for _ in range(repeats(blocks, depth)):
            inner = namer.conv(x, scaled(32 * 2**stage, width), size=1)
            inner = namer.conv(inner, filters)
            x = layers.Add(name=f"backbone_add{namer.count}")([x, inner])
        features.append(x)
    return features[2:]


def darknet19(images, width: float = 1.0, depth: float = 1.0) -> list:
    """Darknet-19 without its classifier: 18 convolutions, 3x3 ones with narrower 1x1 ones between, and five poolings.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of 32.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the pairs of a 1x1 and a 3x3 convolution in a stage, above 0, 1 by default.

    Returns:
        Feature maps at strides 8, 16 and 32, with 256, 512 and 1024 channels at width 1.

    Source: YOLO9000, arXiv:1612.08242, table 6.
    """
    namer = ConvNamer("backbone")
    x, features = images, []
    for stage, pairs in enumerate(DARKNET19_PAIRS):
        filters = scaled(32 * 2**stage, width)
        if stage:
            x = layers.MaxPooling2D(2, 2, padding="same", name=f"backbone_pool{stage}")(x)
        x = namer.conv(x, filters)
        for _ in range(repeats(pairs, depth) if pairs else 0):
            x = namer.conv(x, scaled(16 * 2**stage, width), size=1)
            x = namer.conv(x, filters)
        features.append(x)
    return features[3:]


def extraction(images, width: float = 1.0, depth: float = 1.0, normalize: bool = True):
    """What YOLO was pretrained as: 20 convolutions after GoogLeNet, 1x1 ones in the place of its inception modules.

    Args:
        images: (B, H, W, 3) float, already normalised.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the pairs of a 1x1 and a 3x3 convolution in the last two stages, above 0, 1 by default.
        normalize: whether batch normalisation follows the convolutions (default), as in Darknet's cfg files; if not
            they have biases, as in the paper.

    Returns:
        A feature map at stride 32, with 1024 channels at width 1.

    Source: YOLO, arXiv:1506.02640, figure 3; the name is that of Darknet's cfg file.
    """
    namer = ConvNamer("backbone", normalize=normalize)
    x = namer.conv(images, scaled(64, width), size=7, stride=2)
    x = layers.MaxPooling2D(2, 2, padding="same", name="backbone_pool1")(x)
    x = namer.conv(x, scaled(192, width))
    stages = (
        ((128, 256), (256, 512)),
        ((256, 512),) * repeats(4, depth) + ((512, 1024),),
        ((512, 1024),) * repeats(2, depth),
    )
    for stage, pairs in enumerate(stages):
        x = layers.MaxPooling2D(2, 2, padding="same", name=f"backbone_pool{stage + 2}")(x)
        for narrow, filters in pairs:
            x = namer.conv(x, scaled(narrow, width), size=1)
            x = namer.conv(x, scaled(filters, width))
    return x


def darknet_tiny(images, width: float = 1.0, last_stride: int = 1) -> list:
    """The plain seven-convolution extractor of the tiny YOLOs of versions 1 to 3.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of the last map's stride.
        width: factor of the channels, above 0, 1 by default.
        last_stride: stride of the last pooling: 1 (default) keeps the resolution; 2, as in version 1, halves it.

    Returns:
        Feature maps at strides 16 and 32 (or 64), with 256 and 1024 channels at width 1.

    Source: Darknet's yolov3-tiny.cfg, sections 0 to 12.
    """
    namer = ConvNamer("backbone")
    x = images
    features = []
    for stage in range(6):
        x = namer.conv(x, scaled(16 * 2**stage, width))
        if stage == 4:
            features.append(x)
        stride = 2 if stage < 5 else last_stride
        x = layers.MaxPooling2D(2, stride, padding="same", name=f"backbone_pool{stage + 1}")(x)
    features.append(namer.conv(x, scaled(1024, width)))
    return features
