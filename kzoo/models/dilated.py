"""Dilated convolutions: VGG16 without its last poolings, and the multi-scale context module."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from kzoo.backbones.named import backbone_features
from kzoo.backbones.vgg import convolutional_classifier, vgg16
from kzoo.heads.pixel import PixelHead
from kzoo.layers.context import RATES, context_module
from kzoo.layers.normalize import normalized
from kzoo.model import ZooModel, check_arguments
from kzoo.models.architecture import architecture
from kzoo.models.fcn import check_batch_norm, intermediate
from kzoo.weights.loading import load_backbone, load_weights
from kzoo.weights.reading import reading


@architecture(PixelHead, own=("project",), backbones=("vgg16",))
def dilated8(
    num_classes: int = 21,
    image_size: Sequence[int] = (512, 512),
    width: float = 1.0,
    depth: float = 1.0,
    backbone: str = "vgg16",
    context: str | None = "large",
    rates: Sequence[int] = RATES,
    batch_norm: bool = False,
    hybrid: Sequence[int] | None = None,
    normalize: str | None = None,
    names: Sequence[str] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    name: str = "dilated8",
    **head,
) -> ZooModel:
    """Dilation8: VGG16's front end at stride 8 gives scores, and the context module looks at them ever more widely.

    Maps are padded by zeros to keep their size where the paper continues the image by its mirror image.

    Args:
        num_classes: number of classes, 1 to 255, the background among them, 21 by default.
        image_size: height and width in pixels, (512, 512) by default, multiples of 8; other sizes work as well at run
            time.
        width: factor of the front end's channels, above 0 and up to 16, 1 by default.
        depth: factor of the convolutions of a stage, or of the blocks, above 0 and up to 16, 1 by default.
        backbone: "vgg16" (default), as in the paper; or one of `kzoo.backbones.named.BACKBONES` at stride 8, whose last
            map is scored after a 3x3 convolution.
        context: size of the context module, "basic" or "large" (default): see
            `kzoo.layers.context.context_module`; None is the front end alone.
        rates: seven dilations of the context module, 1 to 1000; 1, 1, 2, 4, 8, 16 and 1 by default.
        batch_norm: whether VGG16's convolutions are batch-normalised, which trains without pretrained weights; False
            by default.
        hybrid: dilations of the dilated stage's convolutions by turns, such as (1, 2, 5), in the place of one for all;
            None (default) for one. For VGG16 and residual networks.
        normalize: normalisation of the images, one of `kzoo.layers.normalize.NORMALIZATIONS`; what the backbone's
            weights ask for where None.
        names: class names, in the order of the labels; none where None.
        weights: a `.keras` or `.weights.h5` file of the same model; untrained where None.
        backbone_weights: a `.keras` file of a model with the same backbone, such as `vgg16`, torchvision's or timm's
            VGG16 with its classifier (`.safetensors`, `.pth`), or "imagenet": see `kzoo.weights.loading`. Untrained
            where None.
        name: name of the model, which messages and files go by, "dilated8" by default.
        **head: further arguments of `kzoo.heads.pixel.PixelHead`, such as `loss="ce+dice"`.

    Raises:
        ValueError: an argument is out of range, or the weights are of another model.

    Source: Yu & Koltun 2016, arXiv:1511.07122, sections 3 and 4; hybrid rates: Wang et al. 2018, arXiv:1702.08502.
    """
    check_arguments(num_classes, image_size, names, 8)
    check_batch_norm(name, batch_norm, backbone)
    read = reading(backbone_weights, weights, backbone=backbone)
    inputs = keras.Input((None, None, 3), name="images")
    x = normalized(inputs, normalize or read.normalize)
    if backbone == "vgg16":
        x = vgg16(x, width, depth, pools=3, batch_norm=batch_norm, hybrid=hybrid)[-1]
        x = convolutional_classifier(x, width, dilation=4)
    else:
        x = backbone_features(x, backbone, 8, width, depth, hybrid=hybrid, **read.strides)[-1]
        x = intermediate(x, "neck_{}")
    channels = 1 if head.get("binary") else num_classes
    x = layers.Conv2D(channels, 1, name="neck_score")(x)
    x = x if context is None else context_module(x, context, rates)
    network = keras.Model(inputs, [x], name="network")
    head = PixelHead(num_classes, (8,), project=False, name="head", **head)
    model = ZooModel(network, head, image_size, names, name=name)
    return load_weights(load_backbone(model, backbone_weights), weights)
