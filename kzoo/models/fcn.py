"""Fully convolutional networks: on VGG16 as in the paper, and on residual networks as in torchvision."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
from keras import layers

from kzoo.backbones.named import backbone_features
from kzoo.backbones.vgg import convolutional_classifier, vgg16
from kzoo.heads.pixel import PixelHead
from kzoo.layers.bilinear import transposed
from kzoo.layers.normalize import normalized
from kzoo.layers.residual import conv_bn
from kzoo.layers.resizing import Enlarge
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading

UPS = ("transposed", "upsampling")
AUXILIARY_WEIGHT = 0.5  # torchvision's


@architecture(PixelHead, own=("project", "multiple"), backbones=("vgg16",))
def fcn8(
    num_classes: int = 21,
    image_size: Sequence[int] = (512, 512),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "vgg16",
    stride: int = 8,
    up: str = "transposed",
    batch_norm: bool = False,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "fcn8",
    **head,
) -> ZooModel:
    """FCN-8s on VGG16: scores of the coarsest map are enlarged by two and those of finer maps added, down to stride 8.

    Maps are padded to keep their size where the paper pads the image by 100 pixels and crops the result.

    Args:
        num_classes: number of classes, 1 to 255, the background among them, 21 by default.
        image_size: height and width in pixels, (512, 512) by default, multiples of 32; other sizes work as well at run
            time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the convolutions of a stage, or of the blocks, above 0 and up to 16, 1 by default.
        backbone: "vgg16" (default), whose classifier goes along as convolutions; or one of
            `kzoo.backbones.named.BACKBONES`, whose coarsest map is scored after a 3x3 convolution.
        stride: stride of the finest map that is scored, 8 (default), 16 or 32.
        up: how scores are enlarged: "transposed" (default; convolutions that begin as bilinear interpolation and are
            trained) or "upsampling" (bilinear).
        batch_norm: whether VGG16's convolutions are batch-normalised, which trains without pretrained weights; False
            by default.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the backbone's
            weights ask for where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, such as `vgg16`, torchvision's or timm's
            VGG16 with its classifier (`.safetensors`, `.pth`), or "imagenet": see `kzoo.weights.loading`. Untrained
            where None.
        name: name of the model, which messages and files go by, "fcn8" by default.
        **head: further arguments of `kzoo.heads.pixel.PixelHead`, such as `loss="ce+dice"`.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Long et al. 2015, arXiv:1411.4038, figure 3.
    """
    check_arguments(num_classes, image_size, names, 32)
    if up not in UPS or stride not in (8, 16, 32):
        raise ValueError(f"{name}: up={up!r}, stride={stride}; give {' or '.join(UPS)}, and 8, 16 or 32")
    check_batch_norm(name, batch_norm, backbone)
    read = reading(backbone_weights, weights, backbone=backbone)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, normalize or read.normalize)
    if backbone == "vgg16":
        *_, pool3, pool4, pool5 = vgg16(x, width, depth, batch_norm=batch_norm)
        x = convolutional_classifier(pool5, width)
    else:
        _, pool3, pool4, last = backbone_features(x, backbone, 32, width, depth, **read.strides)
        x = intermediate(last, "neck_{}")
    channels = 1 if head.get("binary") else num_classes
    x = _score(x, channels, "conv7")
    for finer, at in ((pool4, 16), (pool3, 8)):
        if at < stride:
            break
        x = _enlarged(x, 2, up, f"neck_up{at}")
        x = layers.Add(name=f"neck_add{at}")([x, _score(finer, channels, f"pool{at.bit_length() - 1}")])
    # What is left to the input's resolution is trained here, or left to the head, which enlarges by interpolation.
    head_stride = stride
    if up == "transposed":
        x, head_stride = _enlarged(x, stride, up, "neck_up1"), 1
    network = keras.Model(inputs, [x], name="network")
    head = PixelHead(num_classes, (head_stride,), project=False, multiple=32, name="head", **head)
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)


fcn16 = functools.partial(fcn8, stride=16, name="fcn16")
fcn32 = functools.partial(fcn8, stride=32, name="fcn32")


def _score(x, channels: int, of: str):
    """Scores of the classes, (B, H, W, C) to (B, H, W, channels); at first all alike, as in the paper."""
    return layers.Conv2D(channels, 1, kernel_initializer="zeros", name=f"neck_score_{of}")(x)


def _enlarged(x, factor: int, up: str, name: str):
    """Scores (B, H, W, C) at `factor` times their size, by a trained layer or by interpolation."""
    if up == "transposed":
        return transposed(x, factor, name)
    return Enlarge(factor, name=name)(x)


@architecture(PixelHead, own=("auxiliary",), backbones=())
def fcn_resnet50(
    num_classes: int = 21,
    image_size: Sequence[int] = (520, 520),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "resnet50",
    output_stride: int = 8,
    auxiliary: float = 0.0,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "fcn-resnet50",
    **head,
) -> ZooModel:
    """A fully convolutional network on a dilated ResNet-50, whose last map alone is scored.

    Args:
        num_classes: number of classes, 1 to 255, the background among them, 21 by default.
        image_size: height and width in pixels, (520, 520) by default, multiples of the output stride; other sizes work
            at run time.
        width: factor of the channels, above 0 and up to 16, 1 by default.
        depth: factor of the backbone's blocks of a stage, above 0 and up to 16, 1 by default.
        backbone: one of `kzoo.backbones.named.BACKBONES`, "resnet50" by default.
        output_stride: stride of the backbone's last map, 8 (default), 16 or 32.
        auxiliary: weight of the loss of a second classifier on the third stage, 0 or more; True is 0.5, 0 (default)
            leaves it out.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the backbone's
            weights ask for where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model, or torchvision's `fcn_resnet50` (`.pth`,
            `.safetensors`). Untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, such as `resnet50`, torchvision's or
            timm's (`.pth`, `.safetensors`), or "imagenet": see `kzoo.weights.loading`. Untrained where None.
        name: name of the model, which messages and files go by, "fcn-resnet50" by default.
        **head: further arguments of `kzoo.heads.pixel.PixelHead`, such as `loss="ce+dice"`.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: torchvision, `models/segmentation/fcn.py`.
    """
    check_arguments(num_classes, image_size, names, output_stride)
    read = reading(backbone_weights, weights, backbone=backbone)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, normalize or read.normalize)
    *_, third, last = backbone_features(x, backbone, output_stride, width, depth, **read.strides)
    outputs = [intermediate(last, "neck_{}")]
    if auxiliary:
        outputs.append(intermediate(third, "neck_auxiliary_{}"))
    network = keras.Model(inputs, outputs, name="network")
    head = PixelHead(
        num_classes, (output_stride,), auxiliary=auxiliary_weight(auxiliary), name="head", **head
    )
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)


fcn_resnet101 = functools.partial(fcn_resnet50, backbone="resnet101", name="fcn-resnet101")


def check_batch_norm(name: str, batch_norm: bool, backbone: str) -> None:
    """Refuses batch normalisation of VGG16's convolutions where there is another backbone, which has its own.

    Args:
        name: name of the model, for the message.
        batch_norm: whether VGG16's convolutions are to be batch-normalised.
        backbone: name of the backbone.

    Raises:
        ValueError: it is wanted of another backbone.
    """
    if batch_norm and backbone != "vgg16":
        raise ValueError(f"{name}: batch_norm=True is for VGG16; leave it out with backbone={backbone!r}")


def intermediate(x, name: str):
    """What comes before a classifier of pixels: a 3x3 convolution to a quarter of the channels, and dropout.

    Args:
        x: (B, H, W, C) maps of a backbone's stage.
        name: pattern of the layers' names, with {} where their kind goes.

    Returns:
        (B, H, W, C // 4).
    """
    x = conv_bn(x, x.shape[-1] // 4, 3, name)
    return layers.Dropout(0.1, name=name.format("dropout"))(x)


def auxiliary_weight(auxiliary: float) -> float:
    """The weight of the auxiliary loss as a number: torchvision's for True, which only says that there is to be one."""
    return AUXILIARY_WEIGHT if auxiliary is True else float(auxiliary)
