"""Darknet's feature extractors: image -> list of feature maps, finest first."""

from __future__ import annotations

from keras import layers

from kzoo.layers.conv import ConvNamer, repeats, scaled

# Residual blocks of Darknet-53's five stages (YOLOv3, table 1); stage i ends at stride 2 ** (i + 1).
DARKNET53_BLOCKS = (1, 2, 8, 8, 4)


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


def darknet_tiny(images, width: float = 1.0) -> list:
    """The plain seven-convolution extractor of yolov3-tiny.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of 32.
        width: factor of the channels, above 0, 1 by default.

    Returns:
        Feature maps at strides 16 and 32, with 256 and 1024 channels at width 1.

    Source: Darknet's yolov3-tiny.cfg, sections 0 to 12.
    """
    namer = ConvNamer("backbone")
    x = images
    features = []
    for stage in range(6):
        x = namer.conv(x, scaled(16 * 2**stage, width))
        if stage == 4:
            features.append(x)
        # The last pooling keeps the resolution.
        x = layers.MaxPooling2D(2, 2 if stage < 5 else 1, padding="same", name=f"backbone_pool{stage + 1}")(x)
    features.append(namer.conv(x, scaled(1024, width)))
    return features
