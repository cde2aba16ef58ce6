"""What networks that were trained on ImageNet expect of their images."""

from __future__ import annotations

from keras import layers

# By name: mean and standard deviation of red, green and blue, in grey levels.
NORMALIZATIONS = {
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "caffe": ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
    "ssd": ((122.99925, 116.9991, 103.9992), (1.0, 1.0, 1.0)),
    "inception": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "centernet": ((119.91659, 114.03422, 104.01298), (70.91508, 69.89082, 73.60276)),
    "lite": ((127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),
}


def normalized(images, kind: str = "imagenet"):
    """Images less their mean, over their deviation.

    Args:
        images: (B, H, W, 3) RGB in 0..255.
        kind: what the network was trained with: "imagenet" (default: mean and deviation of ImageNet, as torchvision
            and timm), "caffe" (less the mean alone, as the first VGG and ResNet, whose weights keras.applications has),
            "ssd" (less the mean in whole levels, as SSD, and torchvision's), "inception" (to -1..1, as MobileNets of
            keras.applications), "centernet" (COCO's mean and deviation, as CenterNet and CornerNet) or "lite" (less
            127, over 128, as EfficientNet-Lite).

    Returns:
        (B, H, W, 3) float32.

    Raises:
        ValueError: no normalisation is called so.
    """
    if kind not in NORMALIZATIONS:
        raise ValueError(f"normalize={kind!r}; give one of {', '.join(NORMALIZATIONS)}")
    mean, deviation = NORMALIZATIONS[kind]
    scale = [1 / d for d in deviation]
    offset = [-m / d for m, d in zip(mean, deviation, strict=True)]
    # In float32 whatever the policy: 255 grey levels do not survive half precision's rounding unharmed.
    return layers.Rescaling(scale, offset, dtype="float32", name="backbone_normalize")(images)
